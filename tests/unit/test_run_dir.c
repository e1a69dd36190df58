/* The run directory: who may write there, which checkpoint a run goes on from, what is removed, and
 * the log of metrics. */
#include <check.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "store/run_dir.h"
#include "support/store_files.h"

static void set_up(void)
{
    scratch_create();
    unsetenv("SLURM_JOB_ID");
    unsetenv("SLURM_RESTART_COUNT");
}

static mb_run_dir_t *must_open(const char *path)
{
    mb_run_dir_t *dir = NULL;
    mb_status_t status = mb_run_dir_open(NULL, path, &dir);
    ck_assert_msg(status == MB_OK, "%s", mb_error_get());
    return dir;
}

static void must_refuse(const char *path, mb_status_t expected, const char *part)
{
    mb_run_dir_t *dir = NULL;
    ck_assert_int_eq(mb_run_dir_open(NULL, path, &dir), expected);
    ck_assert_ptr_null(dir);
    ck_assert(message_has(path));
    ck_assert(message_has(part));
}

static void put_lease(const char *path, const char *host, long pid, const char *job, int restart)
{
    char text[512];
    char boot[64] = "-";
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "r");
    if (file != NULL) {
        ck_assert_int_eq(fscanf(file, "%63s", boot), 1);
        fclose(file);
    }
    snprintf(text, sizeof(text),
             "host %s\nboot %s\npid %ld\nstarted 0\njob %s\nrestart %d\nnonce 00000000000000ab\n",
             host, boot, pid, job, restart);
    file_write(path, text, strlen(text));
}

static void make_older(const char *path, int seconds)
{
    const struct timespec times[2] = {{time(NULL) - seconds, 0}, {time(NULL) - seconds, 0}};
    ck_assert_int_eq(utimensat(AT_FDCWD, path, times, 0), 0);
}

static long dead_process(void)
{
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    waitpid(child, NULL, 0);
    return (long)child;
}

static const char *own_host(void)
{
    static char host[256];
    gethostname(host, sizeof(host) - 1);
    return host;
}

START_TEST(a_new_directory_is_made_and_its_lease_removed_at_the_end)
{
    const char *path = scratch("m.run");
    mb_run_dir_t *dir = must_open(path);
    ck_assert_str_eq(mb_run_dir_path(dir), path);
    ck_assert(file_exists(scratch("m.run/lease")));
    ck_assert_int_eq(mb_run_dir_renew(dir), MB_OK);
    ck_assert_int_eq(mb_run_dir_check(dir), MB_OK);
    mb_run_dir_close(dir);
    ck_assert(!file_exists(scratch("m.run/lease")));
}
END_TEST

START_TEST(a_second_start_is_refused_naming_the_owner)
{
    const char *path = scratch("m.run");
    mb_run_dir_t *dir = must_open(path);
    char pid[32];
    snprintf(pid, sizeof(pid), "process %ld", (long)getpid());
    must_refuse(path, MB_ERR_BUSY, pid);
    must_refuse(path, MB_ERR_BUSY, own_host());
    mb_run_dir_close(dir);
    mb_run_dir_close(must_open(path));
}
END_TEST

START_TEST(a_start_while_another_process_runs_is_refused)
{
    const char *path = scratch("m.run");
    int ready[2];
    ck_assert_int_eq(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        mb_run_dir_t *dir = NULL;
        char answer = mb_run_dir_open(NULL, path, &dir) == MB_OK ? 'y' : 'n';
        if (write(ready[1], &answer, 1) == 1)
            pause();
        _exit(0);
    }
    char answer = 0;
    ck_assert_int_eq(read(ready[0], &answer, 1), 1);
    ck_assert_int_eq(answer, 'y');
    must_refuse(path, MB_ERR_BUSY, "in use");
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    mb_run_dir_close(must_open(path));
}
END_TEST

