/* The plan of a reduction, carried out for all groups in one process: the bits of the tree, no
 * message without its other end, and how many messages and bytes a rank sends. */
#include "comm/reduce_plan.h"
#include "support/sanitized.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

typedef struct { /* one group's rank */
    mb_reduce_plan_t plan;
    float *roots[MB_TREE_MAX_ROOTS], *received;
    double *roots64[MB_TREE_MAX_ROOTS], *received64;
    int round;
    bool sent; /* the round's messages were */
} rank_t;

typedef struct message {
    struct message *next;
    int64_t count;
    double values[];
} message_t;

typedef struct {
    int groups, replicas;
    mb_reduce_shape_t shape;
    mb_arena_t *arena;
    rank_t *ranks;
    message_t **first, **last; /* by queue_of */
} world_t;

static float value(int replica, int64_t i)
{
    uint32_t mixed = ((uint32_t)replica * 977U + (uint32_t)i * 131U) * 2654435761U;
    return (float)(mixed >> 8) * 0.37F * (i % 3 == 0 ? -1.0F : 1e-3F);
}

/* Pairs, then pairs of pairs. */
static double sum_of(int first, int count, int64_t i, bool wide)
{
    double terms[256];
    ck_assert_int_le(count, 256);
    for (int r = 0; r < count; r++)
        terms[r] = wide ? (double)value(first + r, i) * 1.1 : (double)value(first + r, i);
    for (int step = 1; step < count; step *= 2) {
        for (int r = 0; r + step < count; r += 2 * step) {
            double sum = terms[r] + terms[r + step];
            terms[r] = wide ? sum : (double)((float)terms[r] + (float)terms[r + step]);
        }
    }
    return terms[0];
}

static mb_grid_t grid_of(const world_t *w, int group)
{
    mb_grid_t grid;
    mb_grid_set(&grid, w->groups, group, 1, w->replicas);
    return grid;
}

static void fill_rank(world_t *w, int group)
{
    rank_t *rank = &w->ranks[group];
    mb_grid_t grid = grid_of(w, group);
    int first, count;
    mb_tree_node_t nodes[MB_TREE_MAX_ROOTS];
    mb_grid_replicas(&grid, group, &first, &count);
    int n = mb_tree_roots(w->replicas, first, count, nodes);
    ck_assert_int_eq(mb_reduce_plan(&grid, &w->shape, w->arena, &rank->plan), MB_OK);
    rank->received = calloc((size_t)rank->plan.received + 1, sizeof(float));
    rank->received64 = calloc((size_t)rank->plan.received64 + 1, sizeof(double));
    for (int k = 0; k < n; k++) {
        int begin = nodes[k].index << nodes[k].level, length = 1 << nodes[k].level;
        length = begin + length > w->replicas ? w->replicas - begin : length;
        rank->roots[k] = calloc((size_t)w->shape.count + 1, sizeof(float));
        rank->roots64[k] = calloc((size_t)w->shape.count64 + 1, sizeof(double));
        for (int64_t i = 0; i < w->shape.count; i++)
            rank->roots[k][i] = (float)sum_of(begin, length, i, false);
        for (int64_t i = 0; i < w->shape.count64; i++)
            rank->roots64[k][i] = sum_of(begin, length, i, true);
    }
}

static void free_rank(rank_t *rank)
{
    for (int k = 0; k < MB_TREE_MAX_ROOTS; k++) {
        free(rank->roots[k]);
        free(rank->roots64[k]);
    }
    free(rank->received);
    free(rank->received64);
}

static void open_world(world_t *w, int groups, int replicas, int64_t count, int64_t count64)
{
    *w = (world_t){.groups = groups, .replicas = replicas, .arena = mb_arena_create()};
    w->shape = (mb_reduce_shape_t){.count = count, .count64 = count64};
    w->ranks = calloc((size_t)groups, sizeof *w->ranks);
    size_t queues = (size_t)groups * (size_t)groups * 4;
    w->first = calloc(queues, sizeof *w->first);
    w->last = calloc(queues, sizeof *w->last);
}

