/* Nothing moves any more: names the ranks that are lost, and who waits for whom, as ranks over MPI
 * do when a deadline has passed (standing.c). */
#include "comm/virtual_private.h"

#include "base/str.h"

enum { MOST_NAMED = 8 };

static bool waits(const mb_virtual_t *world, int rank)
{
    return world->ends[rank]->state == MB_END_WAITS;
}

/* The rank that it waits for; -1: not one alone. */
static int awaited(const mb_virtual_t *world, int rank)
{
    const mb_comm_note_t *note = world->ends[rank]->note;
    return note == NULL || note->peer < 0 || note->peer >= world->size ? -1 : note->peer;
}

static void describe(const mb_virtual_t *world, int rank, mb_str_t *text)
{
    char place[MB_COMM_PLACE_TEXT];
    const mb_virtual_end_t *end = world->ends[rank];
    mb_comm_place(&end->comm, end->note, place);
    mb_str_addf(text, "; rank %d: %s", rank, place);
}

/* Along the waits: after as many steps as there are ranks one stands on the cycle, or in front of a
 * rank that waits for nobody. */
static int root_of(const mb_virtual_t *world, int rank)
{
    for (int i = 0; i < world->size && waits(world, rank) && awaited(world, rank) >= 0; i++)
        rank = awaited(world, rank);
    return rank;
}

static void name_lost(const mb_virtual_t *world, mb_str_t *text)
{
    int named = 0;
    for (int r = 0; r < world->size && named < MOST_NAMED; r++) {
        if (world->ends[r]->state == MB_END_LOST && named++ < MOST_NAMED)
            mb_str_addf(text, "; rank %d %s", r, world->ends[r]->why);
    }
}

static int name_cycle(const mb_virtual_t *world, int root, mb_str_t *text)
{
    int named = 0, at = root;
    do {
        describe(world, at, text);
        at = awaited(world, at);
    } while (++named < MOST_NAMED && at >= 0 && at != root);
    return named;
}

static int name_waiting(const mb_virtual_t *world, int root, mb_str_t *text)
{
    int named = 0;
    if (waits(world, root))
        return name_cycle(world, root, text);
    if (world->ends[root]->state == MB_END_ENDED)
        mb_str_addf(text, "; rank %d has ended", root);
    for (int r = 0; r < world->size && named < MOST_NAMED; r++) {
        if (waits(world, r) && awaited(world, r) == root && ++named)
            describe(world, r, text);
    }
    return named;
}

static int count_waiting(const mb_virtual_t *world, int *first)
{
    int waiting = 0;
    for (int r = world->size - 1; r >= 0; r--) {
        waiting += waits(world, r) ? 1 : 0;
        *first = waits(world, r) ? r : *first;
    }
    return waiting;
}

mb_status_t mb_virtual_stuck(const mb_virtual_t *world)
{
    mb_str_t text = {0};
    int first = -1, waiting = count_waiting(world, &first);
    name_lost(world, &text);
    if (first >= 0)
        waiting -= name_waiting(world, root_of(world, first), &text);
    if (waiting > 0)
        mb_str_addf(&text, "; %d more wait behind them", waiting);
    mb_status_t status = mb_error_set(MB_ERR_TIMEOUT, "after %.6g s nothing moves any more%s",
                                      world->now, text.text == NULL ? "" : text.text);
    mb_str_free(&text);
    return status;
}
