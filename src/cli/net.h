/* A last net under damaged files. */
#ifndef MB_CLI_NET_H
#define MB_CLI_NET_H

/* The probe (probe.h) catches most of what HDF5 stumbles over, but what a damaged file does depends
 * on what lies in memory, and a child's is never quite its parent's. From here on a signal that
 * HDF5 raises ends the program with the message about the file; any other is what it always was.
 * RANK: of the launch, whose first rank speaks. */
void mb_net_spread(int rank);

#endif
