/* The folder of a run's local parts: this user's alone, since others may write beside it. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "store/io.h"
#include "store/local_set.h"

static mb_status_t make(const char *directory, const char *folder)
{
    struct stat about;
    if (mkdir(folder, 0700) != 0 && errno != EEXIST) {
        if (errno == ENOENT)
            return mb_error_set(MB_ERR_IO,
                                "the directory for local checkpoints '%s' does not exist here; "
                                "create it on every node, or choose another",
                                directory);
        return mb_io_error("create the folder of local checkpoints", folder);
    }
    if (lstat(folder, &about) != 0)
        return mb_io_error("look at the folder of local checkpoints", folder);
    if (S_ISDIR(about.st_mode) && about.st_uid == geteuid() && (about.st_mode & 022) == 0)
        return MB_OK;
    return mb_error_set(MB_ERR_IO,
                        "'%s' is not a folder of this user's alone; remove it, or choose another "
                        "directory for local checkpoints",
                        folder);
}

mb_status_t mb_local_folder(const char *directory, uint64_t run, char **folder)
{
    size_t bytes = strlen(directory) + 32;
    *folder = malloc(bytes);
    if (*folder == NULL)
        return mb_error_memory("a path", bytes);
    snprintf(*folder, bytes, "%s/mbrun-%016" PRIx64, directory, run);
    mb_status_t status = make(directory, *folder);
    if (status != MB_OK) {
        free(*folder);
        *folder = NULL;
    }
    return status;
}

/* Whether NAME is a part's, and which. */
static bool parse(const char *name, mb_local_found_t *found)
{
    int end = 0;
    mb_local_key_t *key = &found->key;
    if (sscanf(name, "step-%18" SCNd64 "-%16" SCNx64 "-%9" SCNd64 "of%9" SCNd64 "%n", &key->step,
               &key->start, &key->rank, &key->ranks, &end) != 4)
        return false;
    found->copy = strcmp(name + end, ".copy") == 0;
    return (found->copy || strcmp(name + end, ".own") == 0) && key->step >= 0 && key->rank >= 0 &&
           key->rank < key->ranks;
}

static mb_status_t add(mb_local_found_t **list, int *count, int *capacity,
                       const mb_local_found_t *found)
{
    if (*count == *capacity) {
        int larger = 2 * *capacity + 16;
        mb_local_found_t *grown = realloc(*list, (size_t)larger * sizeof **list);
        if (grown == NULL)
            return mb_error_memory("a list of local checkpoints", (size_t)larger * sizeof **list);
        *list = grown;
        *capacity = larger;
    }
    (*list)[(*count)++] = *found;
    return MB_OK;
}

mb_status_t mb_local_list(const char *folder, uint64_t run, mb_local_found_t **found, int *count)
{
    int capacity = 0;
    *found = NULL;
    *count = 0;
    DIR *open = opendir(folder);
    if (open == NULL)
        return mb_io_error("list", folder);
    mb_status_t status = MB_OK;
    for (struct dirent *entry = readdir(open); entry != NULL && status == MB_OK;
         entry = readdir(open)) {
        mb_local_found_t part = {.key.run = run};
        if (parse(entry->d_name, &part))
            status = add(found, count, &capacity, &part);
    }
    closedir(open);
    return status;
}

static bool is_kept(const mb_local_key_t *key, uint64_t start, int64_t first, int64_t last)
{
    return key->start == start && key->step >= first && key->step <= last;
}

/* Other ranks of the node may do the same at this moment: what is gone is gone. */
static mb_status_t remove_name(const char *folder, const char *name)
{
    size_t bytes = strlen(folder) + strlen(name) + 2;
    char *path = malloc(bytes);
    if (path == NULL)
        return mb_error_memory("a path", bytes);
    snprintf(path, bytes, "%s/%s", folder, name);
    mb_status_t status = mb_io_remove(path);
    free(path);
    return status;
}

/* Removes the names that GOES says. */
static mb_status_t remove_names(const char *folder,
                                bool (*goes)(const char *name, const void *user), const void *user)
{
    DIR *open = opendir(folder);
    if (open == NULL)
        return errno == ENOENT ? MB_OK : mb_io_error("list", folder);
    mb_status_t status = MB_OK;
    for (struct dirent *entry = readdir(open); entry != NULL && status == MB_OK;
         entry = readdir(open)) {
        if (goes(entry->d_name, user))
            status = remove_name(folder, entry->d_name);
    }
    closedir(open);
    return status;
}

typedef struct {
    uint64_t start;
    int64_t first, last;
} kept_t;

static bool is_past(const char *name, const void *user)
{
    const kept_t *kept = user;
    mb_local_found_t part;
    return parse(name, &part) && !is_kept(&part.key, kept->start, kept->first, kept->last);
}

mb_status_t mb_local_prune(const char *folder, uint64_t start, int64_t first, int64_t last)
{
    const kept_t kept = {start, first, last};
    return remove_names(folder, is_past, &kept);
}

static bool is_temporary(const char *name, const void *user)
{
    (void)user;
    return mb_io_is_temporary(name);
}

mb_status_t mb_local_sweep(const char *folder)
{
    return remove_names(folder, is_temporary, NULL);
}

static bool is_ours(const char *name, const void *user)
{
    (void)user;
    mb_local_found_t part;
    return parse(name, &part) || mb_io_is_temporary(name);
}

mb_status_t mb_local_remove(const char *folder)
{
    MB_TRY(remove_names(folder, is_ours, NULL));
    /* Another rank of the node may have removed it already. */
    (void)rmdir(folder);
    return MB_OK;
}

mb_status_t mb_local_together(const char *a, const char *b, bool *together)
{
    struct stat x, y;
    if (stat(a, &x) != 0)
        return mb_io_error("look at", a);
    if (stat(b, &y) != 0)
        return mb_io_error("look at", b);
    *together = x.st_dev == y.st_dev;
    return MB_OK;
}

mb_status_t mb_local_space(const char *folder, int64_t *bytes)
{
    struct statvfs about;
    if (statvfs(folder, &about) != 0)
        return mb_io_error("look at the space of", folder);
    *bytes = (int64_t)about.f_bavail * (int64_t)about.f_frsize;
    return MB_OK;
}
