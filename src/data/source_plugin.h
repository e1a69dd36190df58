/* Sources that plugins bring (mb/plugin.h), by the ending of their files. */
#ifndef MB_DATA_SOURCE_PLUGIN_H
#define MB_DATA_SOURCE_PLUGIN_H

#include <mb/plugin.h>

#include "data/internal.h"

/* Adds a kind of source, which lives as long as the program. Of the process, not of a thread.
 * MB_ERR_ARGUMENT: the ending is another source's, or there is no more room. */
mb_status_t mb_source_plugin_add(const mb_plugin_source_t *source);
/* Whose the file is; NULL: no plugin's. */
const mb_plugin_source_t *mb_source_plugin_find(const char *path);
mb_status_t mb_source_open_plugin(const char *path, const mb_source_wants_t *wants,
                                  mb_source_t **out);

#endif
