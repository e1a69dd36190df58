/* What others may have put into a folder that is shared: links, pipes, and leases that no run
 * wrote. Nothing is written through them, nothing waits for them, and the umask decides who reads
 * what is new. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/error.h"
#include "data/kind.h"
#include "engine/recorder.h"
#include "pipeline/edges.h"
#include "store/io.h"
#include "store/lease.h"
#include "store/run_dir.h"
#include "store/zip_write.h"
#include "support/store_files.h"

#define VICTIM_TEXT "{\"step\": 9}\nsomebody else's"

static mode_t mask;

static void set_up(void)
{
    mask = umask(022);
    scratch_create();
    ck_assert_int_eq(mkdir(scratch("m.run"), 0700), 0);
    file_write(scratch("victim"), VICTIM_TEXT, strlen(VICTIM_TEXT));
}

static void tear_down(void)
{
    scratch_remove();
    umask(mask);
}

static void victim_is_untouched(void)
{
    size_t bytes = 0;
    unsigned char *text = file_read(scratch("victim"), &bytes);
    ck_assert_uint_eq(bytes, strlen(VICTIM_TEXT));
    ck_assert_int_eq(memcmp(text, VICTIM_TEXT, bytes), 0);
    free(text);
}

static void put_link(const char *name)
{
    char *at = strdup(scratch(name));
    ck_assert_int_eq(symlink(scratch("victim"), at), 0);
    free(at);
}

static bool is_link(const char *name)
{
    struct stat about;
    ck_assert_int_eq(lstat(scratch(name), &about), 0);
    return S_ISLNK(about.st_mode);
}

static void must_refuse_lease(const char *part)
{
    mb_lease_t lease;
    ck_assert_int_eq(mb_lease_take(scratch("m.run/lease"), &lease), MB_ERR_BUSY);
    ck_assert_msg(message_has(part) && message_has("remove"), "%s", mb_error_get());
}

START_TEST(a_lease_that_is_a_link_is_refused_and_not_followed)
{
    put_link("m.run/lease");
    must_refuse_lease("symbolic link");
    ck_assert_int_eq(unlink(scratch("victim")), 0);
    must_refuse_lease("symbolic link");
    ck_assert(is_link("m.run/lease"));
}
END_TEST

START_TEST(a_lease_that_is_no_file_is_refused_without_waiting)
{
    ck_assert_int_eq(mkfifo(scratch("m.run/lease"), 0600), 0);
    must_refuse_lease("special file");
    ck_assert_int_eq(unlink(scratch("m.run/lease")), 0);
    ck_assert_int_eq(mkdir(scratch("m.run/lease"), 0700), 0);
    must_refuse_lease("a directory");
}
END_TEST

START_TEST(a_huge_lease_is_refused_unread)
{
    file_write(scratch("m.run/lease"), "x", 1);
    ck_assert_int_eq(truncate(scratch("m.run/lease"), (off_t)1 << 40), 0);
    must_refuse_lease("cannot be read as a lease");
}
END_TEST

static void put_lease(const char *host, long long pid)
{
    char text[512];
    snprintf(text, sizeof text,
             "host %s\nboot -\npid %lld\nstarted 0\njob -\nrestart 0\nnonce 00000000000000ab\n",
             host, pid);
    file_write(scratch("m.run/lease"), text, strlen(text));
}

START_TEST(a_process_number_that_no_process_has_holds_no_lease)
{
    char host[256] = "";
    mb_lease_t lease;
    gethostname(host, sizeof(host) - 1);
    put_lease(host, ((long long)1 << 32) + getpid());
    ck_assert_msg(mb_lease_take(scratch("m.run/lease"), &lease) == MB_OK, "%s", mb_error_get());
    ck_assert_int_eq(mb_lease_give_up(&lease), MB_OK);
}
END_TEST

START_TEST(a_lease_from_the_future_says_what_to_do)
{
    const struct timespec times[2] = {{.tv_sec = 4000000000}, {.tv_sec = 4000000000}};
    put_lease("node17", 1);
    ck_assert_int_eq(utimensat(-100, scratch("m.run/lease"), times, 0), 0);
    must_refuse_lease("dated in the future");
}
END_TEST

/* A process that was cut off between looking and writing must not put its lease over another's: it
 * writes into the file that it looked at. */
