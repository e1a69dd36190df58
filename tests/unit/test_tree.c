/* The replica tree against its definition: aligned pairs, then pairs of pairs, an unpaired node
 * passing up unchanged, whoever holds which replicas. */
#include "comm/grid.h"
#include "comm/tree.h"

#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_REPLICAS 64
#define EXPRESSION 640

typedef struct { /* a sum as text and as a float */
    char text[EXPRESSION];
    float value;
} term_t;

static float leaf_value(int replica)
{
    return (float)((unsigned)replica * 2654435761U % 1000003U) * 1.1e-3F +
           1e4F * (float)(replica % 3);
}

static void set_leaf(term_t *term, int replica)
{
    snprintf(term->text, sizeof(term->text), "%d", replica);
    term->value = leaf_value(replica);
}

static void add_terms(term_t *into, const term_t *from)
{
    char text[2 * EXPRESSION + 4];
    snprintf(text, sizeof(text), "(%s+%s)", into->text, from->text);
    ck_assert_uint_lt(strlen(text), EXPRESSION);
    memcpy(into->text, text, strlen(text) + 1);
    into->value += from->value;
}

/* The definition, level by level. */
static void define_whole(int replicas, term_t *whole)
{
    static term_t level[MOST_REPLICAS];
    for (int i = 0; i < replicas; i++)
        set_leaf(&level[i], i);
    for (int n = replicas; n > 1; n = (n + 1) / 2) {
        for (int i = 0; i < n / 2; i++) {
            term_t pair = level[2 * i];
            add_terms(&pair, &level[2 * i + 1]);
            level[i] = pair;
        }
        if (n % 2 == 1)
            level[n / 2] = level[n - 1];
    }
    *whole = level[0];
}

/* What a rank with the run [first, first + count) ends with; checks it against mb_tree_roots. */
static int hold_run(int replicas, int first, int count, term_t *terms, mb_tree_node_t *nodes)
{
    static term_t slots[MB_TREE_MAX_ROOTS];
    mb_tree_stack_t stack;
    mb_tree_stack_start(&stack, replicas, first, count);
    int slots_allowed = mb_tree_slots(replicas, first, count);
    for (int i = 0; i < count; i++) {
        int top = stack.depth;
        ck_assert_int_lt(top, slots_allowed);
        set_leaf(&slots[top], first + i);
        for (int merges = mb_tree_push(&stack); merges > 0; merges--, top--)
            add_terms(&slots[top - 1], &slots[top]);
        ck_assert_int_eq(stack.depth, top + 1);
    }
    int n = mb_tree_roots(replicas, first, count, nodes);
    ck_assert_int_eq(stack.depth, n);
    for (int i = 0; i < n; i++) {
        ck_assert_int_eq(stack.nodes[i].level, nodes[i].level);
        ck_assert_int_eq(stack.nodes[i].index, nodes[i].index);
        terms[i] = slots[i];
    }
    return n;
}

static void check_division(int replicas, const int *counts, int groups, const term_t *whole)
{
    static term_t terms[2 * MOST_REPLICAS];
    mb_tree_node_t nodes[2 * MOST_REPLICAS + MB_TREE_MAX_ROOTS];
    int into[2 * MOST_REPLICAS], from[2 * MOST_REPLICAS], n = 0, first = 0;
    for (int g = 0; g < groups; g++) {
        n += hold_run(replicas, first, counts[g], terms + n, nodes + n);
        first += counts[g];
    }
    ck_assert_int_eq(first, replicas);
    int merges = mb_tree_combine(replicas, nodes, n, into, from);
    ck_assert_int_eq(merges, n - 1);
    for (int i = 0; i < merges; i++)
        add_terms(&terms[into[i]], &terms[from[i]]);
    ck_assert_str_eq(terms[0].text, whole->text);
    ck_assert(memcmp(&terms[0].value, &whole->value, sizeof(float)) == 0);
}

START_TEST(five_replicas_sum_as_in_the_drawing)
{
    term_t whole;
    define_whole(5, &whole);
    ck_assert_str_eq(whole.text, "(((0+1)+(2+3))+4)");
    check_division(5, (const int[]){3, 2}, 2, &whole);
}
END_TEST

