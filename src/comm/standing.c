/* When a deadline has passed somewhere, every rank whose wait ends tells ranks 0 and 1 where it
 * stands. These put the ranks that have fallen silent (pulse.c) in front of their message, the
 * longest silent first, and add where the others stand. Rank 0 reports for all; rank 1 does so
 * where rank 0 is the silent one. */
#define _POSIX_C_SOURCE 200809L /* nanosleep under -std=c11 */
#include "comm/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COLLECT_SECONDS 0.5
#define LEAST_SECONDS 0.2 /* until what has arrived was also taken in */
#define MOST_NAMED 8      /* ranks; a message has an end */

static void add_number(char *text, size_t capacity, const char *what, int number)
{
    size_t length = strlen(text);
    if (number >= 0)
        snprintf(text + length, capacity - length, ", %s %d", what, number);
}

void mb_comm_place(const mb_comm_t *comm, const mb_comm_note_t *note, char text[MB_COMM_PLACE_TEXT])
{
    char where[80];
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
                 mb_comm_where(comm, where, sizeof(where)));
}

/* One rank's answer, if one has come. */
static mb_status_t take_answer(mb_comm_t *comm, bool *answered, bool *came)
{
    int flag = 0;
    MPI_Status status;
    char text[MB_COMM_PLACE_TEXT];
    *came = false;
    MB_TRY(mb_comm_check(
        comm, MPI_Iprobe(MPI_ANY_SOURCE, MB_CONTROL_STANDING, comm->control, &flag, &status),
        "asking where ranks stand"));
    if (!flag)
        return MB_OK;
    MB_TRY(mb_comm_check(comm,
                         MPI_Recv(text, sizeof(text), MPI_BYTE, status.MPI_SOURCE,
                                  MB_CONTROL_STANDING, comm->control, MPI_STATUS_IGNORE),
                         "asking where ranks stand"));
    *came = answered[status.MPI_SOURCE] = true;
    text[sizeof(text) - 1] = '\0';
    comm->n_standing++;
    if (status.MPI_SOURCE != comm->told && comm->n_standing <= MOST_NAMED)
        mb_error_set(MB_OK, "%s; rank %d: %s", mb_error_get(), status.MPI_SOURCE, text);
    return MB_OK;
}

/* Nothing is to be hoped for from a silent rank; one that computes may yet come to a wait. */
static bool may_answer(const mb_comm_t *comm, const bool *answered)
{
    for (int rank = 0; rank < comm->size; rank++) {
        if (rank != comm->rank && !answered[rank] && !mb_comm_heard(comm, rank).silent)
            return true;
    }
    return false;
}

static void collect(mb_comm_t *comm, bool *answered)
{
    struct timespec pause = {.tv_nsec = 500000};
    double start = mb_time_seconds(), waited = 0;
    while (waited < COLLECT_SECONDS && (waited < LEAST_SECONDS || may_answer(comm, answered))) {
        bool came = false;
        mb_comm_pulse(comm);
        if (take_answer(comm, answered, &came) != MB_OK)
            return;
        if (!came)
            nanosleep(&pause, NULL);
        waited = mb_time_seconds() - start;
    }
}

static int by_silence(const void *a, const void *b)
{
    double x = ((const mb_comm_heard_t *)a)->seconds, y = ((const mb_comm_heard_t *)b)->seconds;
    return (x < y) - (x > y);
}

/* All silent ranks, the longest silent first; NULL if memory lacks, and then none are named. */
static mb_comm_heard_t *list_silent(const mb_comm_t *comm, const bool *answered, int *n)
{
    mb_comm_heard_t *list = calloc((size_t)comm->size, sizeof *list);
    *n = 0;
    for (int rank = 0; rank < comm->size && list != NULL; rank++) {
        list[*n] = mb_comm_heard(comm, rank);
        *n += rank != comm->rank && !answered[rank] && list[*n].silent;
    }
    if (list != NULL)
        qsort(list, (size_t)*n, sizeof *list, by_silence);
    return list;
}

static void add_silent(const mb_comm_heard_t *heard, char *text, size_t capacity)
{
    size_t length = strlen(text);
    bool known = heard->place[0] != '\0';
    snprintf(text + length, capacity - length, "rank %d%s%s has said nothing for %.*f s%s%s; ",
             heard->rank, known ? " on " : "", heard->host, heard->seconds < 2 ? 1 : 0,
             heard->seconds, known ? "; it was last " : "", heard->place);
}

/* In front of the message, which does not yet say whose it is where it is this rank's own. */
static void name_silent(mb_comm_t *comm, const bool *answered, mb_status_t status)
{
    char text[MB_COMM_NOTICE_TEXT] = "";
    int n;
    mb_comm_heard_t *list = list_silent(comm, answered, &n);
    for (int i = 0; i < n; i++) {
        comm->stands_in = comm->stands_in || list[i].rank == 0;
        if (i < MOST_NAMED)
            add_silent(&list[i], text, sizeof text);
    }
    size_t length = strlen(text);
    if (n > MOST_NAMED)
        snprintf(text + length, sizeof text - length, "%d more ranks are silent; ", n - MOST_NAMED);
    length = strlen(text);
    if (n > 0 && status != MB_ERR_PEER)
        snprintf(text + length, sizeof text - length, "rank %d: ", comm->rank);
    mb_error_prefix(status, "%s", text);
    free(list);
}

static void name_busy(const mb_comm_t *comm, const bool *answered)
{
    int busy = 0;
    for (int rank = 0; rank < comm->size && busy < MOST_NAMED; rank++) {
        mb_comm_heard_t heard = mb_comm_heard(comm, rank);
        if (rank == comm->rank || answered[rank] || heard.silent)
            continue;
        busy++;
        mb_error_set(MB_OK, "%s; rank %d is at work %s", mb_error_get(), rank, heard.place);
    }
}

static mb_status_t report(mb_comm_t *comm, mb_status_t status)
{
    bool *answered = calloc((size_t)comm->size, sizeof(*answered));
    if (answered == NULL)
        return status;
    collect(comm, answered);
    name_busy(comm, answered);
    name_silent(comm, answered, status);
    if (comm->stands_in)
        MPI_Isend(NULL, 0, MPI_BYTE, 0, MB_CONTROL_SPOKEN, comm->control, &comm->spoken_request);
    free(answered);
    return status;
}

/* Small enough to leave at once, whether or not a watcher ever asks. */
static void tell(mb_comm_t *comm)
{
    for (int w = 0; w < MB_COMM_WATCHERS && w < comm->size; w++) {
        if (w != comm->rank)
            MPI_Isend(comm->place, sizeof(comm->place), MPI_BYTE, w, MB_CONTROL_STANDING,
                      comm->control, &comm->place_requests[w]);
    }
}

mb_status_t mb_comm_stand(mb_comm_t *comm, mb_status_t status, const mb_comm_note_t *note)
{
    if (comm->stood || comm->size == 1)
        return status;
    comm->stood = true;
    comm->told = status == MB_ERR_PEER ? comm->first->rank : comm->rank;
    mb_comm_place(comm, note, comm->place);
    tell(comm);
    if (comm->rank >= MB_COMM_WATCHERS)
        return status;
    if (status == MB_ERR_PEER)
        mb_error_set(status, "%s; rank %d: %s", mb_error_get(), comm->rank, comm->place);
    return report(comm, status);
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
