/* A rank's share of its node: which cores, how many threads, which device.
 *
 * mpirun binds each of one or two ranks to a single core unless told otherwise, which would leave
 * the rest of the node idle, so ranks share out what the node allows them. Inside a batch job the
 * allowed cores are what the job's own ranks were bound to together: other jobs may run beside it.
 */
#include "engine/machine.h"

#include <hwloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/host_memory.h"

enum { SET_TEXT = 1024, HOST_TEXT = 128, LINE_TEXT = 256 };

typedef struct {
    char host[HOST_TEXT];
    char cores[SET_TEXT];
} binding_t;

/* The union of what this node's ranks may use: their bindings inside a batch job, else everything
 * that the system allows. */
static mb_status_t allowed_cores(mb_comm_t *comm, hwloc_topology_t topology, hwloc_bitmap_t set)
{
    binding_t own = {"", ""}, *all;
    hwloc_bitmap_copy(set, hwloc_topology_get_allowed_cpuset(topology));
    if (getenv("SLURM_JOB_ID") == NULL)
        return MB_OK;
    all = calloc((size_t)mb_comm_size(comm), sizeof *all);
    if (all == NULL)
        return mb_error_memory("the bindings of all ranks", sizeof *all);
    snprintf(own.host, sizeof own.host, "%s", mb_comm_host(comm));
    hwloc_bitmap_t bound = hwloc_bitmap_alloc();
    if (hwloc_get_cpubind(topology, bound, HWLOC_CPUBIND_PROCESS) == 0)
        hwloc_bitmap_list_snprintf(own.cores, sizeof own.cores, bound);
    mb_status_t status = mb_comm_allgather(comm, &own, sizeof own, all);
    hwloc_bitmap_zero(set);
    for (int r = 0; status == MB_OK && r < mb_comm_size(comm); r++) {
        if (strcmp(all[r].host, own.host) == 0 &&
            hwloc_bitmap_list_sscanf(bound, all[r].cores) == 0)
            hwloc_bitmap_or(set, set, bound);
    }
    if (hwloc_bitmap_iszero(set))
        hwloc_bitmap_copy(set, hwloc_topology_get_allowed_cpuset(topology));
    hwloc_bitmap_free(bound);
    free(all);
    return status;
}

/* This rank's contiguous share of the cores; a core of its own in turn where there are too few. */
static int take_share(mb_comm_t *comm, hwloc_topology_t topology, hwloc_const_bitmap_t allowed,
                      hwloc_bitmap_t share)
{
    int ranks = mb_comm_local_size(comm), rank = mb_comm_local_rank(comm);
    int cores = hwloc_get_nbobjs_inside_cpuset_by_type(topology, allowed, HWLOC_OBJ_CORE);
    hwloc_obj_type_t type = cores > 0 ? HWLOC_OBJ_CORE : HWLOC_OBJ_PU;
    if (cores <= 0)
        cores = hwloc_get_nbobjs_inside_cpuset_by_type(topology, allowed, HWLOC_OBJ_PU);
    if (cores <= 0)
        return 1;
    int first = cores >= ranks ? cores * rank / ranks : rank % cores;
    int end = cores >= ranks ? cores * (rank + 1) / ranks : first + 1;
    hwloc_bitmap_zero(share);
    for (int c = first; c < end; c++) {
        hwloc_obj_t core =
            hwloc_get_obj_inside_cpuset_by_type(topology, allowed, type, (unsigned)c);
        if (core != NULL)
            hwloc_bitmap_or(share, share, core->cpuset);
    }
    hwloc_bitmap_and(share, share, allowed);
    return end - first;
}

static mb_status_t choose_cores(mb_comm_t *comm, bool keep, int *threads, char *text,
                                size_t capacity)
{
    hwloc_topology_t topology;
    char list[96] = "?";
    if (hwloc_topology_init(&topology) != 0)
        return mb_error_set(MB_ERR_DEVICE, "hwloc cannot describe this machine");
    hwloc_topology_set_all_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_NONE);
    hwloc_topology_set_type_filter(topology, HWLOC_OBJ_CORE, HWLOC_TYPE_FILTER_KEEP_ALL);
    if (hwloc_topology_load(topology) != 0) {
        hwloc_topology_destroy(topology);
        return mb_error_set(MB_ERR_DEVICE, "hwloc cannot describe this machine");
    }
    hwloc_bitmap_t set = hwloc_bitmap_alloc(), share = hwloc_bitmap_alloc();
    int cores;
    mb_status_t status = MB_OK;
    if (keep) {
        hwloc_get_cpubind(topology, share, HWLOC_CPUBIND_PROCESS);
        cores = hwloc_get_nbobjs_inside_cpuset_by_type(topology, share, HWLOC_OBJ_PU);
    } else {
        status = allowed_cores(comm, topology, set);
        cores = take_share(comm, topology, set, share);
        if (status == MB_OK && !hwloc_bitmap_iszero(share))
            hwloc_set_cpubind(topology, share, HWLOC_CPUBIND_PROCESS);
    }
    hwloc_bitmap_list_snprintf(list, sizeof list, share);
    if (*threads <= 0)
        *threads = cores > 0 ? cores : 1;
    snprintf(text, capacity, "cores %s", list);
    hwloc_bitmap_free(set);
    hwloc_bitmap_free(share);
    hwloc_topology_destroy(topology);
    return status;
}

