/* Virtual ranks: what moves when, who goes on first, small collective calls, failures and ranks
 * that wait for ever. */
#include "comm/virtual.h"
#include "comm/vote.h"

#include "base/events.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LATENCY 0.5 /* of the test's links: seconds a message, and one more for each byte */

enum { SOME = 37, MANY = 2000, MOST_EVENTS = 64 };

typedef struct {
    int n, ranks[MOST_EVENTS];
    double clocks[MOST_EVENTS];
    bool started[MANY];
} log_t;

static const mb_comm_note_t note = {"moving a message", 0, -1, -1, -1};

static mb_events_t under_way;

static mb_status_t move(void *user, double now, int from, int to, int tag, size_t bytes,
                        uint32_t number)
{
    (void)user, (void)from, (void)to, (void)tag;
    return mb_events_put(&under_way, now + LATENCY + (double)bytes, 0, number);
}

static bool arrive(void *user, double before, double *time, uint32_t *number)
{
    mb_event_at_t event;
    (void)user;
    if (!(mb_events_next(&under_way) < before) || !mb_events_take(&under_way, &event))
        return false;
    *time = event.time;
    *number = event.what;
    return true;
}

/* KIND seconds. */
static double work(void *user, double now, int rank, int kind, int chunk, double part)
{
    (void)user, (void)now, (void)rank, (void)chunk;
    return kind * part;
}

static mb_status_t run(int ranks, mb_status_t (*body)(void *user, mb_comm_t *comm), log_t *log)
{
    mb_virtual_t *world;
    const mb_virtual_times_t times = {.move = move, .arrive = arrive, .work = work};
    ck_assert_int_eq(mb_virtual_create(ranks, &times, &world), MB_OK);
    mb_status_t status = mb_virtual_run(world, body, log);
    mb_virtual_destroy(world);
    mb_events_free(&under_way);
    under_way = (mb_events_t){.n = 0};
    return status;
}

static void add(log_t *log, const mb_comm_t *comm)
{
    log->ranks[log->n] = mb_comm_rank(comm);
    log->clocks[log->n++] = mb_comm_clock(comm);
}

static mb_status_t exchange(mb_comm_t *comm, bool sends, void *data, size_t bytes, int peer,
                            int tag)
{
    mb_comm_request_t request;
    MB_TRY(sends ? mb_comm_isend(comm, data, bytes, peer, tag, &request)
                 : mb_comm_irecv(comm, data, bytes, peer, tag, &request));
    return mb_comm_wait_requests(comm, &request, 1, &note);
}

/* Rank 1 has worked 3 s when it asks for what rank 0 has sent at once: 4 bytes more are there after
 * another 0.5 + 4, for both. */
static mb_status_t meet(void *user, mb_comm_t *comm)
{
    int32_t value = mb_comm_rank(comm) == 0 ? 42 : 0;
    if (mb_comm_rank(comm) == 1)
        mb_comm_work(comm, 6, 0, 0.5);
    MB_TRY(
        exchange(comm, mb_comm_rank(comm) == 0, &value, sizeof value, 1 - mb_comm_rank(comm), 7));
    ck_assert_int_eq(value, 42);
    add(user, comm);
    return MB_OK;
}

START_TEST(a_message_moves_when_both_its_ends_are_there)
{
    log_t log = {.n = 0};
    ck_assert_int_eq(run(2, meet, &log), MB_OK);
    ck_assert_int_eq(log.n, 2);
    ck_assert(log.clocks[0] == 3 + LATENCY + 4 && log.clocks[1] == log.clocks[0]);
}
END_TEST

/* Numbers between steps: the sender is at work when they are taken. */
static mb_status_t leave(void *user, mb_comm_t *comm)
{
    char value = 1;
    bool sends = mb_comm_rank(comm) == 0;
    MB_TRY(exchange(comm, sends, &value, 1, 1 - mb_comm_rank(comm), MB_TAG_NORMS));
    add(user, comm);
    return MB_OK;
}

START_TEST(numbers_between_steps_leave_at_once)
{
    log_t log = {.n = 0};
    ck_assert_int_eq(run(2, leave, &log), MB_OK);
    ck_assert(log.ranks[0] == 0 && log.clocks[0] == 0);
    ck_assert(log.ranks[1] == 1 && log.clocks[1] == LATENCY + 1);
}
END_TEST

