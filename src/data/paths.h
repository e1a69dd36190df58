/* The files that a text of --data names: lines of names and patterns. */
#ifndef MB_DATA_PATHS_H
#define MB_DATA_PATHS_H

#include "base/error.h"

typedef struct {
    char **path; /* sorted by their bytes when there are several */
    int n;
} mb_paths_t;

/* One name a line, as repeated --data options are joined. A name that no file has and that holds
 * one of *?[ is a pattern, and stands for what it matches. MB_ERR_IO when that is nothing,
 * MB_ERR_ARGUMENT when a file is named twice. Not collective. */
mb_status_t mb_paths_expand(const char *text, mb_paths_t *out);
void mb_paths_free(mb_paths_t *paths);

#endif
