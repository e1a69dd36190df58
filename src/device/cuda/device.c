/* A CUDA device as a device class: its memory, streams and events, and the table of operations
 * whose kernels are in kernels/. Everything is asynchronous: an error of a kernel shows at the next
 * synchronization. */
#include "device/cuda/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

mb_status_t mb_cuda_check(cudaError_t code, const char *what)
{
    if (code == cudaSuccess)
        return MB_OK;
    mb_status_t status = code == cudaErrorMemoryAllocation ? MB_ERR_MEMORY : MB_ERR_DEVICE;
    if (status == MB_ERR_MEMORY)
        cudaGetLastError(); /* some memory is done without: the next launch is not to be blamed */
    return mb_error_set(status, "CUDA, %s: %s (%s)", what, cudaGetErrorString(code),
                        cudaGetErrorName(code));
}

mb_status_t mb_cuda_refuse(mb_op_t op, const char *what)
{
    return mb_error_set(MB_ERR_INTERNAL, "operation %s: %s", mb_op_name(op), what);
}

mb_status_t mb_cuda_launched(mb_op_t op)
{
    cudaError_t code = cudaGetLastError();
    return code == cudaSuccess ? MB_OK : mb_cuda_check(code, mb_op_name(op));
}

cudaStream_t mb_cuda_stream(const mb_exec_t *exec)
{
    return ((mb_cuda_stream_t *)exec->stream)->stream;
}

mb_status_t mb_cuda_workspace(mb_exec_t *exec, mb_op_t op, size_t bytes, void **out)
{
    *out = NULL;
    if (exec->planning) {
        if (bytes > exec->workspace_needed)
            exec->workspace_needed = bytes;
        return MB_OK;
    }
    if (bytes > exec->workspace_bytes)
        return mb_error_set(MB_ERR_INTERNAL,
                            "%s needs a workspace of %zu bytes, the stream has %zu: the operation "
                            "was not planned",
                            mb_op_name(op), bytes, exec->workspace_bytes);
    *out = exec->workspace;
    return MB_OK;
}

/* ---- the device */

static mb_cuda_t *cuda_of(mb_device_t *device)
{
    return (mb_cuda_t *)device;
}

/* The runtime's current device is the thread's, and a process may have several. */
static mb_status_t use(const mb_cuda_t *cuda)
{
    return mb_cuda_check(cudaSetDevice(cuda->index), "choosing the device");
}

static int cuda_count(void)
{
    int count = 0;
    cudaError_t code = cudaGetDeviceCount(&count);
    if (code != cudaSuccess)
        mb_error_set(MB_ERR_DEVICE, "no CUDA device can be used: %s (%s)", cudaGetErrorString(code),
                     cudaGetErrorName(code));
    else if (count == 0)
        mb_error_set(MB_ERR_DEVICE, "no CUDA device can be seen from here");
    return code == cudaSuccess ? count : 0;
}

static mb_status_t choose(const mb_device_options_t *options, int *index)
{
    int count = cuda_count();
    if (count == 0)
        return MB_ERR_DEVICE;
    if (options->index < 0 || options->index >= count)
        return mb_error_set(MB_ERR_DEVICE, "there is no CUDA device %d: %d can be seen from here",
                            options->index, count);
    *index = options->index;
    return MB_OK;
}

static mb_status_t read_properties(mb_cuda_t *cuda)
{
    struct cudaDeviceProp properties;
    MB_TRY(mb_cuda_check(cudaGetDeviceProperties(&properties, cuda->index),
                         "reading the device's properties"));
    snprintf(cuda->name, sizeof cuda->name, "%.127s", properties.name);
    cuda->major = properties.major;
    cuda->minor = properties.minor;
    cuda->processors = properties.multiProcessorCount;
    if (cuda->major < 8)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "%s has compute capability %d.%d; the kernels need 8.0 or later",
                            cuda->name, cuda->major, cuda->minor);
    return MB_OK;
}

static mb_status_t start(mb_cuda_t *cuda)
{
    MB_TRY(use(cuda));
    MB_TRY(read_properties(cuda));
    MB_TRY(mb_cuda_check(cudaStreamCreateWithFlags(&cuda->memory, cudaStreamNonBlocking),
                         "making the memory's stream"));
    if (cublasLtCreate(&cuda->blas) != CUBLAS_STATUS_SUCCESS)
        return mb_error_set(MB_ERR_DEVICE, "cuBLASLt could not be started on %s", cuda->name);
    return mb_gemm_plans_create(cuda);
}