/* Ranks 0, 1, 2 work 3, 1, 2 seconds, twice. */
static mb_status_t take_turns(void *user, mb_comm_t *comm)
{
    for (int i = 0; i < 2; i++) {
        mb_comm_work(comm, mb_comm_rank(comm) == 0 ? 3 : mb_comm_rank(comm), 0, 1);
        add(user, comm);
    }
    return MB_OK;
}

START_TEST(the_rank_whose_clock_is_least_goes_on)
{
    static const int ranks[] = {1, 2, 1, 0, 2, 0};
    static const double clocks[] = {1, 2, 2, 3, 4, 6};
    log_t log = {.n = 0};
    ck_assert_int_eq(run(3, take_turns, &log), MB_OK);
    ck_assert_int_eq(log.n, 6);
    for (int i = 0; i < log.n; i++)
        ck_assert(log.ranks[i] == ranks[i] && log.clocks[i] == clocks[i]);
}
END_TEST

/* A request that was given up takes nothing, and another tag is in nobody's way. */
static mb_status_t match(void *user, mb_comm_t *comm)
{
    static const int tags[3] = {5, 5, 6}, order[3] = {2, 0, 1};
    bool sends = mb_comm_rank(comm) == 0;
    int peer = 1 - mb_comm_rank(comm);
    char values[3] = {1, 2, 3}, got[3] = {0}, nothing = 0;
    mb_comm_request_t requests[3];
    (void)user;
    if (sends)
        mb_comm_work(comm, 1, 0, 1);
    if (!sends) {
        MB_TRY(mb_comm_irecv(comm, &nothing, 1, peer, 5, requests));
        mb_comm_cancel(comm, requests);
    }
    for (int i = 0; i < 3; i++) {
        int at = order[i];
        MB_TRY(sends ? mb_comm_isend(comm, &values[i], 1, peer, tags[i], &requests[i])
                     : mb_comm_irecv(comm, &got[at], 1, peer, tags[at], &requests[i]));
    }
    MB_TRY(mb_comm_wait_requests(comm, requests, 3, &note));
    ck_assert(sends || (nothing == 0 && memcmp(got, values, sizeof got) == 0));
    return MB_OK;
}

START_TEST(messages_match_by_tag_in_the_order_they_were_sent)
{
    ck_assert_int_eq(run(2, match, NULL), MB_OK);
}
END_TEST

static mb_status_t talk(void *user, mb_comm_t *comm)
{
    log_t *log = user;
    int rank = mb_comm_rank(comm), size = mb_comm_size(comm), value = rank == 3 % size ? 9 : 0;
    int *all = malloc((size_t)size * sizeof *all);
    void *pieces;
    size_t *bytes_of;
    uint32_t flags;
    mb_comm_vote_t vote = {.active = false};
    mb_comm_work(comm, rank % 5, 0, 1);
    log->started[rank] = true;
    MB_TRY(mb_comm_barrier(comm));
    int started = 0, right = 0;
    for (int r = 0; r < size; r++)
        started += log->started[r];
    ck_assert_int_eq(started, size);
    ck_assert(mb_comm_clock(comm) == (size > 4 ? 4 : size - 1));
    MB_TRY(mb_comm_broadcast(comm, &value, sizeof value, 3 % size));
    ck_assert_int_eq(value, 9);
    MB_TRY(mb_comm_allgather(comm, &rank, sizeof rank, all));
    for (int r = 0; r < size; r++)
        right += all[r] == r;
    ck_assert_int_eq(right, size);
    MB_TRY(mb_comm_gather(comm, &rank, sizeof rank, 1 % size, &pieces, &bytes_of));
    ck_assert(rank != 1 % size || ((int *)pieces)[size - 1] == size - 1);
    for (uint32_t round = 1; round < 4; round++) {
        MB_TRY(mb_comm_vote_start(comm, &vote, rank == size - 1 ? round : 0));
        MB_TRY(mb_comm_vote_finish(comm, &vote, &flags));
        ck_assert_uint_eq(flags, round);
    }
    free(pieces);
    free(bytes_of);
    free(all);
    return mb_comm_agree(comm, MB_OK);
}

START_TEST(small_collective_calls_are_those_over_mpi)
{
    static const int sizes[] = {1, 2, 5, SOME, MANY};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        log_t log = {.n = 0};
        ck_assert_int_eq(run(sizes[i], talk, &log), MB_OK);
    }
}
END_TEST

