/* Which cores of its node a rank computes on.
 *
 * mpirun binds each of one or two ranks to a single core unless told otherwise, which would leave
 * the rest of the node idle; so a node's ranks share out what the node allows them together. What
 * they may have between them, the first that applies:
 *
 *   a batch job of Slurm            the cores that its ranks were bound to
 *   Open MPI's default binding      the cores that its launcher on the node was given (taskset,
 *                                   numactl, a service's or another batch system's limits)
 *   anything else                   the cores that the ranks were bound to, by whomever: mpirun's
 *                                   --bind-to, another launcher, taskset; of those that Open MPI's
 *                                   launcher was given, which it minds not itself
 *
 * Open MPI's default binding is one that nobody asked for and that is what it does then: of at most
 * two ranks each on the core of its number, of more each on a whole domain of memory or socket. */
#ifndef MB_ENGINE_BINDING_H
#define MB_ENGINE_BINDING_H

#include <hwloc.h>

#include "comm/comm.h"

/* Collective. What this node's ranks may use together, and what it is: "the job was given". */
mb_status_t mb_binding_allowed(mb_comm_t *comm, hwloc_topology_t topology, hwloc_bitmap_t allowed,
                               const char **what);

/* This rank's part of ALLOWED and the number of its cores: neighbours, as many as each rank's even
 * part, a core in turn where there are too few. No part has cores of two domains (that share a
 * cache of the third level, or else memory) where that can be had without any rank having less. */
int mb_binding_share(hwloc_topology_t topology, hwloc_const_bitmap_t allowed, int ranks, int rank,
                     hwloc_bitmap_t share);

/* A topology with what the two look at. MB_ERR_DEVICE. */
mb_status_t mb_binding_topology(hwloc_topology_t *out);

#endif
