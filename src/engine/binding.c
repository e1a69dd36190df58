/* See binding.h: what a node's ranks may use together. */
#include "engine/binding.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/launcher.h"

enum { SET_TEXT = 512, HOST_TEXT = 128 };

typedef struct {
    char host[HOST_TEXT];
    char cores[SET_TEXT];    /* that the rank is bound to */
    char launcher[SET_TEXT]; /* that its launcher may use; "": not known */
    bool asked;              /* somebody told the launcher how to bind */
    bool usual;              /* the binding is what the launcher does by default */
} rank_binding_t;

/* Groups and packages are what nodes of memory belong to. */
mb_status_t mb_binding_topology(hwloc_topology_t *out)
{
    static const hwloc_obj_type_t kept[] = {HWLOC_OBJ_CORE, HWLOC_OBJ_L3CACHE, HWLOC_OBJ_PACKAGE};
    hwloc_topology_t topology;
    if (hwloc_topology_init(&topology) != 0)
        return mb_error_set(MB_ERR_DEVICE, "hwloc cannot describe this machine");
    hwloc_topology_set_all_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_NONE);
    hwloc_topology_set_type_filter(topology, HWLOC_OBJ_GROUP, HWLOC_TYPE_FILTER_KEEP_STRUCTURE);
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
        hwloc_topology_set_type_filter(topology, kept[i], HWLOC_TYPE_FILTER_KEEP_ALL);
    if (hwloc_topology_load(topology) != 0) {
        hwloc_topology_destroy(topology);
        return mb_error_set(MB_ERR_DEVICE, "hwloc cannot describe this machine");
    }
    *out = topology;
    return MB_OK;
}

/* Whether SET is all cores of one object of a type, as far as the system allows them. */
static bool is_whole(hwloc_topology_t topology, hwloc_obj_type_t type, hwloc_const_bitmap_t set)
{
    hwloc_bitmap_t part = hwloc_bitmap_alloc();
    bool whole = false;
    for (hwloc_obj_t at = hwloc_get_next_obj_by_type(topology, type, NULL); at != NULL && !whole;
         at = hwloc_get_next_obj_by_type(topology, type, at)) {
        hwloc_bitmap_and(part, at->cpuset, hwloc_topology_get_allowed_cpuset(topology));
        whole = hwloc_bitmap_isequal(part, set) != 0;
    }
    hwloc_bitmap_free(part);
    return whole;
}

static bool is_usual(hwloc_topology_t topology, mb_comm_t *comm, hwloc_const_bitmap_t set)
{
    unsigned rank = (unsigned)mb_comm_local_rank(comm);
    if (mb_launcher_ranks() > 2)
        return is_whole(topology, HWLOC_OBJ_NUMANODE, set) ||
               is_whole(topology, HWLOC_OBJ_PACKAGE, set);
    hwloc_obj_t core = hwloc_get_obj_by_type(topology, HWLOC_OBJ_CORE, rank);
    return core != NULL && hwloc_bitmap_isequal(core->cpuset, set);
}

/* In words of 32 cores; "" where it is too long. */
static void put(hwloc_const_bitmap_t set, char *text)
{
    if (hwloc_bitmap_snprintf(text, SET_TEXT, set) >= SET_TEXT)
        text[0] = '\0';
}

static void find_own(mb_comm_t *comm, hwloc_topology_t topology, rank_binding_t *own)
{
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    int launcher = mb_launcher_process();
    snprintf(own->host, sizeof own->host, "%s", mb_comm_host(comm));
    if (hwloc_get_cpubind(topology, set, HWLOC_CPUBIND_PROCESS) == 0) {
        put(set, own->cores);
        own->usual = is_usual(topology, comm, set);
    }
    own->asked = mb_launcher_was_asked(launcher);
    if (launcher > 0 && hwloc_get_proc_cpubind(topology, launcher, set, 0) == 0)
        put(set, own->launcher);
    hwloc_bitmap_free(set);
}

typedef struct { /* of a node's ranks together */
    hwloc_bitmap_t bound, launcher;
    bool asked, usual;
} node_t;

static void add_text(hwloc_bitmap_t set, const char *text)
{
    hwloc_bitmap_t part = hwloc_bitmap_alloc();
    if (text[0] != '\0' && hwloc_bitmap_sscanf(part, text) == 0)
        hwloc_bitmap_or(set, set, part);
    hwloc_bitmap_free(part);
}

/* Only the launcher of the first node has the command line: who was asked is asked of all. */
static void join(const rank_binding_t *all, int ranks, const char *host, node_t *node)
{
    node->usual = true;
    for (int r = 0; r < ranks; r++) {
        node->asked = node->asked || all[r].asked;
        if (strcmp(all[r].host, host) != 0)
            continue;
        add_text(node->bound, all[r].cores);
        add_text(node->launcher, all[r].launcher);
        node->usual = node->usual && all[r].usual;
    }
}

static const char *choose(const node_t *node, hwloc_bitmap_t allowed)
{
    bool batch = getenv("SLURM_JOB_ID") != NULL, known = !hwloc_bitmap_iszero(node->launcher);
    if (!batch && known && node->usual && !node->asked) {
        hwloc_bitmap_copy(allowed, node->launcher);
        return "mpirun was given";
    }
    if (!hwloc_bitmap_iszero(node->bound))
        hwloc_bitmap_copy(allowed, node->bound);
    if (!batch && known && hwloc_bitmap_intersects(allowed, node->launcher))
        hwloc_bitmap_and(allowed, allowed, node->launcher);
    return batch ? "the job was given" : "the ranks were bound to";
}

mb_status_t mb_binding_allowed(mb_comm_t *comm, hwloc_topology_t topology, hwloc_bitmap_t allowed,
                               const char **what)
{
    node_t node = {hwloc_bitmap_alloc(), hwloc_bitmap_alloc(), false, false};
    rank_binding_t own = {.host = ""}, *all = calloc((size_t)mb_comm_size(comm), sizeof *all);
    mb_status_t status =
        all == NULL ? mb_error_memory("the bindings of all ranks", sizeof *all) : MB_OK;
    find_own(comm, topology, &own);
    hwloc_bitmap_copy(allowed, hwloc_topology_get_allowed_cpuset(topology));
    if (status == MB_OK)
        status = mb_comm_allgather(comm, &own, sizeof own, all);
    if (status == MB_OK) {
        join(all, mb_comm_size(comm), own.host, &node);
        *what = choose(&node, allowed);
    }
    hwloc_bitmap_free(node.bound);
    hwloc_bitmap_free(node.launcher);
    free(all);
    return status;
}