static mb_status_t fall(void *user, mb_comm_t *comm)
{
    char byte = 0;
    int rank = mb_comm_rank(comm);
    log_t *log = user;
    mb_status_t status;
    if (rank == 2 || rank == 4)
        status = mb_comm_fail(comm, mb_error_set(MB_ERR_DATA, "what rank %d has found", rank));
    else
        status = exchange(comm, false, &byte, 1, (rank + 1) % 5, 1);
    log->started[rank] = status == (rank == 2 || rank == 4 ? MB_ERR_DATA : MB_ERR_PEER);
    return status;
}

START_TEST(a_failure_ends_all_waits_with_the_lowest_ranks_message)
{
    log_t log = {.n = 0};
    ck_assert_int_eq(run(5, fall, &log), MB_ERR_PEER);
    ck_assert_str_eq(mb_error_get(), "rank 2: what rank 2 has found");
    for (int rank = 0; rank < 5; rank++)
        ck_assert(log.started[rank]);
}
END_TEST

static mb_status_t disagree(void *user, mb_comm_t *comm)
{
    (void)user;
    return mb_comm_agree(comm, mb_comm_rank(comm) == 1 ? mb_error_set(MB_ERR_DATA, "no") : MB_OK);
}

START_TEST(ranks_agree_on_the_lowest_ranks_failure)
{
    ck_assert_int_eq(run(SOME, disagree, NULL), MB_ERR_DATA);
    ck_assert_str_eq(mb_error_get(), "rank 1: no");
}
END_TEST

/* 0 waits for 1, 1 for 2, 2 for 1; 3 is lost. */
static mb_status_t wait_for_ever(void *user, mb_comm_t *comm)
{
    static const int peers[] = {1, 2, 1};
    char byte;
    int rank = mb_comm_rank(comm);
    mb_comm_request_t request;
    mb_comm_work(comm, 2, 0, 1);
    if (rank == 3) {
        mb_virtual_lose(comm, "is lost from step 7 on");
        add(user, comm);
        return MB_OK;
    }
    mb_comm_note_t own = {
        .action = "receiving 'x'", .stage = rank, .micro = 4, .peer = peers[rank], .tag = 8};
    MB_TRY(mb_comm_irecv(comm, &byte, 1, peers[rank], 8, &request));
    return mb_comm_wait_requests(comm, &request, 1, &own);
}

START_TEST(who_waits_for_ever_is_named_with_whom_it_waits_for)
{
    log_t log = {.n = 0};
    ck_assert_int_eq(run(4, wait_for_ever, &log), MB_ERR_TIMEOUT);
    ck_assert_str_eq(
        mb_error_get(),
        "after 2 s nothing moves any more; rank 3 is lost from step 7 on; rank 2: receiving 'x', "
        "stage 2, micro-batch 4, peer rank 1, tag 8; rank 1: receiving 'x', stage 1, micro-batch "
        "4, "
        "peer rank 2, tag 8; 1 more wait behind them");
    ck_assert_int_eq(log.n, 1);
}
END_TEST

static mb_status_t overflow(void *user, mb_comm_t *comm)
{
    char bytes[8] = {0};
    (void)user;
    return exchange(comm, mb_comm_rank(comm) == 0, bytes, mb_comm_rank(comm) == 0 ? 8 : 4,
                    1 - mb_comm_rank(comm), 3);
}

START_TEST(a_message_longer_than_its_receiver_has_room_for_is_an_error)
{
    ck_assert_int_ne(run(2, overflow, NULL), MB_OK);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("virtual ranks");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 60);
    tcase_add_test(all, a_message_moves_when_both_its_ends_are_there);
    tcase_add_test(all, numbers_between_steps_leave_at_once);
    tcase_add_test(all, the_rank_whose_clock_is_least_goes_on);
    tcase_add_test(all, messages_match_by_tag_in_the_order_they_were_sent);
    tcase_add_test(all, small_collective_calls_are_those_over_mpi);
    tcase_add_test(all, a_failure_ends_all_waits_with_the_lowest_ranks_message);
    tcase_add_test(all, ranks_agree_on_the_lowest_ranks_failure);
    tcase_add_test(all, who_waits_for_ever_is_named_with_whom_it_waits_for);
    tcase_add_test(all, a_message_longer_than_its_receiver_has_room_for_is_an_error);
    suite_add_tcase(suite, all);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
