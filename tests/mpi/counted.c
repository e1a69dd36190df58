/* See counted.h. */
#include "mpi/counted.h"

#include "comm/comm.h"

enum { MOST_BLOCKS = 8192 };

static struct {
    void *memory;
    size_t bytes;
} blocks[MOST_BLOCKS];
static int64_t taken;
static mb_device_class_t device_class;

static mb_status_t open_device(const mb_device_options_t *options, mb_device_t **out)
{
    MB_TRY(mb_device_cpu.open(options, out));
    (*out)->class_ = &device_class;
    return MB_OK;
}

static mb_status_t take(mb_device_t *device, size_t bytes, void **out)
{
    MB_TRY(mb_device_cpu.alloc(device, bytes, out));
    for (int i = 0; i < MOST_BLOCKS; i++) {
        if (blocks[i].memory != NULL)
            continue;
        blocks[i].memory = *out;
        blocks[i].bytes = bytes;
        taken += (int64_t)bytes;
        return MB_OK;
    }
    return mb_error_set(MB_ERR_INTERNAL, "more than %d blocks to count", MOST_BLOCKS);
}

static void give(mb_device_t *device, void *memory)
{
    for (int i = 0; i < MOST_BLOCKS && memory != NULL; i++) {
        if (blocks[i].memory != memory)
            continue;
        taken -= (int64_t)blocks[i].bytes;
        blocks[i].memory = NULL;
        break;
    }
    mb_device_cpu.free(device, memory);
}

const mb_device_class_t *counted_device(void)
{
    device_class = mb_device_cpu;
    device_class.name = "counted";
    device_class.open = open_device;
    device_class.alloc = take;
    device_class.free = give;
    return &device_class;
}

int64_t counted_memory(void)
{
    return taken;
}

static MPI_Comm counted_comm = MPI_COMM_NULL;
static int64_t sent_messages, sent_reductions;

void counted_start(MPI_Comm comm)
{
    counted_comm = comm;
    sent_messages = sent_reductions = 0;
}

void counted_sent(int64_t *messages, int64_t *reductions)
{
    *messages = sent_messages;
    *reductions = sent_reductions;
}

/* MPI's profiling interface: a program may put its own function before the library's. */
int MPI_Isend(const void *buffer, int count, MPI_Datatype type, int peer, int tag, MPI_Comm comm,
              MPI_Request *request)
{
    int bytes;
    MPI_Type_size(type, &bytes);
    if (comm == counted_comm && tag < MB_TAG_TRANSPORT_END)
        sent_messages += (int64_t)bytes * count;
    else if (comm == counted_comm && tag < MB_TAG_REDUCE_END)
        sent_reductions += (int64_t)bytes * count;
    return PMPI_Isend(buffer, count, type, peer, tag, comm, request);
}