static void cuda_close(mb_device_t *device)
{
    mb_cuda_t *cuda = cuda_of(device);
    cudaSetDevice(cuda->index);
    mb_gemm_plans_destroy(cuda);
    if (cuda->blas != NULL)
        cublasLtDestroy(cuda->blas);
    if (cuda->memory != NULL)
        cudaStreamDestroy(cuda->memory);
    free(cuda);
}

static mb_status_t cuda_open(const mb_device_options_t *options, mb_device_t **out)
{
    int index = 0;
    MB_TRY(choose(options, &index));
    mb_cuda_t *cuda = calloc(1, sizeof *cuda);
    if (cuda == NULL)
        return mb_error_memory("a CUDA device", sizeof *cuda);
    cuda->base.class_ = &mb_device_cuda;
    cuda->index = index;
    cuda->tf32 = options->tf32;
    mb_status_t status = start(cuda);
    if (status != MB_OK) {
        cuda_close(&cuda->base);
        return status;
    }
    *out = &cuda->base;
    return MB_OK;
}

static void cuda_describe(mb_device_t *device, char *text, size_t capacity)
{
    const mb_cuda_t *cuda = cuda_of(device);
    int runtime = 0;
    cudaRuntimeGetVersion(&runtime);
    snprintf(text, capacity, "%s, compute capability %d.%d, CUDA %d.%d%s", cuda->name, cuda->major,
             cuda->minor, runtime / 1000, runtime % 1000 / 10, cuda->tf32 ? ", TF32" : "");
}

static void cuda_signature(mb_device_t *device, char *text, size_t capacity)
{
    const mb_cuda_t *cuda = cuda_of(device);
    snprintf(text, capacity, "%s sm_%d%d cublasLt %zu%s", cuda->name, cuda->major, cuda->minor,
             cublasLtGetVersion(), cuda->tf32 ? " tf32" : "");
}

static void cuda_identity(int index, char *text, size_t capacity)
{
    if (cudaDeviceGetPCIBusId(text, (int)capacity, index) != cudaSuccess)
        snprintf(text, capacity, "device %d", index);
}

/* Kernels run without the host, whose waits drive what there is to drive. */
static void cuda_set_progress(mb_device_t *device, void (*progress)(void *), void *user)
{
    (void)device, (void)progress, (void)user;
}

static bool cuda_host_visible(mb_device_t *device)
{
    (void)device;
    return false;
}

static mb_status_t cuda_alloc(mb_device_t *device, size_t bytes, void **out)
{
    mb_cuda_t *cuda = cuda_of(device);
    void *memory = NULL;
    char what[64];
    snprintf(what, sizeof what, "taking %zu bytes", bytes);
    MB_TRY(use(cuda));
    MB_TRY(mb_cuda_check(cudaMallocAsync(&memory, bytes > 0 ? bytes : 1, cuda->memory), what));
    MB_TRY(mb_cuda_check(cudaStreamSynchronize(cuda->memory), what));
    *out = memory;
    return MB_OK;
}

/* Who frees has synchronized what used the memory. */
static void cuda_free(mb_device_t *device, void *memory)
{
    mb_cuda_t *cuda = cuda_of(device);
    cudaSetDevice(cuda->index);
    cudaFreeAsync(memory, cuda->memory);
}

static mb_status_t cuda_host_alloc(mb_device_t *device, size_t bytes, void **out)
{
    void *memory = NULL;
    MB_TRY(use(cuda_of(device)));
    MB_TRY(mb_cuda_check(cudaHostAlloc(&memory, bytes > 0 ? bytes : 1, cudaHostAllocDefault),
                         "taking pinned host memory"));
    *out = memory;
    return MB_OK;
}

static void cuda_host_free(mb_device_t *device, void *memory)
{
    cudaSetDevice(cuda_of(device)->index);
    cudaFreeHost(memory);
}

/* ---- streams and events */