START_TEST(of_many_starts_at_once_one_gets_the_directory)
{
    const char *path = scratch("m.run");
    ck_assert_int_eq(mkdir(path, 0700), 0);
    put_lease(scratch("m.run/lease"), own_host(), dead_process(), "-", 0);
    pid_t children[8];
    for (int i = 0; i < 8; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            mb_run_dir_t *dir = NULL;
            mb_status_t status = mb_run_dir_open(NULL, path, &dir);
            sleep(2);
            _exit(status == MB_OK ? (mb_run_dir_check(dir) == MB_OK ? 1 : 3)
                                  : (status == MB_ERR_BUSY ? 0 : 2));
        }
    }
    int winners = 0, others = 0;
    for (int i = 0; i < 8; i++) {
        int result = 0;
        waitpid(children[i], &result, 0);
        winners += WEXITSTATUS(result) == 1;
        others += WEXITSTATUS(result) >= 2;
    }
    ck_assert_int_eq(winners, 1);
    ck_assert_int_eq(others, 0);
}
END_TEST

START_TEST(the_lease_of_a_dead_process_is_taken_over)
{
    ck_assert_int_eq(mkdir(scratch("m.run"), 0700), 0);
    put_lease(scratch("m.run/lease"), own_host(), dead_process(), "-", 0);
    mb_run_dir_close(must_open(scratch("m.run")));
    ck_assert(!file_exists(scratch("m.run/lease")));
}
END_TEST

START_TEST(the_lease_of_a_process_that_ended_unreaped_is_taken_over)
{
    ck_assert_int_eq(mkdir(scratch("m.run"), 0700), 0);
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    siginfo_t about;
    ck_assert_int_eq(waitid(P_PID, (id_t)child, &about, WEXITED | WNOWAIT), 0);
    put_lease(scratch("m.run/lease"), own_host(), (long)child, "-", 0);
    mb_run_dir_close(must_open(scratch("m.run")));
    waitpid(child, NULL, 0);
}
END_TEST

START_TEST(a_start_removes_what_an_earlier_one_left_and_no_living_ones_lease)
{
    ck_assert_int_eq(mkdir(scratch("m.run"), 0700), 0);
    file_write(scratch("m.run/step-00000002.h5.tmp-0123456789abcdef"), "half", 4);
    put_lease(scratch("m.run/lease.tmp-0123456789abcdef"), own_host(), dead_process(), "-", 0);
    put_lease(scratch("m.run/lease.tmp-fedcba9876543210"), own_host(), (long)getppid(), "-", 0);
    mb_run_dir_t *dir = must_open(scratch("m.run"));
    ck_assert(!file_exists(scratch("m.run/step-00000002.h5.tmp-0123456789abcdef")));
    ck_assert(!file_exists(scratch("m.run/lease.tmp-0123456789abcdef")));
    ck_assert(file_exists(scratch("m.run/lease.tmp-fedcba9876543210")));
    mb_run_dir_close(dir);
}
END_TEST

START_TEST(a_process_of_the_same_number_that_started_later_is_not_the_owner)
{
    ck_assert_int_eq(mkdir(scratch("m.run"), 0700), 0);
    put_lease(scratch("m.run/lease"), own_host(), (long)getpid(), "-", 0);
    size_t bytes;
    char *text = (char *)file_read(scratch("m.run/lease"), &bytes);
    text[bytes] = '\0';
    strstr(text, "started 0")[8] = '1';
    file_write(scratch("m.run/lease"), text, bytes);
    free(text);
    mb_run_dir_close(must_open(scratch("m.run")));
}
END_TEST

START_TEST(another_hosts_lease_is_respected_until_it_is_60_seconds_old)
{
    ck_assert_int_eq(mkdir(scratch("m.run"), 0700), 0);
    put_lease(scratch("m.run/lease"), "node17", 1, "-", 0);
    must_refuse(scratch("m.run"), MB_ERR_BUSY, "node17");
    make_older(scratch("m.run/lease"), 50);
    must_refuse(scratch("m.run"), MB_ERR_BUSY, "node17");
    make_older(scratch("m.run/lease"), 61);
    mb_run_dir_close(must_open(scratch("m.run")));
}
END_TEST

