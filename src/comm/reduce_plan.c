/* See reduce_plan.h. Floats and doubles are cut alike; parts are numbered in the order of the data,
 * and a group that halves goes on with the parts of its own side. */
#include "comm/reduce_plan.h"

#include "comm/reduce_fold.h"

enum { FLOATS = 16, DOUBLES = 8 }; /* in 64 bytes: parts begin there */

typedef struct {
    const mb_grid_t *grid;
    const mb_reduce_shape_t *shape;
    mb_arena_t *arena;
    mb_reduce_plan_t *plan;
    int levels;            /* of halving */
    int first, end;        /* parts this group still works on */
    mb_tree_node_t *nodes; /* of all that is exchanged directly, in tree order */
    int *owner;            /* [n_nodes] block that holds it */
    int *index;            /* [n_nodes] which of the block's */
    int n_nodes, replicas; /* leaves of the tree that is exchanged directly */
    int first_own;         /* of the nodes: those of a block stand together */
} maker_t;

static bool is_power(int n)
{
    return (n & (n - 1)) == 0;
}

/* How often groups pair off as the tree does. */
static int halvings(const mb_grid_t *grid)
{
    int levels = 0, of_group = grid->replicas / grid->groups;
    if (grid->replicas % grid->groups != 0 || !is_power(of_group))
        return 0;
    while (grid->groups >> levels > 1 && (grid->groups >> levels) % 2 == 0)
        levels++;
    return levels;
}

static int blocks(const maker_t *m)
{
    return m->grid->groups >> m->levels;
}

int mb_reduce_part(const mb_grid_t *grid, int group)
{
    int first = 0, size = grid->groups, levels = halvings(grid);
    for (int l = 0; l < levels; l++) {
        size /= 2;
        first += (group >> l) % 2 * size;
    }
    return first + (group >> levels);
}

int mb_reduce_blocks(const mb_grid_t *grid, const mb_reduce_shape_t *shape)
{
    return mb_reduce_folds(grid, shape) ? 1 : grid->groups >> halvings(grid);
}

int64_t mb_reduce_bytes_added(const mb_reduce_round_t *round)
{
    int64_t bytes = 0;
    for (int i = 0; i < round->n_sums; i++) {
        const mb_reduce_sum_t *sum = &round->sums[i];
        bytes += 3 * sum->count * (int64_t)(sum->wide ? sizeof(double) : sizeof(float));
    }
    return bytes;
}

int64_t mb_reduce_even_bound(int64_t count, bool wide, int parts, int part)
{
    int64_t unit = wide ? DOUBLES : FLOATS, units = (count + unit - 1) / unit;
    int64_t first = (units * part + parts - 1) / parts * unit;
    return first < count ? first : count;
}

/* Where a part begins. */
static int64_t bound(const maker_t *m, bool wide, int part)
{
    const mb_reduce_shape_t *shape = m->shape;
    if (wide)
        return mb_reduce_even_bound(shape->count64, true, m->grid->groups, part);
    return shape->bounds != NULL ? shape->bounds[part]
                                 : mb_reduce_even_bound(shape->count, false, m->grid->groups, part);
}

static mb_reduce_round_t *open_round(maker_t *m, int messages, int sums)
{
    mb_reduce_round_t *round = &m->plan->rounds[m->plan->n_rounds++];
    round->messages = MB_ARENA_ARRAY(m->arena, mb_reduce_message_t, (size_t)messages + 1);
    round->sums = MB_ARENA_ARRAY(m->arena, mb_reduce_sum_t, (size_t)sums + 1);
    return round->messages == NULL || round->sums == NULL ? NULL : round;
}

static void add_message(mb_reduce_round_t *round, const mb_reduce_message_t *message)
{
    if (message->count > 0)
        round->messages[round->n_messages++] = *message;
}

static void need(maker_t *m, bool wide, int64_t elements)
{
    int64_t *most = wide ? &m->plan->received64 : &m->plan->received;
    *most = elements > *most ? elements : *most;
}

/* ---- halving: which parts this side of a pair keeps */

typedef struct {
    int partner;
    bool upper;
    int middle;
} pair_t;

static pair_t pair_of(const maker_t *m, int level)
{
    return (pair_t){.partner = m->grid->group ^ (1 << level),
                    .upper = (m->grid->group >> level) % 2 != 0,
                    .middle = m->first + (m->end - m->first) / 2};
}

static void halve(maker_t *m, mb_reduce_round_t *round, const pair_t *pair, bool wide)
{
    int64_t low = bound(m, wide, m->first), middle = bound(m, wide, pair->middle);
    int64_t high = bound(m, wide, m->end);
    int64_t kept = pair->upper ? middle : low, given = pair->upper ? low : middle;
    int64_t count = pair->upper ? high - middle : middle - low;
    mb_reduce_place_t mine = {0, kept}, other = {-1, 0};
    mb_reduce_message_t receive = {
        .wide = wide, .group = pair->partner, .count = count, .place = other};
    add_message(round, &receive);
    need(m, wide, count);
    if (count > 0)
        round->sums[round->n_sums++] = (mb_reduce_sum_t){.wide = wide,
                                                         .count = count,
                                                         .y = mine,
                                                         .a = pair->upper ? other : mine,
                                                         .b = pair->upper ? mine : other};
    mb_reduce_message_t send = {.sends = true,
                                .wide = wide,
                                .group = pair->partner,
                                .count = high - low - count,
                                .place = {0, given}};
    add_message(round, &send);
}

