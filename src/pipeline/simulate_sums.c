/* See simulate_sums.h. Ends of messages meet in the box that the receiving group has for a bucket,
 * as in comm/virtual_wire.c. */
#include "pipeline/simulate_sums.h"

#include <stdlib.h>

static int groups_of(const mb_world_t *world)
{
    return world->simulation->grid->groups;
}

static mb_virtual_rank_t *rank_of(const mb_world_t *world, int bucket, int group)
{
    int stage = world->sums->stage_of[bucket];
    return &world->ranks[mb_grid_rank(world->simulation->grid, stage, group)];
}

static const mb_sum_round_t *round_of(const mb_world_t *world, int bucket, int group)
{
    const mb_sum_t *sum = &world->sums->sums[bucket][group];
    return &world->sums->plans[bucket][group].rounds[sum->round];
}

/* Of parts that stay where they were finished floats are shared when they are given out. */
static bool is_due(const mb_world_t *world, const mb_sum_t *sum, const mb_sum_message_t *message)
{
    const mb_parts_t *parts = world->simulation->parts;
    bool wide = (message->kind & MB_SUM_WIDE) != 0, shares = (message->kind & MB_SUM_SHARES) != 0;
    if (sum->gives)
        return shares && !wide;
    return wide || !shares || parts == NULL || !parts->stay;
}

/* ---- ends */

static mb_status_t take_end(mb_sums_t *sums, const mb_sum_end_t *end, int *out)
{
    if (sums->free == 0 && sums->n_ends + 1 >= sums->room_of_ends) {
        size_t room = sums->room_of_ends == 0 ? 1024 : 2 * (size_t)sums->room_of_ends;
        mb_sum_end_t *ends = realloc(sums->ends, room * sizeof *ends);
        if (ends == NULL)
            return mb_error_memory("messages of sums", room * sizeof *ends);
        sums->ends = ends;
        sums->room_of_ends = (int)room;
    }
    *out = sums->free != 0 ? sums->free : ++sums->n_ends;
    if (sums->free != 0)
        sums->free = sums->ends[sums->free].next;
    sums->ends[*out] = *end;
    return MB_OK;
}

static bool is_end(const mb_sum_end_t *end, const mb_sum_end_t *wanted)
{
    return end->sends == wanted->sends && end->from == wanted->from && end->to == wanted->to &&
           end->kind == wanted->kind;
}

static mb_sum_end_t end_of(int bucket, int group, const mb_sum_message_t *message)
{
    return (mb_sum_end_t){.bucket = bucket,
                          .from = message->sends ? group : message->group,
                          .to = message->sends ? message->group : group,
                          .sends = message->sends,
                          .kind = message->kind,
                          .bytes = message->bytes};
}

/* The link that names the first such end in the receiver's box, or the box's last link (from
 * nobody: that one). */
static int *find(mb_sums_t *sums, const mb_sum_end_t *wanted)
{
    int *link = &sums->sums[wanted->bucket][wanted->to].box;
    while (*link != 0 && !is_end(&sums->ends[*link], wanted))
        link = &sums->ends[*link].next;
    return link;
}

static mb_status_t move(mb_world_t *world, int number)
{
    const mb_sum_end_t *end = &world->sums->ends[number];
    mb_virtual_rank_t *from = rank_of(world, end->bucket, end->from);
    mb_virtual_rank_t *to = rank_of(world, end->bucket, end->to);
    double copying = mb_simulated_copying(world->simulation, from->rank, to->rank, end->bytes);
    mb_virtual_owe(from, copying);
    mb_virtual_owe(to, copying);
    return mb_simulated_move(world->simulation, world->out, world->now, from->rank, to->rank,
                             end->bytes, MB_OF_SUM | (uint64_t)number);
}

static mb_status_t post(mb_world_t *world, const mb_sum_end_t *end)
{
    int number = 0;
    mb_sums_t *sums = world->sums;
    mb_sum_end_t other = *end;
    other.sends = !end->sends;
    int *link = find(sums, &other);
    if (*link != 0) {
        number = *link;
        *link = sums->ends[number].next;
        if (end->sends)
            sums->ends[number].bytes = end->bytes;
        return move(world, number);
    }
    MB_TRY(take_end(sums, end, &number)); /* may move the links */
    *find(sums, &(mb_sum_end_t){.bucket = end->bucket, .from = -1, .to = end->to}) = number;
    return MB_OK;
}

/* ---- rounds */

