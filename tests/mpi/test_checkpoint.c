/* Checkpoints, predictions and the run directory by several ranks, in the folder MB_SCRATCH.
 *
 *     test_checkpoint [NAME]         the cases, or those whose name contains NAME
 *     test_checkpoint write PATH     writes PATH again and again, until killed
 *     test_checkpoint verify PATH    one process: is PATH complete?
 *     test_checkpoint full PATH      one process: writing to a full file system must fail cleanly
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include "mpi/cases.h"
#include "store/predictions.h"
#include "store/run_dir.h"
#include "store/seal.h"
#include "support/encoded_files.h"
#include "support/store_files.h"

#define ROWS 30000 /* tensors of 820 KiB: several pages, several checksummed parts */
#define MOST_PIECES 4096

static const char *place(const char *name)
{
    static char buffers[4][1024];
    static int next;
    char *path = buffers[next++ % 4];
    snprintf(path, 1024, "%s/%s", getenv("MB_SCRATCH"), name);
    return path;
}

/* This rank's pieces: each tensor is cut into runs of 17 to 4113 elements, dealt out in turn, with
 * no regard to pages. */
static int deal(const sample_t *sample, mb_piece_t *pieces)
{
    int n = 0, turn = 0;
    for (int i = 0; i < SAMPLE_TENSORS; i++) {
        int64_t elements = sample->pieces[i].count;
        for (int64_t first = 0; first < elements; turn++) {
            int64_t count = 17 + (int64_t)turn * 512 % 4096;
            if (count > elements - first)
                count = elements - first;
            if (turn % cases_size == cases_rank && n < MOST_PIECES)
                pieces[n++] = (mb_piece_t){.tensor = i,
                                           .first = first,
                                           .count = count,
                                           .values = sample->values[i] + first};
            first += count;
        }
    }
    return n;
}

static mb_status_t write_dealt(mb_comm_t *comm, const sample_t *sample, const char *path)
{
    static mb_piece_t pieces[MOST_PIECES];
    return mb_checkpoint_write(comm, path, &sample->layout, pieces, deal(sample, pieces));
}

static void pieces_of_all_ranks_give_the_file_of_one_rank(void)
{
    sample_t sample;
    sample_create(&sample, ROWS, 1);
    mb_comm_t *comm = cases_comm(60);
    if (cases_rank == 0)
        EXPECT_OK(sample_write(&sample, place("one.h5")));
    EXPECT_OK(write_dealt(comm, &sample, place("all.h5")));
    if (cases_rank == 0)
        EXPECT(files_equal(place("one.h5"), place("all.h5")));
    EXPECT(sample_is_in(&sample, place("all.h5")));
    mb_comm_destroy(comm);
    sample_free(&sample);
}

/* Encoded tensors go round the ranks whole; the float32 one is dealt out by element. */
static void encoded_tensors_of_all_ranks_give_the_file_of_one_rank(void)
{
    static encoded_sample_t sample;
    static mb_piece_t pieces[2 * ENCODED_TENSORS];
    encoded_sample_create(&sample);
    mb_comm_t *comm = cases_comm(60);
    if (cases_rank == 0)
        EXPECT_OK(encoded_sample_write(&sample, place("encoded1.h5")));
    int n = 0;
    for (int i = 0; i < ENCODED_TENSORS; i++) {
        const mb_piece_t *whole = &sample.pieces[i];
        if (whole->encoded != NULL && i % cases_size == cases_rank)
            pieces[n++] = *whole;
        for (int64_t first = cases_rank; first < whole->count; first += cases_size)
            pieces[n++] = (mb_piece_t){
                .tensor = i, .first = first, .count = 1, .values = whole->values + first};
    }
    EXPECT_OK(mb_checkpoint_write(comm, place("encoded.h5"), &sample.layout, pieces, n));
    if (cases_rank == 0)
        EXPECT(files_equal(place("encoded1.h5"), place("encoded.h5")));
    mb_seal_state_t state = MB_SEAL_NONE;
    int64_t step = 0;
    EXPECT_OK(mb_seal_check_file(place("encoded.h5"), &state, &step));
    EXPECT(state == MB_SEAL_HOLDS);
    mb_comm_destroy(comm);
    encoded_sample_free(&sample);
}

static void an_encoded_tensor_given_by_two_ranks_fails_on_all(void)
{
    static encoded_sample_t sample;
    encoded_sample_create(&sample);
    mb_comm_t *comm = cases_comm(60);
    const char *path = place("twice.h5");
    int n = cases_rank == 0 ? ENCODED_TENSORS : cases_rank == 1 ? 1 : 0;
    mb_status_t status = mb_checkpoint_write(comm, path, &sample.layout, sample.pieces, n);
    EXPECT(status == (cases_size > 1 ? MB_ERR_INTERNAL : MB_OK));
    EXPECT(mb_comm_barrier(comm) == MB_OK);
    EXPECT(file_exists(path) == (cases_size == 1));
    mb_comm_destroy(comm);
    encoded_sample_free(&sample);
}