static void close_world(world_t *w)
{
    for (int g = 0; g < w->groups; g++)
        free_rank(&w->ranks[g]);
    free(w->ranks);
    free(w->first);
    free(w->last);
    mb_arena_destroy(w->arena);
}

static size_t queue_of(const world_t *w, int from, int to, bool wide, bool shares)
{
    return (((size_t)from * (size_t)w->groups + (size_t)to) * 2 + wide) * 2 + shares;
}

static double get(const rank_t *rank, mb_reduce_place_t place, bool wide, int64_t i)
{
    if (wide)
        return (place.root < 0 ? rank->received64 : rank->roots64[place.root])[place.at + i];
    return (double)(place.root < 0 ? rank->received : rank->roots[place.root])[place.at + i];
}

static void put(rank_t *rank, mb_reduce_place_t place, bool wide, int64_t i, double x)
{
    if (wide)
        (place.root < 0 ? rank->received64 : rank->roots64[place.root])[place.at + i] = x;
    else
        (place.root < 0 ? rank->received : rank->roots[place.root])[place.at + i] = (float)x;
}

static void send_all(world_t *w, int group, const mb_reduce_round_t *round, bool shares)
{
    const rank_t *rank = &w->ranks[group];
    for (int k = 0; k < round->n_messages; k++) {
        const mb_reduce_message_t *m = &round->messages[k];
        if (!m->sends)
            continue;
        message_t *message = malloc(sizeof *message + (size_t)m->count * sizeof(double));
        message->next = NULL;
        message->count = m->count;
        for (int64_t i = 0; i < m->count; i++)
            message->values[i] = get(rank, m->place, m->wide, i);
        size_t queue = queue_of(w, group, m->group, m->wide, shares);
        *(w->first[queue] == NULL ? &w->first[queue] : &w->last[queue]->next) = message;
        w->last[queue] = message;
    }
}

static bool have_arrived(const world_t *w, int group, const mb_reduce_round_t *round, bool shares)
{
    for (int k = 0; k < round->n_messages; k++) {
        const mb_reduce_message_t *m = &round->messages[k];
        if (!m->sends && w->first[queue_of(w, m->group, group, m->wide, shares)] == NULL)
            return false;
    }
    return true;
}

static void receive_all(world_t *w, int group, const mb_reduce_round_t *round, bool shares)
{
    rank_t *rank = &w->ranks[group];
    for (int k = 0; k < round->n_messages; k++) {
        const mb_reduce_message_t *m = &round->messages[k];
        if (m->sends)
            continue;
        message_t **first = &w->first[queue_of(w, m->group, group, m->wide, shares)];
        message_t *message = *first;
        ck_assert_ptr_nonnull(message);
        ck_assert_int_eq(message->count, m->count);
        for (int64_t i = 0; i < m->count; i++)
            put(rank, m->place, m->wide, i, message->values[i]);
        *first = message->next;
        free(message);
    }
}

static void add_all(rank_t *rank, const mb_reduce_round_t *round)
{
    for (int k = 0; k < round->n_sums; k++) {
        const mb_reduce_sum_t *s = &round->sums[k];
        for (int64_t i = 0; i < s->count; i++) {
            double a = get(rank, s->a, s->wide, i), b = get(rank, s->b, s->wide, i);
            put(rank, s->y, s->wide, i, s->wide ? a + b : (double)((float)a + (float)b));
        }
    }
}

static bool move(world_t *w, int group)
{
    rank_t *rank = &w->ranks[group];
    if (rank->round == rank->plan.n_rounds)
        return false;
    const mb_reduce_round_t *round = &rank->plan.rounds[rank->round];
    bool shares = rank->round >= rank->plan.n_scatter, moved = !rank->sent;
    if (!rank->sent)
        send_all(w, group, round, shares);
    rank->sent = true;
    if (!have_arrived(w, group, round, shares))
        return moved;
    receive_all(w, group, round, shares);
    add_all(rank, round);
    rank->sent = false;
    rank->round++;
    return true;
}