static mb_status_t open_device(mb_machine_t *machine, const mb_machine_options_t *given,
                               const char *cores, bool *shared)
{
    const char *name;
    char line[LINE_TEXT];
    mb_device_options_t options = {.size = sizeof options,
                                   .threads = machine->threads,
                                   .emulate = given->emulate,
                                   .tf32 = given->tf32,
                                   .progress = mb_comm_progress,
                                   .progress_user = machine->comm};
    MB_TRY(mb_machine_choose_device(machine->comm, given, &name, &options.index, shared,
                                    machine->choice, sizeof machine->choice));
    mb_status_t status = mb_device_open(name, &options, &machine->device);
    MB_TRY(mb_comm_agree(machine->comm, status));
    machine->device->class_->describe(machine->device, line, sizeof line);
    snprintf(machine->description, sizeof machine->description, "%.120s, %.64s", line, cores);
    mb_signature_make(machine->device, machine->signature, sizeof machine->signature);
    return mb_signature_compare(machine->comm, machine->signature);
}

/* Ranks of one process compute in turns, on one device by one thread. */
static mb_status_t borrow_device(mb_machine_t *machine, mb_device_t *device)
{
    machine->device = device;
    machine->borrows = true;
    machine->threads = 1;
    device->class_->describe(device, machine->description, sizeof machine->description);
    mb_signature_make(device, machine->signature, sizeof machine->signature);
    return MB_OK;
}

static mb_status_t find_device(mb_machine_t *machine, const mb_machine_options_t *given,
                               bool *shared)
{
    char cores[112] = "";
    if (given->lent != NULL)
        return borrow_device(machine, given->lent);
    mb_status_t status =
        choose_cores(machine->comm, given->keep_binding, &machine->threads, cores, sizeof cores);
    MB_TRY(mb_comm_agree(machine->comm, status));
    return open_device(machine, given, cores, shared);
}

mb_status_t mb_machine_open(mb_comm_t *comm, const mb_machine_options_t *given, mb_machine_t **out)
{
    bool shared = false;
    mb_status_t status;
    mb_machine_t *machine = calloc(1, sizeof *machine);
    if (machine == NULL)
        return mb_error_memory("a machine", sizeof *machine);
    machine->comm = comm;
    machine->threads = given->threads;
    MB_TRY_GOTO(find_device(machine, given, &shared), status, err_machine);
    MB_TRY_GOTO(mb_machine_choose_way(machine, given, shared), status, err_machine);
    *out = machine;
    return MB_OK;

err_machine:
    mb_machine_close(machine);
    return status;
}

void mb_machine_give_up(mb_machine_t *machine)
{
    if (machine != NULL)
        mb_channel_give_up(machine->channel);
}

void mb_machine_close(mb_machine_t *machine)
{
    if (machine == NULL)
        return;
    mb_channel_close(machine->channel);
    if (!machine->borrows)
        mb_device_close(machine->device);
    free(machine);
}

int64_t mb_machine_memory(const mb_machine_t *machine)
{
    mb_inventory_t gpus;
    const char *device = machine->device->class_->name;
    if (strcmp(device, "cpu") != 0 && mb_device_inventory(device, &gpus) == MB_OK && gpus.count > 0)
        return (int64_t)gpus.cards[0].memory_bytes;
    return mb_host_memory() / mb_comm_local_size(machine->comm);
}

mb_status_t mb_machine_connect(const mb_machine_t *machine, mb_exec_t *exec, int requests,
                               size_t bytes, mb_transport_t **out)
{
    switch (machine->way) {
    case MB_WAY_CHANNEL:
        return mb_transport_channel_create(machine->channel, exec, requests, out);
    case MB_WAY_AWARE:
        return mb_transport_aware_create(machine->comm, exec, requests, out);
    default:
        return mb_transport_mpi_create(machine->comm, exec, requests, bytes, out);
    }
}
