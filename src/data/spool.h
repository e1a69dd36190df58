/* Values that are made once, front to back, and then read at random: in memory, or, where they are
 * too many for that, in a nameless file of the temporary folder that is mapped into memory. */
#ifndef MB_DATA_SPOOL_H
#define MB_DATA_SPOOL_H

#include "base/error.h"
#include <stdint.h>

typedef struct {
    unsigned char *bytes; /* NULL: not made yet */
    int64_t size;
    int64_t mapped; /* bytes of the mapping; 0: memory */
} mb_spool_t;

/* WHAT names what is kept, for messages. A quarter of the machine's memory is the most that is
 * kept in memory. */
mb_status_t mb_spool_create(int64_t size, const char *what, mb_spool_t *out);
/* With a limit of the caller's. */
mb_status_t mb_spool_create_within(int64_t size, int64_t limit, const char *what, mb_spool_t *out);
void mb_spool_free(mb_spool_t *spool);

#endif
