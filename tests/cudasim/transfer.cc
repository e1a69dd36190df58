/* Allocation as CUDA spells it, copies and fills. A copy is asynchronous only as far as CUDA allows
 * it to be: pageable host memory is read before the call returns, or written before it does; pinned
 * memory is read or written whenever the stream gets there, and so is pageable memory where the
 * device reaches it by itself (MB_CUDASIM_PAGEABLE=late), of which CUDA only says that the call
 * "might be synchronous". */
#include "cudasim/call.h"
#include "cudasim/cudasim.h"
#include "cudasim/graph.h"
#include "cudasim/memory.h"
#include "cudasim/queue.h"

#include <string.h>

namespace mb_cudasim
{

namespace
{

uint64_t pageable_copies;

bool &pageable_is_refused()
{
    static bool refused = get_settings().refuse_pageable;
    return refused;
}

bool &pageable_is_late()
{
    static bool late = get_settings().late_pageable;
    return late;
}

/* One side of a copy, as found at the call. */
enum class side { device, pinned, pageable };

struct copy_plan {
    void *to;
    const void *from;
    size_t bytes;
    side to_side, from_side;
    int device;
    std::shared_ptr<const std::vector<char>> staged; /* what pageable memory held at the call */
};

cudaError_t find_side(const char *which, const void *p, size_t bytes, int device, side *out)
{
    char what[160];
    *out = memory_is_pinned(p, bytes) ? side::pinned : side::pageable;
    if (!memory_is_reserved(p))
        return cudaSuccess;
    *out = side::device;
    if (memory_is_device(p, bytes, device))
        return cudaSuccess;
    memory_describe(p, what, sizeof what);
    return refuse(cudaErrorInvalidValue, "a copy of %zu bytes on device %d: its %s is %s", bytes,
                  device, which, what);
}

bool kind_fits(const copy_plan &c, cudaMemcpyKind kind)
{
    bool to_device = c.to_side == side::device, from_device = c.from_side == side::device;
    switch (kind) {
    case cudaMemcpyHostToDevice:
        return to_device && !from_device;
    case cudaMemcpyDeviceToHost:
        return !to_device && from_device;
    case cudaMemcpyDeviceToDevice:
        return to_device && from_device;
    case cudaMemcpyHostToHost:
        return !to_device && !from_device;
    default:
        return kind == cudaMemcpyDefault;
    }
}

cudaError_t plan_copy(copy_plan *c, cudaMemcpyKind kind)
{
    CUDASIM_TRY(find_side("destination", c->to, c->bytes, c->device, &c->to_side));
    CUDASIM_TRY(find_side("source", c->from, c->bytes, c->device, &c->from_side));
    if (kind_fits(*c, kind))
        return cudaSuccess;
    return refuse(cudaErrorInvalidValue,
                  "a copy of %zu bytes of kind %d from %s memory to %s memory", c->bytes, (int)kind,
                  c->from_side == side::device ? "device" : "host",
                  c->to_side == side::device ? "device" : "host");
}

/* Memory may have been freed since the call. */
bool still_there(const copy_plan &c)
{
    return (c.to_side != side::device || memory_is_device(c.to, c.bytes, c.device)) &&
           (c.from_side != side::device || memory_is_device(c.from, c.bytes, c.device)) &&
           (c.to_side != side::pinned || memory_is_pinned(c.to, c.bytes)) &&
           (c.from_side != side::pinned || memory_is_pinned(c.from, c.bytes));
}

cudaError_t run_copy(const copy_plan &c)
{
    if (!still_there(c))
        return refuse(cudaErrorIllegalAddress,
                      "a copy of %zu bytes from %p to %p: its memory was freed before it ran",
                      c.bytes, c.from, c.to);
    memmove(c.to, c.staged ? c.staged->data() : c.from, c.bytes);
    return cudaSuccess;
}

void stage(copy_plan *c)
{
    const char *from = (const char *)c->from;
    c->staged = std::make_shared<std::vector<char>>(from, from + c->bytes);
}

cudaError_t finish_stream(CUstream_st *stream)
{
    uint64_t target = stream->appended;
    pump_until([=] { return stream->finished >= target; });
    return device_error(stream->device);
}

cudaError_t allow_pageable(const copy_plan &c, CUstream_st *stream)
{
    if (pageable_is_refused())
        return refuse(cudaErrorInvalidValue,
                      "cudaMemcpyAsync of %zu bytes %s pageable host memory (MB_CUDASIM_PAGEABLE)",
                      c.bytes, c.to_side == side::pageable ? "to" : "from");
    CUDASIM_TRY(capture_forbids(stream, "a copy with pageable host memory"));
    pageable_copies++;
    return cudaSuccess;
}

cudaError_t copy_on_stream(copy_plan c, cudaMemcpyKind kind, CUstream_st *stream)
{
    CUDASIM_TRY(plan_copy(&c, kind));
    bool pageable = c.to_side == side::pageable || c.from_side == side::pageable;
    if (pageable)
        CUDASIM_TRY(allow_pageable(c, stream));
    bool staged = pageable && !pageable_is_late();
    if (staged && c.from_side == side::pageable)
        stage(&c);
    CUDASIM_TRY(stream_submit(stream, make_operation(c.device, [c] { return run_copy(c); })));
    return staged && c.to_side == side::pageable ? finish_stream(stream) : cudaSuccess;
}

/* The legacy default stream's: behind the streams that wait for that one, and behind no others. */
cudaError_t copy_now(copy_plan c, cudaMemcpyKind kind)
{
    CUDASIM_TRY(capture_forbids_anywhere("cudaMemcpy"));
    CUDASIM_TRY(plan_copy(&c, kind));
    pump_until([&] { return blocking_streams_idle(c.device); });
    auto op = make_operation(c.device, [c] { return run_copy(c); });
    operation_run(*op);
    memory_close();
    return device_error(c.device);
}

cudaError_t run_fill(void *to, int value, size_t bytes, int device)
{
    if (!memory_is_device(to, bytes, device))
        return refuse(cudaErrorIllegalAddress, "a fill of %zu bytes: its memory was freed", bytes);
    memset(to, value, bytes);
    return cudaSuccess;
}

cudaError_t allocate_pinned(void **out, size_t bytes, unsigned flags, const char *function)
{
    auto allocate = [&] {
        CUDASIM_TRY(capture_forbids_anywhere(function));
        return pinned_allocate(current_device(), bytes, flags, out);
    };
    return host_call(allocate, function);
}

/* As every implementation does: freed memory is not in use any more. */
void wait_for_device(int device)
{
    pump_until([=] { return device_idle(device); });
}

cudaError_t free_now(void *p)
{
    const allocation *m = memory_find(p);
    if (m)
        wait_for_device(m->device);
    return device_free(p);
}

} // namespace

} // namespace mb_cudasim

