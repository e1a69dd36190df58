/* The inside of a source of held samples, shared by its files. */
#ifndef MB_DATA_HELD_PRIVATE_H
#define MB_DATA_HELD_PRIVATE_H

#include "data/asks.h"
#include "data/held_runs.h"
#include "data/internal.h"
#include "data/source_held.h"

typedef struct {
    mb_source_t base;
    mb_comm_t *comm;
    int rank; /* there */
    mb_held_runs_t runs;
    mb_held_t fields[MB_HELD_MOST];  /* names are owned */
    mb_held_t adopted[MB_HELD_MOST]; /* their data is owned */
    mb_element_t elements[MB_HELD_MOST];
    bool has_way;
    mb_held_way_t way;
    mb_asks_t *asks; /* NULL: there is nobody to ask */
    char *piece;     /* samples on their way to conversion */
    size_t piece_bytes;
    int64_t copied;
} mb_held_source_t;

/* held_gather.c: the samples of all that are this rank's. */
/* Which array has SAMPLE, and where in it. */
const mb_held_t *mb_held_find(const mb_held_source_t *source, int field, int64_t sample,
                              int64_t *at);
mb_status_t mb_held_bring(mb_held_source_t *source, int field, const int64_t *samples,
                          int64_t count, void *to);

/* held_agree.c. Collective over ALL: the fields are the same everywhere; every rank's number of
 * samples and whether it computes. COUNTS, COMPUTES: [ranks], malloc'ed. */
mb_status_t mb_held_agree(const mb_held_options_t *options, int64_t **counts, bool **computes);

/* held_move.c. Collective over ALL: what SOURCE adopts arrives. Where this rank does not compute
 * SOURCE has its fields all the same. */
mb_status_t mb_held_move(const mb_held_options_t *options, const bool *computes,
                         mb_held_source_t *source);

#endif
