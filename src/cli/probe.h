/* A look at the files of a command line by a process of its own. */
#ifndef MB_CLI_PROBE_H
#define MB_CLI_PROBE_H

#include "cli/command.h"

/* HDF5 1.10 follows damaged metadata out of its memory or without end, and no caller can keep it
 * from that. So a child reads the metadata of every HDF5 file that the command line or a model
 * names before MPI starts (forking later is not safe on every network); when it is killed or does
 * not end, MB_ERR_FORMAT says which file is damaged. Other errors are left to the command, which
 * words them better. Costs about a millisecond a file. */
mb_status_t mb_probe(const mb_args_t *args);

#endif
