/* When a deadline has passed somewhere, every rank whose wait ends tells rank 0 where it stands,
 * and rank 0, which reports for all, adds that to its message. Ranks that say nothing in time are
 * named too: they compute, hang or are gone. */
#define _POSIX_C_SOURCE 200809L /* nanosleep under -std=c11 */
#include "comm/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COLLECT_SECONDS 1.0
#define MOST_NAMED 8 /* ranks; a message has an end */

static void add_number(char *text, size_t capacity, const char *what, int number)
{
    size_t length = strlen(text);
    if (number >= 0)
        snprintf(text + length, capacity - length, ", %s %d", what, number);
}

void mb_comm_place(const mb_comm_note_t *note, char text[MB_COMM_PLACE_TEXT])
{
    bool known = note != NULL && note->action != NULL;
    snprintf(text, MB_COMM_PLACE_TEXT, "%.160s", known ? note->action : "waiting");
    if (note == NULL)
        return;
    add_number(text, MB_COMM_PLACE_TEXT, "stage", note->stage);
    add_number(text, MB_COMM_PLACE_TEXT, "micro-batch", note->micro);
    add_number(text, MB_COMM_PLACE_TEXT, "peer rank", note->peer);
    add_number(text, MB_COMM_PLACE_TEXT, "tag", note->tag);
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
    bool told = status.MPI_SOURCE == comm->first->rank; /* the message begins with it */
    if (!told && comm->n_standing <= MOST_NAMED)
        mb_error_set(MB_OK, "%s; rank %d: %s", mb_error_get(), status.MPI_SOURCE, text);
    return MB_OK;
}

static void name_silent(const mb_comm_t *comm, const bool *answered)
{
    int silent = 0;
    for (int rank = 1; rank < comm->size; rank++) {
        if (answered[rank])
            continue;
        silent++;
        if (silent <= MOST_NAMED)
            mb_error_set(MB_OK, "%s%s %d", mb_error_get(),
                         silent == 1 ? "; no answer (computing, hanging or gone) from rank" : ",",
                         rank);
    }
    if (silent > MOST_NAMED)
        mb_error_set(MB_OK, "%s and %d more", mb_error_get(), silent - MOST_NAMED);
}

static void collect(mb_comm_t *comm)
{
    struct timespec pause = {.tv_nsec = 100000};
    double end = mb_time_seconds() + COLLECT_SECONDS;
    bool *answered = calloc((size_t)comm->size, sizeof(*answered)), came = false;
    while (answered != NULL && comm->n_standing < comm->size - 1 && mb_time_seconds() < end) {
        if (take_answer(comm, answered, &came) != MB_OK)
            break;
        if (!came)
            nanosleep(&pause, NULL);
    }
    if (answered != NULL)
        name_silent(comm, answered);
    free(answered);
}

mb_status_t mb_comm_stand(mb_comm_t *comm, mb_status_t status, const mb_comm_note_t *note)
{
    if (comm->stood || comm->size == 1)
        return status;
    comm->stood = true;
    char place[MB_COMM_PLACE_TEXT] = "";
    mb_comm_place(note, place);
    if (comm->rank == 0) {
        if (status == MB_ERR_PEER)
            mb_error_set(status, "%s; rank 0: %s", mb_error_get(), place);
        collect(comm);
        return status;
    }
    /* Small enough to leave at once, whether or not rank 0 ever asks. */
    memcpy(comm->place, place, sizeof(place));
    MPI_Isend(comm->place, sizeof(comm->place), MPI_BYTE, 0, MB_CONTROL_STANDING, comm->control,
              &comm->place_request);
    return status;
}
