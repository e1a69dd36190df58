/* See stage_rooms.h. Rooms go round in the order in which a backward comes to the buckets: from the
 * last chunk to the first. */
#include "engine/stage_rooms.h"

#include "engine/stage_parts.h"

static int buckets_of(const mb_stage_t *stage, int index)
{
    return mb_plan_buckets(stage->plan, stage->chunks[index].chunk);
}

int mb_stage_room(const mb_stage_t *stage, int index, int bucket)
{
    int before = bucket - 1;
    for (int i = index + 1; i < stage->n_chunks; i++)
        before += buckets_of(stage, i);
    return before % MB_BUCKET_ROOMS;
}

int64_t mb_stage_bucket_at(const mb_stage_t *stage, int index, int bucket)
{
    if (stage->gives_away)
        return stage->rooms[mb_stage_room(stage, index, bucket)];
    return mb_stage_stretch(stage, index, bucket).first;
}

int64_t mb_stage_summed_at(const mb_stage_t *stage, int64_t entry)
{
    int i = 0;
    if (!stage->gives_away)
        return entry;
    while (i + 1 < stage->n_chunks && entry >= stage->chunks[i + 1].first_gradient)
        i++;
    return entry - stage->chunks[i].first_own + stage->chunks[i].own_at;
}

static mb_status_t place_parts(mb_stage_t *stage, int parts, int part, int64_t *total)
{
    size_t n = (size_t)parts + 1;
    int64_t *bounds = MB_ARENA_ARRAY(stage->arena, int64_t, n);
    if (bounds == NULL)
        return mb_error_memory("the parts of a stage", n * sizeof *bounds);
    for (int i = 0; i < stage->n_chunks; i++) {
        mb_stage_chunk_t *chunk = &stage->chunks[i];
        mb_stage_parts(stage, i, parts, bounds);
        chunk->first_own = chunk->first_gradient + bounds[part];
        chunk->own_at = *total;
        *total += bounds[part + 1] - bounds[part];
    }
    return MB_OK;
}

/* Each room has the size of the largest bucket that takes it. */
static void place_rooms(mb_stage_t *stage, int64_t *total)
{
    int64_t sizes[MB_BUCKET_ROOMS] = {0};
    for (int i = 0; i < stage->n_chunks; i++) {
        for (int b = 1; b <= buckets_of(stage, i); b++) {
            int64_t *size = &sizes[mb_stage_room(stage, i, b)];
            int64_t count = mb_stage_stretch(stage, i, b).count;
            *size = count > *size ? count : *size;
        }
    }
    for (int r = 0; r < MB_BUCKET_ROOMS; r++) {
        stage->rooms[r] = *total;
        *total += sizes[r];
    }
}

/* The entries of nodes stand OFFSET floats behind where they would in a block of all. */
static void move(mb_stage_t *stage, mb_bucket_t nodes, int64_t offset)
{
    for (int n = nodes.first_node; n < nodes.end_node; n++) {
        mb_node_place_t *at = &stage->places[n];
        for (int k = 0; k < MB_MAX_LAYER_PARAMS; k++)
            at->written[k] = at->entries[k] + offset;
    }
}

static void move_all(mb_stage_t *stage)
{
    for (int i = 0; i < stage->n_chunks; i++) {
        for (int b = 1; b <= buckets_of(stage, i); b++)
            move(stage, mb_plan_bucket(stage->plan, stage->chunks[i].chunk, b),
                 mb_stage_bucket_at(stage, i, b) - mb_stage_stretch(stage, i, b).first);
    }
}

mb_status_t mb_stage_place_rooms(mb_stage_t *stage, int parts, int part)
{
    int64_t own = 0, held = 0;
    stage->held_count = stage->summed_count = stage->gradient_count;
    if (parts > 1) {
        MB_TRY(place_parts(stage, parts, part, &own));
        held = own;
        place_rooms(stage, &held);
        stage->gives_away = held < stage->gradient_count;
    }
    if (stage->gives_away) {
        stage->held_count = held;
        stage->summed_count = own;
    }
    move_all(stage);
    return MB_OK;
}