static bool leftovers(void)
{
    char command[1200];
    snprintf(command, sizeof(command), "ls '%s' | grep -q 'tmp-'", getenv("MB_SCRATCH"));
    return system(command) == 0;
}

static void a_piece_missing_on_one_rank_fails_on_all(void)
{
    sample_t sample;
    sample_create(&sample, 50, 2);
    mb_comm_t *comm = cases_comm(60);
    const char *path = place("missing.h5");
    int n = cases_rank == 0 ? SAMPLE_TENSORS - 1 : 0;
    EXPECT(mb_checkpoint_write(comm, path, &sample.layout, sample.pieces, n) == MB_ERR_INTERNAL);
    EXPECT(strstr(mb_error_get(), "velocity/dense/bias") != NULL);
    EXPECT(mb_comm_barrier(comm) == MB_OK);
    EXPECT(!file_exists(path) && !leftovers());
    mb_comm_destroy(comm);
    sample_free(&sample);
}

static void a_rank_that_cannot_write_fails_all_and_keeps_the_old_file(void)
{
    sample_t sample, other;
    sample_create(&sample, ROWS, 3);
    sample_create(&other, ROWS, 4);
    mb_comm_t *comm = cases_comm(60);
    const char *path = place("old.h5");
    EXPECT_OK(write_dealt(comm, &sample, path));
    struct rlimit old, none;
    getrlimit(RLIMIT_FSIZE, &old);
    none = old;
    none.rlim_cur = 100000;
    signal(SIGXFSZ, SIG_IGN);
    if (cases_rank == cases_size - 1)
        setrlimit(RLIMIT_FSIZE, &none);
    mb_status_t status = write_dealt(comm, &other, path);
    setrlimit(RLIMIT_FSIZE, &old);
    EXPECT(status == MB_ERR_IO);
    EXPECT(strstr(mb_error_get(), "raise the limit") != NULL);
    EXPECT(mb_comm_barrier(comm) == MB_OK);
    EXPECT(sample_is_in(&sample, path));
    EXPECT(!leftovers());
    mb_comm_destroy(comm);
    sample_free(&other);
    sample_free(&sample);
}

static mb_status_t say_no(void *user)
{
    (void)user;
    return mb_error_set(MB_ERR_BUSY, "taken over");
}

static void a_veto_on_rank_0_reaches_all_ranks(void)
{
    sample_t sample;
    sample_create(&sample, 50, 5);
    sample.layout.may_commit = say_no;
    mb_comm_t *comm = cases_comm(60);
    EXPECT(write_dealt(comm, &sample, place("veto.h5")) == MB_ERR_BUSY);
    EXPECT(strcmp(mb_error_get(), "taken over") == 0);
    EXPECT(mb_comm_barrier(comm) == MB_OK);
    EXPECT(!file_exists(place("veto.h5")) && !leftovers());
    mb_comm_destroy(comm);
    sample_free(&sample);
}

static void predictions_of_all_ranks_stand_in_one_file(void)
{
    enum { SAMPLES = 101 };
    const mb_tensor_spec_t output = {.name = "y", .shape = {1, {5}}};
    mb_comm_t *comm = cases_comm(60);
    mb_predictions_t *predictions = NULL;
    EXPECT_OK(mb_predictions_create(comm, place("p.h5"), 1, &output, SAMPLES, &predictions));
    for (int i = cases_rank; i < SAMPLES; i += cases_size) {
        float values[5];
        for (int k = 0; k < 5; k++)
            values[k] = (float)(5 * i + k);
        EXPECT_OK(mb_predictions_write(predictions, 0, i, 1, values));
    }
    EXPECT_OK(mb_predictions_commit(predictions, MB_OK));
    float read[SAMPLES * 5];
    hid_t file = H5Fopen(place("p.h5"), H5F_ACC_RDONLY, H5P_DEFAULT);
    hid_t dataset = H5Dopen2(file, "y", H5P_DEFAULT);
    EXPECT(H5Dread(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, read) >= 0);
    H5Dclose(dataset);
    H5Fclose(file);
    for (int i = 0; i < SAMPLES * 5; i++)
        EXPECT(read[i] == (float)i);
    mb_comm_destroy(comm);
}

