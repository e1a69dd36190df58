/* Training beside a program of one rank: steps under way, and steps within a time. */
#define _GNU_SOURCE
#include "unit/api_ring.h"

#include <hdf5.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* MPI was started for one thread that calls it: whoever else does is counted. */
static pthread_t first_thread;
static atomic_int calls_elsewhere;

static void note_call(void)
{
    if (!pthread_equal(first_thread, pthread_self()))
        atomic_fetch_add(&calls_elsewhere, 1);
}

int MPI_Test(MPI_Request *request, int *flag, MPI_Status *status)
{
    note_call();
    return PMPI_Test(request, flag, status);
}

int MPI_Testall(int count, MPI_Request requests[], int *flag, MPI_Status statuses[])
{
    note_call();
    return PMPI_Testall(count, requests, flag, statuses);
}

int MPI_Iallreduce(const void *from, void *to, int count, MPI_Datatype type, MPI_Op op,
                   MPI_Comm comm, MPI_Request *request)
{
    note_call();
    return PMPI_Iallreduce(from, to, count, type, op, comm, request);
}

int MPI_Iprobe(int source, int tag, MPI_Comm comm, int *flag, MPI_Status *status)
{
    note_call();
    return PMPI_Iprobe(source, tag, comm, flag, status);
}

int MPI_Irecv(void *to, int count, MPI_Datatype type, int from, int tag, MPI_Comm comm,
              MPI_Request *request)
{
    note_call();
    return PMPI_Irecv(to, count, type, from, tag, comm, request);
}

int MPI_Isend(const void *data, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm,
              MPI_Request *request)
{
    note_call();
    return PMPI_Isend(data, count, type, to, tag, comm, request);
}

static void write_chunks(hid_t file, const char *name, hid_t type, int rank, const void *data)
{
    hsize_t shape[2] = {RING_SAMPLES, 2}, chunk[2] = {32, 2};
    hid_t form = H5Pcreate(H5P_DATASET_CREATE), space = H5Screate_simple(rank, shape, NULL);
    H5Pset_chunk(form, rank, chunk);
    hid_t set = H5Dcreate2(file, name, type, space, H5P_DEFAULT, form, H5P_DEFAULT);
    ck_assert_int_ge(H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data), 0);
    H5Dclose(set);
    H5Sclose(space);
    H5Pclose(form);
}