START_TEST(renewing_a_lease_makes_no_new_file)
{
    mb_lease_t lease;
    struct stat before, after;
    ck_assert_int_eq(mb_lease_take(scratch("m.run/lease"), &lease), MB_OK);
    ck_assert_int_eq(stat(scratch("m.run/lease"), &before), 0);
    lease.renewed -= 1000;
    ck_assert_int_eq(mb_lease_renew(&lease, true), MB_OK);
    ck_assert_int_eq(stat(scratch("m.run/lease"), &after), 0);
    ck_assert_uint_eq(before.st_ino, after.st_ino);
    ck_assert(after.st_mtim.tv_sec > before.st_mtim.tv_sec ||
              after.st_mtim.tv_nsec >= before.st_mtim.tv_nsec);
    ck_assert_int_eq(mb_lease_give_up(&lease), MB_OK);
}
END_TEST

static mb_run_dir_t *must_open(void)
{
    mb_run_dir_t *dir = NULL;
    mb_status_t status = mb_run_dir_open(NULL, scratch("m.run"), &dir);
    ck_assert_msg(status == MB_OK, "%s", mb_error_get());
    return dir;
}

static void metrics_are_refused(const char *part)
{
    mb_metrics_log_t *log = NULL;
    mb_run_dir_t *dir = must_open();
    ck_assert_int_eq(mb_metrics_log_open(dir, 3, &log), MB_ERR_IO);
    ck_assert_msg(message_has("metrics.jsonl") && message_has(part), "%s", mb_error_get());
    mb_run_dir_close(dir);
}

START_TEST(metrics_are_not_written_through_a_link_or_into_a_pipe)
{
    put_link("m.run/metrics.jsonl");
    metrics_are_refused("symbolic link");
    victim_is_untouched();
    ck_assert_int_eq(unlink(scratch("m.run/metrics.jsonl")), 0);
    ck_assert_int_eq(mkfifo(scratch("m.run/metrics.jsonl"), 0600), 0);
    metrics_are_refused("not a regular file");
}
END_TEST

START_TEST(a_line_of_metrics_without_end_is_dropped)
{
    static char text[3 << 20];
    size_t bytes = 0;
    mb_metrics_log_t *log = NULL;
    memset(text, 'x', sizeof text);
    memcpy(text + sizeof text - 14, "\n{\"step\": 1}\n", 14);
    file_write(scratch("m.run/metrics.jsonl"), text, sizeof text - 1);
    mb_run_dir_t *dir = must_open();
    ck_assert_int_eq(mb_metrics_log_open(dir, 3, &log), MB_OK);
    mb_metrics_log_close(log);
    unsigned char *kept = file_read(scratch("m.run/metrics.jsonl"), &bytes);
    ck_assert_uint_eq(bytes, 12);
    ck_assert_int_eq(memcmp(kept, "{\"step\": 1}\n", 12), 0);
    free(kept);
    mb_run_dir_close(dir);
}
END_TEST

START_TEST(a_link_is_replaced_by_what_takes_its_name)
{
    put_link("m.run/plan.json");
    ck_assert_int_eq(mb_io_replace_text(scratch("m.run/plan.json"), "{}"), MB_OK);
    ck_assert(!is_link("m.run/plan.json"));
    victim_is_untouched();
}
END_TEST

