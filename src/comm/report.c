/* The report of a failure, from what a watcher knows: who failed or has fallen silent (pulse.c),
 * and where the others stand. Its first line names the rank at fault:
 *
 *     rank 2 on node3 has said nothing for 12 s; it was last in stage 2, step 80, F of micro-batch
 * 3 rank 0 on node1: receiving the gradient of 'dense', step 80, stage 0, ..., peer rank 1, tag 4
 *
 * After a deadline that is the longest silent rank; where all give signs of life, the one that is
 * still at work at the end of the waits, or came to its wait last; else the ranks that wait in a
 * circle. */
#include "comm/state.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_NAMED 8 /* ranks; a report has an end */

typedef struct {
    mb_comm_t *comm;
    const mb_comm_standing_t *answers;
    bool late;   /* a deadline has passed */
    int first;   /* the rank whose failure or deadline came first, of those known */
    int culprit; /* the rank that the first line is about; -1: several */
    int lines;
    char text[MB_ERROR_BYTES];
} writing_t;

static void add(writing_t *writing, const char *format, ...) MB_PRINTF(2, 3);
static void add(writing_t *writing, const char *format, ...)
{
    va_list args;
    size_t length = strlen(writing->text);
    va_start(args, format);
    vsnprintf(writing->text + length, sizeof writing->text - length, format, args);
    va_end(args);
}

static bool answered(const writing_t *writing, int rank)
{
    return writing->answers[rank].peer >= -1;
}

/* A watcher does not hear itself. */
static mb_comm_heard_t heard_of(const writing_t *writing, int rank)
{
    mb_comm_heard_t heard = mb_comm_heard(writing->comm, rank);
    heard.silent = heard.silent && rank != writing->comm->rank && !answered(writing, rank);
    return heard;
}

void mb_comm_own_host(const mb_comm_t *comm, char text[MB_COMM_WHERE_TEXT])
{
    bool hosted = comm->host[0] != '\0' && !mb_comm_is_virtual(comm);
    snprintf(text, MB_COMM_WHERE_TEXT, "%s%.63s", hosted ? " on " : "", hosted ? comm->host : "");
}

void mb_comm_own_where(const mb_comm_t *comm, char text[MB_COMM_WHERE_TEXT])
{
    char where[MB_COMM_WHERE_TEXT];
    char host[MB_COMM_WHERE_TEXT];
    mb_comm_own_host(comm, host);
    snprintf(text, MB_COMM_WHERE_TEXT, "%.68s%s%.180s", host, comm->at.stage >= 0 ? " in " : ", ",
             mb_comm_where(comm, where, sizeof where));
}

static void add_silence(writing_t *writing, const mb_comm_heard_t *heard)
{
    bool known = heard->place[0] != '\0';
    add(writing, "rank %d%s%s has said nothing for %.*f s%s%s", heard->rank, known ? " on " : "",
        heard->host, heard->seconds < 2 ? 1 : 0, heard->seconds, known ? "; it was last " : "",
        heard->place);
}

static int by_silence(const void *a, const void *b)
{
    double x = ((const mb_comm_heard_t *)a)->seconds, y = ((const mb_comm_heard_t *)b)->seconds;
    return (x < y) - (x > y);
}

/* All silent ranks, the longest silent first, a line each; without memory none is named. */
static int add_silent(writing_t *writing)
{
    int n = 0;
    mb_comm_t *comm = writing->comm;
    mb_comm_heard_t *list = calloc((size_t)comm->size, sizeof *list);
    for (int rank = 0; rank < comm->size && list != NULL; rank++) {
        list[n] = heard_of(writing, rank);
        n += list[n].silent;
    }
    if (n > 0)
        qsort(list, (size_t)n, sizeof *list, by_silence);
    for (int i = 0; i < n; i++) {
        comm->stands_in = comm->stands_in || list[i].rank == 0;
        if (i >= MOST_NAMED)
            continue;
        add(writing, "%s", writing->text[0] == '\0' ? "" : "\n  ");
        add_silence(writing, &list[i]);
    }
    if (n > MOST_NAMED)
        add(writing, "\n  %d more ranks are silent", n - MOST_NAMED);
    free(list);
    return n;
}

/* Along the waits from the first late rank: to one that waits for nobody alone, or onto a circle.
 */
static int root_of_waits(const writing_t *writing)
{
    int rank = writing->first;
    for (int i = 0; i < writing->comm->size && answered(writing, rank); i++) {
        int peer = writing->answers[rank].peer;
        if (peer < 0 || peer >= writing->comm->size)
            return rank;
        rank = peer;
    }
    return rank;
}

