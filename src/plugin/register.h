/* Layers, losses and sources that a function registers, a plugin's or the program's own. What is
 * added is of the process, and stays. */
#ifndef MB_PLUGIN_REGISTER_H
#define MB_PLUGIN_REGISTER_H

#include <mb/plugin.h>

#include "comm/comm.h"

typedef mb_status_t (*mb_plugin_entry_t)(const mb_plugin_host_t *host, mb_plugin_t *plugin);

/* Adds what ENTRY registers, all of it or, where ENTRY fails, nothing. */
mb_status_t mb_plugin_enter(mb_plugin_entry_t entry);

/* The same on every rank of COMM, which fail together; an entry that has registered already is left
 * as it is. Collective. MB_ERR_ARGUMENT: ranks register different names. */
mb_status_t mb_plugins_register_all(mb_comm_t *comm, mb_plugin_entry_t entry);

#endif
