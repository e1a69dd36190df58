/* The tables of a simulation's sums: which rank sums which buckets, and in which rooms. */
#include <stdlib.h>

#include "comm/reduce_plan.h"
#include "pipeline/simulate_sums.h"

static mb_status_t no_memory(size_t n)
{
    return mb_error_memory("a simulation's sums", n);
}

static mb_status_t list_pieces(mb_world_t *world)
{
    mb_sums_t *sums = world->sums;
    const mb_plan_t *plan = world->simulation->plans[0];
    for (int stage = 0; stage < plan->stages; stage++) {
        int n = 0;
        for (int c = plan->first_chunk[stage]; c >= 0; c = plan->next_chunk[c])
            n += mb_plan_buckets(plan, c);
        sums->pieces[stage] = MB_ARENA_ARRAY(world->arena, int, n);
        if (sums->pieces[stage] == NULL)
            return no_memory((size_t)n * sizeof(int));
        for (int c = plan->first_chunk[stage]; c >= 0; c = plan->next_chunk[c]) {
            for (int b = plan->first_bucket[c]; b < plan->first_bucket[c + 1]; b++) {
                sums->pieces[stage][sums->n_pieces[stage]++] = b;
                sums->stage_of[b] = stage;
                sums->chunk_of[b] = c;
            }
        }
    }
    return MB_OK;
}

/* Rooms go round in the order in which a backward comes to the buckets (engine/stage_rooms.c). */
static void number_rooms(mb_world_t *world)
{
    mb_sums_t *sums = world->sums;
    const mb_plan_t *plan = world->simulation->plans[0];
    for (int stage = 0; stage < plan->stages; stage++) {
        int left = sums->n_pieces[stage];
        for (int c = plan->first_chunk[stage]; c >= 0; c = plan->next_chunk[c]) {
            left -= mb_plan_buckets(plan, c);
            for (int b = plan->first_bucket[c]; b < plan->first_bucket[c + 1]; b++)
                sums->room_of[b] = (left + b - plan->first_bucket[c]) % MB_BUCKET_ROOMS;
        }
    }
}

/* Whether a group's part and the rooms are less than all gradients of the stage. */
static bool takes_rooms(const mb_world_t *world, int stage, int group)
{
    const mb_sums_t *sums = world->sums;
    const mb_simulation_t *s = world->simulation;
    int64_t rooms[MB_BUCKET_ROOMS] = {0}, all = 0, held = 0;
    int part = mb_reduce_part(s->grid, group);
    for (int i = 0; i < sums->n_pieces[stage]; i++) {
        int b = sums->pieces[stage][i];
        int64_t count = s->gradient_bytes[b] / (int64_t)sizeof(float);
        int64_t *room = &rooms[sums->room_of[b]];
        *room = count > *room ? count : *room;
        all += count;
        held += s->parts->bounds[b][part + 1] - s->parts->bounds[b][part];
    }
    for (int r = 0; r < MB_BUCKET_ROOMS; r++)
        held += rooms[r];
    return held < all;
}

static void give_rooms(mb_world_t *world)
{
    const mb_simulation_t *s = world->simulation;
    if (s->parts == NULL || !s->parts->take_rooms || s->gradient_bytes == NULL)
        return;
    for (int r = 0; r < s->grid->stages * s->grid->groups; r++) {
        mb_virtual_rank_t *rank = &world->ranks[r];
        rank->takes_rooms = takes_rooms(world, rank->walk.stage, rank->group);
    }
}

static mb_status_t take_tables(mb_world_t *world)
{
    mb_arena_t *arena = world->arena;
    const mb_plan_t *plan = world->simulation->plans[0];
    size_t buckets = (size_t)plan->first_bucket[plan->chunks];
    mb_sums_t *sums = MB_ARENA_NEW(arena, mb_sums_t);
    if (sums == NULL)
        return no_memory(sizeof *sums);
    *sums = (mb_sums_t){.sums = MB_ARENA_ARRAY(arena, mb_sum_t *, buckets),
                        .gathered = MB_ARENA_ARRAY(arena, int, buckets),
                        .stage_of = MB_ARENA_ARRAY(arena, int, buckets),
                        .chunk_of = MB_ARENA_ARRAY(arena, int, buckets),
                        .room_of = MB_ARENA_ARRAY(arena, int, buckets),
                        .pieces = MB_ARENA_ARRAY(arena, int *, plan->stages),
                        .n_pieces = MB_ARENA_ARRAY(arena, int, plan->stages)};
    if (sums->sums == NULL || sums->gathered == NULL || sums->stage_of == NULL ||
        sums->chunk_of == NULL || sums->room_of == NULL || sums->pieces == NULL ||
        sums->n_pieces == NULL)
        return no_memory(buckets * sizeof(mb_sum_t *));
    world->sums = sums;
    return MB_OK;
}

mb_status_t mb_sums_create(mb_world_t *world)
{
    const mb_plan_t *plan = world->simulation->plans[0];
    size_t groups = (size_t)world->simulation->grid->groups;
    MB_TRY(take_tables(world));
    for (int b = 0; b < plan->first_bucket[plan->chunks]; b++) {
        world->sums->sums[b] = MB_ARENA_ARRAY(world->arena, mb_sum_t, groups);
        if (world->sums->sums[b] == NULL)
            return no_memory(groups * sizeof(mb_sum_t));
    }
    MB_TRY(list_pieces(world));
    number_rooms(world);
    give_rooms(world);
    return mb_sum_plans(world->simulation, world->arena, &world->sums->plans);
}

void mb_sums_free(mb_sums_t *sums)
{
    if (sums != NULL)
        free(sums->ends);
}
