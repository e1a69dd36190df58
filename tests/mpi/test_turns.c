/* Works that take turns on each rank: who goes on, what moves meanwhile, and how one fails. */
#include "comm/state.h"
#include "comm/turns.h"
#include "mpi/cases.h"

#include <stdio.h>
#include <string.h>

enum { WORKS = 3, ROUNDS = 200, LONGEST_SECONDS = 10 };

typedef struct {
    mb_turns_t *turns;
    mb_comm_t *comm;
    char *text; /* what all works of this rank have written */
    char letter;
    mb_status_t status;
    bool heard;
} work_t;

static void make_works(work_t *works, int n, double deadline, void (*run)(void *user), char *text)
{
    mb_turns_t *turns;
    EXPECT_OK(mb_turns_create(n, &turns));
    for (int i = 0; i < n; i++) {
        works[i] =
            (work_t){turns, cases_comm(deadline), text, (char)('a' + i), MB_ERR_INTERNAL, false};
        EXPECT_OK(mb_turns_add(turns, works[i].comm, run, &works[i]));
    }
}

static void end_works(work_t *works, int n)
{
    mb_turns_destroy(works[0].turns);
    for (int i = 0; i < n; i++) {
        EXPECT(!mb_comm_rests_elsewhere(works[i].comm));
        mb_comm_destroy(works[i].comm);
    }
}

static void write_and_pass(void *user)
{
    work_t *work = user;
    for (int i = 0; i < 2 + (work->letter == 'b'); i++) {
        strncat(work->text, &work->letter, 1);
        mb_turns_pass(work->turns);
    }
}

static void works_go_on_in_the_order_of_the_list(void)
{
    char text[32] = "";
    work_t works[WORKS];
    make_works(works, WORKS, 20, write_and_pass, text);
    mb_turns_run(works[0].turns);
    EXPECT(strcmp(text, "abcabcb") == 0);
    end_works(works, WORKS);
}

/* Ranks come to the barriers in different orders, since some compute before some of them. */
static void meet_often(void *user)
{
    work_t *work = user;
    work->status = MB_OK;
    for (int i = 0; i < ROUNDS && work->status == MB_OK; i++) {
        if ((i + cases_rank + work->letter) % 50 == 0)
            cases_sleep(0.001);
        work->status = mb_comm_barrier(work->comm);
    }
}

static void waits_of_one_work_do_not_hold_up_another(void)
{
    work_t works[WORKS];
    make_works(works, WORKS, 20, meet_often, NULL);
    mb_turns_run(works[0].turns);
    for (int i = 0; i < WORKS; i++)
        EXPECT_OK(works[i].status);
    end_works(works, WORKS);
}

/* a waits for the rank before it, whose a goes on only when its own b has heard from this one's b:
 * a rank that stayed in a's wait would never come to its b. */
static void wait_across(void *user)
{
    work_t *work = user;
    bool first = work->letter == 'a';
    while (first && strchr(work->text, 'b') == NULL)
        mb_turns_pass(work->turns);
    work->status = mb_comm_barrier(work->comm);
    strncat(work->text, &work->letter, 1);
}

static void a_work_may_wait_for_another_of_its_rank(void)
{
    char text[8] = "";
    work_t works[2];
    make_works(works, 2, 20, wait_across, text);
    mb_turns_run(works[0].turns);
    EXPECT_OK(works[0].status);
    EXPECT_OK(works[1].status);
    EXPECT(strcmp(text, "ba") == 0);
    end_works(works, 2);
}

enum { HEARD_TAG = 7 };

/* Reaching progress as kernels do, until rank 1 has heard a sign of life. */
static void compute_until_heard(const work_t *work)
{
    int heard = 0;
    double end = mb_time_seconds() + LONGEST_SECONDS;
    while (!heard && mb_time_seconds() < end) {
        mb_comm_progress(work->comm);
        MPI_Iprobe(1, HEARD_TAG, MPI_COMM_WORLD, &heard, MPI_STATUS_IGNORE);
    }
    MPI_Recv(NULL, 0, MPI_BYTE, 1, HEARD_TAG, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
}

/* A sign that rank 0 gave of this work a while after its own a began to compute. */
static void listen(work_t *work)
{
    double begun = mb_time_seconds(), now = begun;
    while (!work->heard && now - begun < LONGEST_SECONDS) {
        mb_comm_progress(work->comm);
        now = mb_time_seconds();
        work->heard = mb_comm_heard(work->comm, 0).seconds < now - begun - 0.3;
    }
    MPI_Send(NULL, 0, MPI_BYTE, 0, HEARD_TAG, MPI_COMM_WORLD);
}

static void compute_listen_or_wait(void *user)
{
    work_t *work = user;
    if (cases_size > 1 && cases_rank == 0 && work->letter == 'a')
        compute_until_heard(work);
    if (cases_rank == 1 && work->letter == 'b')
        listen(work);
    work->status = mb_comm_barrier(work->comm);
}

static void who_waits_for_its_turn_still_gives_signs_of_life(void)
{
    work_t works[2];
    make_works(works, 2, 30, compute_listen_or_wait, NULL);
    mb_turns_run(works[0].turns);
    EXPECT_OK(works[0].status);
    EXPECT_OK(works[1].status);
    EXPECT(cases_rank != 1 || works[1].heard);
    end_works(works, 2);
}

static void fail_or_wait(void *user)
{
    work_t *work = user;
    work->status = mb_comm_barrier(work->comm);
    if (work->letter == 'b' && cases_rank == cases_size - 1)
        work->status = mb_comm_fail(work->comm, mb_error_set(MB_ERR_DATA, "no data"));
    else
        work->status = mb_comm_barrier(work->comm);
    if (work->letter == 'b')
        EXPECT(strstr(mb_error_get(), "no data") != NULL);
}

static void one_that_fails_leaves_the_others_alone(void)
{
    work_t works[WORKS];
    make_works(works, WORKS, 20, fail_or_wait, NULL);
    mb_turns_run(works[0].turns);
    EXPECT_OK(works[0].status);
    EXPECT_OK(works[2].status);
    EXPECT(works[1].status == (cases_rank == cases_size - 1 ? MB_ERR_DATA : MB_ERR_PEER));
    end_works(works, WORKS);
}

static void outside_its_work_a_communicator_waits_as_ever(void)
{
    work_t works[2];
    make_works(works, 2, 20, meet_often, NULL);
    for (int i = 0; i < 2; i++) {
        if (cases_rank == i)
            cases_sleep(0.02);
        EXPECT_OK(mb_comm_barrier(works[1].comm));
    }
    mb_turns_run(works[0].turns);
    EXPECT_OK(mb_comm_barrier(works[0].comm));
    end_works(works, 2);
}

#define CASE(name)                                                                                 \
    {                                                                                              \
#name, name                                                                                \
    }

int main(int argc, char **argv)
{
    static const case_t cases[] = {CASE(works_go_on_in_the_order_of_the_list),
                                   CASE(waits_of_one_work_do_not_hold_up_another),
                                   CASE(a_work_may_wait_for_another_of_its_rank),
                                   CASE(who_waits_for_its_turn_still_gives_signs_of_life),
                                   CASE(one_that_fails_leaves_the_others_alone),
                                   CASE(outside_its_work_a_communicator_waits_as_ever)};
    return cases_main(argc, argv, cases, (int)(sizeof cases / sizeof cases[0]));
}
