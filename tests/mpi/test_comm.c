/* The communicator: small collective calls, the one wait, and how failures spread. */
#define _DEFAULT_SOURCE /* fork, usleep under -std=c11 */
#include "comm/state.h"
#include "mpi/cases.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static unsigned char pattern(size_t i, int seed)
{
    return (unsigned char)(i * 31 + (size_t)seed * 7 + (i >> 8));
}

static void fill(unsigned char *data, size_t bytes, int seed)
{
    for (size_t i = 0; i < bytes; i++)
        data[i] = pattern(i, seed);
}

static bool matches(const unsigned char *data, size_t bytes, int seed)
{
    for (size_t i = 0; i < bytes; i++) {
        if (data[i] != pattern(i, seed))
            return false;
    }
    return true;
}

static void ranks_know_their_place(void)
{
    int result;
    mb_comm_t *comm = cases_comm(20);
    EXPECT(mb_comm_rank(comm) == cases_rank);
    EXPECT(mb_comm_size(comm) == cases_size);
    EXPECT(mb_comm_local_rank(comm) == cases_rank);
    EXPECT(mb_comm_local_size(comm) == cases_size);
    EXPECT(strlen(mb_comm_host(comm)) > 0);
    MPI_Comm_compare(MPI_COMM_WORLD, comm->data, &result);
    EXPECT(result == MPI_CONGRUENT);
    mb_comm_destroy(comm);
}

static void the_hosts_error_handler_stays(void)
{
    MPI_Errhandler before, after;
    MPI_Comm_get_errhandler(MPI_COMM_WORLD, &before);
    mb_comm_t *comm = cases_comm(20);
    MPI_Comm_get_errhandler(MPI_COMM_WORLD, &after);
    EXPECT(before == after);
    mb_comm_destroy(comm);
}

/* The monotonic clock is one for all ranks of a machine. */
static void nobody_leaves_a_barrier_before_the_last_one_came(void)
{
    double last, first;
    mb_comm_t *comm = cases_comm(20);
    for (int late = 0; late < cases_size; late++) {
        if (cases_rank == late)
            cases_sleep(0.01);
        double came = mb_time_seconds();
        EXPECT_OK(mb_comm_barrier(comm));
        double left = mb_time_seconds();
        MPI_Allreduce(&came, &last, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
        MPI_Allreduce(&left, &first, 1, MPI_DOUBLE, MPI_MIN, MPI_COMM_WORLD);
        EXPECT(last <= first);
    }
    mb_comm_destroy(comm);
}

static void a_broadcast_reaches_all_from_any_root(void)
{
    static const size_t sizes[] = {0, 1, 4096, 70001, 300000};
    unsigned char *data = malloc(300000);
    mb_comm_t *comm = cases_comm(20);
    for (int root = 0; root < cases_size; root++) {
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            fill(data, sizes[i], cases_rank == root ? 5 : 9);
            EXPECT_OK(mb_comm_broadcast(comm, data, sizes[i], root));
            EXPECT(matches(data, sizes[i], 5));
        }
    }
    mb_comm_destroy(comm);
    free(data);
}

static size_t piece_of(int rank, int round)
{
    return rank % 2 == 0 ? (size_t)(rank * 1000 * round) : (size_t)(90000 * round);
}

static void check_pieces(const void *all, const size_t *bytes_of, int round)
{
    const unsigned char *at = all;
    for (int rank = 0; rank < cases_size; rank++) {
        EXPECT(bytes_of[rank] == piece_of(rank, round));
        EXPECT(matches(at, bytes_of[rank], rank));
        at += bytes_of[rank];
    }
}

static void a_gather_joins_pieces_of_any_size_in_rank_order(void)
{
    mb_comm_t *comm = cases_comm(20);
    for (int round = 0; round < 3; round++) {
        for (int root = 0; root < cases_size; root++) {
            size_t bytes = piece_of(cases_rank, round), *bytes_of = NULL;
            void *all = NULL;
            unsigned char *own = malloc(bytes + 1);
            fill(own, bytes, cases_rank);
            EXPECT_OK(mb_comm_gather(comm, own, bytes, root, &all, &bytes_of));
            EXPECT((all != NULL) == (cases_rank == root));
            if (cases_rank == root)
                check_pieces(all, bytes_of, round);
            free(all);
            free(bytes_of);
            free(own);
        }
    }
    mb_comm_destroy(comm);
}