static void run_world(world_t *w)
{
    bool moved = true;
    for (int g = 0; g < w->groups; g++)
        fill_rank(w, g);
    while (moved) {
        moved = false;
        for (int g = w->groups - 1; g >= 0; g--)
            moved = move(w, g) || moved;
    }
    for (int g = 0; g < w->groups; g++)
        ck_assert_int_eq(w->ranks[g].round, w->ranks[g].plan.n_rounds);
}

static void check_world(const world_t *w)
{
    for (int64_t i = 0; i < w->shape.count; i++) {
        float sum = (float)sum_of(0, w->replicas, i, false);
        for (int g = 0; g < w->groups; g++)
            ck_assert(memcmp(&sum, &w->ranks[g].roots[0][i], sizeof sum) == 0);
    }
    for (int64_t i = 0; i < w->shape.count64; i++) {
        double sum = sum_of(0, w->replicas, i, true);
        for (int g = 0; g < w->groups; g++)
            ck_assert(memcmp(&sum, &w->ranks[g].roots64[0][i], sizeof sum) == 0);
    }
    for (size_t q = 0; q < (size_t)w->groups * (size_t)w->groups * 4; q++)
        ck_assert_ptr_null(w->first[q]);
}

START_TEST(all_groups_get_the_bits_of_the_tree)
{
    static const int64_t counts[][2] = {{0, 3}, {1, 0}, {17, 1}, {530, 25}};
    for (int replicas = 1; replicas <= 34; replicas += TEST_EVERY) {
        for (int groups = 1; groups <= replicas && groups <= 17; groups++) {
            for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
                world_t w;
                open_world(&w, groups, replicas, counts[i][0], counts[i][1]);
                run_world(&w);
                check_world(&w);
                close_world(&w);
            }
        }
    }
}
END_TEST

/* Up to five blocks; of the smallest data most windows are empty. */
START_TEST(numbers_of_groups_that_fold_get_the_bits_of_the_tree)
{
    static const int groups[] = {17, 19, 22, 23, 31, 33, 34, 37, 47, 63, 65, 127};
    static const int64_t counts[][2] = {{1, 0}, {17, 1}, {5000, 170}};
    for (size_t g = 0; g < sizeof groups / sizeof groups[0]; g += TEST_EVERY) {
        for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
            world_t w;
            open_world(&w, groups[g], groups[g] * (i == 1 ? 2 : 1), counts[i][0], counts[i][1]);
            run_world(&w);
            check_world(&w);
            close_world(&w);
        }
    }
}
END_TEST

/* Parts of other lengths, some of them empty, each finished by the group that it is said to be. */
START_TEST(parts_lie_where_they_are_put)
{
    for (int groups = 2; groups <= 12; groups++) {
        world_t w;
        int64_t bounds[13] = {0};
        open_world(&w, groups, 2 * groups, 200, 3);
        for (int part = 1; part <= groups; part++)
            bounds[part] = part == groups ? 200 : bounds[part - 1] + (part * 7) % 16;
        w.shape.bounds = bounds;
        run_world(&w);
        check_world(&w);
        close_world(&w);
    }
}
END_TEST

static int64_t elements_sent(const mb_reduce_plan_t *plan, int *messages, bool scattering)
{
    int64_t sent = 0;
    int end = scattering ? plan->n_scatter : plan->n_rounds;
    *messages = 0;
    for (int r = 0; r < end; r++) {
        for (int k = 0; k < plan->rounds[r].n_messages; k++) {
            const mb_reduce_message_t *m = &plan->rounds[r].messages[k];
            *messages += m->sends;
            sent += m->sends ? m->count : 0;
        }
    }
    return sent;
}

/* 4,096 groups: 12 halvings and 12 doublings. Of n floats the halvings send n (1 - 1/4096), and the
 * doublings as many, where n can be cut evenly; elsewhere each of the 24 by at most 16 floats more,
 * since parts begin on 64 bytes. */
