/* What a cluster's devices and links can do, as a JSON file says it:
 *
 *     {"name": "8 GPUs a node", "devices_per_node": 8, "flops": 1.5e14,
 *      "memory_bandwidth": 1.5e12, "overhead": 5e-6, "memory": 85899345920,
 *      "inside": {"latency": 5e-6, "bandwidth": 2e11},
 *      "between": {"latency": 8e-6, "bandwidth": 2.5e10}}
 *
 * Rates are those that are reached, not those of a data sheet. `name` may be left out, a device's
 * `cache` and a link's `occupies`, which are 0 then. */
#ifndef MB_PIPELINE_HARDWARE_H
#define MB_PIPELINE_HARDWARE_H

#include "base/error.h"

#include <stdint.h>

typedef struct {
    double latency;   /* seconds from a send to its arrival */
    double bandwidth; /* bytes a second, each way */
    double occupies;  /* of bytes / bandwidth, the part that is work of both ends' processors, as
                         copying through shared memory is; 0: devices move messages by themselves */
} mb_hardware_link_t;

/* Of a processor's second-level cache and its part of the third against memory. A CNN took 10 %
 * less in micro-batches of 32, whose tensors fit, than in those of 128. */
#define MB_CACHE_GAIN 3

typedef struct {
    char name[96];
    int devices_per_node;
    double flops;            /* operations a second of one device */
    double memory_bandwidth; /* bytes a second of one device */
    double cache;            /* bytes: tensors that fit into it move MB_CACHE_GAIN times as fast */
    double overhead;         /* seconds that a call of a layer takes at least */
    int64_t memory;          /* bytes of one device */
    mb_hardware_link_t inside;  /* between devices of a node */
    mb_hardware_link_t between; /* between nodes: of one node, which its devices share */
} mb_hardware_t;

/* A core of a server's processor; links as messages in shared memory and over a cluster's network.
 * Figures of `mbrun bench --hardware` on the machine that doc/planning.md names. */
mb_hardware_t mb_hardware_default(void);
/* MB_ERR_IO, MB_ERR_FORMAT, MB_ERR_ARGUMENT name the file and the key. */
mb_status_t mb_hardware_read(const char *path, mb_hardware_t *out);
/* malloc'ed text of such a file; NULL: no memory. */
char *mb_hardware_text(const mb_hardware_t *hardware);

static inline double mb_hardware_link_seconds(const mb_hardware_link_t *link, double bytes)
{
    return link->latency + bytes / link->bandwidth;
}

#endif