START_TEST(a_requeued_job_takes_over_from_its_earlier_start_only)
{
    ck_assert_int_eq(mkdir(scratch("m.run"), 0700), 0);
    setenv("SLURM_JOB_ID", "4711", 1);
    setenv("SLURM_RESTART_COUNT", "2", 1);
    put_lease(scratch("m.run/lease"), "node17", 1, "4711", 2);
    must_refuse(scratch("m.run"), MB_ERR_BUSY, "job 4711");
    put_lease(scratch("m.run/lease"), "node17", 1, "4712", 1);
    must_refuse(scratch("m.run"), MB_ERR_BUSY, "job 4712");
    put_lease(scratch("m.run/lease"), "node17", 1, "4711", 1);
    mb_run_dir_t *dir = must_open(scratch("m.run"));
    size_t bytes;
    char *text = (char *)file_read(scratch("m.run/lease"), &bytes);
    text[bytes] = '\0';
    ck_assert_ptr_nonnull(strstr(text, "job 4711\nrestart 2\n"));
    free(text);
    mb_run_dir_close(dir);
}
END_TEST

START_TEST(a_run_whose_lease_was_taken_learns_it_and_does_not_remove_it)
{
    mb_run_dir_t *dir = must_open(scratch("m.run"));
    put_lease(scratch("m.run/lease"), "node17", 1, "-", 0);
    ck_assert_int_eq(mb_run_dir_check(dir), MB_ERR_BUSY);
    ck_assert(message_has("node17"));
    usleep(300000);
    ck_assert_int_eq(mb_run_dir_renew(dir), MB_ERR_BUSY);
    mb_run_dir_close(dir);
    ck_assert(file_exists(scratch("m.run/lease")));
}
END_TEST

START_TEST(a_run_whose_lease_is_gone_learns_it)
{
    mb_run_dir_t *dir = must_open(scratch("m.run"));
    ck_assert_int_eq(unlink(scratch("m.run/lease")), 0);
    ck_assert_int_eq(mb_run_dir_check(dir), MB_ERR_BUSY);
    ck_assert(message_has("gone"));
    mb_run_dir_close(dir);
}
END_TEST

START_TEST(a_lease_that_is_no_lease_is_named)
{
    ck_assert_int_eq(mkdir(scratch("m.run"), 0700), 0);
    file_write(scratch("m.run/lease"), "hello\n", 6);
    must_refuse(scratch("m.run"), MB_ERR_BUSY, "remove it");
}
END_TEST

START_TEST(places_that_cannot_be_run_directories_are_refused)
{
    must_refuse(scratch("no/such/m.run"), MB_ERR_IO, "create that first");
    file_write(scratch("file.run"), "x", 1);
    must_refuse(scratch("file.run"), MB_ERR_IO, "is a file");
    must_refuse(scratch("file.run/deeper.run"), MB_ERR_IO, "not a directory");
}
END_TEST

START_TEST(a_directory_that_cannot_be_written_is_refused)
{
    ck_assert_int_eq(mkdir(scratch("m.run"), 0500), 0);
    pid_t child = fork();
    if (child == 0) {
        /* Root writes anywhere: the child becomes nobody, who may enter the scratch folder. */
        if (geteuid() == 0 &&
            (chmod(scratch(""), 0755) != 0 || chmod(scratch("m.run"), 0555) != 0 ||
             setgid(65534) != 0 || setuid(65534) != 0))
            _exit(77);
        mb_run_dir_t *dir = NULL;
        mb_status_t status = mb_run_dir_open(NULL, scratch("m.run"), &dir);
        _exit(status == MB_ERR_IO && message_has("check the permissions") ? 0 : 1);
    }
    int result = 0;
    waitpid(child, &result, 0);
    ck_assert_int_eq(WEXITSTATUS(result), 0);
}
END_TEST

static void put_checkpoint(const char *name, int64_t step)
{
    sample_t sample;
    char path[64];
    sample_create(&sample, 3, 1);
    sample.layout.state.step = step;
    snprintf(path, sizeof(path), "m.run/%s", name);
    ck_assert_int_eq(sample_write(&sample, scratch(path)), MB_OK);
    sample_free(&sample);
}

static void break_file(const char *path)
{
    size_t bytes;
    unsigned char *data = file_read(path, &bytes);
    data[bytes / 2] ^= 1;
    file_write(path, data, bytes);
    free(data);
}

