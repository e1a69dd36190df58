/* What `--io-hints` says, file systems by their numbers, and writers that take turns. */
#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "store/filesystem.h"
#include "store/io_options.h"
#include "store/writer_slot.h"
#include "support/store_files.h"

START_TEST(hints_are_read_and_those_for_mpi_kept)
{
    mb_io_options_t io;
    ck_assert_int_eq(mb_io_options_read("mpi-io",
                                        "align=64KiB,striping_unit=1MiB,striping_factor=-1,"
                                        "cb_config_list=a:2,b:*,cb_nodes=4",
                                        &io),
                     MB_OK);
    ck_assert(io.mpi_io && io.align == 65536 && io.striping_unit == 1 << 20);
    ck_assert_int_eq(io.striping_factor, -1);
    ck_assert_int_eq(io.n_hints, 4);
    ck_assert_str_eq(io.hints[0].value, "1048576");
    ck_assert_str_eq(io.hints[2].key, "cb_config_list");
    ck_assert_str_eq(io.hints[2].value, "a:2,b:*");
    ck_assert_int_eq(mb_io_options_read("posix", "writers_per_node=2,align=0", &io), MB_OK);
    ck_assert(!io.mpi_io && io.align == 0 && io.writers_per_node == 2 && io.n_hints == 0);
    ck_assert_int_eq(mb_io_options_read("posix", NULL, &io), MB_OK);
    ck_assert_int_eq(io.align, -1);
}
END_TEST

START_TEST(hints_that_cannot_be_are_refused)
{
    static const char *const refused[][3] = {
        {"posix", "align", "'align' is not KEY=VALUE"},
        {"posix", "align=-4096", "is not 0 or a multiple of 4KiB"},
        {"posix", "striping_unit=4KiB", "is not a multiple of 64KiB"},
        {"posix", "striping_factor=0", "is not a number of targets"},
        {"posix", "writers_per_node=0", "is not a whole number of at least 1"},
        {"posix", "cb_nodes=1", "use --io mpi-io"},
        {"posix", "colour=red", "there is no hint 'colour'"},
        {"mpi-io", "writers_per_node=2", "cb_nodes and cb_config_list"},
        {"tape", NULL, "is not posix or mpi-io"},
    };
    char many[1024] = "";
    mb_io_options_t io;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        ck_assert_int_eq(mb_io_options_read(refused[i][0], refused[i][1], &io), MB_ERR_ARGUMENT);
        ck_assert(message_has(refused[i][2]));
    }
    for (int i = 0; i <= MB_IO_MOST_HINTS; i++)
        strcat(many, "cb_nodes=1,");
    ck_assert_int_eq(mb_io_options_read("mpi-io", many, &io), MB_ERR_ARGUMENT);
    memset(many, 'x', 400);
    memcpy(many, "cb_nodes=", 9);
    ck_assert_int_eq(mb_io_options_read("mpi-io", many, &io), MB_ERR_ARGUMENT);
}
END_TEST

START_TEST(file_systems_ask_for_what_they_need)
{
    mb_filesystem_t lustre = mb_filesystem_of_magic(0x0bd00bd0, 4 << 20);
    ck_assert(lustre.stripes && lustre.align == 1 << 20);
    mb_filesystem_t gpfs = mb_filesystem_of_magic(0x47504653, 8 << 20);
    ck_assert(!gpfs.stripes && gpfs.align == 8 << 20);
    ck_assert_int_eq(mb_filesystem_of_magic(0x6969, 1 << 20).align, 4096);
    ck_assert_ptr_null(mb_filesystem_of_magic(0xef53, 4096).name);
    ck_assert_int_eq(mb_filesystem_at("/nowhere/at/all", &gpfs), MB_ERR_IO);
}
END_TEST

START_TEST(stripes_that_a_directory_cannot_have_are_an_error)
{
    scratch_create();
    ck_assert_int_eq(mb_filesystem_stripe(scratch(""), 1 << 20, 4), MB_ERR_IO);
    ck_assert(message_has("cannot set the stripes of"));
    scratch_remove();
}
END_TEST

enum { WRITERS = 6, SLOTS = 2, ROUNDS = 20 };
static atomic_int inside, most, taken;

static void *write_in_turn(void *rank)
{
    static const atomic_bool cancelled;
    mb_writer_slot_t slot = {.fd = -1};
    for (int i = 0; i < ROUNDS; i++) {
        if (mb_writer_slot_take(&slot, "a file", *(int *)rank, SLOTS, &cancelled) != MB_OK)
            return NULL;
        int now = atomic_fetch_add(&inside, 1) + 1;
        if (now > atomic_load(&most))
            atomic_store(&most, now);
        atomic_fetch_add(&taken, 1);
        atomic_fetch_sub(&inside, 1);
        mb_writer_slot_give(&slot);
    }
    return NULL;
}

START_TEST(no_more_writers_than_slots_are_inside)
{
    pthread_t threads[WRITERS];
    int ranks[WRITERS];
    for (int i = 0; i < WRITERS; i++) {
        ranks[i] = i;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, write_in_turn, &ranks[i]), 0);
    }
    for (int i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_int_eq(atomic_load(&taken), WRITERS * ROUNDS);
    ck_assert_int_le(atomic_load(&most), SLOTS);
}
END_TEST

START_TEST(a_writer_that_is_given_up_waits_no_longer)
{
    static const atomic_bool goes_on = false, cancelled = true;
    mb_writer_slot_t held = {.fd = -1}, wanted = {.fd = -1};
    ck_assert_int_eq(mb_writer_slot_take(&held, "another", 0, 1, &goes_on), MB_OK);
    ck_assert_int_eq(mb_writer_slot_take(&wanted, "another", 1, 1, &cancelled), MB_ERR_STOPPED);
    char path[sizeof held.path];
    memcpy(path, held.path, sizeof path);
    mb_writer_slot_give(&held);
    ck_assert(!file_exists(path));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("io_options");
    TCase *cases = tcase_create("io");
    tcase_add_test(cases, hints_are_read_and_those_for_mpi_kept);
    tcase_add_test(cases, hints_that_cannot_be_are_refused);
    tcase_add_test(cases, file_systems_ask_for_what_they_need);
    tcase_add_test(cases, stripes_that_a_directory_cannot_have_are_an_error);
    tcase_add_test(cases, no_more_writers_than_slots_are_inside);
    tcase_add_test(cases, a_writer_that_is_given_up_waits_no_longer);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