START_TEST(roots_are_the_maximal_aligned_subtrees)
{
    mb_tree_node_t roots[MB_TREE_MAX_ROOTS];
    ck_assert_int_eq(mb_tree_roots(8, 1, 6, roots), 4); /* 1, 23, 45, 6 */
    ck_assert_int_eq(roots[0].level, 0);
    ck_assert_int_eq(roots[0].index, 1);
    ck_assert_int_eq(roots[1].level, 1);
    ck_assert_int_eq(roots[1].index, 1);
    ck_assert_int_eq(roots[2].level, 1);
    ck_assert_int_eq(roots[2].index, 2);
    ck_assert_int_eq(roots[3].level, 0);
    ck_assert_int_eq(roots[3].index, 6);
    ck_assert_int_eq(mb_tree_roots(7, 4, 3, roots), 1); /* (45)6: ragged, but whole */
    ck_assert_int_eq(roots[0].level, 2);
    ck_assert_int_eq(roots[0].index, 1);
}
END_TEST

START_TEST(every_division_of_up_to_eleven_replicas_gives_the_tree)
{
    for (int replicas = 1; replicas <= 11; replicas++) {
        term_t whole;
        define_whole(replicas, &whole);
        for (unsigned cuts = 0; cuts < 1U << (replicas - 1); cuts++) {
            int counts[MOST_REPLICAS] = {1}, groups = 1;
            for (int i = 1; i < replicas; i++) {
                if (cuts >> (i - 1) & 1U)
                    counts[groups++] = 1;
                else
                    counts[groups - 1]++;
            }
            check_division(replicas, counts, groups, &whole);
        }
    }
}
END_TEST

START_TEST(every_grid_of_up_to_64_replicas_gives_the_tree)
{
    for (int replicas = 1; replicas <= MOST_REPLICAS; replicas++) {
        term_t whole;
        define_whole(replicas, &whole);
        for (int groups = 1; groups <= replicas; groups++) {
            mb_grid_t grid;
            int counts[MOST_REPLICAS], first;
            mb_grid_set(&grid, groups, 0, 1, replicas);
            for (int g = 0; g < groups; g++)
                mb_grid_replicas(&grid, g, &first, &counts[g]);
            check_division(replicas, counts, groups, &whole);
        }
    }
}
END_TEST

START_TEST(random_divisions_of_up_to_64_replicas_give_the_tree)
{
    srand(7);
    for (int trial = 0; trial < 300; trial++) {
        int replicas = 12 + rand() % (MOST_REPLICAS - 11), counts[MOST_REPLICAS], groups = 0;
        term_t whole;
        define_whole(replicas, &whole);
        for (int left = replicas; left > 0; left -= counts[groups++])
            counts[groups] = 1 + rand() % (rand() % 2 == 0 ? left : left < 4 ? left : 4);
        check_division(replicas, counts, groups, &whole);
    }
}
END_TEST

START_TEST(a_run_of_all_replicas_needs_logarithmically_many_slots)
{
    ck_assert_int_eq(mb_tree_slots(1, 0, 1), 1);
    ck_assert_int_eq(mb_tree_slots(2, 0, 2), 2);
    ck_assert_int_eq(mb_tree_slots(4, 0, 4), 3);
    ck_assert_int_eq(mb_tree_slots(64, 0, 64), 7);
    ck_assert_int_le(mb_tree_slots(1000000, 123, 999000), MB_TREE_MAX_ROOTS);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("tree");
    TCase *c = tcase_create("tree");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, five_replicas_sum_as_in_the_drawing);
    tcase_add_test(c, roots_are_the_maximal_aligned_subtrees);
    tcase_add_test(c, every_division_of_up_to_eleven_replicas_gives_the_tree);
    tcase_add_test(c, every_grid_of_up_to_64_replicas_gives_the_tree);
    tcase_add_test(c, random_divisions_of_up_to_64_replicas_give_the_tree);
    tcase_add_test(c, a_run_of_all_replicas_needs_logarithmically_many_slots);
    suite_add_tcase(s, c);
    return s;
}

int main(void)
{
    SRunner *r = srunner_create(suite());
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? 0 : 1;
}
