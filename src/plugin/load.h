/* Plugins: shared objects with layers, losses and sources (mb/plugin.h), loaded into the process.
 * What they add is found from then on like what is built in, and stays. */
#ifndef MB_PLUGIN_LOAD_H
#define MB_PLUGIN_LOAD_H

#include "comm/comm.h"

/* Loads the objects that PATHS names, one a line, in their order; one that is loaded already is
 * left as it is. NULL: none. Not collective, and of the process. MB_ERR_IO: it cannot be loaded;
 * MB_ERR_UNSUPPORTED: it is no plugin, or one for another version; what it itself fails with. */
mb_status_t mb_plugins_load(const char *paths);

/* The same on every rank of COMM, which fail together. Collective. MB_ERR_ARGUMENT: the objects are
 * not the same on all ranks. */
mb_status_t mb_plugins_load_all(mb_comm_t *comm, const char *paths);

#endif