static void newest_is(mb_run_dir_t *dir, const char *name, bool finished)
{
    char *path = NULL;
    bool found_finished = !finished;
    ck_assert_int_eq(mb_run_dir_newest(dir, &path, &found_finished), MB_OK);
    if (name == NULL) {
        ck_assert_ptr_null(path);
    } else {
        ck_assert_ptr_nonnull(path);
        ck_assert_str_eq(strrchr(path, '/') + 1, name);
    }
    ck_assert_int_eq(found_finished, finished);
    free(path);
}

static void count_warning(void *user, mb_log_level_t level, const char *message)
{
    if (level == MB_LOG_WARNING && strstr(message, "passed over") != NULL)
        (*(int *)user)++;
}

START_TEST(the_newest_checkpoint_that_holds_is_found)
{
    mb_run_dir_t *dir = must_open(scratch("m.run"));
    int warnings = 0;
    const mb_log_t log = {count_warning, &warnings, MB_LOG_DEBUG};
    mb_run_dir_set_log(dir, &log);
    newest_is(dir, NULL, false);
    put_checkpoint("step-00000009.h5", 9);
    put_checkpoint("step-00000100.h5", 100);
    put_checkpoint("step-00000020.h5", 20);
    newest_is(dir, "step-00000100.h5", false);
    ck_assert_int_eq(warnings, 0);
    break_file(scratch("m.run/step-00000100.h5"));
    newest_is(dir, "step-00000020.h5", false);
    ck_assert_int_eq(warnings, 1);
    file_write(scratch("m.run/step-00000300.h5"), "", 0);
    put_checkpoint("step-00000200.h5", 3);
    file_write(scratch("m.run/step-1.h5"), "", 0);
    newest_is(dir, "step-00000020.h5", false);
    ck_assert_int_eq(warnings, 4);
    mb_run_dir_close(dir);
}
END_TEST

START_TEST(a_run_is_finished_when_its_final_file_is_the_newest)
{
    mb_run_dir_t *dir = must_open(scratch("m.run"));
    put_checkpoint("step-00000009.h5", 9);
    put_checkpoint("final.h5", 12);
    newest_is(dir, "final.h5", true);
    put_checkpoint("step-00000012.h5", 12);
    newest_is(dir, "step-00000012.h5", true);
    put_checkpoint("step-00000013.h5", 13);
    newest_is(dir, "step-00000013.h5", false);
    break_file(scratch("m.run/final.h5"));
    unlink(scratch("m.run/step-00000013.h5"));
    newest_is(dir, "step-00000012.h5", false);
    mb_run_dir_close(dir);
}
END_TEST

START_TEST(old_checkpoints_go_but_for_the_newest_and_the_best)
{
    mb_run_dir_t *dir = must_open(scratch("m.run"));
    for (int step = 1; step <= 6; step++) {
        char name[64];
        put_checkpoint(mb_run_dir_step_name(step, name, sizeof(name)), step);
    }
    file_write(scratch("m.run/step-00000007.h5.tmp-0123456789abcdef"), "x", 1);
    file_write(scratch("m.run/notes.txt"), "x", 1);
    ck_assert_int_eq(mb_run_dir_prune(dir, 2, 3), MB_OK);
    ck_assert(!file_exists(scratch("m.run/step-00000001.h5")));
    ck_assert(!file_exists(scratch("m.run/step-00000002.h5")));
    ck_assert(file_exists(scratch("m.run/step-00000003.h5")));
    ck_assert(!file_exists(scratch("m.run/step-00000004.h5")));
    ck_assert(file_exists(scratch("m.run/step-00000005.h5")));
    ck_assert(file_exists(scratch("m.run/step-00000006.h5")));
    ck_assert(file_exists(scratch("m.run/notes.txt")));
    ck_assert(file_exists(scratch("m.run/lease")));
    ck_assert(!file_exists(scratch("m.run/step-00000007.h5.tmp-0123456789abcdef")));
    mb_run_dir_close(dir);
}
END_TEST

static void metrics_are(const char *expected)
{
    size_t bytes;
    char *text = (char *)file_read(scratch("m.run/metrics.jsonl"), &bytes);
    text[bytes] = '\0';
    ck_assert_str_eq(text, expected);
    free(text);
}

