/* Preloaded into a program (LD_PRELOAD), makes every directory look as if it were on another file
 * system:
 *
 *     MB_FILESYSTEM    what statfs gives as its kind, a number as in C
 *     MB_STRIPES       a file; "DIRECTORY UNIT FACTOR" of each layout of stripes that is set is
 * added
 *
 * Lustre's layout of stripes (lov_user_md_v1) is taken as that file system takes it, and is all
 * that there is of it. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>
#include "support/interposed.h"

int statfs(const char *path, struct statfs *about)
{
    NEXT(int, statfs, const char *, struct statfs *);
    const char *kind = getenv("MB_FILESYSTEM");
    int result = next(path, about);
    if (kind != NULL)
        about->f_type = strtol(kind, NULL, 0);
    return result;
}

/* Offsets of the fields: lustre/include/uapi/linux/lustre/lustre_user.h. */
static int set_stripes(int fd, const unsigned char *layout)
{
    uint32_t magic, unit;
    int16_t factor;
    char path[PATH_MAX];
    const char *told = getenv("MB_STRIPES");
    memcpy(&magic, layout, sizeof magic);
    memcpy(&unit, layout + 24, sizeof unit);
    memcpy(&factor, layout + 28, sizeof factor);
    FILE *file = magic == 0x0BD10BD0 && told != NULL ? fopen(told, "a") : NULL;
    if (file == NULL) {
        errno = EINVAL;
        return -1;
    }
    path_of_fd(fd, path);
    fprintf(file, "%s %u %d\n", path, unit, factor);
    fclose(file);
    return 0;
}

int ioctl(int fd, unsigned long request, ...)
{
    NEXT(int, ioctl, int, unsigned long, void *);
    va_list rest;
    va_start(rest, request);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    return request == _IOW('f', 154, long) && getenv("MB_FILESYSTEM") != NULL
               ? set_stripes(fd, argument)
               : next(fd, request, argument);
}