static void an_allgather_gives_everyone_everything(void)
{
    mb_comm_t *comm = cases_comm(20);
    for (size_t bytes = 0; bytes < 30000; bytes = bytes * 9 + 1) {
        unsigned char *own = malloc(bytes + 1), *all = malloc(bytes * (size_t)cases_size + 1);
        fill(own, bytes, cases_rank);
        EXPECT_OK(mb_comm_allgather(comm, own, bytes, all));
        for (int rank = 0; rank < cases_size; rank++)
            EXPECT(matches(all + (size_t)rank * bytes, bytes, rank));
        free(own);
        free(all);
    }
    mb_comm_destroy(comm);
}

static void all_agree_on_the_lowest_failing_ranks_message(void)
{
    mb_comm_t *comm = cases_comm(20);
    EXPECT_OK(mb_comm_agree(comm, MB_OK));
    for (int lowest = 0; lowest < cases_size; lowest++) {
        char expected[64];
        mb_status_t status = MB_OK;
        if (cases_rank >= lowest)
            status = mb_error_set(cases_rank == lowest ? MB_ERR_DATA : MB_ERR_IO, "of rank %d",
                                  cases_rank);
        if (lowest == 0)
            snprintf(expected, sizeof(expected), "of rank 0");
        else
            snprintf(expected, sizeof(expected), "rank %d: of rank %d", lowest, lowest);
        EXPECT(mb_comm_agree(comm, status) == MB_ERR_DATA);
        EXPECT(strcmp(mb_error_get(), expected) == 0);
    }
    EXPECT_OK(mb_comm_agree(comm, MB_OK));
    mb_comm_destroy(comm);
}

#define MESSAGES 50

static void messages_with_one_tag_arrive_in_order(void)
{
    static int out[MESSAGES][20000], in[MESSAGES][20000];
    mb_comm_request_t requests[2 * MESSAGES] = {0};
    mb_comm_note_t note = {"exchanging", -1, -1, -1, 7, false};
    mb_comm_t *comm = cases_comm(20);
    int next = (cases_rank + 1) % cases_size, before = (cases_rank + cases_size - 1) % cases_size;
    for (int i = 0; i < MESSAGES; i++) {
        size_t bytes = i % 3 == 0 ? sizeof(out[i]) : 4;
        out[i][0] = cases_rank * 1000 + i;
        EXPECT_OK(mb_comm_irecv(comm, in[i], bytes, before, 7, &requests[2 * i]));
        EXPECT_OK(mb_comm_isend(comm, out[i], bytes, next, 7, &requests[2 * i + 1]));
    }
    EXPECT_OK(mb_comm_wait_requests(comm, requests, 2 * MESSAGES, &note));
    for (int i = 0; i < MESSAGES; i++)
        EXPECT(in[i][0] == before * 1000 + i);
    mb_comm_destroy(comm);
}

/* Messages over INT_MAX bytes are one element of a derived type; the same building at a low limit.
 */
static void a_message_of_many_blocks_arrives_whole(void)
{
    static unsigned char out[2500], in[2500];
    static const size_t sizes[] = {999, 1000, 1001, 2000, 2500};
    mb_comm_t *comm = cases_comm(20);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        MPI_Datatype type;
        int count, type_bytes;
        bool owned;
        EXPECT_OK(mb_comm_type(comm, sizes[i], 1000, &type, &count, &owned));
        MPI_Type_size(type, &type_bytes);
        EXPECT((size_t)type_bytes * (size_t)count == sizes[i]);
        EXPECT(owned == (sizes[i] > 1000));
        fill(out, sizes[i], 3);
        memset(in, 0, sizeof(in));
        MPI_Sendrecv(out, count, type, cases_rank, 1, in, (int)sizes[i], MPI_BYTE, cases_rank, 1,
                     MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        EXPECT(matches(in, sizes[i], 3));
        if (owned)
            MPI_Type_free(&type);
    }
    mb_comm_destroy(comm);
}

