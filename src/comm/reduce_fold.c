/* See reduce_fold.h. The tree over 22 = 16 + 4 + 2 groups is 16 + (4 + 2), each block a tree of its
 * own:
 *
 *     halving    inside a block, in pairs, then pairs of pairs: at the end each of its 2^b groups
 *                has the sum of one of 2^b windows of the data
 *     folding    what the smaller block behind it has summed comes in once windows are FINER times
 *                smaller than that block's, is cut and handed on with them, and is added last
 *     sharing    the same messages back
 *
 * A group sends at most 3 messages a halving and FINER more, and 2 (1 + 1 / FINER) times the data:
 * 2 of its own, and FINER-th of what it carries for a block of one. */
#include "comm/reduce_fold.h"

enum { DIRECT = 16, FINER_LEVELS = 3, MOST_LEVELS = 31 };

typedef struct {
    const mb_reduce_shape_t *shape;
    mb_arena_t *arena;
    mb_reduce_plan_t *plan;
    int parts;        /* the finest windows: of the first block */
    int start, index; /* of the group's block, and the group in it */
    int levels;       /* the block has 2^levels groups */
    int before;       /* levels of the block before it; -1: none */
    int behind;       /* of the block behind it; -1: none */
    int joins;        /* halvings in front of what comes from behind */
} folder_t;

static bool is_power(int n)
{
    return (n & (n - 1)) == 0;
}

bool mb_reduce_folds(const mb_grid_t *grid, const mb_reduce_shape_t *shape)
{
    int odd = grid->groups;
    while (odd > 0 && odd % 2 == 0)
        odd /= 2;
    return shape->bounds == NULL && odd > DIRECT && grid->replicas % grid->groups == 0 &&
           is_power(grid->replicas / grid->groups);
}

static int joining(int levels, int behind)
{
    return behind + FINER_LEVELS < levels ? behind + FINER_LEVELS : levels;
}

/* Blocks are the bits of the number of groups, the largest first. */
static void find_block(folder_t *f, int groups, int group)
{
    f->before = f->behind = -1;
    for (int level = MOST_LEVELS - 1; level >= 0; level--) {
        int size = 1 << level;
        if ((groups & size) == 0)
            continue;
        f->parts = f->parts == 0 ? size : f->parts;
        if (group >= f->start + size) {
            f->start += size;
            f->before = level;
            continue;
        }
        f->levels = level;
        f->index = group - f->start;
        for (int l = level - 1; l >= 0 && f->behind < 0; l--)
            f->behind = (groups & (1 << l)) != 0 ? l : -1;
        f->joins = joining(f->levels, f->behind);
        return;
    }
}

/* ---- windows */

typedef struct {
    int first, size; /* parts */
} window_t;

/* Of a block's group INDEX after so many halvings. */
static window_t window_of(const folder_t *f, int index, int halvings)
{
    window_t window = {0, f->parts};
    for (int l = 0; l < halvings; l++) {
        window.size /= 2;
        window.first += (index >> l) % 2 * window.size;
    }
    return window;
}

static int64_t bound(const folder_t *f, bool wide, int part)
{
    return mb_reduce_even_bound(wide ? f->shape->count64 : f->shape->count, wide, f->parts, part);
}

static int64_t begin_of(const folder_t *f, bool wide, window_t window)
{
    return bound(f, wide, window.first);
}

static int64_t count_of(const folder_t *f, bool wide, window_t window)
{
    return bound(f, wide, window.first + window.size) - begin_of(f, wide, window);
}

/* ---- rounds */

static mb_reduce_round_t *open_round(folder_t *f, int messages)
{
    mb_reduce_round_t *round = &f->plan->rounds[f->plan->n_rounds++];
    round->messages = MB_ARENA_ARRAY(f->arena, mb_reduce_message_t, (size_t)messages + 1);
    round->sums = MB_ARENA_ARRAY(f->arena, mb_reduce_sum_t, 5);
    return round->messages == NULL || round->sums == NULL ? NULL : round;
}

