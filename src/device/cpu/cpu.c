/* The CPU as a device: memory of the process, a stream that runs what it is given at once. */
#include "device/cpu/cpu.h"
#include "device/cpu/narrow.h"
#include "device/cpu/processor.h"
#include "device/operands.h"
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALIGNMENT 64

static mb_status_t cpu_open(const mb_device_options_t *options, mb_device_t **out)
{
    if (options->tf32)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "the CPU has no TF32, which is for --device cuda: use --dtype fp32, or "
                            "bf16");
    mb_cpu_t *cpu = calloc(1, sizeof *cpu);
    if (cpu == NULL)
        return mb_error_memory("the CPU device", sizeof *cpu);
    cpu->base.class_ = &mb_device_cpu;
    cpu->threads = options->threads > 0 ? options->threads : omp_get_max_threads();
    cpu->emulates = options->emulate;
    cpu->progress = options->progress;
    cpu->progress_user = options->progress_user;
    mb_status_t status = mb_dnnl_create(cpu->threads, &cpu->dnnl);
    if (status == MB_OK)
        status = mb_team_create(cpu->threads, options->cores, &cpu->team);
    if (status != MB_OK) {
        mb_dnnl_destroy(cpu->dnnl);
        free(cpu);
        return status;
    }
    *out = &cpu->base;
    return MB_OK;
}

static void cpu_close(mb_device_t *device)
{
    mb_cpu_t *cpu = (mb_cpu_t *)device;
    mb_team_destroy(cpu->team);
    mb_dnnl_destroy(cpu->dnnl);
    free(cpu);
}

/* What the compiler's multiversioned kernels choose between; see simd.h. */
static const char *isa_name(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq"))
        return "AVX-512";
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return "AVX2";
    return "SSE2";
#elif defined(__aarch64__)
    return "Armv8";
#else
    return "generic";
#endif
}

static void cpu_describe(mb_device_t *device, char *text, size_t capacity)
{
    mb_cpu_t *cpu = (mb_cpu_t *)device;
    char library[64];
    mb_dnnl_describe(library, sizeof library);
    snprintf(text, capacity, "CPU: %d thread%s, %s, %s", cpu->threads, cpu->threads == 1 ? "" : "s",
             isa_name(), library);
}

static void cpu_signature(mb_device_t *device, char *text, size_t capacity)
{
    (void)device;
    char library[64], chosen[64], processor[128];
    mb_dnnl_describe(library, sizeof library);
    mb_dnnl_isa(chosen, sizeof chosen);
    mb_processor_describe(processor, sizeof processor);
    snprintf(text, capacity, "cpu %s, %s, isa %s, %s", isa_name(), library, chosen, processor);
}

static void cpu_set_progress(mb_device_t *device, void (*progress)(void *), void *user)
{
    mb_cpu_t *cpu = (mb_cpu_t *)device;
    cpu->progress = progress;
    cpu->progress_user = user;
}

static bool cpu_host_visible(mb_device_t *device)
{
    (void)device;
    return true;
}

static mb_status_t cpu_alloc(mb_device_t *device, size_t bytes, void **out)
{
    (void)device;
    if (bytes > SIZE_MAX - ALIGNMENT)
        return mb_error_memory("device memory", bytes);
    size_t rounded = bytes == 0 ? ALIGNMENT : mb_round_64(bytes);
    void *memory = aligned_alloc(ALIGNMENT, rounded);
    if (memory == NULL)
        return mb_error_memory("device memory", bytes);
    *out = memory;
    return MB_OK;
}

static void cpu_free(mb_device_t *device, void *memory)
{
    (void)device;
    free(memory);
}

static mb_status_t cpu_stream_create(mb_device_t *device, mb_stream_t **out)
{
    mb_stream_t *stream = calloc(1, sizeof *stream);
    if (stream == NULL)
        return mb_error_memory("a stream", sizeof *stream);
    stream->device = device;
    *out = stream;
    return MB_OK;
}