/* Of those that give signs of life and have come to no wait: the root, or the lowest. */
static int find_busy(const writing_t *writing, int root)
{
    if (!answered(writing, root))
        return root;
    for (int rank = 0; rank < writing->comm->size; rank++) {
        if (!answered(writing, rank) && !heard_of(writing, rank).silent)
            return rank;
    }
    return -1;
}

static void add_circle(writing_t *writing, int root)
{
    int rank = root, named = 0;
    do {
        add(writing, named == 0 ? "rank %d" : " waits for rank %d, which", rank);
        rank = writing->answers[rank].peer;
    } while (++named < MOST_NAMED && rank >= 0 && rank != root && answered(writing, rank));
    if (rank == root)
        add(writing, " waits for rank %d again: a message between them was lost", root);
    else
        add(writing, " waits for others, and no rank is at work: a message between them was lost");
}

/* Of those that wait, the one that has come to its wait last, if that was well behind the others;
 * -1: none. */
static int find_latecomer(const writing_t *writing)
{
    int last = -1;
    for (int rank = 0; rank < writing->comm->size; rank++) {
        double waited = answered(writing, rank) ? writing->answers[rank].waited : -1;
        if (waited >= 0 && (last < 0 || waited < writing->answers[last].waited))
            last = rank;
    }
    bool late = last >= 0 && writing->answers[last].waited < writing->comm->deadline_seconds / 2;
    return late ? last : -1;
}

static void add_latecomer(writing_t *writing, int rank)
{
    const mb_comm_standing_t *at = &writing->answers[rank];
    writing->culprit = rank;
    add(writing,
        "rank %d on %s came too late: others had waited longer than the deadline of %.3g s "
        "for it, and it waits since %.1f s only, %s",
        rank, at->host, writing->comm->deadline_seconds, at->waited, at->place);
}

/* No rank is silent, and yet nothing came. */
static void add_reason(writing_t *writing)
{
    int root = root_of_waits(writing), busy = find_busy(writing, root);
    int latecomer = busy < 0 ? find_latecomer(writing) : -1;
    if (latecomer >= 0) {
        add_latecomer(writing, latecomer);
        return;
    }
    if (busy < 0) {
        add_circle(writing, root);
        return;
    }
    mb_comm_heard_t heard = heard_of(writing, busy);
    writing->culprit = busy;
    add(writing, "rank %d%s%s is still at work %s", busy, heard.host[0] == '\0' ? "" : " on ",
        heard.host, heard.place);
}

/* The message of the failure itself, with its rank in front where that is this one. */
static void add_message(writing_t *writing, mb_status_t status, const char *lead)
{
    char where[MB_COMM_WHERE_TEXT] = "";
    mb_comm_t *comm = writing->comm;
    add(writing, "%s", lead);
    if (writing->late)
        mb_comm_own_host(comm, where);
    else
        mb_comm_own_where(comm, where);
    if (status != MB_ERR_PEER && !comm->common)
        add(writing, "rank %d%s: ", comm->rank, where);
    add(writing, "%s", mb_error_get());
}

static void add_late(writing_t *writing, mb_status_t status)
{
    if (add_silent(writing) == 0)
        add_reason(writing);
    add_message(writing, status, "\n  ");
    writing->lines++;
}

static void add_failed(writing_t *writing, mb_status_t status)
{
    add_message(writing, status, "");
    writing->culprit = writing->first;
    writing->lines += add_silent(writing);
}

static void add_standing(writing_t *writing, int rank)
{
    const mb_comm_standing_t *at = &writing->answers[rank];
    mb_comm_heard_t heard = heard_of(writing, rank);
    if (rank == writing->first || rank == writing->culprit || heard.silent ||
        writing->lines >= MOST_NAMED)
        return;
    writing->lines++;
    if (answered(writing, rank))
        add(writing, "\n  rank %d on %s: %s", rank, at->host, at->place);
    else
        add(writing, "\n  rank %d%s%s is at work %s", rank, heard.host[0] == '\0' ? "" : " on ",
            heard.host, heard.place);
}

void mb_comm_compose(mb_comm_t *comm, mb_status_t status, const mb_comm_standing_t *answers)
{
    writing_t *writing = calloc(1, sizeof *writing);
    if (writing == NULL)
        return;
    writing->comm = comm;
    writing->answers = answers;
    writing->culprit = -1;
    writing->late = comm->first->status == (int)MB_ERR_TIMEOUT;
    writing->first = status == MB_ERR_PEER ? comm->first->rank : comm->rank;
    if (writing->late)
        add_late(writing, status);
    else
        add_failed(writing, status);
    for (int rank = 0; rank < comm->size && !comm->common; rank++)
        add_standing(writing, rank);
    mb_error_set(status, "%s", writing->text);
    comm->report = malloc(sizeof *comm->report);
    if (comm->report != NULL)
        mb_error_keep(comm->report);
    free(writing);
}