/* Only the last rank's deadline is short, so that it is the first to give up. */
static void a_wait_past_its_deadline_says_what_it_waited_for(void)
{
    int value = 0, last = cases_size - 1, who;
    mb_status_t status;
    mb_comm_request_t request = {0};
    mb_comm_note_t note = {"waiting for the activation of 'dense_1'", 2, 3, 0, 55, false};
    mb_comm_t *comm = cases_comm(cases_rank == last ? 0.2 : 20);
    EXPECT_OK(mb_comm_irecv(comm, &value, sizeof(value), 0, 55, &request));
    double start = mb_time_seconds();
    status = mb_comm_wait_requests(comm, &request, 1, &note);
    EXPECT(status == (cases_rank == last ? MB_ERR_TIMEOUT : MB_ERR_PEER));
    double waited = mb_time_seconds() - start;
    EXPECT(waited > 0.1 && waited < 1.5);
    EXPECT(strstr(mb_error_get(), "while waiting for the activation of 'dense_1', stage 2, "
                                  "micro-batch 3, peer rank 0, tag 55") != NULL);
    EXPECT(!request.active);
    EXPECT(mb_comm_settle(comm, 5));
    EXPECT(mb_comm_failed(comm, &who, &status) && who == last && status == MB_ERR_TIMEOUT);
    mb_comm_destroy(comm);
}

static mb_status_t never(void *user, bool *done)
{
    (void)user;
    *done = false;
    return MB_OK;
}

/* The message has a line of RANK's behind its first. */
static bool has_line_of(int rank)
{
    char begin[32];
    snprintf(begin, sizeof begin, "\n  rank %d", rank);
    const char *at = strstr(mb_error_get(), begin);
    return at != NULL && strchr(": ", at[strlen(begin)]) != NULL;
}

/* The case's sleep stands for a rank that hangs: it reaches no progress. */
static void after_a_deadline_the_silent_rank_is_named_first(void)
{
    int last = cases_size - 1;
    char expected[160];
    mb_comm_at_t at = {"F", "step", 12, 1, 3, NULL};
    if (cases_size < 3)
        return;
    mb_comm_t *comm = cases_comm(0.3);
    mb_comm_at(comm, &at);
    EXPECT_OK(mb_comm_barrier(comm));
    if (cases_rank == last)
        cases_sleep(1.2);
    else
        mb_comm_barrier(comm);
    snprintf(expected, sizeof(expected), "rank %d on %.60s has said nothing for ", last,
             mb_comm_host(comm));
    bool first = strncmp(mb_error_get(), expected, strlen(expected)) == 0;
    EXPECT(first == (cases_rank < 2));
    EXPECT(!first ||
           strstr(mb_error_get(), "; it was last in stage 1, step 12, F of micro-batch 3\n  "
                                  "rank ") != NULL);
    for (int rank = 0; rank < last && first; rank++)
        EXPECT(has_line_of(rank));
    EXPECT(mb_comm_speaks(comm) == (cases_rank == 0));
    EXPECT(mb_comm_settle(comm, 5));
    mb_comm_destroy(comm);
}

/* Alone: the launcher wakes a stopped rank 0 while it ends the job. */
static void where_rank_0_is_silent_rank_1_speaks(void)
{
    if (cases_size < 2)
        return;
    mb_comm_t *comm = cases_comm(0.3);
    mb_comm_doing(comm, "writing a checkpoint");
    EXPECT_OK(mb_comm_barrier(comm));
    if (cases_rank == 0)
        cases_sleep(1.2);
    else
        mb_comm_barrier(comm);
    if (cases_rank == 1) {
        EXPECT(strncmp(mb_error_get(), "rank 0 on ", 10) == 0);
        EXPECT(strstr(mb_error_get(), "; it was last writing a checkpoint\n  rank ") != NULL);
    }
    EXPECT(mb_comm_settle(comm, 5));
    EXPECT(mb_comm_speaks(comm) == (cases_rank == 1));
    mb_comm_destroy(comm);
}

