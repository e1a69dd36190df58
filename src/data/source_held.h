/* The samples that ranks hold, each its own, as one source: their order is by rank, then by index.
 *
 * A rank that computes is read where it holds them; what it needs of another it asks for
 * (data/asks.h). Samples of ranks that do not compute are moved to those that do, evenly, when the
 * source is made, so that afterwards these ranks are free to do something else, and their memory is
 * theirs. No bit depends on who holds what. */
#ifndef MB_DATA_SOURCE_HELD_H
#define MB_DATA_SOURCE_HELD_H

#include "comm/comm.h"
#include "data/held.h"
#include "data/source.h"

enum { MB_HELD_MOST = 32 };

typedef struct {
    mb_comm_t *all;     /* the ranks that may hold samples */
    mb_comm_t *comm;    /* those of them that compute, in their order; NULL: this rank does not */
    const char *device; /* class of the one whose memory samples may be in */
    int n_fields;       /* at most MB_HELD_MOST; on all ranks the same, in the same order */
    const mb_held_t *fields;
    int64_t samples; /* of this rank */
} mb_held_options_t;

/* Collective over all. *out: NULL on a rank that does not compute. What FIELDS point to stays in
 * use where the rank computes. */
mb_status_t mb_source_hold(const mb_held_options_t *options, mb_source_t **out);

typedef struct {
    int64_t copied; /* bytes of own samples that were brought together before they were read:
                       strided ones, and those of a device */
    int64_t sent, received; /* bytes of samples, to and from other ranks */
} mb_held_counts_t;
/* Of this rank so far. SOURCE may be any; all but one made here has zeros. */
mb_held_counts_t mb_source_held_counts(const mb_source_t *source);

#endif