static void sort_receives(mb_reduce_round_t *round)
{
    for (int i = 1; i < round->n_messages; i++) {
        mb_reduce_message_t message = round->messages[i];
        int at = i;
        for (; at > 0 && !message.sends && round->messages[at - 1].sends; at--)
            round->messages[at] = round->messages[at - 1];
        round->messages[at] = message;
    }
}

static mb_status_t add_halvings(maker_t *m)
{
    for (int level = 0; level < m->levels; level++) {
        pair_t pair = pair_of(m, level);
        mb_reduce_round_t *round = open_round(m, 4, 2);
        if (round == NULL)
            return mb_error_memory("a reduction's plan", sizeof *round);
        halve(m, round, &pair, false);
        halve(m, round, &pair, true);
        sort_receives(round);
        m->first = pair.upper ? pair.middle : m->first;
        m->end = pair.upper ? m->end : pair.middle;
    }
    return MB_OK;
}

/* The way back: each side has its own half finished. */
static mb_status_t add_doublings(maker_t *m)
{
    for (int level = m->levels - 1; level >= 0; level--) {
        int size = m->end - m->first;
        bool upper = (m->grid->group >> level) % 2 != 0;
        int others = upper ? m->first - size : m->end, partner = m->grid->group ^ (1 << level);
        mb_reduce_round_t *round = open_round(m, 4, 0);
        if (round == NULL)
            return mb_error_memory("a reduction's plan", sizeof *round);
        for (int sends = 0; sends < 2; sends++) {
            for (int wide = 0; wide < 2; wide++) {
                int from = sends ? m->first : others;
                mb_reduce_message_t message = {.sends = sends,
                                               .wide = wide,
                                               .group = partner,
                                               .place = {0, bound(m, wide, from)}};
                message.count = bound(m, wide, from + size) - message.place.at;
                add_message(round, &message);
            }
        }
        m->first = upper ? others : m->first;
        m->end = m->first + 2 * size;
    }
    return MB_OK;
}

/* ---- direct */

static int own_block(const maker_t *m)
{
    return m->grid->group >> m->levels;
}

static int group_of_block(const maker_t *m, int block)
{
    return (block << m->levels) + m->grid->group % (1 << m->levels);
}

static int roots_of_block(const maker_t *m, int block, mb_tree_node_t *nodes)
{
    int first, count;
    if (m->levels > 0) {
        nodes[0] = (mb_tree_node_t){0, block};
        return 1;
    }
    mb_grid_replicas(m->grid, block, &first, &count);
    return mb_tree_roots(m->grid->replicas, first, count, nodes);
}

static mb_status_t list_nodes(maker_t *m)
{
    mb_tree_node_t nodes[MB_TREE_MAX_ROOTS];
    m->replicas = m->levels > 0 ? blocks(m) : m->grid->replicas;
    int n = 0;
    for (int b = 0; b < blocks(m); b++)
        n += roots_of_block(m, b, nodes);
    m->nodes = MB_ARENA_ARRAY(m->arena, mb_tree_node_t, n);
    m->owner = MB_ARENA_ARRAY(m->arena, int, n);
    m->index = MB_ARENA_ARRAY(m->arena, int, n);
    if (m->nodes == NULL || m->owner == NULL || m->index == NULL)
        return mb_error_memory("the roots of a reduction", (size_t)n * sizeof *m->nodes);
    for (int b = 0; b < blocks(m); b++) {
        int of_block = roots_of_block(m, b, nodes);
        m->first_own = b == own_block(m) ? m->n_nodes : m->first_own;
        for (int i = 0; i < of_block; i++) {
            m->nodes[m->n_nodes] = nodes[i];
            m->owner[m->n_nodes] = b;
            m->index[m->n_nodes++] = i;
        }
    }
    return MB_OK;
}

static int64_t own_part(const maker_t *m, bool wide, int64_t *first)
{
    int part = m->first + own_block(m);
    *first = bound(m, wide, part);
    return bound(m, wide, part + 1) - *first;
}

/* Where this group's part of root NODE stands: its own, or as it came in. */
static mb_reduce_place_t place_of(const maker_t *m, bool wide, int node)
{
    int64_t first, count = own_part(m, wide, &first), unit = wide ? DOUBLES : FLOATS;
    int others = node < m->first_own ? node : node - m->plan->n_roots;
    if (m->owner[node] == own_block(m))
        return (mb_reduce_place_t){m->index[node], first};
    return (mb_reduce_place_t){-1, others * ((count + unit - 1) / unit * unit)};
}

