/* Control groups: man 7 cgroups; the kernel's Documentation/admin-guide/cgroup-v2.rst and
 * cgroup-v1/memory.rst. */
#define _DEFAULT_SOURCE /* getrusage tells ru_maxrss */
#include "base/host_memory.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static int64_t lesser(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* A file that holds one number; "max" and whatever else is no number are no limit. */
static int64_t read_limit(const char *folder, const char *name)
{
    char path[4096 + 64];
    int64_t limit;
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return INT64_MAX;
    if (fscanf(file, "%" SCNd64, &limit) != 1 || limit <= 0)
        limit = INT64_MAX;
    fclose(file);
    return limit;
}

/* The group at PATH below ROOT, and each one above it. A container sees its own group as the root,
 * so that PATH may not be there: then what is above it counts. */
static int64_t limit_upwards(const char *root, const char *path, const char *name)
{
    char folder[4096];
    int64_t limit = INT64_MAX;
    if ((size_t)snprintf(folder, sizeof(folder), "%s%s", root, path) >= sizeof(folder))
        return limit;
    for (char *end; strlen(folder) >= strlen(root); *end = '\0') {
        limit = lesser(limit, read_limit(folder, name));
        end = strrchr(folder, '/');
        if (end == NULL)
            break;
    }
    return limit;
}

static bool has_memory(const char *controllers, size_t length)
{
    char list[512];
    snprintf(list, sizeof(list), ",%.*s,", (int)length, controllers);
    return strstr(list, ",memory,") != NULL;
}

/* "0::/path" of version 2, "4:memory,cpu:/path" of version 1. */
static int64_t limit_of_line(const char *line, const char *root)
{
    char memory[4096];
    const char *controllers = strchr(line, ':');
    const char *path = controllers == NULL ? NULL : strchr(controllers + 1, ':');
    if (path == NULL)
        return INT64_MAX;
    if (path == controllers + 1)
        return limit_upwards(root, path + 1, "memory.max");
    if (!has_memory(controllers + 1, (size_t)(path - controllers - 1)))
        return INT64_MAX;
    snprintf(memory, sizeof(memory), "%s/memory", root);
    return limit_upwards(memory, path + 1, "memory.limit_in_bytes");
}

int64_t mb_cgroup_memory(const char *groups, const char *root)
{
    char line[4096];
    int64_t limit = INT64_MAX;
    FILE *file = fopen(groups, "re");
    if (file == NULL)
        return limit;
    while (fgets(line, sizeof(line), file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        limit = lesser(limit, limit_of_line(line, root));
    }
    fclose(file);
    return limit;
}

int64_t mb_host_memory(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    int64_t machine = pages <= 0 || page <= 0 ? INT64_MAX : (int64_t)pages * (int64_t)page;
    return lesser(machine, mb_cgroup_memory("/proc/self/cgroup", "/sys/fs/cgroup"));
}

int64_t mb_host_memory_resident(void)
{
    int64_t pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%*d %" SCNd64, &pages) != 1)
        pages = 0;
    fclose(file);
    return pages * (int64_t)sysconf(_SC_PAGESIZE);
}

/* Linux counts in KiB: man 2 getrusage. */
int64_t mb_host_memory_peak(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (int64_t)usage.ru_maxrss * 1024 : 0;
}
