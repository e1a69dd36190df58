/* Products of 512 x 512 matrices, as a layer of a network has them; a sum of arrays that no cache
 * holds; one of a few numbers, which is all overhead. Medians, since ranks share the machine. */
#include "engine/rates.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/median.h"

enum { SIDE = 512, LONG = 1 << 22, SHORT = 16, REPEATS = 15, CALLS = 200 };
enum { SHORT_BYTES = 8, LONG_BYTES = 1 << 20, LATENCY_ROUNDS = 200, BANDWIDTH_ROUNDS = 16 };
enum { HOST_TEXT = 128, TAG = 1 };

typedef struct {
    mb_machine_t *machine;
    mb_exec_t exec;
    float *a, *b, *c;
} bench_t;

/* ---- a device */

static mb_status_t prepare(bench_t *b, mb_op_t op, const void *args, size_t bytes)
{
    b->exec.planning = true;
    MB_TRY(b->exec.device->class_->run(&b->exec, op, args, bytes));
    return mb_exec_allocate(&b->exec);
}

/* Seconds of CALLS calls, one behind another: LEAST, what they take where nothing else is done, or
 * the median. */
static mb_status_t time_calls(bench_t *b, mb_op_t op, const void *args, size_t bytes, int calls,
                              bool least, double *seconds)
{
    double taken[REPEATS];
    MB_TRY(prepare(b, op, args, bytes));
    for (int r = 0; r < REPEATS; r++) {
        double start = mb_time_seconds();
        for (int i = 0; i < calls; i++)
            MB_TRY(b->exec.device->class_->run(&b->exec, op, args, bytes));
        MB_TRY(mb_exec_sync(&b->exec));
        taken[r] = mb_time_seconds() - start;
    }
    *seconds = mb_median(taken, REPEATS) / calls;
    if (least) /* they are in order */
        *seconds = taken[0] / calls;
    return MB_OK;
}

static mb_status_t measure_product(bench_t *b, bool least, double *rate)
{
    double product;
    mb_gemm_args_t gemm = {.m = SIDE, .n = SIDE, .k = SIDE, .lda = SIDE, .ldb = SIDE, .ldc = SIDE};
    gemm.type = MB_F32;
    gemm.a = b->a;
    gemm.b = b->b;
    gemm.c = b->c;
    MB_TRY(time_calls(b, MB_OP_GEMM, &gemm, sizeof gemm, 1, least, &product));
    *rate = 2.0 * SIDE * SIDE * SIDE / product;
    return MB_OK;
}

static mb_status_t measure_device(bench_t *b, mb_hardware_t *hw)
{
    double sum, call;
    mb_add_args_t add = {.type = MB_F32, .count = LONG, .a = b->a, .b = b->b, .y = b->c};
    MB_TRY(measure_product(b, false, &hw->flops));
    MB_TRY(time_calls(b, MB_OP_ADD, &add, sizeof add, 1, false, &sum));
    add.count = SHORT;
    MB_TRY(time_calls(b, MB_OP_ADD, &add, sizeof add, CALLS, false, &call));
    hw->memory_bandwidth = 3.0 * sizeof(float) * LONG / sum;
    hw->overhead = call;
    return MB_OK;
}

/* COUNT: elements of each array. */
static mb_status_t take_memory(bench_t *b, int64_t count)
{
    float **arrays[] = {&b->a, &b->b, &b->c};
    for (int i = 0; i < 3; i++) {
        void *memory;
        MB_TRY(mb_device_alloc(b->exec.device, (size_t)count * sizeof(float), &memory));
        *arrays[i] = memory;
        mb_zero_args_t zero = {.bytes = count * (int64_t)sizeof(float), .y = memory};
        MB_TRY(mb_exec_run_alone(&b->exec, MB_OP_ZERO, &zero, sizeof zero));
    }
    return mb_exec_sync(&b->exec);
}

/* ---- links */

/* AT: where in the arrays; messages of a run are seldom in a cache. */
static mb_status_t exchange(bench_t *b, mb_transport_t *transport, int peer, size_t at,
                            size_t bytes, bool sends)
{
    mb_request_t *request;
    mb_comm_note_t note = {.action = sends ? "sending a measured message"
                                           : "waiting for a measured message",
                           .stage = -1,
                           .micro = -1,
                           .peer = peer,
                           .tag = TAG};
    MB_TRY(sends ? mb_transport_isend(transport, b->a + at, bytes, peer, TAG, &request)
                 : mb_transport_irecv(transport, b->b + at, bytes, peer, TAG, &request));
    MB_TRY(mb_transport_wait(transport, b->machine->comm, &request, &note));
    return mb_exec_sync(&b->exec);
}

/* There and back; half of a round is a message. */
static mb_status_t ping(bench_t *b, mb_transport_t *transport, bool first, int peer, size_t bytes,
                        int rounds, double *seconds)
{
    double taken[LATENCY_ROUNDS];
    for (int r = 0; r < rounds; r++) {
        size_t at = (size_t)r * bytes / sizeof *b->a % LONG;
        double start = mb_time_seconds();
        MB_TRY(exchange(b, transport, peer, at, bytes, first));
        MB_TRY(exchange(b, transport, peer, at, bytes, !first));
        taken[r] = mb_time_seconds() - start;
    }
    *seconds = mb_median(taken, rounds) / 2;
    return MB_OK;
}