/* Data that HDF5 itself reads, which only the program's thread may enter. */
static mb_trainer_t *file_trainer(void)
{
    mb_trainer_t *trainer = NULL;
    hid_t file = H5Fcreate("ring-data.h5", H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    write_chunks(file, "x", H5T_NATIVE_FLOAT, 2, ring_x);
    write_chunks(file, "y", H5T_NATIVE_INT32, 1, ring_y);
    ck_assert_int_ge(H5Fclose(file), 0);
    OK(mb_trainer_create(ring_context, "ring.h5", &trainer));
    OK(mb_trainer_set(trainer, "batch", "16"));
    OK(mb_trainer_set(trainer, "lr", "0.02"));
    OK(mb_trainer_set(trainer, "epochs", "20"));
    OK(mb_trainer_set(trainer, "data", "ring-data.h5"));
    return trainer;
}

static uint64_t digest_of(mb_trainer_t *trainer)
{
    OK(mb_trainer_save(trainer, "digest.h5", 1));
    return ring_digest("digest.h5");
}

static uint64_t digest_of_steps(int steps)
{
    mb_trainer_t *trainer = ring_trainer("20");
    for (int i = 0; i < steps; i++)
        OK(mb_trainer_step(trainer, NULL, NULL));
    uint64_t digest = digest_of(trainer);
    OK(mb_trainer_destroy(trainer));
    return digest;
}

typedef struct {
    atomic_int calls, elsewhere;
    mb_trainer_t *stops; /* NULL: not */
    int at;
} seen_t;

static void see(void *user, const mb_trainer_t *trainer)
{
    seen_t *seen = user;
    int calls = atomic_fetch_add(&seen->calls, 1) + 1;
    if (!pthread_equal(first_thread, pthread_self()))
        atomic_fetch_add(&seen->elsewhere, 1);
    ck_assert(ring_number(trainer, "step") == calls);
    if (seen->stops != NULL && calls == seen->at)
        OK(mb_trainer_stop(seen->stops));
}

START_TEST(submitted_steps_have_the_bits_of_steps_and_call_no_mpi_from_a_thread)
{
    seen_t seen = {0};
    mb_trainer_t *trainer = ring_trainer("20");
    OK(mb_trainer_start(trainer));
    OK(mb_trainer_set_callback(trainer, see, &seen));
    atomic_store(&calls_elsewhere, 0);
    OK(mb_trainer_submit(trainer, 25));
    OK(mb_trainer_wait(trainer));
    ck_assert_int_eq(atomic_load(&seen.calls), 25);
    ck_assert_int_eq(atomic_load(&seen.elsewhere), 25);
    ck_assert_int_eq(atomic_load(&calls_elsewhere), 0);
    ck_assert(ring_number(trainer, "step") == 25);
    ck_assert_uint_eq(digest_of(trainer), digest_of_steps(25));
    OK(mb_trainer_submit(trainer, 1000));
    OK(mb_trainer_wait(trainer));
    ck_assert(ring_number(trainer, "step") == 120);
    OK(mb_trainer_destroy(trainer));
}
END_TEST

START_TEST(a_thread_goes_on_by_itself)
{
    int done = 0;
    mb_trainer_t *trainer = ring_trainer("20");
    OK(mb_trainer_submit(trainer, 10));
    for (int i = 0; i < 10000 && !done; i++) {
        usleep(1000);
        OK(mb_trainer_test(trainer, 0, &done));
    }
    ck_assert_int_eq(done, 1);
    OK(mb_trainer_wait(trainer));
    OK(mb_trainer_wait(trainer)); /* nothing is under way */
    OK(mb_trainer_test(trainer, 0, &done));
    ck_assert_int_eq(done, 1);
    OK(mb_trainer_destroy(trainer));
}
END_TEST

START_TEST(what_reads_hdf5_goes_on_in_the_programs_thread_alone)
{
    seen_t seen = {0};
    int done = 0, tests = 0;
    mb_trainer_t *trainer = file_trainer();
    OK(mb_trainer_set_callback(trainer, see, &seen));
    OK(mb_trainer_submit(trainer, 25));
    usleep(20000);
    ck_assert_int_eq(atomic_load(&seen.calls), 0);
    while (!done) {
        OK(mb_trainer_test(trainer, 0, &done));
        ck_assert_int_le(atomic_load(&seen.calls), ++tests);
    }
    OK(mb_trainer_wait(trainer));
    ck_assert_int_eq(atomic_load(&seen.calls), 25);
    ck_assert_int_eq(atomic_load(&seen.elsewhere), 0);
    OK(mb_trainer_submit(trainer, 5));
    OK(mb_trainer_wait(trainer));
    ck_assert_uint_ne(digest_of(trainer), 0);
    ck_assert(ring_number(trainer, "step") == 30);
    OK(mb_trainer_destroy(trainer));
}
END_TEST

/* Both ways. */
static void expect_stop(mb_trainer_t *trainer)
{
    seen_t seen = {.stops = trainer, .at = 7};
    OK(mb_trainer_set_callback(trainer, see, &seen));
    OK(mb_trainer_submit(trainer, 100));
    REFUSED(mb_trainer_wait(trainer), MB_ERR_STOPPED, "stopped");
    int calls = atomic_load(&seen.calls);
    ck_assert_int_ge(calls, 7);
    ck_assert_int_le(calls, 8);
    seen.stops = NULL;
    OK(mb_trainer_submit(trainer, 1));
    OK(mb_trainer_wait(trainer));
    ck_assert(ring_number(trainer, "step") == calls + 1);
    OK(mb_trainer_destroy(trainer));
}

START_TEST(a_stop_ends_steps_under_way_and_others_may_follow)
{
    expect_stop(ring_trainer("20"));
    expect_stop(file_trainer());
}
END_TEST

START_TEST(a_trainer_is_destroyed_while_steps_are_under_way)
{
    mb_trainer_t *trainer = ring_trainer("1000000");
    OK(mb_trainer_submit(trainer, 1000000));
    OK(mb_trainer_destroy(trainer));
    trainer = file_trainer();
    int done = 1;
    OK(mb_trainer_submit(trainer, 100));
    OK(mb_trainer_test(trainer, 0, &done));
    ck_assert_int_eq(done, 0);
    OK(mb_trainer_destroy(trainer));
}
END_TEST

START_TEST(a_failure_under_way_is_told_by_the_wait)
{
    mb_trainer_t *trainer = ring_trainer("20");
    OK(mb_trainer_set(trainer, "optimizer", "sgd"));
    OK(mb_trainer_set(trainer, "lr", "1e30"));
    OK(mb_trainer_submit(trainer, 100));
    REFUSED(mb_trainer_wait(trainer), MB_ERR_NUMERIC, "loss is");
    OK(mb_trainer_destroy(trainer));
}
END_TEST

START_TEST(a_context_is_busy_meanwhile)
{
    double number;
    int64_t steps;
    static float logits[RING_SAMPLES][2];
    mb_trainer_t *trainer = file_trainer(), *other = ring_trainer("1");
    mb_predictor_t *predictor = ring_predictor("ring.h5", logits);
    mb_predictor_t *free = ring_predictor("ring.h5", logits);
    OK(mb_predictor_set(free, "independent", "yes"));
    REFUSED(mb_trainer_submit(trainer, 0), MB_ERR_ARGUMENT, "at least 1");
    OK(mb_trainer_submit(trainer, 10));
    REFUSED(mb_trainer_submit(trainer, 1), MB_ERR_BUSY, "mb_trainer_wait");
    REFUSED(mb_trainer_step(trainer, NULL, NULL), MB_ERR_BUSY, "mb_trainer_step");
    REFUSED(mb_trainer_run(trainer), MB_ERR_BUSY, "mb_trainer_run");
    REFUSED(mb_trainer_run_for(trainer, 1, &steps), MB_ERR_BUSY, "mb_trainer_run_for");
    REFUSED(mb_trainer_save(trainer, "x.h5", 1), MB_ERR_BUSY, "mb_trainer_save");
    REFUSED(mb_trainer_get(trainer, "step", &number), MB_ERR_BUSY, "mb_trainer_get");
    REFUSED(mb_trainer_start(other), MB_ERR_BUSY, "mb_trainer_start");
    REFUSED(mb_predictor_run(predictor), MB_ERR_BUSY, "mb_predictor_run");
    REFUSED(mb_predictor_load_trainer(free, trainer), MB_ERR_BUSY, "load_trainer");
    OK(mb_predictor_run(free));
    OK(mb_trainer_wait(trainer));
    OK(mb_predictor_run(predictor));
    OK(mb_predictor_destroy(free));
    OK(mb_predictor_destroy(predictor));
    OK(mb_trainer_destroy(other));
    OK(mb_trainer_destroy(trainer));
}
END_TEST

static double now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + 1e-9 * (double)at.tv_nsec;
}