/* Nothing is amiss with a rank that gives signs of life, however long it computes. */
static void a_rank_that_computes_is_not_silent(void)
{
    int last = cases_size - 1;
    char expected[160];
    if (cases_size < 3)
        return;
    mb_comm_t *comm = cases_comm(0.3);
    mb_comm_doing(comm, "computing");
    EXPECT_OK(mb_comm_barrier(comm));
    for (int i = 0; i < 1200 && cases_rank == last; i++) {
        cases_sleep(0.001);
        mb_comm_progress(comm);
    }
    if (cases_rank != last)
        mb_comm_barrier(comm);
    snprintf(expected, sizeof(expected), "rank %d on %.60s is still at work computing\n", last,
             mb_comm_host(comm));
    EXPECT(cases_rank != 0 || strncmp(mb_error_get(), expected, strlen(expected)) == 0);
    EXPECT(strstr(mb_error_get(), "has said nothing") == NULL || cases_rank == last);
    EXPECT(mb_comm_settle(comm, 5));
    mb_comm_destroy(comm);
}

/* Silence is counted from the last sign, so a deadlock of ranks that all wait names none. */
static void ranks_that_wait_on_each_other_are_not_silent(void)
{
    mb_comm_t *comm = cases_comm(0.3);
    mb_status_t status = mb_comm_wait(comm, never, NULL, NULL);
    EXPECT(status == MB_ERR_TIMEOUT || status == MB_ERR_PEER);
    EXPECT(strstr(mb_error_get(), "has said nothing") == NULL);
    EXPECT(mb_comm_speaks(comm) == (cases_rank == 0));
    EXPECT(mb_comm_settle(comm, 5));
    mb_comm_destroy(comm);
}

/* Stopped for longer than its deadline, by a process of its own that wakes it. */
static void stop_for(double seconds)
{
    pid_t self = getpid(), waker = fork();
    if (waker == 0) {
        kill(self, SIGSTOP);
        usleep((useconds_t)(seconds * 1e6));
        kill(self, SIGCONT);
        _exit(0);
    }
}

static void a_rank_that_was_stopped_in_a_wait_blames_nobody(void)
{
    int value = 1, last = cases_size - 1;
    mb_comm_request_t request = {0};
    mb_comm_note_t note = {"receiving", 1, 3, 0, 7, false};
    if (cases_size < 2)
        return;
    mb_comm_t *comm = cases_comm(cases_rank == last ? 0.8 : 20);
    EXPECT_OK(mb_comm_barrier(comm));
    if (cases_rank == last) {
        EXPECT_OK(mb_comm_irecv(comm, &value, sizeof value, 0, 7, &request));
        stop_for(1.0);
        EXPECT_OK(mb_comm_wait_requests(comm, &request, 1, &note));
        wait(NULL);
    } else if (cases_rank == 0) {
        cases_sleep(1.2);
        EXPECT_OK(mb_comm_isend(comm, &value, sizeof value, last, 7, &request));
        EXPECT_OK(mb_comm_wait_requests(comm, &request, 1, &note));
    }
    EXPECT_OK(mb_comm_barrier(comm));
    mb_comm_destroy(comm);
}

/* Each waits for a message of the next, which is not on its way. */
static void a_circle_of_waits_is_named(void)
{
    if (cases_size < 2)
        return;
    mb_comm_t *comm = cases_comm(0.3);
    mb_comm_note_t note = {"receiving", 1, 3, (cases_rank + 1) % cases_size, 7, false};
    EXPECT(mb_comm_wait(comm, never, NULL, &note) != MB_OK);
    if (cases_rank == 0) {
        EXPECT(strncmp(mb_error_get(), "rank ", 5) == 0);
        EXPECT(strstr(mb_error_get(), " again: a message between them was lost\n  ") != NULL);
        for (int rank = 0; rank < cases_size; rank++)
            EXPECT(has_line_of(rank));
    }
    EXPECT(mb_comm_settle(comm, 5));
    mb_comm_destroy(comm);
}

