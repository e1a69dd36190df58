/* Thousands of ranks write one checkpoint: what rank 0 has to do with it does not grow with them,
 * and they meet in no page of the file. They live in one process (comm/virtual.h), which counts
 * their messages. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "comm/virtual.h"
#include "store/checkpoint_layout.h"
#include "support/store_files.h"

#define ROWS 30000 /* tensors of 820 KiB: 2.5 MiB, and one block of the seal */
enum { FEW = 64, MANY = 4096, SPARE_FILES = 64 };

typedef struct {
    sample_t sample;
    const char *path;
    bool left_out; /* the last rank has no part of the last tensor */
    mb_virtual_traffic_t of_rank_0;
} job_t;

/* Every rank syncs its part, which is not what takes time here. */
static void leave_disk(void)
{
    if (access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 1);
}

/* Every rank's file is open at one time. */
static int most_ranks(void)
{
    struct rlimit files;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &files), 0);
    files.rlim_cur = files.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &files), 0);
    return files.rlim_cur < MANY + SPARE_FILES ? (int)files.rlim_cur - SPARE_FILES : MANY;
}

/* Consecutive elements of each tensor. */
static int cut(const job_t *job, const mb_comm_t *comm, mb_piece_t *pieces)
{
    int64_t rank = mb_comm_rank(comm), size = mb_comm_size(comm);
    int n = SAMPLE_TENSORS - (job->left_out && rank == size - 1);
    for (int i = 0; i < n; i++) {
        int64_t count = job->sample.pieces[i].count;
        int64_t first = count * rank / size, end = count * (rank + 1) / size;
        pieces[i] = (mb_piece_t){i, first, end - first, job->sample.values[i] + first, NULL};
    }
    return n;
}

static mb_status_t save(void *user, mb_comm_t *comm)
{
    job_t *job = user;
    mb_piece_t pieces[SAMPLE_TENSORS];
    int n = cut(job, comm, pieces);
    mb_status_t status = mb_checkpoint_write(comm, job->path, &job->sample.layout, pieces, n);
    if (mb_comm_rank(comm) == 0)
        job->of_rank_0 = mb_virtual_traffic(comm);
    return status;
}

static mb_status_t run(int ranks, job_t *job)
{
    mb_virtual_t *world;
    const mb_virtual_times_t times = {.move = NULL};
    ck_assert_int_eq(mb_virtual_create(ranks, &times, &world), MB_OK);
    mb_status_t status = mb_virtual_run(world, save, job);
    mb_virtual_destroy(world);
    return status;
}

static int log2_of(int ranks)
{
    int rounds = 0;
    while (1 << rounds < ranks)
        rounds++;
    return rounds;
}

/* Agreements, broadcasts and sums, ROUNDS messages up and down of each. What they carry is the
 * places of the file's tensors and a number for each of its blocks. */
static void check_traffic(mb_virtual_traffic_t traffic, int ranks)
{
    enum { COLLECTIVE_CALLS = 16, A_CALL = 64, A_BLOCK = 24 };
    const int64_t places = SAMPLE_TENSORS * MB_PART_COUNT + 1;
    int rounds = log2_of(ranks);
    ck_assert_int_le(traffic.messages, 2 * COLLECTIVE_CALLS * rounds);
    ck_assert_int_le(traffic.bytes,
                     rounds * (places * 8 + A_BLOCK + 2 * COLLECTIVE_CALLS * A_CALL));
}

START_TEST(thousands_of_writers_cost_rank_0_a_few_messages)
{
    static job_t job;
    scratch_create();
    int most = most_ranks();
    const int ranks[] = {FEW, most};
    sample_create(&job.sample, ROWS, 3);
    ck_assert_int_eq(sample_write(&job.sample, scratch("one.h5")), MB_OK);
    job.path = scratch("all.h5");
    for (int i = 0; i < 2; i++) {
        ck_assert_msg(run(ranks[i], &job) == MB_OK, "%s", mb_error_get());
        check_traffic(job.of_rank_0, ranks[i]);
        ck_assert(files_equal(scratch("one.h5"), job.path));
    }
    sample_free(&job.sample);
    scratch_remove();
}
END_TEST

START_TEST(a_part_that_no_writer_has_is_named)
{
    static job_t job;
    scratch_create();
    sample_create(&job.sample, 50, 3);
    job.path = scratch("all.h5");
    job.left_out = true;
    ck_assert_int_eq(run(5, &job), MB_ERR_INTERNAL);
    ck_assert(message_has("element 5 of 'velocity/dense/bias' is in no rank's piece"));
    ck_assert_int_eq(scratch_count("all.h5"), 0);
    sample_free(&job.sample);
    scratch_remove();
}
END_TEST

enum { PAGE = 4096, STRIPE = 256 << 10 };

/* Whose the pages of bytes [from, from + bytes) are; 0: nobody's yet. */
static void take_pages(int *owners, int64_t from, int64_t bytes, int owner)
{
    for (int64_t page = from / PAGE; page * PAGE < from + bytes; page++) {
        ck_assert(owners[page] == 0);
        owners[page] = owner;
    }
}

/* What HDF5 has written lies in pages that no tensor has. */
static void check_rest(const char *path, const int *owners)
{
    size_t bytes;
    unsigned char *file = file_read(path, &bytes);
    for (size_t i = 0; i < bytes; i++)
        ck_assert(file[i] == 0 || owners[i / PAGE] == 0);
    free(file);
}

START_TEST(data_that_stands_apart_shares_no_page_and_begins_on_stripes)
{
    static sample_t sample;
    static int owners[100 << 10];
    scratch_create();
    const char *path = scratch("laid_out.h5");
    sample_create(&sample, 3 * ROWS, 3);
    sample.layout.align = STRIPE;
    int64_t *places = calloc(mb_checkpoint_numbers(&sample.layout), sizeof *places);
    ck_assert_int_eq(mb_checkpoint_create(path, path, &sample.layout, places), MB_OK);
    for (int i = 0; i < SAMPLE_TENSORS; i++) {
        int64_t bytes = mb_checkpoint_part_bytes(&sample.tensors[i], MB_PART_VALUES);
        int64_t at = places[i * MB_PART_COUNT];
        ck_assert_int_eq(at % (bytes >= 8 * STRIPE ? STRIPE : PAGE), 0);
        take_pages(owners, at, bytes, i + 1);
    }
    check_rest(path, owners);
    ck_assert_int_eq(sample_write(&sample, path), MB_OK);
    ck_assert(sample_is_in(&sample, path));
    free(places);
    sample_free(&sample);
    scratch_remove();
}
END_TEST

int main(void)
{
    leave_disk();
    Suite *suite = suite_create("writers");
    TCase *cases = tcase_create("many");
    tcase_set_timeout(cases, 120);
    tcase_add_test(cases, thousands_of_writers_cost_rank_0_a_few_messages);
    tcase_add_test(cases, a_part_that_no_writer_has_is_named);
    tcase_add_test(cases, data_that_stands_apart_shares_no_page_and_begins_on_stripes);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