START_TEST(metrics_past_the_restored_step_are_dropped)
{
    mb_run_dir_t *dir = must_open(scratch("m.run"));
    mb_metrics_log_t *log = NULL;
    ck_assert_int_eq(mb_metrics_log_open(dir, 0, &log), MB_OK);
    ck_assert_int_eq(mb_metrics_log_line(log, "{\"step\": 1, \"loss\": 0.5}"), MB_OK);
    ck_assert_int_eq(mb_metrics_log_line(log, "{\"step\": 2, \"loss\": 0.25}\n"), MB_OK);
    ck_assert_int_eq(mb_metrics_log_line(log, "{\"step\": 3}"), MB_OK);
    ck_assert_int_eq(mb_metrics_log_flush(log), MB_OK);
    ck_assert_int_eq(mb_metrics_log_sync(log), MB_OK);
    metrics_are("{\"step\": 1, \"loss\": 0.5}\n{\"step\": 2, \"loss\": 0.25}\n{\"step\": 3}\n");
    mb_metrics_log_close(log);
    ck_assert_int_eq(mb_metrics_log_open(dir, 2, &log), MB_OK);
    ck_assert_int_eq(mb_metrics_log_line(log, "{\"step\": 3, \"loss\": 1}"), MB_OK);
    mb_metrics_log_close(log);
    metrics_are("{\"step\": 1, \"loss\": 0.5}\n{\"step\": 2, \"loss\": 0.25}\n{\"step\": 3, "
                "\"loss\": 1}\n");
    mb_run_dir_close(dir);
}
END_TEST

START_TEST(a_half_written_last_line_of_metrics_is_dropped)
{
    mb_run_dir_t *dir = must_open(scratch("m.run"));
    mb_metrics_log_t *log = NULL;
    const char *text = "{\"step\": 1}\n{\"step\": 2, \"lo";
    file_write(scratch("m.run/metrics.jsonl"), text, strlen(text));
    ck_assert_int_eq(mb_metrics_log_open(dir, 10, &log), MB_OK);
    ck_assert_int_eq(mb_metrics_log_line(log, "{\"step\": 2}"), MB_OK);
    mb_metrics_log_close(log);
    metrics_are("{\"step\": 1}\n{\"step\": 2}\n");
    mb_run_dir_close(dir);
}
END_TEST

static Suite *suite(void)
{
    Suite *suite = suite_create("run directory");
    TCase *cases = tcase_create("run directory");
    tcase_add_checked_fixture(cases, set_up, scratch_remove);
    tcase_set_timeout(cases, 60);
    tcase_add_test(cases, a_new_directory_is_made_and_its_lease_removed_at_the_end);
    tcase_add_test(cases, a_second_start_is_refused_naming_the_owner);
    tcase_add_test(cases, a_start_while_another_process_runs_is_refused);
    tcase_add_test(cases, of_many_starts_at_once_one_gets_the_directory);
    tcase_add_test(cases, the_lease_of_a_dead_process_is_taken_over);
    tcase_add_test(cases, the_lease_of_a_process_that_ended_unreaped_is_taken_over);
    tcase_add_test(cases, a_start_removes_what_an_earlier_one_left_and_no_living_ones_lease);
    tcase_add_test(cases, a_process_of_the_same_number_that_started_later_is_not_the_owner);
    tcase_add_test(cases, another_hosts_lease_is_respected_until_it_is_60_seconds_old);
    tcase_add_test(cases, a_requeued_job_takes_over_from_its_earlier_start_only);
    tcase_add_test(cases, a_run_whose_lease_was_taken_learns_it_and_does_not_remove_it);
    tcase_add_test(cases, a_run_whose_lease_is_gone_learns_it);
    tcase_add_test(cases, a_lease_that_is_no_lease_is_named);
    tcase_add_test(cases, places_that_cannot_be_run_directories_are_refused);
    tcase_add_test(cases, a_directory_that_cannot_be_written_is_refused);
    tcase_add_test(cases, the_newest_checkpoint_that_holds_is_found);
    tcase_add_test(cases, a_run_is_finished_when_its_final_file_is_the_newest);
    tcase_add_test(cases, old_checkpoints_go_but_for_the_newest_and_the_best);
    tcase_add_test(cases, metrics_past_the_restored_step_are_dropped);
    tcase_add_test(cases, a_half_written_last_line_of_metrics_is_dropped);
    suite_add_tcase(suite, cases);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(suite());
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