void mb_cudasim_refuse_pageable(int refuse)
{
    mb_cudasim::pageable_is_refused() = refuse != 0;
}

void mb_cudasim_late_pageable(int late)
{
    mb_cudasim::pageable_is_late() = late != 0;
}

uint64_t mb_cudasim_pageable_copies(void)
{
    return mb_cudasim::pageable_copies;
}

using namespace mb_cudasim;

cudaError_t cudaMalloc(void **out, size_t bytes)
{
    return host_call([&] {
        CUDASIM_TRY(capture_forbids_anywhere("cudaMalloc"));
        return device_allocate(current_device(), bytes, out);
    });
}

cudaError_t cudaFree(void *p)
{
    return host_call([&] {
        CUDASIM_TRY(capture_forbids_anywhere("cudaFree"));
        return p ? free_now(p) : cudaSuccess;
    });
}

cudaError_t cudaMallocAsync(void **out, size_t bytes, cudaStream_t stream)
{
    return host_call([&] {
        CUDASIM_TRY(stream_check(stream, "cudaMallocAsync"));
        CUDASIM_TRY(capture_forbids(stream, "cudaMallocAsync"));
        return device_allocate(stream->device, bytes, out);
    });
}

cudaError_t cudaFreeAsync(void *p, cudaStream_t stream)
{
    return host_call([&] {
        CUDASIM_TRY(stream_check(stream, "cudaFreeAsync"));
        CUDASIM_TRY(capture_forbids(stream, "cudaFreeAsync"));
        if (!p)
            return cudaSuccess;
        return stream_submit(stream,
                             make_operation(stream->device, [p] { return device_free(p); }));
    });
}