START_TEST(no_file_of_ours_is_opened_through_a_link)
{
    int fd = -1;
    int64_t bytes = 0;
    put_link("m.run/step-00000001.h5.tmp-0123456789abcdef");
    const char *path = scratch("m.run/step-00000001.h5.tmp-0123456789abcdef");
    ck_assert_int_eq(mb_io_open_new(path, &fd), MB_ERR_IO);
    ck_assert_int_eq(mb_io_open_update(path, &fd), MB_ERR_IO);
    ck_assert(message_has("symbolic link"));
    ck_assert_int_eq(mb_io_open_append(path, &fd), MB_ERR_IO);
    ck_assert(message_has("symbolic link"));
    ck_assert_int_eq(mb_io_open_own(path, &fd, &bytes), MB_ERR_IO);
    ck_assert_int_eq(mb_io_copy(scratch("victim"), path), MB_ERR_IO);
    victim_is_untouched();
}
END_TEST

static unsigned mode_of(const char *name)
{
    struct stat about;
    ck_assert_int_eq(stat(scratch(name), &about), 0);
    return (unsigned)about.st_mode & 07777;
}

START_TEST(the_umask_decides_who_may_read_new_files)
{
    int fd = -1;
    umask(027);
    ck_assert_int_eq(mb_io_open_new(scratch("new"), &fd), MB_OK);
    close(fd);
    ck_assert_uint_eq(mode_of("new"), 0640);
    ck_assert_int_eq(mb_io_open_append(scratch("log"), &fd), MB_OK);
    close(fd);
    ck_assert_uint_eq(mode_of("log"), 0640);
    ck_assert_int_eq(mb_io_replace_text(scratch("plan"), "{}"), MB_OK);
    ck_assert_uint_eq(mode_of("plan"), 0640);
}
END_TEST

static void copy_with(mode_t original, mode_t own_mask, unsigned expected)
{
    char *to = strdup(scratch("copy"));
    umask(own_mask);
    ck_assert_int_eq(chmod(scratch("victim"), original), 0);
    ck_assert_int_eq(mb_io_copy(scratch("victim"), to), MB_OK);
    ck_assert_uint_eq(mode_of("copy"), expected);
    ck_assert_int_eq(unlink(to), 0);
    free(to);
}

START_TEST(a_copy_is_for_nobody_whom_the_original_is_not_for)
{
    copy_with(0600, 0, 0600);
    copy_with(0666, 027, 0640);
    copy_with(04755, 022, 0644);
}
END_TEST

START_TEST(an_archive_that_is_written_anew_stays_private)
{
    const mb_zip_source_t member = {.name = "a", .data = "b", .bytes = 1};
    int fd = -1;
    int64_t bytes = 0;
    umask(0);
    ck_assert_int_eq(chmod(scratch("victim"), 0640), 0);
    ck_assert_int_eq(mb_io_open_read(scratch("victim"), &fd, &bytes), MB_OK);
    ck_assert_int_eq(mb_zip_write_beside(fd, scratch("new.keras"), &member, 1), MB_OK);
    ck_assert_uint_eq(mode_of("new.keras"), 0640);
    close(fd);
}
END_TEST

/* From a clock, or counted, the upper bits of names that are made one after the other are alike. */
START_TEST(temporary_names_cannot_be_guessed)
{
    uint64_t ones = 0, zeros = 0, before = mb_io_nonce();
    for (int i = 0; i < 64; i++) {
        uint64_t nonce = mb_io_nonce();
        ck_assert(nonce != before);
        ones |= nonce;
        zeros |= ~nonce;
        before = nonce;
    }
    ck_assert_uint_eq(ones, UINT64_MAX);
    ck_assert_uint_eq(zeros, UINT64_MAX);
}
END_TEST

static const char *const part = "m.run/trace.json.tmp-0000000000000000";