static mb_status_t post_round(mb_world_t *world, int bucket, int group)
{
    mb_sum_t *sum = &world->sums->sums[bucket][group];
    const mb_sum_round_t *round = round_of(world, bucket, group);
    const mb_sum_message_t *messages = world->sums->plans[bucket][group].messages;
    sum->left = 0;
    for (int i = round->first; i < round->end; i++)
        sum->left += is_due(world, sum, &messages[i]);
    for (int i = round->first; i < round->end; i++) {
        mb_sum_end_t end = end_of(bucket, group, &messages[i]);
        if (is_due(world, sum, &messages[i]))
            MB_TRY(post(world, &end));
    }
    return MB_OK;
}

static mb_status_t open_round(mb_world_t *world, int bucket, int group)
{
    mb_sums_t *sums = world->sums;
    mb_sum_t *sum = &sums->sums[bucket][group];
    if (!round_of(world, bucket, group)->gathers)
        return post_round(world, bucket, group);
    sum->gathers = true;
    sum->left = 1;
    if (++sums->gathered[bucket] < groups_of(world))
        return MB_OK;
    sums->gathered[bucket] = 0;
    for (int g = 0; g < groups_of(world); g++) {
        sums->sums[bucket][g].gathers = false;
        MB_TRY(post_round(world, bucket, g));
    }
    return MB_OK;
}

/* The round's messages are there. */
static mb_status_t close_round(mb_virtual_rank_t *rank, int bucket, bool *done)
{
    mb_world_t *world = rank->world;
    mb_sum_t *sum = &world->sums->sums[bucket][rank->group];
    double added = round_of(world, bucket, rank->group)->added;
    MB_TRY(mb_virtual_pass(rank, mb_simulated_adding(world->simulation, added), done));
    if (!*done)
        return MB_OK;
    sum->round++;
    sum->under_way = sum->round < world->sums->plans[bucket][rank->group].n_rounds;
    rank->sums -= sum->under_way ? 0 : 1;
    return sum->under_way ? open_round(world, bucket, rank->group) : MB_OK;
}

static mb_status_t start(mb_virtual_rank_t *rank, int bucket, int round, bool gives)
{
    mb_world_t *world = rank->world;
    mb_sum_t *sum = &world->sums->sums[bucket][rank->group];
    sum->round = round;
    sum->gives = gives;
    sum->under_way = round < world->sums->plans[bucket][rank->group].n_rounds;
    rank->sums += sum->under_way ? 1 : 0;
    return sum->under_way ? open_round(world, bucket, rank->group) : MB_OK;
}

static mb_status_t finish(mb_virtual_rank_t *rank, int bucket, bool *done)
{
    mb_sum_t *sum = &rank->world->sums->sums[bucket][rank->group];
    while (sum->under_way && *done) {
        if (sum->left > 0) {
            rank->state = AWAITS_SUM;
            rank->bucket = bucket;
            rank->pace.owed = 0;
            *done = false;
            return MB_OK;
        }
        MB_TRY(close_round(rank, bucket, done));
    }
    sum->in_room = !*done;
    return MB_OK;
}

static mb_status_t told(mb_world_t *world, int bucket, int group)
{
    mb_sum_t *sum = &world->sums->sums[bucket][group];
    mb_virtual_rank_t *rank = rank_of(world, bucket, group);
    if (--sum->left > 0 || rank->state != AWAITS_SUM || rank->bucket != bucket)
        return MB_OK;
    rank->state = FREE;
    return mb_virtual_go_on(rank);
}

mb_status_t mb_sums_arrive(mb_world_t *world, uint64_t what)
{
    mb_sums_t *sums = world->sums;
    int number = (int)(what & ~MB_OF_SUM);
    mb_sum_end_t end = sums->ends[number];
    sums->ends[number].next = sums->free;
    sums->free = number;
    MB_TRY(told(world, end.bucket, end.from));
    return told(world, end.bucket, end.to);
}

/* ---- what a rank does about its sums */

static bool sums_nothing(const mb_virtual_rank_t *rank)
{
    return rank->world->sums == NULL;
}

mb_status_t mb_sums_start(mb_virtual_rank_t *rank, int chunk, int bucket)
{
    mb_sums_t *sums = rank->world->sums;
    const mb_plan_t *plan = rank->walk.plan;
    if (sums_nothing(rank))
        return MB_OK;
    for (int i = 0; i < sums->n_pieces[rank->walk.stage]; i++) {
        int b = sums->pieces[rank->walk.stage][i];
        bool is_of_chunk = chunk < 0 || sums->chunk_of[b] == chunk;
        if (!is_of_chunk || (bucket > 0 && b != plan->first_bucket[chunk] + bucket - 1))
            continue;
        sums->sums[b][rank->group].in_room = true;
        MB_TRY(start(rank, b, 0, false));
    }
    return MB_OK;
}