/* The report outlives what comes after it in the same place. */
static void a_report_names_who_failed_and_where_and_what_the_others_waited_for(void)
{
    int last = cases_size - 1;
    static const char *const layer = "dense_1";
    mb_comm_at_t at = {"BW", "step", 12, 1, 3, &layer};
    mb_comm_note_t note = {"receiving the gradient of 'x'", 0, 2, last, 7, false};
    char expected[256];
    if (cases_size < 2)
        return;
    mb_comm_t *comm = cases_comm(20);
    mb_comm_at(comm, &at);
    MPI_Barrier(MPI_COMM_WORLD);
    cases_sleep(cases_rank == last ? 0.05 : 0);
    mb_status_t status = cases_rank == last
                             ? mb_comm_fail(comm, mb_error_set(MB_ERR_DEVICE, "it broke"))
                             : mb_comm_wait(comm, never, NULL, &note);
    EXPECT(mb_comm_report(comm, status) == status);
    snprintf(
        expected, sizeof expected,
        "rank %d on %.60s in stage 1, step 12, BW of micro-batch 3, layer 'dense_1': it broke\n",
        last, mb_comm_host(comm));
    if (cases_rank == 0)
        EXPECT(strncmp(mb_error_get(), expected, strlen(expected)) == 0);
    for (int rank = 0; rank < last && cases_rank == 0; rank++)
        EXPECT(has_line_of(rank));
    mb_error_set(status, "rank 9: another word");
    mb_comm_report(comm, status);
    EXPECT(cases_rank != 0 || strncmp(mb_error_get(), expected, strlen(expected)) == 0);
    EXPECT(mb_comm_settle(comm, 5));
    mb_comm_destroy(comm);
}

/* A peer that has gone without a word of failure. */
static void a_communicator_ends_though_a_rank_does_not_come(void)
{
    mb_comm_t *comm = cases_comm(0.3);
    EXPECT_OK(mb_comm_barrier(comm));
    if (cases_rank == 0)
        cases_sleep(1.2);
    double start = mb_time_seconds();
    mb_comm_destroy(comm);
    EXPECT(mb_time_seconds() - start < 1.2);
    MPI_Barrier(MPI_COMM_WORLD);
}

static mb_status_t fails(void *user, bool *done)
{
    (void)user;
    *done = false;
    return mb_error_set(MB_ERR_DATA, "it failed");
}

static mb_status_t wait_somewhere(mb_comm_t *comm, int where)
{
    int value;
    void *all;
    size_t *bytes_of;
    mb_comm_request_t request = {0};
    mb_comm_note_t note = {"waiting", -1, -1, -1, -1, false};
    switch (where % 5) {
    case 0:
        MB_TRY(mb_comm_irecv(comm, &value, sizeof(value), cases_size - 1, 55, &request));
        return mb_comm_wait_requests(comm, &request, 1, &note);
    case 1:
        return mb_comm_barrier(comm);
    case 2:
        return mb_comm_agree(comm, MB_OK);
    case 3:
        return mb_comm_wait(comm, never, NULL, &note);
    default:
        return mb_comm_gather(comm, &value, sizeof(value), cases_rank, &all, &bytes_of);
    }
}

