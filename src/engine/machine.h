/* A rank's share of its node: cores, threads, a device, and the way messages take from device to
 * device. Lives as long as the run. */
#ifndef MB_ENGINE_MACHINE_H
#define MB_ENGINE_MACHINE_H

#include "comm/channel.h"
#include "comm/transport.h"
#include "engine/signature.h"

typedef enum {
    MB_WAY_MPI,    /* in host memory, or in what the host can see */
    MB_WAY_STAGED, /* MPI, through pinned host buffers */
    MB_WAY_AWARE,  /* MPI in the device's memory */
    MB_WAY_CHANNEL /* NCCL */
} mb_way_t;

typedef struct {
    mb_comm_t *comm;
    mb_device_t *device;
    bool borrows; /* the device, which stays its owner's */
    int threads;
    mb_way_t way;
    mb_channel_t *channel; /* NULL: by MPI */
    bool sums_by_link;     /* the channel's library sums over replicas, in its own order */
    char description[192]; /* device and cores */
    char signature[MB_SIGNATURE_TEXT];
    char choice[192];    /* why this device; "": it was asked for */
    char transport[192]; /* which way and why; "": one rank, or there is no choice */
} mb_machine_t;

typedef struct {
    const char *device;    /* NULL: the default, the CPU; "auto": GPUs where every rank has one */
    int threads;           /* 0: the rank's share of the node's allowed cores (hwloc) */
    bool keep_binding;     /* obey the launcher's binding instead of sharing cores out */
    bool tf32;             /* products of float32 tensors in TF32 */
    bool emulate;          /* compute in bf16 and fp16 where the processor cannot */
    bool share_device;     /* ranks may use one GPU together: for tests */
    const char *transport; /* NULL or "auto", "nccl", "mpi", "staged" */
    const char *reduce;    /* NULL or "tree", "nccl" */
    mb_device_t *lent;     /* an open one, for ranks of one process; NULL: one is opened */
} mb_machine_options_t;

/* Collective. Instruction sets, library versions and build are compared; a mix is refused. Two
 * ranks on one GPU are refused, naming both, unless they may share it. */
mb_status_t mb_machine_open(mb_comm_t *comm, const mb_machine_options_t *options,
                            mb_machine_t **out);
/* Where what used the machine has failed on all ranks: its link is not ended together, which would
 * wait for ranks whose device has failed. NULL: nothing. */
void mb_machine_give_up(mb_machine_t *machine);
/* Collective unless a failure was seen, or it was given up. */
void mb_machine_close(mb_machine_t *machine);

/* Bytes that this rank may count on: its device's, or its share of the node's. */
int64_t mb_machine_memory(const mb_machine_t *machine);
/* A transport of the machine's way; see transport.h. */
mb_status_t mb_machine_connect(const mb_machine_t *machine, mb_exec_t *exec, int requests,
                               size_t bytes, mb_transport_t **out);

/* machine_device.c: collective. Which device of the node this rank takes: *name, *index, and why
 * where it was a choice. */
mb_status_t mb_machine_choose_device(mb_comm_t *comm, const mb_machine_options_t *options,
                                     const char **name, int *index, bool *shared, char *choice,
                                     size_t capacity);
/* machine_transport.c: collective; sets way, channel, transport. shared: two ranks use one device.
 */
mb_status_t mb_machine_choose_way(mb_machine_t *machine, const mb_machine_options_t *options,
                                  bool shared);

#endif