static void receive_roots(maker_t *m, mb_reduce_round_t *round, bool wide)
{
    int64_t first, count = own_part(m, wide, &first);
    for (int i = 0; i < m->n_nodes; i++) {
        mb_reduce_message_t message = {.wide = wide,
                                       .group = group_of_block(m, m->owner[i]),
                                       .root = m->index[i],
                                       .count = count,
                                       .place = place_of(m, wide, i)};
        if (m->owner[i] == own_block(m))
            continue;
        add_message(round, &message);
        need(m, wide, message.place.at + count);
    }
}

/* Begins with the next block, so that the ranks do not all send to the same one at once. */
static void send_roots(const maker_t *m, mb_reduce_round_t *round, bool wide)
{
    for (int step = 1; step < blocks(m); step++) {
        int block = (own_block(m) + step) % blocks(m), part = m->first + block;
        for (int i = 0; i < m->plan->n_roots; i++) {
            mb_reduce_message_t message = {.sends = true,
                                           .wide = wide,
                                           .group = group_of_block(m, block),
                                           .root = i,
                                           .place = {i, bound(m, wide, part)}};
            message.count = bound(m, wide, part + 1) - message.place.at;
            add_message(round, &message);
        }
    }
}

/* The last addition writes the whole sum to where it belongs, this rank's root 0. */
static void combine(const maker_t *m, mb_reduce_round_t *round, bool wide, const int *into,
                    const int *from, int n)
{
    int64_t first, count = own_part(m, wide, &first);
    for (int i = 0; i < n && count > 0; i++) {
        mb_reduce_place_t a = place_of(m, wide, into[i]);
        round->sums[round->n_sums++] =
            (mb_reduce_sum_t){.wide = wide,
                              .count = count,
                              .y = i + 1 == n ? (mb_reduce_place_t){0, first} : a,
                              .a = a,
                              .b = place_of(m, wide, from[i])};
    }
}

static mb_status_t add_exchange(maker_t *m)
{
    int n = m->n_nodes, own = m->plan->n_roots, others = blocks(m) - 1;
    int *into = MB_ARENA_ARRAY(m->arena, int, n), *from = MB_ARENA_ARRAY(m->arena, int, n);
    mb_reduce_round_t *round = open_round(m, 2 * (n - own + own * others), 2 * n);
    if (into == NULL || from == NULL || round == NULL)
        return mb_error_memory("a reduction's plan", sizeof *round);
    int merges = mb_tree_combine(m->replicas, m->nodes, n, into, from);
    for (int wide = 0; wide < 2; wide++) {
        receive_roots(m, round, wide);
        combine(m, round, wide, into, from, merges);
    }
    for (int wide = 0; wide < 2; wide++)
        send_roots(m, round, wide);
    return MB_OK;
}

static mb_status_t add_sharing(maker_t *m)
{
    int n = blocks(m);
    mb_reduce_round_t *round = open_round(m, 4 * (n - 1), 0);
    if (round == NULL)
        return mb_error_memory("a reduction's plan", sizeof *round);
    for (int sends = 0; sends < 2; sends++) {
        for (int i = 2; i < 2 * n; i++) {
            int block = (own_block(m) + i / 2) % n, part = sends ? own_block(m) : block;
            mb_reduce_message_t message = {
                .sends = sends, .wide = i % 2 != 0, .group = group_of_block(m, block)};
            message.place.at = bound(m, message.wide, m->first + part);
            message.count = bound(m, message.wide, m->first + part + 1) - message.place.at;
            add_message(round, &message);
        }
    }
    return MB_OK;
}

/* The parts that a block halved down to lie beside each other; doubling begins with this group's
 * alone once the blocks have shared theirs. */
static mb_status_t add_rounds(maker_t *m)
{
    MB_TRY(add_halvings(m));
    if (blocks(m) > 1) {
        MB_TRY(list_nodes(m));
        MB_TRY(add_exchange(m));
    }
    m->plan->n_scatter = m->plan->n_rounds;
    if (blocks(m) > 1)
        MB_TRY(add_sharing(m));
    return add_doublings(m);
}

mb_status_t mb_reduce_plan(const mb_grid_t *grid, const mb_reduce_shape_t *shape, mb_arena_t *arena,
                           mb_reduce_plan_t *out)
{
    int first, count;
    mb_tree_node_t nodes[MB_TREE_MAX_ROOTS];
    maker_t m = {.grid = grid, .shape = shape, .arena = arena, .plan = out, .end = grid->groups};
    *out = (mb_reduce_plan_t){0};
    if (mb_grid_idle(grid))
        return MB_OK;
    mb_grid_replicas(grid, grid->group, &first, &count);
    out->n_roots = mb_tree_roots(grid->replicas, first, count, nodes);
    if (grid->groups == 1)
        return MB_OK;
    if (mb_reduce_folds(grid, shape))
        return mb_reduce_fold(grid, shape, arena, out);
    m.levels = halvings(grid);
    out->rounds = MB_ARENA_ARRAY(arena, mb_reduce_round_t, 2 * (size_t)m.levels + 2);
    if (out->rounds == NULL)
        return mb_error_memory("a reduction's plan", sizeof *out->rounds);
    return add_rounds(&m);
}