/* The last rank fails after a while in which all others have gone into some wait. */
static void a_failure_ends_every_wait_at_once_and_is_named(void)
{
    for (int round = 0; round < 5 && cases_size > 1; round++) {
        int failing = cases_size - 1, who = -1;
        char expected[64];
        mb_status_t status;
        mb_comm_t *comm = cases_comm(20);
        snprintf(expected, sizeof(expected), "rank %d: file 'x' is gone", failing);
        MPI_Barrier(MPI_COMM_WORLD);
        double start = mb_time_seconds();
        if (cases_rank == failing) {
            cases_sleep(0.05);
            status = mb_comm_fail(comm, mb_error_set(MB_ERR_IO, "file 'x' is gone"));
            EXPECT(status == MB_ERR_IO);
            EXPECT(strcmp(mb_error_get(), "file 'x' is gone") == 0);
        } else {
            status = wait_somewhere(comm, cases_rank + round);
            EXPECT(status == MB_ERR_PEER);
            EXPECT(strcmp(mb_error_get(), expected) == 0);
            EXPECT(mb_comm_fail(comm, status) == MB_ERR_PEER);
        }
        EXPECT(mb_time_seconds() - start < 1);
        EXPECT(mb_comm_settle(comm, 5));
        EXPECT(mb_comm_failed(comm, &who, &status));
        EXPECT(who == failing && status == MB_ERR_IO);
        mb_comm_destroy(comm);
        EXPECT(mb_time_seconds() - start < 2);
    }
}

static void of_several_failures_all_name_the_lowest_rank(void)
{
    mb_status_t status = MB_OK;
    int who = -1;
    mb_comm_t *comm = cases_comm(20);
    EXPECT(!mb_comm_failed(comm, &who, &status));
    MPI_Barrier(MPI_COMM_WORLD);
    mb_comm_fail(comm, mb_error_set(MB_ERR_NUMERIC, "NaN on rank %d", cases_rank));
    EXPECT(mb_comm_settle(comm, 5));
    EXPECT(mb_comm_failed(comm, &who, &status));
    EXPECT(who == 0 && status == MB_ERR_NUMERIC);
    EXPECT(mb_comm_wait(comm, never, NULL, NULL) == MB_ERR_PEER);
    EXPECT(strcmp(mb_error_get(), "rank 0: NaN on rank 0") == 0);
    mb_comm_destroy(comm);
}

static void settling_gives_up_on_a_rank_that_never_comes(void)
{
    mb_comm_t *comm = cases_comm(20);
    double start = mb_time_seconds();
    if (cases_rank != 0) {
        mb_comm_fail(comm, mb_error_set(MB_ERR_DEVICE, "lost"));
        EXPECT(!mb_comm_settle(comm, 0.2));
        EXPECT(strcmp(mb_error_get(), "lost") == 0);
    }
    EXPECT(mb_time_seconds() - start < 1.5);
    MPI_Barrier(MPI_COMM_WORLD);
    mb_comm_destroy(comm);
}

/* Sends that nobody takes, long ones too, must not keep a failed communicator from ending. */
static void a_failed_communicator_ends_with_messages_outstanding(void)
{
    static char big[1 << 20], other[1 << 20];
    mb_comm_request_t requests[2] = {{0}, {0}};
    int next = (cases_rank + 1) % cases_size;
    mb_comm_t *comm = cases_comm(20);
    double start = mb_time_seconds();
    EXPECT_OK(mb_comm_isend(comm, big, sizeof(big), next, 3, &requests[0]));
    EXPECT_OK(mb_comm_irecv(comm, other, sizeof(other), next, 4, &requests[1]));
    MPI_Barrier(MPI_COMM_WORLD);
    if (cases_rank == 0)
        mb_comm_fail(comm, mb_error_set(MB_ERR_DEVICE, "lost"));
    EXPECT(mb_comm_wait_requests(comm, requests, 2, NULL) == MB_ERR_PEER);
    EXPECT(mb_comm_settle(comm, 5));
    mb_comm_destroy(comm);
    EXPECT(mb_time_seconds() - start < 2);
}

static void a_long_message_of_failure_is_cut_and_not_lost(void)
{
    char text[6000];
    mb_comm_t *comm = cases_comm(20);
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    if (cases_rank == 0)
        mb_comm_fail(comm, mb_error_set(MB_ERR_FORMAT, "%s", text));
    EXPECT(mb_comm_wait(comm, never, NULL, NULL) == MB_ERR_PEER);
    EXPECT(strncmp(mb_error_get(), "rank 0: xxxx", 12) == 0);
    EXPECT(strlen(mb_error_get()) > 1000);
    EXPECT(mb_comm_settle(comm, 5));
    mb_comm_destroy(comm);
}

