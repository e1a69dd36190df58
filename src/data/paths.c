/* Files are sorted so that the order of samples depends on their names alone, not on a shell's
 * language or the order of options. */
#define _POSIX_C_SOURCE 200809L
#include "data/paths.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static mb_status_t add(mb_paths_t *paths, const char *path)
{
    char **grown = realloc(paths->path, (size_t)(paths->n + 1) * sizeof(*grown));
    if (grown == NULL)
        return mb_error_memory("a list of files", (size_t)paths->n);
    paths->path = grown;
    grown[paths->n] = strdup(path);
    if (grown[paths->n] == NULL)
        return mb_error_memory("the name of a file", strlen(path));
    paths->n++;
    return MB_OK;
}

static mb_status_t add_matches(mb_paths_t *paths, const char *pattern)
{
    glob_t found;
    mb_status_t status = MB_OK;
    int code = glob(pattern, GLOB_NOSORT, NULL, &found);
    if (code == GLOB_NOSPACE)
        return mb_error_memory("the files of a pattern", 0);
    if (code != 0)
        return mb_error_set(MB_ERR_IO, "%s: no file has this name or matches this pattern",
                            pattern);
    for (size_t i = 0; i < found.gl_pathc && status == MB_OK; i++)
        status = add(paths, found.gl_pathv[i]);
    globfree(&found);
    return status;
}

static mb_status_t add_line(mb_paths_t *paths, const char *line)
{
    if (strpbrk(line, "*?[") != NULL && access(line, F_OK) != 0)
        return add_matches(paths, line);
    return add(paths, line);
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static mb_status_t sort(mb_paths_t *paths)
{
    qsort(paths->path, (size_t)paths->n, sizeof(char *), by_bytes);
    for (int i = 1; i < paths->n; i++) {
        if (strcmp(paths->path[i - 1], paths->path[i]) == 0)
            return mb_error_set(MB_ERR_ARGUMENT, "%s: the file is named twice", paths->path[i]);
    }
    return MB_OK;
}

static mb_status_t add_lines(mb_paths_t *paths, char *text)
{
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest))
        MB_TRY(add_line(paths, line));
    if (paths->n == 0)
        return mb_error_set(MB_ERR_ARGUMENT, "no data file is named");
    return sort(paths);
}

mb_status_t mb_paths_expand(const char *text, mb_paths_t *out)
{
    *out = (mb_paths_t){NULL, 0};
    if (access(text, F_OK) == 0)
        return add(out, text);
    char *copy = strdup(text);
    if (copy == NULL)
        return mb_error_memory("a list of files", strlen(text));
    mb_status_t status = add_lines(out, copy);
    free(copy);
    if (status != MB_OK)
        mb_paths_free(out);
    return status;
}

void mb_paths_free(mb_paths_t *paths)
{
    for (int i = 0; i < paths->n; i++)
        free(paths->path[i]);
    free(paths->path);
    *paths = (mb_paths_t){NULL, 0};
}