/* The trace of one rank and one chunk, of what lies there as the rank's own; malloc'ed. */
static char *joined_trace(mb_status_t expected)
{
    const mb_chunk_edges_t edges = {.forward_in = {.n = 0}};
    int first_bucket[] = {0, 1};
    const mb_plan_t plan = {
        .stages = 1, .chunks = 1, .crossing = &edges, .first_bucket = first_bucket};
    const mb_grid_t grid = {.ranks = 1, .stages = 1, .groups = 1, .replicas = 1};
    char *paths[] = {strdup(scratch(part))};
    size_t bytes = 0;
    ck_assert_int_eq(mb_recorder_join(paths, 1, &grid, &plan, scratch("m.run/trace.json")),
                     expected);
    free(paths[0]);
    if (expected != MB_OK)
        return NULL;
    char *text = (char *)file_read(scratch("m.run/trace.json"), &bytes);
    text[bytes] = '\0';
    return text;
}

START_TEST(records_of_a_trace_that_the_plan_does_not_have_are_left_out)
{
    const mb_trace_record_t records[] = {{.end = 1, .kind = MB_ACTION_F},
                                         {.end = 1, .kind = 9999, .chunk = 77},
                                         {.end = 1, .kind = MB_ACTION_F}};
    file_write(scratch(part), records, sizeof records);
    char *text = joined_trace(MB_OK);
    const char *first = strstr(text, "\"kind\":\"F\"");
    ck_assert(first != NULL && strstr(first + 1, "\"kind\"") == NULL);
    free(text);
    put_link(part);
    joined_trace(MB_ERR_IO);
    victim_is_untouched();
}
END_TEST

START_TEST(data_that_is_a_pipe_is_refused_without_waiting)
{
    mb_data_kind_t kind;
    ck_assert_int_eq(mkfifo(scratch("pipe"), 0600), 0);
    ck_assert_int_eq(mb_data_kind(scratch("pipe"), &kind), MB_ERR_IO);
    ck_assert(message_has("not a regular file"));
}
END_TEST

START_TEST(messages_carry_no_control_characters)
{
    mb_error_set(MB_ERR_FORMAT, "layer '%s'", "\x1b]0;title\a\r\x7fname\n");
    ck_assert_str_eq(mb_error_get(), "layer '?]0;title???name\n'");
    mb_error_prefix(MB_ERR_FORMAT, "%s: ", "\x1b[2J");
    ck_assert_str_eq(mb_error_get(), "?[2J: layer '?]0;title???name\n'");
}
END_TEST

static Suite *suite(void)
{
    Suite *suite = suite_create("links");
    TCase *cases = tcase_create("links");
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_add_test(cases, a_lease_that_is_a_link_is_refused_and_not_followed);
    tcase_add_test(cases, a_lease_that_is_no_file_is_refused_without_waiting);
    tcase_add_test(cases, a_huge_lease_is_refused_unread);
    tcase_add_test(cases, a_process_number_that_no_process_has_holds_no_lease);
    tcase_add_test(cases, a_lease_from_the_future_says_what_to_do);
    tcase_add_test(cases, renewing_a_lease_makes_no_new_file);
    tcase_add_test(cases, metrics_are_not_written_through_a_link_or_into_a_pipe);
    tcase_add_test(cases, a_line_of_metrics_without_end_is_dropped);
    tcase_add_test(cases, a_link_is_replaced_by_what_takes_its_name);
    tcase_add_test(cases, no_file_of_ours_is_opened_through_a_link);
    tcase_add_test(cases, the_umask_decides_who_may_read_new_files);
    tcase_add_test(cases, a_copy_is_for_nobody_whom_the_original_is_not_for);
    tcase_add_test(cases, an_archive_that_is_written_anew_stays_private);
    tcase_add_test(cases, temporary_names_cannot_be_guessed);
    tcase_add_test(cases, records_of_a_trace_that_the_plan_does_not_have_are_left_out);
    tcase_add_test(cases, data_that_is_a_pipe_is_refused_without_waiting);
    tcase_add_test(cases, messages_carry_no_control_characters);
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