mb_status_t mb_sums_go_on(mb_virtual_rank_t *rank, bool *done)
{
    const mb_sums_t *sums = rank->world->sums;
    if (rank->sums == 0)
        return MB_OK;
    for (; rank->piece < sums->n_pieces[rank->walk.stage]; rank->piece++) {
        int b = sums->pieces[rank->walk.stage][rank->piece];
        const mb_sum_t *sum = &sums->sums[b][rank->group];
        while (sum->under_way && sum->left == 0) {
            MB_TRY(close_round(rank, b, done));
            if (!*done)
                return MB_OK;
        }
    }
    rank->piece = 0;
    return MB_OK;
}

mb_status_t mb_sums_finish(mb_virtual_rank_t *rank, bool *done)
{
    const mb_sums_t *sums = rank->world->sums;
    for (; !sums_nothing(rank) && rank->piece < sums->n_pieces[rank->walk.stage]; rank->piece++) {
        MB_TRY(finish(rank, sums->pieces[rank->walk.stage][rank->piece], done));
        if (!*done)
            return MB_OK;
    }
    rank->piece = 0;
    return MB_OK;
}

/* Of those that are in the room, the one that has been under way the longest first. What is called
 * again begins anew: those that have left are passed over. */
static mb_status_t empty_room(mb_virtual_rank_t *rank, int room, bool *done)
{
    const mb_sums_t *sums = rank->world->sums;
    for (int i = 0; i < sums->n_pieces[rank->walk.stage] && *done; i++) {
        int b = sums->pieces[rank->walk.stage][i];
        if (sums->room_of[b] == room && sums->sums[b][rank->group].in_room)
            MB_TRY(finish(rank, b, done));
    }
    return MB_OK;
}

mb_status_t mb_sums_make_room(mb_virtual_rank_t *rank, int chunk, int bucket, bool *done)
{
    const mb_plan_t *plan = rank->walk.plan;
    if (sums_nothing(rank) || !rank->takes_rooms)
        return MB_OK;
    for (int b = plan->first_bucket[chunk]; b < plan->first_bucket[chunk + 1] && *done; b++) {
        if (bucket == 0 || b == plan->first_bucket[chunk] + bucket - 1)
            MB_TRY(empty_room(rank, rank->world->sums->room_of[b], done));
    }
    return MB_OK;
}

static bool has_floats(const mb_world_t *world, int bucket)
{
    const int64_t *bytes = world->simulation->gradient_bytes;
    return bytes != NULL && bytes[bucket] > 0;
}

mb_status_t mb_sums_gather(mb_virtual_rank_t *rank, bool *done)
{
    mb_world_t *world = rank->world;
    const mb_sums_t *sums = world->sums;
    if (sums_nothing(rank) || world->simulation->parts == NULL)
        return MB_OK;
    for (; rank->piece < sums->n_pieces[rank->walk.stage]; rank->piece++) {
        int b = sums->pieces[rank->walk.stage][rank->piece];
        mb_sum_t *sum = &sums->sums[b][rank->group];
        if (!has_floats(world, b))
            continue;
        if (!sum->gives)
            MB_TRY(start(rank, b, sums->plans[b][rank->group].n_scatter, true));
        MB_TRY(finish(rank, b, done));
        if (!*done)
            return MB_OK;
        sum->gives = false;
    }
    rank->piece = 0;
    return MB_OK;
}

int mb_sums_awaited(const mb_world_t *world, int bucket, int group)
{
    mb_sums_t *sums = world->sums;
    const mb_sum_t *sum = &sums->sums[bucket][group];
    const mb_sum_round_t *round = round_of(world, bucket, group);
    for (int g = 0; sum->gathers && g < groups_of(world); g++) {
        if (!sums->sums[bucket][g].gathers)
            return g;
    }
    for (int i = round->first; i < round->end; i++) {
        const mb_sum_message_t *message = &sums->plans[bucket][group].messages[i];
        mb_sum_end_t end = end_of(bucket, group, message);
        if (is_due(world, sum, message) && *find(sums, &end) != 0)
            return message->group;
    }
    return -1;
}
