/* Which way messages take between devices: by NCCL from device to device, by MPI in the devices'
 * memory, or by MPI through pinned host buffers. NCCL and an MPI that works in device memory are
 * never used together. */
#include "engine/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(OPEN_MPI) && OPEN_MPI
#include <mpi-ext.h>
#endif

/* MB_MPI_CUDA_AWARE answers for an MPI that has no way of saying it. */
static bool mpi_is_aware(void)
{
    const char *said = getenv("MB_MPI_CUDA_AWARE");
    if (said != NULL)
        return strcmp(said, "1") == 0;
#if defined(MPIX_CUDA_AWARE_SUPPORT)
    return MPIX_Query_cuda_support() == 1;
#else
    return false;
#endif
}

static mb_status_t refuse(const char *transport, const char *why)
{
    return mb_error_set(MB_ERR_ARGUMENT, "--transport %s: %s", transport, why);
}

static mb_status_t open_channel(mb_machine_t *machine)
{
    MB_TRY(mb_channel_open(machine->comm, machine->device, &machine->channel));
    machine->way = MB_WAY_CHANNEL;
    snprintf(machine->transport, sizeof machine->transport, "%s, from device to device",
             machine->channel->name);
    return MB_OK;
}

static void use_mpi(mb_machine_t *machine, const char *why)
{
    machine->way = mpi_is_aware() ? MB_WAY_AWARE : MB_WAY_STAGED;
    snprintf(machine->transport, sizeof machine->transport, "MPI %s%s%.120s",
             machine->way == MB_WAY_AWARE ? "in the devices' memory"
                                          : "through pinned host buffers",
             why[0] == '\0' ? "" : ": ", why);
}

/* NCCL wants a device a rank, and may not be there. Where several models take turns, each rank in
 * an order of its own, the kernels of one's messages would wait for each other's place on the
 * devices.
 */
static mb_status_t choose(mb_machine_t *machine, bool shared)
{
    if (shared) {
        use_mpi(machine, "ranks share a device, which NCCL refuses");
        return MB_OK;
    }
    if (mb_comm_rests_elsewhere(machine->comm)) {
        use_mpi(machine, "several models share each device");
        return MB_OK;
    }
    if (open_channel(machine) == MB_OK)
        return MB_OK;
    if (mb_comm_failed(machine->comm, NULL, NULL))
        return MB_ERR_PEER;
    use_mpi(machine, mb_error_get());
    return MB_OK;
}

static mb_status_t take_nccl(mb_machine_t *machine, bool shared)
{
    if (shared)
        return refuse("nccl", "NCCL wants a device of its own for each rank");
    if (mb_comm_rests_elsewhere(machine->comm))
        return refuse("nccl", "the messages of several models on one device would wait for each "
                              "other; use auto");
    return open_channel(machine);
}

static mb_status_t take_wish(mb_machine_t *machine, const char *wish, bool shared)
{
    if (strcmp(wish, "auto") == 0)
        return choose(machine, shared);
    if (strcmp(wish, "nccl") == 0)
        return take_nccl(machine, shared);
    if (strcmp(wish, "mpi") == 0 && !mpi_is_aware())
        return refuse(wish, "this MPI does not say that it works in device memory; use staged, or "
                            "set MB_MPI_CUDA_AWARE=1 where it does all the same");
    if (strcmp(wish, "mpi") != 0 && strcmp(wish, "staged") != 0)
        return refuse(wish, "there are auto, nccl, mpi and staged");
    use_mpi(machine, "");
    if (strcmp(wish, "staged") == 0) {
        machine->way = MB_WAY_STAGED;
        snprintf(machine->transport, sizeof machine->transport, "MPI through pinned host buffers");
    }
    return MB_OK;
}

/* Where the host sees the memory there is nothing to choose. */
static mb_status_t take_wish_on_host(const mb_machine_t *machine, const char *wish)
{
    if (strcmp(wish, "auto") == 0 || strcmp(wish, "mpi") == 0)
        return MB_OK;
    if (strcmp(wish, "nccl") == 0 || strcmp(wish, "staged") == 0)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "--transport %s is for GPUs; device %s sends by MPI from where its "
                            "data lies: leave it out",
                            wish, machine->device->class_->name);
    return refuse(wish, "there are auto, nccl, mpi and staged");
}

static mb_status_t choose_sums(mb_machine_t *machine, const char *reduce)
{
    if (strcmp(reduce, "tree") == 0)
        return MB_OK;
    if (strcmp(reduce, "nccl") != 0)
        return mb_error_set(MB_ERR_ARGUMENT, "--reduce %s: there are tree and nccl", reduce);
    if (machine->channel == NULL && mb_comm_size(machine->comm) > 1)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "--reduce nccl: messages do not go by NCCL here; use tree");
    machine->sums_by_link = machine->channel != NULL;
    return MB_OK;
}

mb_status_t mb_machine_choose_way(mb_machine_t *machine, const mb_machine_options_t *options,
                                  bool shared)
{
    const char *wish = options->transport == NULL ? "auto" : options->transport;
    machine->way = MB_WAY_MPI;
    if (machine->device->class_->host_visible(machine->device)) {
        MB_TRY(take_wish_on_host(machine, wish));
    } else {
        machine->way = MB_WAY_STAGED;
        if (mb_comm_size(machine->comm) > 1 || strcmp(wish, "auto") != 0)
            MB_TRY(take_wish(machine, wish, shared));
    }
    return choose_sums(machine, options->reduce == NULL ? "tree" : options->reduce);
}
