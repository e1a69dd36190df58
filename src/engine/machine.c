/* A rank's share of its node: which cores, how many threads, which device. */
#include "engine/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/host_memory.h"
#include "engine/cores.h"

enum { LINE_TEXT = 256 };

static mb_status_t open_device(mb_machine_t *machine, const mb_machine_options_t *given,
                               const mb_cores_t *cores, bool *shared)
{
    const char *name;
    char line[LINE_TEXT];
    mb_device_options_t options = {.size = sizeof options,
                                   .threads = machine->threads,
                                   .cores = cores->pins,
                                   .emulate = given->emulate,
                                   .tf32 = given->tf32,
                                   .progress = mb_comm_progress,
                                   .progress_user = machine->comm};
    MB_TRY(mb_machine_choose_device(machine->comm, given, &name, &options.index, shared,
                                    machine->choice, sizeof machine->choice));
    mb_status_t status = mb_device_open(name, &options, &machine->device);
    MB_TRY(mb_comm_agree(machine->comm, status));
    machine->device->class_->describe(machine->device, line, sizeof line);
    snprintf(machine->description, sizeof machine->description, "%.120s, %.64s", line, cores->text);
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
    mb_cores_t cores;
    if (given->lent != NULL)
        return borrow_device(machine, given->lent);
    mb_status_t status =
        mb_cores_choose(machine->comm, given->keep_binding, machine->threads, &cores);
    MB_TRY(mb_comm_agree(machine->comm, status));
    machine->threads = cores.threads;
    status = open_device(machine, given, &cores, shared);
    mb_cores_free(&cores);
    return status;
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