static mb_status_t no_memory(void)
{
    return mb_error_memory("a reduction's plan", sizeof(mb_reduce_round_t));
}

static void need(folder_t *f, bool wide, int64_t elements)
{
    int64_t *most = wide ? &f->plan->received64 : &f->plan->received;
    *most = elements > *most ? elements : *most;
}

static mb_reduce_place_t at_root(const folder_t *f, bool wide, window_t window)
{
    return (mb_reduce_place_t){0, begin_of(f, wide, window)};
}

/* The halvings that the group had done when it got what it carries. */
static int carries_since(const folder_t *f)
{
    int since = f->joins;
    for (int l = f->joins; l < f->levels; l++)
        since = (f->index >> l) % 2 != 0 ? l + 1 : since;
    return since;
}

/* What comes in from a partner stands in front, what is carried behind it. */
static mb_reduce_place_t at_carried(const folder_t *f, bool wide, window_t window)
{
    window_t whole = window_of(f, f->index, carries_since(f));
    int64_t room = count_of(f, wide, (window_t){0, f->parts / 2});
    int64_t other = count_of(f, wide, (window_t){f->parts / 2, f->parts / 2});
    room = other > room ? other : room;
    room += 64 - room % 64;
    return (mb_reduce_place_t){-1, room + begin_of(f, wide, window) - begin_of(f, wide, whole)};
}

static void add_message(const folder_t *f, mb_reduce_round_t *round, bool sends, bool wide,
                        int group, window_t window, mb_reduce_place_t place)
{
    int64_t count = count_of(f, wide, window);
    if (count > 0)
        round->messages[round->n_messages++] = (mb_reduce_message_t){
            .sends = sends, .wide = wide, .group = group, .count = count, .place = place};
}

static void add_sum(const folder_t *f, mb_reduce_round_t *round, bool wide, window_t window,
                    mb_reduce_place_t a, mb_reduce_place_t b)
{
    int64_t count = count_of(f, wide, window);
    if (count > 0)
        round->sums[round->n_sums++] = (mb_reduce_sum_t){
            .wide = wide, .count = count, .y = at_root(f, wide, window), .a = a, .b = b};
}

static void receive_carried(folder_t *f, mb_reduce_round_t *round, bool wide, int group,
                            window_t window)
{
    mb_reduce_place_t place = at_carried(f, wide, window);
    add_message(f, round, false, wide, group, window, place);
    need(f, wide, place.at + count_of(f, wide, window));
}

/* ---- to and from the blocks beside */

/* Which group of the block behind has the window that group INDEX of this one has when it joins. */
static int giver(const folder_t *f)
{
    return f->start + (1 << f->levels) + f->index % (1 << f->behind);
}

/* The windows of this group's that groups of the block before take. */
static int n_takers(const folder_t *f)
{
    return 1 << (joining(f->before, f->levels) - f->levels);
}

static int taker(const folder_t *f, int number)
{
    return f->index + (number << f->levels);
}

static window_t window_taken(const folder_t *f, int number)
{
    return window_of(f, taker(f, number), joining(f->before, f->levels));
}

static bool takes(const folder_t *f)
{
    return f->behind >= 0 && f->index >> f->joins == 0;
}

static mb_status_t add_joining(folder_t *f)
{
    mb_reduce_round_t *round = open_round(f, 2);
    if (round == NULL)
        return no_memory();
    for (int wide = 0; wide < 2; wide++)
        receive_carried(f, round, wide, giver(f), window_of(f, f->index, f->joins));
    return MB_OK;
}

static mb_status_t add_exchange_before(folder_t *f, bool sends)
{
    mb_reduce_round_t *round = open_round(f, 2 * n_takers(f));
    if (round == NULL)
        return no_memory();
    for (int wide = 0; wide < 2; wide++) {
        for (int i = 0; i < n_takers(f); i++) {
            window_t window = window_taken(f, i);
            int group = f->start - (1 << f->before) + taker(f, i);
            add_message(f, round, sends, wide, group, window, at_root(f, wide, window));
        }
    }
    return MB_OK;
}