typedef struct {
    int driven, limit;
} source_t;

static mb_status_t drive_source(void *user)
{
    source_t *source = user;
    source->driven++;
    return source->driven == -1 ? mb_error_set(MB_ERR_DEVICE, "the source broke") : MB_OK;
}

static mb_status_t driven_enough(void *user, bool *done)
{
    const source_t *source = user;
    *done = source->driven >= source->limit;
    return MB_OK;
}

static void sources_of_progress_are_driven_by_waits_and_kernels(void)
{
    source_t source = {0, 10};
    mb_comm_t *comm = cases_comm(20);
    EXPECT_OK(mb_comm_add_progress(comm, drive_source, &source));
    EXPECT_OK(mb_comm_wait(comm, driven_enough, &source, NULL));
    EXPECT(source.driven == 10);
    mb_comm_progress(comm);
    EXPECT(source.driven == 11);
    source.driven = -2; /* the next drive fails */
    cases_sleep(0.001);
    mb_comm_progress(comm);
    MPI_Barrier(MPI_COMM_WORLD); /* what fails here is to reach nobody who is still above */
    mb_error_set(MB_OK, "something else");
    EXPECT(mb_comm_wait(comm, driven_enough, &source, NULL) == MB_ERR_DEVICE);
    EXPECT(strcmp(mb_error_get(), "the source broke") == 0);
    mb_comm_remove_progress(comm, &source);
    source.driven = 0;
    cases_sleep(0.001);
    mb_comm_progress(comm);
    EXPECT(source.driven == 0);
    mb_comm_destroy(comm);
}

static void what_a_wait_waits_for_may_fail(void)
{
    mb_comm_t *comm = cases_comm(20);
    EXPECT(mb_comm_wait(comm, fails, NULL, NULL) == MB_ERR_DATA);
    EXPECT(strcmp(mb_error_get(), "it failed") == 0);
    mb_comm_destroy(comm);
}

#define CASE(name)                                                                                 \
    {                                                                                              \
#name, name                                                                                \
    }

int main(int argc, char **argv)
{
    static const case_t cases[] = {
        CASE(ranks_know_their_place),
        CASE(the_hosts_error_handler_stays),
        CASE(nobody_leaves_a_barrier_before_the_last_one_came),
        CASE(a_broadcast_reaches_all_from_any_root),
        CASE(a_gather_joins_pieces_of_any_size_in_rank_order),
        CASE(an_allgather_gives_everyone_everything),
        CASE(all_agree_on_the_lowest_failing_ranks_message),
        CASE(messages_with_one_tag_arrive_in_order),
        CASE(a_message_of_many_blocks_arrives_whole),
        CASE(a_wait_past_its_deadline_says_what_it_waited_for),
        CASE(after_a_deadline_the_silent_rank_is_named_first),
        CASE(where_rank_0_is_silent_rank_1_speaks),
        CASE(a_rank_that_computes_is_not_silent),
        CASE(ranks_that_wait_on_each_other_are_not_silent),
        CASE(a_rank_that_was_stopped_in_a_wait_blames_nobody),
        CASE(a_circle_of_waits_is_named),
        CASE(a_report_names_who_failed_and_where_and_what_the_others_waited_for),
        CASE(a_communicator_ends_though_a_rank_does_not_come),
        CASE(a_failure_ends_every_wait_at_once_and_is_named),
        CASE(of_several_failures_all_name_the_lowest_rank),
        CASE(settling_gives_up_on_a_rank_that_never_comes),
        CASE(a_failed_communicator_ends_with_messages_outstanding),
        CASE(a_long_message_of_failure_is_cut_and_not_lost),
        CASE(sources_of_progress_are_driven_by_waits_and_kernels),
        CASE(what_a_wait_waits_for_may_fail),
    };
    return cases_main(argc, argv, cases, (int)(sizeof(cases) / sizeof(cases[0])));
}