static void all_ranks_go_on_from_the_same_checkpoint(void)
{
    sample_t sample;
    sample_create(&sample, 50, 6);
    mb_comm_t *comm = cases_comm(60);
    mb_run_dir_t *dir = NULL;
    char *newest = NULL;
    bool finished = true;
    EXPECT_OK(mb_run_dir_open(comm, place("m.run"), &dir));
    EXPECT_OK(mb_run_dir_newest(dir, &newest, &finished));
    EXPECT(newest == NULL && !finished);
    sample.layout.may_commit = mb_run_dir_check;
    sample.layout.may_commit_user = dir;
    EXPECT_OK(write_dealt(comm, &sample, place("m.run/step-00000007.h5")));
    EXPECT_OK(mb_run_dir_newest(dir, &newest, &finished));
    EXPECT(newest != NULL && strcmp(newest, place("m.run/step-00000007.h5")) == 0 && !finished);
    free(newest);
    EXPECT_OK(mb_run_dir_prune(dir, 0, -1));
    EXPECT_OK(mb_comm_barrier(comm));
    EXPECT(!file_exists(place("m.run/step-00000007.h5")));
    EXPECT_OK(mb_comm_barrier(comm));
    mb_run_dir_close(dir);
    mb_comm_destroy(comm);
    sample_free(&sample);
}

/* The same relative path in different folders is what hosts without a shared file system see. */
static void a_directory_that_is_not_shared_is_refused(void)
{
    char folder[64];
    snprintf(folder, sizeof(folder), "host%d", cases_rank);
    EXPECT(mkdir(place(folder), 0700) == 0);
    EXPECT(chdir(place(folder)) == 0);
    mb_comm_t *comm = cases_comm(60);
    mb_run_dir_t *dir = NULL;
    mb_status_t status = mb_run_dir_open(comm, "m.run", &dir);
    if (cases_size == 1) {
        EXPECT(status == MB_OK);
    } else {
        EXPECT(status == MB_ERR_IO);
        EXPECT(strstr(mb_error_get(), "not shared") != NULL);
        EXPECT(mb_comm_barrier(comm) == MB_OK);
        EXPECT(!file_exists("m.run/lease"));
    }
    mb_run_dir_close(dir);
    mb_comm_destroy(comm);
    EXPECT(chdir("/") == 0);
}

static int write_until_killed(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &cases_rank);
    MPI_Comm_size(MPI_COMM_WORLD, &cases_size);
    sample_t sample;
    sample_create(&sample, 2000, 7);
    mb_comm_t *comm = cases_comm(60);
    mb_status_t status = MB_OK;
    for (int step = 1; status == MB_OK; step++) {
        sample.layout.state.step = step;
        sample.values[0][0] = (float)step;
        status = write_dealt(comm, &sample, argv[2]);
    }
    fprintf(stderr, "%s\n", mb_error_get());
    return 1;
}

static int verify(const char *path)
{
    mb_model_file_t *file = NULL;
    if (mb_model_file_open(path, true, true, &file) != MB_OK) {
        printf("%s\n", mb_error_get());
        return 1;
    }
    float *values = calloc(14000, sizeof(float));
    bool complete = file->seal == MB_SEAL_HOLDS &&
                    mb_stored_tensor_read(file, &file->layers[0].weights[0], values) == MB_OK &&
                    values[0] == (float)file->state.step;
    printf("step %lld, %s\n", (long long)file->state.step, complete ? "complete" : "broken");
    free(values);
    mb_model_file_close(file);
    return complete ? 0 : 1;
}

/* The folder holds about a megabyte: a file of 170 KB fits, one of 2.5 MB does not. */
static int fill_up(const char *path)
{
    sample_t sample, large;
    sample_create(&sample, 2000, 8);
    sample_create(&large, ROWS, 8);
    bool right = sample_write(&sample, path) == MB_OK && sample_write(&large, path) == MB_ERR_IO;
    right = right && message_has("free space") && sample_is_in(&sample, path);
    setenv("MB_SCRATCH", ".", 0);
    right = right && !leftovers() && sample_write(&sample, path) == MB_OK;
    printf("%s\n", right ? "as it should be" : mb_error_get());
    return right ? 0 : 1;
}

int main(int argc, char **argv)
{
    static const case_t cases[] = {
#define CASE(name) {#name, name}
        CASE(pieces_of_all_ranks_give_the_file_of_one_rank),
        CASE(encoded_tensors_of_all_ranks_give_the_file_of_one_rank),
        CASE(an_encoded_tensor_given_by_two_ranks_fails_on_all),
        CASE(a_piece_missing_on_one_rank_fails_on_all),
        CASE(a_rank_that_cannot_write_fails_all_and_keeps_the_old_file),
        CASE(a_veto_on_rank_0_reaches_all_ranks),
        CASE(predictions_of_all_ranks_stand_in_one_file),
        CASE(all_ranks_go_on_from_the_same_checkpoint),
        CASE(a_directory_that_is_not_shared_is_refused),
#undef CASE
    };
    if (argc == 3 && strcmp(argv[1], "write") == 0)
        return write_until_killed(argc, argv);
    if (argc == 3 && strcmp(argv[1], "verify") == 0)
        return verify(argv[2]);
    if (argc == 3 && strcmp(argv[1], "full") == 0)
        return fill_up(argv[2]);
    return cases_main(argc, argv, cases, (int)(sizeof(cases) / sizeof(cases[0])));
}