/* ---- inside the block */

/* Own and carried halves go to the partner, or come from it. */
static mb_status_t add_halving(folder_t *f, int level)
{
    bool upper = (f->index >> level) % 2 != 0;
    int partner = f->start + (f->index ^ (1 << level));
    bool carries = f->behind >= 0 && level >= f->joins && f->index >> (level + 1) == 0;
    window_t kept = window_of(f, f->index, level + 1);
    window_t given = window_of(f, f->index ^ (1 << level), level + 1);
    mb_reduce_place_t other = {-1, 0};
    mb_reduce_round_t *round = open_round(f, 6);
    if (round == NULL)
        return no_memory();
    for (int wide = 0; wide < 2; wide++) {
        mb_reduce_place_t mine = at_root(f, wide, kept);
        add_message(f, round, false, wide, partner, kept, other);
        need(f, wide, count_of(f, wide, kept));
        add_sum(f, round, wide, kept, upper ? other : mine, upper ? mine : other);
        if (carries && upper)
            receive_carried(f, round, wide, partner, kept);
    }
    for (int wide = 0; wide < 2; wide++) {
        add_message(f, round, true, wide, partner, given, at_root(f, wide, given));
        if (carries && !upper)
            add_message(f, round, true, wide, partner, given, at_carried(f, wide, given));
    }
    return MB_OK;
}

static void add_carried(folder_t *f)
{
    mb_reduce_round_t *round = &f->plan->rounds[f->plan->n_rounds - 1];
    window_t own = window_of(f, f->index, f->levels);
    for (int wide = 0; wide < 2; wide++)
        add_sum(f, round, wide, own, at_root(f, wide, own), at_carried(f, wide, own));
}

static mb_status_t add_doubling(folder_t *f, int level)
{
    int partner = f->start + (f->index ^ (1 << level));
    window_t own = window_of(f, f->index, level + 1);
    window_t others = window_of(f, f->index ^ (1 << level), level + 1);
    mb_reduce_round_t *round = open_round(f, 6);
    if (round == NULL)
        return no_memory();
    for (int wide = 0; wide < 2; wide++)
        add_message(f, round, false, wide, partner, others, at_root(f, wide, others));
    for (int wide = 0; wide < 2; wide++) {
        add_message(f, round, true, wide, partner, own, at_root(f, wide, own));
        if (takes(f) && level + 1 == f->joins)
            add_message(f, round, true, wide, giver(f), own, at_root(f, wide, own));
    }
    return MB_OK;
}

static mb_status_t add_scattering(folder_t *f)
{
    for (int level = 0; level <= f->levels; level++) {
        if (level == f->joins && takes(f))
            MB_TRY(add_joining(f));
        if (level < f->levels)
            MB_TRY(add_halving(f, level));
    }
    if (f->behind >= 0)
        add_carried(f);
    return f->before < 0 ? MB_OK : add_exchange_before(f, true);
}

mb_status_t mb_reduce_fold(const mb_grid_t *grid, const mb_reduce_shape_t *shape, mb_arena_t *arena,
                           mb_reduce_plan_t *out)
{
    folder_t f = {.shape = shape, .arena = arena, .plan = out};
    find_block(&f, grid->groups, grid->group);
    out->rounds = MB_ARENA_ARRAY(arena, mb_reduce_round_t, 2 * (size_t)f.levels + 3);
    if (out->rounds == NULL)
        return no_memory();
    MB_TRY(add_scattering(&f));
    out->n_scatter = out->n_rounds;
    if (f.before >= 0)
        MB_TRY(add_exchange_before(&f, false));
    for (int level = f.levels - 1; level >= 0; level--)
        MB_TRY(add_doubling(&f, level));
    return MB_OK;
}
