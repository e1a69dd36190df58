/* Shares of cores on machines that hwloc makes up, and what is read of the launcher. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/binding.h"
#include "engine/launcher.h"

static const struct {
    const char *machine, *allowed; /* NULL: all of it */
    int ranks;
    const char *shares;
} cases[] = {
    {"l3:1 core:8 pu:1", NULL, 1, "0-7"},
    {"l3:1 core:8 pu:1", NULL, 3, "0-1 2-4 5-7"},
    {"l3:1 core:2 pu:1", NULL, 5, "0 1 0 1 0"},
    {"l3:2 core:2 pu:2", NULL, 2, "0-3 4-7"},
    {"l3:2 core:2 pu:2", NULL, 4, "0-1 2-3 4-5 6-7"},
    {"l3:2 core:4 pu:1", "2-5", 2, "2-3 4-5"},
    /* No share across domains: whole ones, or a part of one. */
    {"l3:4 core:2 pu:1", NULL, 3, "0-1 2-3 4-7"},
    {"l3:2 core:16 pu:1", NULL, 7, "0-3 4-7 8-11 12-15 16-20 21-25 26-31"},
    {"numa:2 core:16 pu:1", NULL, 7, "0-3 4-7 8-11 12-15 16-20 21-25 26-31"},
    /* Where one would have less for it, it is across. */
    {"l3:3 core:8 pu:1", "2-23", 3, "2-8 9-15 16-23"},
    {"l3:2 core:8 pu:1", NULL, 3, "0-4 5-9 10-15"},
    {"numa:4 core:4 pu:1", NULL, 3, "0-4 5-9 10-15"},
};

START_TEST(shares_are_even_and_inside_domains_where_they_can_be)
{
    char text[256] = "", part[32];
    hwloc_topology_t topology;
    ck_assert_int_eq(setenv("HWLOC_SYNTHETIC", cases[_i].machine, 1), 0);
    ck_assert_int_eq(mb_binding_topology(&topology), MB_OK);
    hwloc_bitmap_t allowed = hwloc_bitmap_dup(hwloc_topology_get_allowed_cpuset(topology));
    hwloc_bitmap_t share = hwloc_bitmap_alloc();
    if (cases[_i].allowed != NULL)
        hwloc_bitmap_list_sscanf(allowed, cases[_i].allowed);
    for (int rank = 0; rank < cases[_i].ranks; rank++) {
        int cores = mb_binding_share(topology, allowed, cases[_i].ranks, rank, share);
        ck_assert_int_eq(cores,
                         hwloc_get_nbobjs_inside_cpuset_by_type(topology, share, HWLOC_OBJ_CORE));
        hwloc_bitmap_list_snprintf(part, sizeof part, share);
        strcat(strcat(text, rank == 0 ? "" : " "), part);
    }
    ck_assert_str_eq(text, cases[_i].shares);
    hwloc_bitmap_free(allowed);
    hwloc_bitmap_free(share);
    hwloc_topology_destroy(topology);
}
END_TEST

static const struct {
    const char *setting, *value;
    bool binds;
} settings[] = {
    {"OMPI_MCA_hwloc_base_binding_policy", "core", true},
    {"OMPI_MCA_hwloc_base_cpu_set", "0,1", true},
    {"PRTE_MCA_hwloc_default_binding_policy", "none", true},
    {"OMPI_MCA_rmaps_base_mapping_policy", "slot:PE=2", true},
    {"PRTE_MCA_rmaps_default_mapping_policy", "numa:oversubscribe,pe=2", true},
    {"OMPI_MCA_rmaps_base_mapping_policy", "node", false},
    {"PRTE_MCA_rmaps_default_mapping_policy", ":oversubscribe", false},
};

START_TEST(a_binding_that_was_asked_for_is_recognized)
{
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
        unsetenv(settings[i].setting);
    ck_assert(!mb_launcher_was_asked((int)getpid()));
    setenv(settings[_i].setting, settings[_i].value, 1);
    ck_assert(mb_launcher_was_asked((int)getpid()) == settings[_i].binds);
}
END_TEST

START_TEST(without_a_launcher_there_is_no_process_of_it)
{
    unsetenv("OMPI_COMM_WORLD_SIZE");
    ck_assert_int_eq(mb_launcher_ranks(), 0);
    ck_assert_int_eq(mb_launcher_process(), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("binding");
    TCase *t = tcase_create("binding");
    tcase_add_loop_test(t, shares_are_even_and_inside_domains_where_they_can_be, 0,
                        sizeof cases / sizeof cases[0]);
    tcase_add_loop_test(t, a_binding_that_was_asked_for_is_recognized, 0,
                        sizeof settings / sizeof settings[0]);
    tcase_add_test(t, without_a_launcher_there_is_no_process_of_it);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
