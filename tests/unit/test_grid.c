/* Where ranks stand, and which replicas groups hold. */
#include "comm/grid.h"

#include <check.h>

START_TEST(ranks_fill_stages_then_groups)
{
    mb_grid_t grid;
    mb_grid_set(&grid, 8, 5, 3, 4);
    ck_assert_int_eq(grid.groups, 2);
    ck_assert_int_eq(grid.group, 1);
    ck_assert_int_eq(grid.stage, 2);
    ck_assert_int_eq(mb_grid_rank(&grid, 2, 1), 5);
    ck_assert(!mb_grid_idle(&grid));
}
END_TEST

START_TEST(ranks_that_fit_no_group_stay_idle)
{
    mb_grid_t grid;
    mb_grid_set(&grid, 8, 6, 3, 4);
    ck_assert(mb_grid_idle(&grid));
    ck_assert_int_eq(grid.stage, -1);
    ck_assert_int_eq(grid.group, -1);
    mb_grid_set(&grid, 8, 4, 1, 4);
    ck_assert_int_eq(grid.groups, 4);
    ck_assert(mb_grid_idle(&grid));
}
END_TEST

START_TEST(more_stages_than_ranks_leave_no_group)
{
    mb_grid_t grid;
    mb_grid_set(&grid, 2, 0, 3, 4);
    ck_assert_int_eq(grid.groups, 0);
    ck_assert(mb_grid_idle(&grid));
}
END_TEST

START_TEST(every_replica_belongs_to_one_group_and_none_is_empty)
{
    for (int replicas = 1; replicas <= 20; replicas++) {
        for (int ranks = 1; ranks <= 24; ranks++) {
            mb_grid_t grid;
            mb_grid_set(&grid, ranks, 0, 1, replicas);
            int next = 0;
            for (int g = 0; g < grid.groups; g++) {
                int first, count;
                mb_grid_replicas(&grid, g, &first, &count);
                ck_assert_int_eq(first, next);
                ck_assert_int_ge(count, replicas / grid.groups);
                ck_assert_int_le(count, (replicas + grid.groups - 1) / grid.groups);
                next += count;
            }
            ck_assert_int_eq(next, replicas);
        }
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("grid");
    TCase *c = tcase_create("grid");
    tcase_add_test(c, ranks_fill_stages_then_groups);
    tcase_add_test(c, ranks_that_fit_no_group_stay_idle);
    tcase_add_test(c, more_stages_than_ranks_leave_no_group);
    tcase_add_test(c, every_replica_belongs_to_one_group_and_none_is_empty);
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
