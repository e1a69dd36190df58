/* See cores.h. */
#include "engine/cores.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/binding.h"

/* One processor of each core in SHARE, which has as many as there are threads. */
static void pin_threads(hwloc_topology_t topology, hwloc_const_bitmap_t share, mb_cores_t *out)
{
    int n = hwloc_get_nbobjs_inside_cpuset_by_type(topology, share, HWLOC_OBJ_CORE);
    if (out->threads < 2 || n != out->threads)
        return;
    out->pins = calloc((size_t)n, sizeof *out->pins);
    for (int i = 0; out->pins != NULL && i < n; i++) {
        hwloc_obj_t core =
            hwloc_get_obj_inside_cpuset_by_type(topology, share, HWLOC_OBJ_CORE, (unsigned)i);
        out->pins[i] = core == NULL ? -1 : hwloc_bitmap_first(core->cpuset);
    }
}

static void describe_share(hwloc_topology_t topology, hwloc_const_bitmap_t share,
                           hwloc_const_bitmap_t allowed, const char *what, mb_cores_t *out)
{
    char own[32], all[24];
    hwloc_bitmap_list_snprintf(own, sizeof own, share);
    hwloc_bitmap_list_snprintf(all, sizeof all, allowed);
    if (hwloc_bitmap_isequal(allowed, hwloc_topology_get_allowed_cpuset(topology)))
        snprintf(out->text, sizeof out->text, "cores %s", own);
    else if (hwloc_bitmap_isequal(allowed, share))
        snprintf(out->text, sizeof out->text, "cores %s, all that %s", own, what);
    else
        snprintf(out->text, sizeof out->text, "cores %s of the %s that %s", own, all, what);
}

static mb_status_t take_share(mb_comm_t *comm, hwloc_topology_t topology, hwloc_bitmap_t share,
                              mb_cores_t *out)
{
    const char *what = "";
    hwloc_bitmap_t allowed = hwloc_bitmap_alloc();
    mb_status_t status = mb_binding_allowed(comm, topology, allowed, &what);
    int cores = mb_binding_share(topology, allowed, mb_comm_local_size(comm),
                                 mb_comm_local_rank(comm), share);
    if (status == MB_OK && !hwloc_bitmap_iszero(share))
        hwloc_set_cpubind(topology, share, HWLOC_CPUBIND_PROCESS);
    if (out->threads <= 0)
        out->threads = cores;
    pin_threads(topology, share, out);
    describe_share(topology, share, allowed, what, out);
    hwloc_bitmap_free(allowed);
    return status;
}

static void keep_binding(hwloc_topology_t topology, hwloc_bitmap_t bound, mb_cores_t *out)
{
    char list[64];
    hwloc_get_cpubind(topology, bound, HWLOC_CPUBIND_PROCESS);
    if (out->threads <= 0)
        out->threads = hwloc_get_nbobjs_inside_cpuset_by_type(topology, bound, HWLOC_OBJ_PU);
    hwloc_bitmap_list_snprintf(list, sizeof list, bound);
    snprintf(out->text, sizeof out->text, "cores %s as bound", list);
}

mb_status_t mb_cores_choose(mb_comm_t *comm, bool keep, int threads, mb_cores_t *out)
{
    hwloc_topology_t topology;
    mb_status_t status = MB_OK;
    *out = (mb_cores_t){.threads = threads};
    MB_TRY(mb_binding_topology(&topology));
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    if (keep)
        keep_binding(topology, set, out);
    else
        status = take_share(comm, topology, set, out);
    if (out->threads <= 0)
        out->threads = 1;
    hwloc_bitmap_free(set);
    hwloc_topology_destroy(topology);
    return status;
}

void mb_cores_free(mb_cores_t *cores)
{
    free(cores->pins);
    cores->pins = NULL;
}
