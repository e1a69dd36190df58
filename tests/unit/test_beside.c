/* What is written beside the caller's thread: the bytes, the checksums and the commit of a
 * checkpoint by another thread, and what becomes of it on failure. tests/campaign/saving_threads.sh
 * runs it under ThreadSanitizer. */
#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "base/background.h"
#include "store/run_dir.h"
#include "support/store_files.h"

enum { ROWS = 40000 };

static sample_t sample;

static void set_up(void)
{
    scratch_create();
    sample_create(&sample, ROWS, 5);
}

static void tear_down(void)
{
    sample_free(&sample);
    scratch_remove();
}

static mb_status_t put(void *user)
{
    mb_background_give_way();
    return mb_checkpoint_put(user);
}

static mb_status_t commit(void *user)
{
    return mb_checkpoint_commit(user);
}

static mb_checkpoint_file_t *must_begin(const char *path)
{
    mb_checkpoint_file_t *file = NULL;
    mb_status_t status =
        mb_checkpoint_begin(NULL, path, &sample.layout, sample.pieces, SAMPLE_TENSORS, &file);
    ck_assert_msg(status == MB_OK, "%s", mb_error_get());
    return file;
}

static mb_background_t *must_start(mb_status_t (*run)(void *), void *user)
{
    mb_background_t *task = NULL;
    ck_assert_int_eq(mb_background_start(run, user, &task), MB_OK);
    return task;
}

START_TEST(a_checkpoint_written_by_another_thread_has_the_same_bytes)
{
    ck_assert_int_eq(sample_write(&sample, scratch("a.h5")), MB_OK);
    mb_checkpoint_file_t *file = must_begin(scratch("b.h5"));
    ck_assert_int_eq(mb_background_join(must_start(put, file)), MB_OK);
    ck_assert(!file_exists(scratch("b.h5")));
    ck_assert_int_eq(mb_checkpoint_gather(file), MB_OK);
    ck_assert_int_eq(mb_background_join(must_start(commit, file)), MB_OK);
    mb_checkpoint_end(file);
    ck_assert(files_equal(scratch("a.h5"), scratch("b.h5")));
    ck_assert_int_eq(scratch_count(".tmp"), 0);
}
END_TEST

/* Of some milliseconds of work; a thousand seconds are never taken. */
START_TEST(a_paced_one_rests_until_it_is_to_hurry)
{
    for (int hurries = 0; hurries < 2; hurries++) {
        mb_checkpoint_file_t *file = must_begin(scratch("a.h5"));
        mb_checkpoint_pace(file, 1000);
        if (hurries)
            mb_checkpoint_hurry(file);
        ck_assert_int_eq(mb_background_join(must_start(put, file)), MB_OK);
        ck_assert(hurries ? mb_checkpoint_rested(file) < 1e-3 : mb_checkpoint_rested(file) > 4e-3);
        mb_checkpoint_end(file);
    }
}
END_TEST

START_TEST(without_a_commit_nothing_is_left)
{
    mb_checkpoint_file_t *file = must_begin(scratch("a.h5"));
    ck_assert_int_eq(mb_background_join(must_start(put, file)), MB_OK);
    ck_assert_int_eq(scratch_count(".tmp"), 1);
    mb_checkpoint_end(file);
    ck_assert_int_eq(scratch_count(".h5"), 0);
}
END_TEST

START_TEST(one_that_is_given_up_ends_soon)
{
    mb_checkpoint_file_t *file = must_begin(scratch("a.h5"));
    mb_checkpoint_cancel(file);
    ck_assert_int_eq(mb_background_join(must_start(put, file)), MB_ERR_STOPPED);
    mb_checkpoint_end(file);
    ck_assert_int_eq(scratch_count(".h5"), 0);
}
END_TEST

/* The file cannot grow beyond what HDF5 has laid out, nor be written there. */
START_TEST(a_failure_of_the_other_thread_comes_with_its_message)
{
    mb_checkpoint_file_t *file = must_begin(scratch("a.h5"));
    const struct rlimit little = {4096, RLIM_INFINITY}, any = {RLIM_INFINITY, RLIM_INFINITY};
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &little), 0);
    mb_background_t *task = must_start(put, file);
    while (!mb_background_done(task))
        usleep(1000);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &any), 0);
    ck_assert_int_eq(mb_background_status(task), MB_ERR_IO);
    mb_error_set(MB_ERR_IO, "another message");
    ck_assert_int_eq(mb_background_join(task), MB_ERR_IO);
    ck_assert(message_has("a.h5.tmp-"));
    ck_assert(message_has("ulimit -f"));
    mb_checkpoint_end(file);
    ck_assert_int_eq(scratch_count(".h5"), 0);
}
END_TEST

/* The commit's own look at the lease stands beside those of the steps. */
static mb_status_t check_lease(void *user)
{
    for (int i = 0; i < 200; i++)
        MB_TRY(mb_run_dir_check(user));
    return MB_OK;
}

START_TEST(the_lease_is_looked_at_by_both_threads)
{
    mb_run_dir_t *dir = NULL;
    ck_assert_int_eq(mb_run_dir_open(NULL, scratch("run"), &dir), MB_OK);
    mb_background_t *task = must_start(check_lease, dir);
    while (!mb_background_done(task))
        ck_assert_int_eq(mb_run_dir_renew(dir), MB_OK);
    ck_assert_int_eq(mb_background_join(task), MB_OK);
    mb_run_dir_close(dir);
}
END_TEST

START_TEST(older_checkpoints_go_behind_the_commit_while_metrics_are_added)
{
    mb_run_dir_t *dir = NULL;
    mb_metrics_log_t *log = NULL;
    ck_assert_int_eq(mb_run_dir_open(NULL, scratch("run"), &dir), MB_OK);
    ck_assert_int_eq(mb_metrics_log_open(dir, 0, &log), MB_OK);
    sample.layout.may_commit = mb_run_dir_check;
    sample.layout.may_commit_user = dir;
    for (int step = 1; step <= 3; step++) {
        char name[64];
        char *path = mb_run_dir_file(dir, mb_run_dir_step_name(step, name, sizeof name));
        mb_checkpoint_file_t *file = must_begin(path);
        mb_background_t *task = must_start(put, file);
        for (int line = 0; line < 100; line++)
            ck_assert_int_eq(mb_metrics_log_line(log, "{\"step\": 1}"), MB_OK);
        ck_assert_int_eq(mb_background_join(task), MB_OK);
        ck_assert_int_eq(mb_checkpoint_gather(file), MB_OK);
        ck_assert_int_eq(mb_background_join(must_start(commit, file)), MB_OK);
        ck_assert_int_eq(mb_run_dir_prune(dir, 2, -1), MB_OK);
        mb_checkpoint_end(file);
        free(path);
    }
    ck_assert(!file_exists(scratch("run/step-00000001.h5")));
    ck_assert(file_exists(scratch("run/step-00000003.h5")));
    mb_metrics_log_close(log);
    mb_run_dir_close(dir);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("beside");
    TCase *tests = tcase_create("checkpoints");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, a_checkpoint_written_by_another_thread_has_the_same_bytes);
    tcase_add_test(tests, a_paced_one_rests_until_it_is_to_hurry);
    tcase_add_test(tests, without_a_commit_nothing_is_left);
    tcase_add_test(tests, one_that_is_given_up_ends_soon);
    tcase_add_test(tests, a_failure_of_the_other_thread_comes_with_its_message);
    tcase_add_test(tests, the_lease_is_looked_at_by_both_threads);
    tcase_add_test(tests, older_checkpoints_go_behind_the_commit_while_metrics_are_added);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
