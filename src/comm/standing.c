/* When a failure has ended the waits, every rank tells ranks 0 and 1 where it stands. These gather
 * the answers for their reports (report.c). Rank 0 reports for all; rank 1 does so where rank 0 is
 * silent. */
#define _POSIX_C_SOURCE 200809L /* nanosleep under -std=c11 */
#include "comm/state.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COLLECT_SECONDS 0.5
#define LEAST_SECONDS 0.2 /* until what has arrived was also taken in */

static void add_number(char *text, size_t capacity, const char *what, int number)
{
    size_t length = strlen(text);
    if (number >= 0)
        snprintf(text + length, capacity - length, ", %s %d", what, number);
}

void mb_comm_place(const mb_comm_t *comm, const mb_comm_note_t *note, char text[MB_COMM_PLACE_TEXT])
{
    char where[MB_COMM_WHERE_TEXT];
    bool known = note != NULL && note->action != NULL;
    int length = snprintf(text, MB_COMM_PLACE_TEXT, "%.120s", known ? note->action : "waiting");
    if (note == NULL)
        return;
    if (note->stage >= 0 && comm->at.counts != NULL)
        snprintf(text + length, MB_COMM_PLACE_TEXT - (size_t)length, ", %s %lld", comm->at.counts,
                 (long long)comm->at.step);
    add_number(text, MB_COMM_PLACE_TEXT, "stage", note->stage);
    add_number(text, MB_COMM_PLACE_TEXT, "micro-batch", note->micro);
    add_number(text, MB_COMM_PLACE_TEXT, "peer rank", note->peer);
    add_number(text, MB_COMM_PLACE_TEXT, "tag", note->tag);
    size_t end = strlen(text);
    if (note->stage < 0 && comm->between)
        snprintf(text + end, MB_COMM_PLACE_TEXT - end, " (%s)",
                 mb_comm_where(comm, where, sizeof where));
}

static void fill_standing(mb_comm_t *comm, int peer, double waited)
{
    comm->placed = true;
    comm->standing.waited = waited;
    comm->standing.peer = peer < 0 ? -1 : peer;
    snprintf(comm->standing.host, sizeof comm->standing.host, "%.63s", comm->host);
}

void mb_comm_keep_place(mb_comm_t *comm, const mb_comm_note_t *note)
{
    fill_standing(comm, note == NULL ? -1 : note->peer, mb_time_seconds() - comm->wait_begun);
    mb_comm_place(comm, note, comm->standing.place);
}

static void place_at_work(mb_comm_t *comm)
{
    char where[MB_COMM_WHERE_TEXT];
    fill_standing(comm, -1, -1);
    snprintf(comm->standing.place, sizeof comm->standing.place, "at work, in %.200s",
             mb_comm_where(comm, where, sizeof where));
}

/* One rank's answer, if one has come. */
static bool take_answer(mb_comm_t *comm, mb_comm_standing_t *answers)
{
    int flag = 0;
    MPI_Status status;
    mb_comm_standing_t answer;
    if (MPI_Iprobe(MPI_ANY_SOURCE, MB_CONTROL_STANDING, comm->control, &flag, &status) !=
            MPI_SUCCESS ||
        !flag ||
        MPI_Recv(&answer, sizeof answer, MPI_BYTE, status.MPI_SOURCE, MB_CONTROL_STANDING,
                 comm->control, MPI_STATUS_IGNORE) != MPI_SUCCESS)
        return false;
    answer.host[sizeof answer.host - 1] = answer.place[sizeof answer.place - 1] = '\0';
    answers[status.MPI_SOURCE] = answer;
    return true;
}

/* Nothing is to be hoped for from a silent rank; one that computes may yet come to a wait. */
static bool may_answer(const mb_comm_t *comm, const mb_comm_standing_t *answers)
{
    for (int rank = 0; rank < comm->size; rank++) {
        if (answers[rank].peer < -1 && !mb_comm_heard(comm, rank).silent)
            return true;
    }
    return false;
}

static void collect(mb_comm_t *comm, mb_comm_standing_t *answers)
{
    struct timespec pause = {.tv_nsec = 500000};
    double start = mb_time_seconds(), waited = 0;
    while (waited < COLLECT_SECONDS && (waited < LEAST_SECONDS || may_answer(comm, answers))) {
        mb_comm_pulse(comm);
        if (!take_answer(comm, answers))
            nanosleep(&pause, NULL);
        waited = mb_time_seconds() - start;
    }
}

/* Without memory the message stays as it is. */
static void report(mb_comm_t *comm, mb_status_t status)
{
    mb_comm_standing_t *answers = calloc((size_t)comm->size, sizeof *answers);
    if (answers == NULL)
        return;
    for (int rank = 0; rank < comm->size; rank++)
        answers[rank].peer = INT_MIN;
    answers[comm->rank] = comm->standing;
    collect(comm, answers);
    mb_comm_compose(comm, status, answers);
    if (comm->stands_in)
        MPI_Isend(NULL, 0, MPI_BYTE, 0, MB_CONTROL_SPOKEN, comm->control, &comm->spoken_request);
    free(answers);
}

/* Small enough to leave at once, whether or not a watcher ever asks. */
static void tell(mb_comm_t *comm)
{
    for (int w = 0; w < MB_COMM_WATCHERS && w < comm->size; w++) {
        if (w != comm->rank)
            MPI_Isend(&comm->standing, sizeof comm->standing, MPI_BYTE, w, MB_CONTROL_STANDING,
                      comm->control, &comm->place_requests[w]);
    }
}

mb_status_t mb_comm_stand(mb_comm_t *comm, mb_status_t status)
{
    if (comm->report != NULL) /* what came later may stand in its place */
        mb_error_restore(comm->report);
    if (comm->stood || comm->pulse == NULL)
        return status;
    comm->stood = true;
    if (!comm->placed)
        place_at_work(comm);
    tell(comm);
    if (comm->rank < MB_COMM_WATCHERS)
        report(comm, status);
    return status;
}

mb_status_t mb_comm_report(mb_comm_t *comm, mb_status_t status)
{
    mb_comm_hear(comm);
    /* MPI fails on one rank, and the others still wait for it. */
    if (status == MB_ERR_MPI && !comm->agreed && comm->size > 1)
        mb_comm_fail(comm, status);
    return comm->agreed || comm->first->rank == INT_MAX ? status : mb_comm_stand(comm, status);
}

/* A rank that was stopped may wake, by the launcher's own hand, after another has spoken for it. */
static bool is_spoken_for(mb_comm_t *comm)
{
    int flag = 0;
    if (comm->size == 1)
        return false;
    int code = MPI_Iprobe(1, MB_CONTROL_SPOKEN, comm->control, &flag, MPI_STATUS_IGNORE);
    return code == MPI_SUCCESS && flag != 0;
}

bool mb_comm_speaks(mb_comm_t *comm)
{
    return comm->rank == 0 ? !is_spoken_for(comm) : comm->stands_in;
}