static mb_status_t cuda_stream_create(mb_device_t *device, mb_stream_t **out)
{
    MB_TRY(use(cuda_of(device)));
    mb_cuda_stream_t *stream = calloc(1, sizeof *stream);
    if (stream == NULL)
        return mb_error_memory("a stream", sizeof *stream);
    stream->base.device = device;
    mb_status_t status = mb_cuda_check(
        cudaStreamCreateWithFlags(&stream->stream, cudaStreamNonBlocking), "making a stream");
    if (status != MB_OK) {
        free(stream);
        return status;
    }
    *out = &stream->base;
    return MB_OK;
}

static void cuda_stream_destroy(mb_stream_t *stream)
{
    cudaStreamDestroy(((mb_cuda_stream_t *)stream)->stream);
    free(stream);
}

static mb_status_t cuda_stream_sync(mb_stream_t *stream)
{
    return mb_cuda_check(cudaStreamSynchronize(((mb_cuda_stream_t *)stream)->stream),
                         "waiting for a stream");
}

static mb_status_t cuda_copy(mb_stream_t *stream, void *to, const void *from, size_t bytes,
                             mb_copy_kind_t kind)
{
    static const enum cudaMemcpyKind kinds[] = {[MB_COPY_TO_DEVICE] = cudaMemcpyHostToDevice,
                                                [MB_COPY_TO_HOST] = cudaMemcpyDeviceToHost,
                                                [MB_COPY_ON_DEVICE] = cudaMemcpyDeviceToDevice};
    return mb_cuda_check(
        cudaMemcpyAsync(to, from, bytes, kinds[kind], ((mb_cuda_stream_t *)stream)->stream),
        "copying");
}

static mb_status_t cuda_event_create(mb_device_t *device, mb_event_t **out)
{
    MB_TRY(use(cuda_of(device)));
    mb_cuda_event_t *event = calloc(1, sizeof *event);
    if (event == NULL)
        return mb_error_memory("an event", sizeof *event);
    event->base.device = device;
    mb_status_t status = mb_cuda_check(
        cudaEventCreateWithFlags(&event->event, cudaEventDisableTiming), "making an event");
    if (status != MB_OK) {
        free(event);
        return status;
    }
    *out = &event->base;
    return MB_OK;
}

static void cuda_event_destroy(mb_event_t *event)
{
    cudaEventDestroy(((mb_cuda_event_t *)event)->event);
    free(event);
}

static mb_status_t cuda_event_record(mb_event_t *event, mb_stream_t *stream)
{
    return mb_cuda_check(
        cudaEventRecord(((mb_cuda_event_t *)event)->event, ((mb_cuda_stream_t *)stream)->stream),
        "recording an event");
}

static mb_status_t cuda_event_query(mb_event_t *event, bool *done)
{
    cudaError_t code = cudaEventQuery(((mb_cuda_event_t *)event)->event);
    *done = code == cudaSuccess;
    if (code != cudaErrorNotReady)
        return mb_cuda_check(code, "asking for an event");
    cudaGetLastError(); /* the next launch would take it for its own */
    return MB_OK;
}

static mb_status_t cuda_stream_wait_event(mb_stream_t *stream, mb_event_t *event)
{
    return mb_cuda_check(cudaStreamWaitEvent(((mb_cuda_stream_t *)stream)->stream,
                                             ((mb_cuda_event_t *)event)->event, 0),
                         "waiting for an event");
}

/* ---- recordings: CUDA graphs */

struct mb_recording {
    cudaGraphExec_t graph;
};

/* Only this thread's calls: NCCL's own threads go on with theirs. */
static mb_status_t cuda_record_begin(mb_stream_t *stream)
{
    return mb_cuda_check(cudaStreamBeginCapture(((mb_cuda_stream_t *)stream)->stream,
                                                cudaStreamCaptureModeThreadLocal),
                         "beginning a graph");
}

static mb_status_t keep_graph(cudaGraph_t graph, mb_recording_t **out)
{
    mb_recording_t *recording = calloc(1, sizeof *recording);
    if (recording == NULL)
        return mb_error_memory("a graph", sizeof *recording);
    mb_status_t status =
        mb_cuda_check(cudaGraphInstantiate(&recording->graph, graph, 0), "making a graph");
    if (status != MB_OK) {
        free(recording);
        return status;
    }
    *out = recording;
    return MB_OK;
}