static void cpu_stream_destroy(mb_stream_t *stream)
{
    free(stream);
}

static mb_status_t cpu_stream_sync(mb_stream_t *stream)
{
    (void)stream;
    return MB_OK;
}

static mb_status_t cpu_copy(mb_stream_t *stream, void *to, const void *from, size_t bytes,
                            mb_copy_kind_t kind)
{
    (void)stream;
    (void)kind;
    memmove(to, from, bytes);
    return MB_OK;
}

static mb_status_t cpu_event_create(mb_device_t *device, mb_event_t **out)
{
    mb_event_t *event = calloc(1, sizeof *event);
    if (event == NULL)
        return mb_error_memory("an event", sizeof *event);
    event->device = device;
    *out = event;
    return MB_OK;
}

static void cpu_event_destroy(mb_event_t *event)
{
    free(event);
}

static mb_status_t cpu_event_record(mb_event_t *event, mb_stream_t *stream)
{
    (void)event;
    (void)stream;
    return MB_OK;
}

static mb_status_t cpu_event_query(mb_event_t *event, bool *done)
{
    (void)event;
    *done = true;
    return MB_OK;
}

static mb_status_t cpu_stream_wait_event(mb_stream_t *stream, mb_event_t *event)
{
    (void)stream;
    (void)event;
    return MB_OK;
}

typedef struct {
    mb_status_t (*run)(mb_exec_t *exec, const void *args);
    size_t args_bytes;
} cpu_op_t;

#define OP_ENTRY(NAME, name)                                                                       \
    static mb_status_t run_##name(mb_exec_t *exec, const void *args)                               \
    {                                                                                              \
        return mb_cpu_##name(exec, args);                                                          \
    }
MB_OP_LIST(OP_ENTRY)
#undef OP_ENTRY

static const cpu_op_t cpu_ops[MB_OP_COUNT] = {
#define OP_ENTRY(NAME, name) [MB_OP_##NAME] = {run_##name, sizeof(mb_##name##_args_t)},
    MB_OP_LIST(OP_ENTRY)
#undef OP_ENTRY
};

static bool cpu_has_op(mb_device_t *device, mb_op_t op)
{
    (void)device;
    return (size_t)op < MB_OP_COUNT && cpu_ops[op].run != NULL;
}

static mb_status_t cpu_run(mb_exec_t *exec, mb_op_t op, const void *args, size_t args_bytes)
{
    if (!cpu_has_op(exec->device, op))
        return mb_error_set(MB_ERR_UNSUPPORTED, "the CPU device has no operation %d (%s)", (int)op,
                            mb_op_name(op));
    if (args_bytes != cpu_ops[op].args_bytes)
        return mb_cpu_refuse(op, "arguments of another version of the interface");
    if (mb_op_type(op, args) != MB_F32 && !mb_cpu_takes_narrow(exec, op, args))
        return mb_cpu_narrow(exec, op, args, args_bytes, cpu_ops[op].run);
    return cpu_ops[op].run(exec, args);
}

const mb_device_class_t mb_device_cpu = {
    .size = sizeof(mb_device_class_t),
    .name = "cpu",
    .open = cpu_open,
    .close = cpu_close,
    .describe = cpu_describe,
    .signature = cpu_signature,
    .set_progress = cpu_set_progress,
    .host_visible = cpu_host_visible,
    .alloc = cpu_alloc,
    .free = cpu_free,
    .stream_create = cpu_stream_create,
    .stream_destroy = cpu_stream_destroy,
    .stream_sync = cpu_stream_sync,
    .copy = cpu_copy,
    .event_create = cpu_event_create,
    .event_destroy = cpu_event_destroy,
    .event_record = cpu_event_record,
    .event_query = cpu_event_query,
    .stream_wait_event = cpu_stream_wait_event,
    .has_op = cpu_has_op,
    .run = cpu_run,
};