START_TEST(four_thousand_groups_take_two_messages_a_doubling)
{
    enum { GROUPS = 4096 };
    static const int64_t counts[] = {1, 16, 1000, 65536, (int64_t)GROUPS * 16 * 1000};
    for (size_t i = TEST_EVERY - 1; i < sizeof counts / sizeof counts[0]; i++) {
        mb_reduce_shape_t shape = {.count = counts[i]};
        int64_t all = 0;
        for (int group = 0; group < GROUPS; group++) {
            mb_grid_t grid;
            mb_reduce_plan_t plan;
            mb_arena_t *arena = mb_arena_create();
            int messages;
            mb_grid_set(&grid, 2 * GROUPS, 2 * group, 2, 4 * GROUPS);
            ck_assert_int_eq(mb_reduce_plan(&grid, &shape, arena, &plan), MB_OK);
            int64_t sent = elements_sent(&plan, &messages, false);
            ck_assert_int_le(messages, 24);
            ck_assert_int_le(sent, 2 * counts[i] + 24 * 16);
            if (counts[i] % (GROUPS * 16) == 0)
                ck_assert_int_eq(sent, 2 * (counts[i] - counts[i] / GROUPS));
            all += elements_sent(&plan, &messages, true);
            mb_arena_destroy(arena);
        }
        /* Of each element every group but one gives its own away once on the way to the sum. */
        ck_assert_int_eq(all, counts[i] * (GROUPS - 1));
    }
}
END_TEST

/* A group of the first block, of 2^b groups, sends b messages each way, at most b more with what it
 * carries and one back to whom it had that from; one of another block 8 more instead. Bytes as
 * reduce_fold.c says; each of at most 3 b + 9 messages may be 16 floats longer. */
START_TEST(any_number_of_groups_takes_messages_by_its_logarithm)
{
    static const int groups[] = {17, 31, 1023, 2049, 4095, 4097};
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        int levels = 0;
        int64_t count = 1 << 20;
        mb_reduce_shape_t shape = {.count = count};
        while (groups[i] >> (levels + 1) > 0)
            levels++;
        for (int group = 0; group < groups[i]; group += TEST_EVERY) {
            mb_grid_t grid;
            mb_reduce_plan_t plan;
            mb_arena_t *arena = mb_arena_create();
            int messages;
            mb_grid_set(&grid, groups[i], group, 1, groups[i]);
            ck_assert_int_eq(mb_reduce_plan(&grid, &shape, arena, &plan), MB_OK);
            int64_t sent = elements_sent(&plan, &messages, false);
            ck_assert_int_le(messages, 3 * levels + 9);
            ck_assert_int_le(sent, 2 * (count + count / 8) + (3 * levels + 9) * 16);
            mb_arena_destroy(arena);
        }
    }
}
END_TEST

/* 12 = 4 x 3: two halvings, then three blocks directly. */
START_TEST(other_numbers_of_groups_halve_as_far_as_pairs_go)
{
    mb_grid_t grid;
    mb_reduce_plan_t plan;
    mb_reduce_shape_t shape = {.count = 12 * 16};
    mb_arena_t *arena = mb_arena_create();
    int messages;
    mb_grid_set(&grid, 12, 7, 1, 24);
    ck_assert_int_eq(mb_reduce_plan(&grid, &shape, arena, &plan), MB_OK);
    ck_assert_int_eq(elements_sent(&plan, &messages, false), 2 * (12 * 16 - 16));
    ck_assert_int_eq(messages, 2 * (2 + 2));
    mb_arena_destroy(arena);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("reduction plans");
    TCase *c = tcase_create("plans");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, all_groups_get_the_bits_of_the_tree);
    tcase_add_test(c, numbers_of_groups_that_fold_get_the_bits_of_the_tree);
    tcase_add_test(c, any_number_of_groups_takes_messages_by_its_logarithm);
    tcase_add_test(c, parts_lie_where_they_are_put);
    tcase_add_test(c, four_thousand_groups_take_two_messages_a_doubling);
    tcase_add_test(c, other_numbers_of_groups_halve_as_far_as_pairs_go);
    suite_add_tcase(s, c);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