START_TEST(a_time_holds_whole_steps_and_none_that_does_not_fit)
{
    int64_t steps = -1, all = 0;
    mb_trainer_t *trainer = ring_trainer("1000000");
    OK(mb_trainer_run_for(trainer, 0, &steps));
    ck_assert_int_eq(steps, 0);
    for (int i = 0; i < 3; i++) {
        OK(mb_trainer_run_for(trainer, 0.02, &steps));
        all += steps;
    }
    ck_assert_int_ge(all, 3);
    ck_assert(ring_number(trainer, "step") == (double)all);
    OK(mb_trainer_run_for(trainer, 1e-9, &steps)); /* no step takes less */
    ck_assert_int_eq(steps, 0);
    REFUSED(mb_trainer_run_for(trainer, NAN, &steps), MB_ERR_ARGUMENT, "seconds");
    REFUSED(mb_trainer_run_for(trainer, -1, &steps), MB_ERR_ARGUMENT, "seconds");
    REFUSED(mb_trainer_run_for(trainer, 1, NULL), MB_ERR_ARGUMENT, "steps");
    OK(mb_trainer_destroy(trainer));
}
END_TEST

START_TEST(steps_within_a_time_have_the_bits_of_steps_and_end_with_the_total)
{
    int64_t steps = 0;
    mb_trainer_t *trainer = ring_trainer("20");
    OK(mb_trainer_run_for(trainer, INFINITY, &steps));
    ck_assert_int_eq(steps, 120);
    ck_assert_uint_eq(digest_of(trainer), digest_of_steps(120));
    OK(mb_trainer_run_for(trainer, INFINITY, &steps));
    ck_assert_int_eq(steps, 0);
    OK(mb_trainer_destroy(trainer));
}
END_TEST

/* What training may take is SHARE of the time outside; it goes beyond by one step, or QUANTUM's
 * (trainer_run_for.c), at the end of a call alone. The longest call bounds that, however slow the
 * machine. */
START_TEST(training_takes_no_more_than_its_share_of_the_time_between_calls)
{
    double outside = 0, inside = 0, longest = 0, ended = 0;
    int64_t steps, all = 0;
    mb_trainer_t *trainer = ring_trainer("1000000");
    OK(mb_trainer_set(trainer, "share", "25%"));
    OK(mb_trainer_start(trainer));
    for (int call = 0; call < 12; call++) {
        double begun = now();
        OK(mb_trainer_run_for(trainer, INFINITY, &steps));
        double took = now() - begun;
        ck_assert(call > 0 || steps == 0);
        outside += call > 0 ? begun - ended : 0;
        inside += took;
        longest = took > longest ? took : longest;
        ended = now();
        all += steps;
        usleep(8000);
    }
    ck_assert_int_gt(all, 0);
    ck_assert_double_le(inside, 0.25 * outside + longest);
    OK(mb_trainer_destroy(trainer));
}
END_TEST