cudaError_t cudaMallocHost(void **out, size_t bytes)
{
    return allocate_pinned(out, bytes, cudaHostAllocDefault, "cudaMallocHost");
}

cudaError_t cudaHostAlloc(void **out, size_t bytes, unsigned flags)
{
    return allocate_pinned(out, bytes, flags, "cudaHostAlloc");
}

cudaError_t cudaHostGetFlags(unsigned *flags, void *p)
{
    return host_call([&] {
        const allocation *m = memory_find(p);
        if (!m || m->where != space::pinned)
            return refuse(cudaErrorInvalidValue, "cudaHostGetFlags of memory that is not pinned");
        *flags = m->flags;
        return cudaSuccess;
    });
}

cudaError_t cudaFreeHost(void *p)
{
    return host_call([&] {
        CUDASIM_TRY(capture_forbids_anywhere("cudaFreeHost"));
        if (!p)
            return cudaSuccess;
        wait_for_device(current_device());
        return pinned_free(p, false);
    });
}

cudaError_t cudaHostRegister(void *p, size_t bytes, unsigned flags)
{
    return host_call([&] { return pinned_register(current_device(), p, bytes, flags); });
}

cudaError_t cudaHostUnregister(void *p)
{
    return host_call([&] {
        wait_for_device(current_device());
        return pinned_free(p, true);
    });
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream)
{
    return host_call([&] {
        CUDASIM_TRY(stream_check(stream, "cudaMemcpyAsync"));
        if (bytes == 0)
            return cudaSuccess;
        copy_plan c = {to, from, bytes, side::device, side::device, stream->device, nullptr};
        return copy_on_stream(c, kind, stream);
    });
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind kind)
{
    return host_call([&] {
        if (bytes == 0)
            return cudaSuccess;
        copy_plan c = {to, from, bytes, side::device, side::device, current_device(), nullptr};
        return copy_now(c, kind);
    });
}

cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream)
{
    return host_call([&] {
        CUDASIM_TRY(stream_check(stream, "cudaMemsetAsync"));
        if (bytes == 0)
            return cudaSuccess;
        int device = stream->device;
        if (!memory_is_device(to, bytes, device)) {
            char what[160];
            memory_describe(to, what, sizeof what);
            return refuse(cudaErrorInvalidValue, "cudaMemsetAsync of %zu bytes on device %d at %s",
                          bytes, device, what);
        }
        return stream_submit(
            stream, make_operation(device, [=] { return run_fill(to, value, bytes, device); }));
    });
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes *out, const void *p)
{
    return host_call([&] {
        memset(out, 0, sizeof *out);
        const allocation *m = memory_find(p);
        out->device = m ? m->device : cudaInvalidDeviceId;
        if (!m)
            return cudaSuccess; /* type 0: unregistered */
        bool on_device = m->where == space::device;
        out->type = on_device ? cudaMemoryTypeDevice : cudaMemoryTypeHost;
        out->devicePointer = const_cast<void *>(p);
        out->hostPointer = on_device ? nullptr : const_cast<void *>(p);
        return cudaSuccess;
    });
}