static mb_status_t cuda_record_end(mb_stream_t *stream, mb_recording_t **out)
{
    cudaGraph_t graph = NULL;
    *out = NULL;
    mb_status_t status = mb_cuda_check(
        cudaStreamEndCapture(((mb_cuda_stream_t *)stream)->stream, &graph), "ending a graph");
    if (status == MB_OK)
        status = keep_graph(graph, out);
    if (graph != NULL)
        cudaGraphDestroy(graph);
    return status;
}

static mb_status_t cuda_replay(mb_recording_t *recording, mb_stream_t *stream)
{
    MB_TRY(use(cuda_of(stream->device)));
    return mb_cuda_check(cudaGraphLaunch(recording->graph, ((mb_cuda_stream_t *)stream)->stream),
                         "launching a graph");
}

static void cuda_recording_destroy(mb_recording_t *recording)
{
    cudaGraphExecDestroy(recording->graph);
    free(recording);
}

/* ---- operations */

mb_status_t mb_cuda_host(mb_exec_t *exec, const mb_host_args_t *args)
{
    (void)exec, (void)args;
    return mb_error_set(
        MB_ERR_UNSUPPORTED,
        "it is computed by a function of a plugin on the host, which a GPU does not "
        "run: use --device cpu, or a plugin that computes it by operations of the "
        "device");
}

typedef struct {
    mb_status_t (*run)(mb_exec_t *exec, const void *args);
    size_t args_bytes;
} cuda_op_t;

#define OP_ENTRY(NAME, name)                                                                       \
    static mb_status_t run_##name(mb_exec_t *exec, const void *args)                               \
    {                                                                                              \
        return mb_cuda_##name(exec, args);                                                         \
    }
MB_OP_LIST(OP_ENTRY)
#undef OP_ENTRY

static const cuda_op_t cuda_ops[MB_OP_COUNT] = {
#define OP_ENTRY(NAME, name) [MB_OP_##NAME] = {run_##name, sizeof(mb_##name##_args_t)},
    MB_OP_LIST(OP_ENTRY)
#undef OP_ENTRY
};

static bool cuda_has_op(mb_device_t *device, mb_op_t op)
{
    (void)device;
    return (size_t)op < MB_OP_COUNT;
}

static mb_status_t cuda_run(mb_exec_t *exec, mb_op_t op, const void *args, size_t args_bytes)
{
    if (!cuda_has_op(exec->device, op))
        return mb_error_set(MB_ERR_UNSUPPORTED, "the CUDA device has no operation %d", (int)op);
    if (args_bytes != cuda_ops[op].args_bytes)
        return mb_cuda_refuse(op, "arguments of another version of the interface");
    if (!exec->planning)
        MB_TRY(use(mb_cuda_of(exec)));
    return cuda_ops[op].run(exec, args);
}

const mb_device_class_t mb_device_cuda = {
    .size = sizeof(mb_device_class_t),
#ifdef MB_CUDASIM
    .name = "cudasim",
#else
    .name = "cuda",
#endif
    .count = cuda_count,
    .identity = cuda_identity,
    .open = cuda_open,
    .close = cuda_close,
    .describe = cuda_describe,
    .signature = cuda_signature,
    .set_progress = cuda_set_progress,
#ifdef MB_HAVE_NCCL
    .link = &mb_link_nccl,
#endif
    .host_visible = cuda_host_visible,
    .alloc = cuda_alloc,
    .free = cuda_free,
    .host_alloc = cuda_host_alloc,
    .host_free = cuda_host_free,
    .stream_create = cuda_stream_create,
    .stream_destroy = cuda_stream_destroy,
    .stream_sync = cuda_stream_sync,
    .copy = cuda_copy,
    .event_create = cuda_event_create,
    .event_destroy = cuda_event_destroy,
    .event_record = cuda_event_record,
    .event_query = cuda_event_query,
    .stream_wait_event = cuda_stream_wait_event,
    .record_begin = cuda_record_begin,
    .record_end = cuda_record_end,
    .replay = cuda_replay,
    .recording_destroy = cuda_recording_destroy,
    .has_op = cuda_has_op,
    .run = cuda_run,
    .inventory = mb_cuda_inventory,
};
