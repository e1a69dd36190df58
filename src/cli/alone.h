/* Ranks that a launcher started together and that do not find each other: each would train alone,
 * in one run directory. */
#ifndef MB_CLI_ALONE_H
#define MB_CLI_ALONE_H

#include "base/error.h"

typedef struct {
    const char *variable; /* the environment's that says so; NULL: none does */
    const char *launcher, *remedy;
    int ranks, rank; /* RANK: this process */
} mb_alone_t;

/* How many ranks the launcher nearest to this process says there are; before MPI is started, which
 * may change the environment. */
mb_alone_t mb_alone_expect(void);
/* MPI says there are SIZE. MB_ERR_MPI if that is this rank alone and there should be more. */
mb_status_t mb_alone_check(const mb_alone_t *expected, int size);

#endif
