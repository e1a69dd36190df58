/* The cores that a rank computes on, and how many threads. */
#ifndef MB_ENGINE_CORES_H
#define MB_ENGINE_CORES_H

#include "comm/comm.h"

typedef struct {
    int threads;
    int *pins;     /* [threads] a core of its own for each thread; NULL: they are not pinned */
    char text[96]; /* for people: "cores 0-3 of the 0-7 that mpirun was given" */
} mb_cores_t;

/* Collective. KEEP: those that the launcher bound this process to; else its share of the node's
 * (binding.h), to which the process is bound. THREADS 0: as many as cores; where it is as many as a
 * share has, each is pinned to one. Freed by mb_cores_free. */
mb_status_t mb_cores_choose(mb_comm_t *comm, bool keep, int threads, mb_cores_t *out);
void mb_cores_free(mb_cores_t *cores);

#endif
