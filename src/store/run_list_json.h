/* What lies in a run's directory, as JSON. */
#ifndef MB_STORE_RUN_LIST_JSON_H
#define MB_STORE_RUN_LIST_JSON_H

#include <jansson.h>

#include "store/run_list.h"

/* Of the directory called PATH. A new reference. */
json_t *mb_run_list_json(const mb_run_list_t *list, const char *path);

#endif
