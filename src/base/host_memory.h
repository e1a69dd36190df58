/* How much memory this process may count on. */
#ifndef MB_BASE_HOST_MEMORY_H
#define MB_BASE_HOST_MEMORY_H

#include <stdint.h>

/* Bytes: the machine's memory, or less where a control group (a batch job's, a container's) gives
 * less. INT64_MAX where neither is told. */
int64_t mb_host_memory(void);

/* Bytes that this process has in memory now, and the most that it ever had. 0: it is not told. */
int64_t mb_host_memory_resident(void);
int64_t mb_host_memory_peak(void);

/* The smallest limit of the control groups that GROUPS lists (as /proc/self/cgroup does: version 1
 * or 2) and of those above them; they lie below ROOT (as /sys/fs/cgroup). INT64_MAX: no limit. */
int64_t mb_cgroup_memory(const char *groups, const char *root);

#endif
