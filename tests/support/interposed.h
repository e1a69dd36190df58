/* What preloaded libraries (LD_PRELOAD) share: the call behind one that stands in its place, and
 * whether a call is about a file below one directory, so that MPI's own files are left alone. */
#ifndef TESTS_SUPPORT_INTERPOSED_H
#define TESTS_SUPPORT_INTERPOSED_H

#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NEXT(result, name, ...)                                                                    \
    static result (*next)(__VA_ARGS__);                                                            \
    if (next == NULL)                                                                              \
    *(void **)&next = dlsym(RTLD_NEXT, #name)

/* Absolute, without symbolic links, with a slash at its end; "" is no directory at all. */
static char watched[PATH_MAX];

static inline void watch(const char *directory)
{
    snprintf(watched, sizeof watched, "%s/", directory);
}

static inline int number(const char *name)
{
    const char *text = getenv(name);
    return text == NULL ? 0 : atoi(text);
}

/* In which process of an MPI job this is; 0 where there is none. */
static inline int own_rank(void)
{
    return number("OMPI_COMM_WORLD_RANK");
}

/* Where an open file or directory lies; "" when that cannot be told. */
static inline void path_of_fd(int fd, char path[PATH_MAX])
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    path[length < 0 ? 0 : length] = '\0';
}

/* PATH as seen from the directory that AT has open, or from the current one (AT_FDCWD). */
static inline void whole_path(int at, const char *path, char whole[PATH_MAX])
{
    if (path[0] == '/') {
        snprintf(whole, PATH_MAX, "%s", path);
        return;
    }
    if (at == AT_FDCWD && getcwd(whole, PATH_MAX) == NULL)
        whole[0] = '\0';
    if (at != AT_FDCWD)
        path_of_fd(at, whole);
    size_t length = strlen(whole);
    snprintf(whole + length, PATH_MAX - length, "/%s", path);
}

static inline int is_below_at(int at, const char *path)
{
    char whole[PATH_MAX];
    size_t length = strlen(watched);
    if (length == 0)
        return 0;
    whole_path(at, path, whole);
    return strncmp(whole, watched, length) == 0 ||
           (strlen(whole) == length - 1 && strncmp(whole, watched, length - 1) == 0);
}

static inline int is_below(const char *path)
{
    return is_below_at(AT_FDCWD, path);
}

static inline int is_below_fd(int fd)
{
    char path[PATH_MAX];
    if (watched[0] == '\0')
        return 0;
    path_of_fd(fd, path);
    return path[0] == '/' && is_below(path);
}

#endif