static mb_reservoir_t *ring_reservoir(mb_context_t *context)
{
    const int64_t two[1] = {2};
    mb_reservoir_t *reservoir;
    OK(mb_reservoir_create(context, "newest", RING_SAMPLES, 0, &reservoir));
    OK(mb_reservoir_set_shape(reservoir, "x", MB_FLOAT32, 1, two));
    OK(mb_reservoir_set_shape(reservoir, "y", MB_INT32, 0, NULL));
    return reservoir;
}

/* As above; each call's samples are new, so that most of what training takes is renewing. */
START_TEST(samples_that_are_taken_in_count_for_the_share)
{
    const void *samples[2] = {ring_x, ring_y};
    double outside = 0, inside = 0, longest = 0;
    int64_t steps;
    mb_trainer_t *trainer = ring_trainer_without("1000000");
    mb_reservoir_t *reservoir = ring_reservoir(ring_context);
    OK(mb_reservoir_add(reservoir, RING_SAMPLES, samples));
    OK(mb_trainer_set_reservoir(trainer, reservoir));
    OK(mb_trainer_set(trainer, "share", "25%"));
    OK(mb_trainer_start(trainer));
    OK(mb_trainer_run_for(trainer, INFINITY, &steps));
    for (int call = 0; call < 12; call++) {
        double ended = now();
        usleep(4000);
        double begun = now();
        outside += begun - ended;
        for (int i = 0; i < 8 && call % 4 == 0; i++)
            OK(mb_reservoir_add(reservoir, RING_SAMPLES, samples));
        if (call % 4 == 0)
            OK(mb_trainer_renew(trainer));
        OK(mb_trainer_run_for(trainer, INFINITY, &steps));
        double took = now() - begun;
        inside += took;
        longest = took > longest ? took : longest;
    }
    ck_assert_double_le(inside, 0.25 * outside + longest);
    OK(mb_trainer_destroy(trainer));
    OK(mb_reservoir_destroy(reservoir));
}
END_TEST

START_TEST(a_share_that_is_none_is_refused)
{
    mb_trainer_t *trainer = ring_trainer("1");
    REFUSED(mb_trainer_set(trainer, "share", "much"), MB_ERR_ARGUMENT, "20%");
    REFUSED(mb_trainer_set(trainer, "share", "0"), MB_ERR_ARGUMENT, "20%");
    REFUSED(mb_trainer_set(trainer, "share", "-5%"), MB_ERR_ARGUMENT, "20%");
    REFUSED(mb_trainer_set(trainer, "share", "20 percent"), MB_ERR_ARGUMENT, "20%");
    OK(mb_trainer_set(trainer, "share", "0.2"));
    OK(mb_trainer_destroy(trainer));
}
END_TEST

int main(int argc, char **argv)
{
    Suite *suite = suite_create("training beside a program");
    TCase *cases = tcase_create("beside");
    first_thread = pthread_self();
    tcase_add_checked_fixture(cases, ring_begin, ring_end);
    tcase_add_test(cases, submitted_steps_have_the_bits_of_steps_and_call_no_mpi_from_a_thread);
    tcase_add_test(cases, a_thread_goes_on_by_itself);
    tcase_add_test(cases, what_reads_hdf5_goes_on_in_the_programs_thread_alone);
    tcase_add_test(cases, a_stop_ends_steps_under_way_and_others_may_follow);
    tcase_add_test(cases, a_trainer_is_destroyed_while_steps_are_under_way);
    tcase_add_test(cases, a_failure_under_way_is_told_by_the_wait);
    tcase_add_test(cases, a_context_is_busy_meanwhile);
    tcase_add_test(cases, a_time_holds_whole_steps_and_none_that_does_not_fit);
    tcase_add_test(cases, steps_within_a_time_have_the_bits_of_steps_and_end_with_the_total);
    tcase_add_test(cases, training_takes_no_more_than_its_share_of_the_time_between_calls);
    tcase_add_test(cases, samples_that_are_taken_in_count_for_the_share);
    tcase_add_test(cases, a_share_that_is_none_is_refused);
    suite_add_tcase(suite, cases);
    return ring_main(argc, argv, suite);
}