static mb_status_t ping_both(bench_t *b, bool first, int peer, mb_hardware_link_t *link)
{
    double large = 0;
    mb_transport_t *transport;
    MB_TRY(mb_machine_connect(b->machine, &b->exec, 4, LONG_BYTES, &transport));
    mb_status_t status = MB_OK;
    if (b->machine->way == MB_WAY_CHANNEL)
        status = mb_transport_channel_connect(transport, &peer, 1);
    if (status == MB_OK)
        status = ping(b, transport, first, peer, SHORT_BYTES, LATENCY_ROUNDS, &link->latency);
    if (status == MB_OK)
        status = ping(b, transport, first, peer, LONG_BYTES, BANDWIDTH_ROUNDS, &large);
    mb_transport_destroy(transport);
    if (status == MB_OK && large > link->latency)
        link->bandwidth = LONG_BYTES / (large - link->latency);
    link->occupies = b->machine->way == MB_WAY_MPI ? link->occupies : 0;
    return status;
}

/* The first rank whose node is rank 0's, or is not; -1: none. */
static int find_partner(const char *hosts, int ranks, bool same)
{
    for (int r = 1; r < ranks; r++) {
        if ((strcmp(hosts, hosts + (size_t)r * HOST_TEXT) == 0) == same)
            return r;
    }
    return -1;
}

static mb_status_t measure_link(bench_t *b, int partner, mb_hardware_link_t *link)
{
    mb_comm_t *comm = b->machine->comm;
    int rank = mb_comm_rank(comm);
    mb_status_t status = MB_OK;
    if (partner < 0)
        return MB_OK;
    if (rank == 0 || rank == partner)
        status = ping_both(b, rank == 0, rank == 0 ? partner : 0, link);
    return mb_comm_agree(comm, status);
}

static mb_status_t measure_links(bench_t *b, mb_hardware_t *hw, bool *inside, bool *between)
{
    mb_comm_t *comm = b->machine->comm;
    int ranks = mb_comm_size(comm);
    char own[HOST_TEXT] = "";
    char *hosts = calloc((size_t)ranks, HOST_TEXT);
    mb_status_t status =
        hosts == NULL ? mb_error_memory("the hosts of all ranks", HOST_TEXT) : MB_OK;
    MB_TRY_GOTO(mb_comm_agree(comm, status), status, out);
    snprintf(own, sizeof own, "%s", mb_comm_host(comm));
    MB_TRY_GOTO(mb_comm_allgather(comm, own, sizeof own, hosts), status, out);
    int near = find_partner(hosts, ranks, true), far = find_partner(hosts, ranks, false);
    MB_TRY_GOTO(measure_link(b, near, &hw->inside), status, out);
    MB_TRY_GOTO(measure_link(b, far, &hw->between), status, out);
    *inside = near >= 0;
    *between = far >= 0;

out:
    free(hosts);
    return status;
}

/* ---- all */

static mb_status_t begin(bench_t *b, int64_t count)
{
    MB_TRY(mb_exec_create(b->machine->device, &b->exec));
    b->exec.planning = false;
    return take_memory(b, count);
}

static void end(bench_t *b)
{
    mb_device_t *device = b->machine->device;
    mb_device_free(device, b->a);
    mb_device_free(device, b->b);
    mb_device_free(device, b->c);
    if (b->exec.stream != NULL)
        mb_exec_destroy(&b->exec);
}

static void describe(const mb_machine_t *machine, mb_hardware_t *hw)
{
    int ranks = mb_comm_local_size(machine->comm);
    snprintf(hw->name, sizeof hw->name, "%.95s", machine->description);
    hw->devices_per_node = ranks;
    hw->memory = mb_machine_memory(machine);
}

mb_status_t mb_rates_measure(mb_machine_t *machine, mb_hardware_t *out, bool *inside, bool *between)
{
    bench_t b = {.machine = machine};
    mb_comm_t *comm = machine->comm;
    mb_hardware_t hw = mb_hardware_default();
    mb_status_t status;
    mb_comm_doing(comm, "measuring devices and links");
    MB_TRY_GOTO(mb_comm_agree(comm, begin(&b, LONG)), status, out);
    describe(machine, &hw);
    MB_TRY_GOTO(mb_comm_agree(comm, measure_device(&b, &hw)), status, out);
    MB_TRY_GOTO(measure_links(&b, &hw, inside, between), status, out);
    *out = hw;

out:
    end(&b);
    return status;
}

mb_status_t mb_rates_product(mb_machine_t *machine, double *rate)
{
    bench_t b = {.machine = machine};
    mb_status_t status = begin(&b, SIDE * SIDE);
    if (status == MB_OK)
        status = measure_product(&b, true, rate);
    end(&b);
    return status;
}
