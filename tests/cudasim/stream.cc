/* Streams, events and host functions as CUDA spells them; the queues are in queue.cc. */
#include "cudasim/call.h"
#include "cudasim/graph.h"
#include "cudasim/memory.h"
#include "cudasim/queue.h"

#include <unordered_set>

namespace mb_cudasim
{

namespace
{

std::unordered_set<CUevent_st *> &events()
{
    static auto *all = new std::unordered_set<CUevent_st *>;
    return *all;
}

cudaError_t check_event(cudaEvent_t event, const char *call)
{
    if (events().count(event))
        return cudaSuccess;
    return refuse(cudaErrorInvalidResourceHandle, "%s: %p is no event", call, (void *)event);
}

cudaError_t check_not_captured(cudaEvent_t event, const char *call)
{
    CUDASIM_TRY(check_event(event, call));
    if (!event->state->captured)
        return cudaSuccess;
    return refuse(cudaErrorCapturedEvent, "%s: the event was last recorded into a capture", call);
}

/* The device's error, or that the work goes on. That this becomes the last error is the pessimistic
 * reading: NVIDIA's guide says it does not, and PyTorch clears it all the same. */
cudaError_t query(int device, bool done)
{
    cudaError_t failed = device_error(device);
    if (failed != cudaSuccess)
        return failed;
    return done ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t record(cudaEvent_t event, cudaStream_t stream)
{
    if (stream->device != event->device)
        return refuse(cudaErrorInvalidResourceHandle,
                      "cudaEventRecord: an event of device %d on a stream of device %d",
                      event->device, stream->device);
    if (stream->capturing)
        return capture_record(stream, event->state.get());
    event->state->captured.reset();
    stream_record(stream, event->state);
    return cudaSuccess;
}

cudaError_t wait(cudaStream_t stream, cudaEvent_t event)
{
    if (event->state->captured)
        return capture_wait(stream, *event->state);
    if (stream->capturing) {
        stream->capturing->invalid = true;
        return refuse(cudaErrorStreamCaptureIsolation,
                      "cudaStreamWaitEvent: a capturing stream waits for work outside the capture");
    }
    if (event->state->recorded)
        stream_wait(stream, event->state);
    return cudaSuccess;
}

cudaError_t create_stream(cudaStream_t *out, unsigned flags, int priority, const char *function)
{
    auto create = [&] {
        *out = stream_create(current_device(), flags, priority);
        return cudaSuccess;
    };
    return host_call(create, function);
}

cudaError_t create_event(cudaEvent_t *out, unsigned flags, const char *function)
{
    auto create = [&] {
        *out = new CUevent_st{current_device(), flags, std::make_shared<event_state>()};
        events().insert(*out);
        return cudaSuccess;
    };
    return host_call(create, function);
}

/* Host code again, for as long as it takes. */
cudaError_t run_host_function(cudaHostFn_t function, void *user)
{
    memory_close();
    in_host_function() = true;
    function(user);
    in_host_function() = false;
    return cudaSuccess;
}

} // namespace

} // namespace mb_cudasim

using namespace mb_cudasim;

cudaError_t cudaStreamCreateWithPriority(cudaStream_t *out, unsigned flags, int priority)
{
    return create_stream(out, flags, priority, "cudaStreamCreateWithPriority");
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *out, unsigned flags)
{
    return create_stream(out, flags, 0, "cudaStreamCreateWithFlags");
}

cudaError_t cudaStreamCreate(cudaStream_t *out)
{
    return create_stream(out, cudaStreamDefault, 0, "cudaStreamCreate");
}

/* Work that is on it still happens. */
cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    return host_call([&] {
        CUDASIM_TRY(stream_check(stream, "cudaStreamDestroy"));
        stream_destroy(stream);
        return cudaSuccess;
    });
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    return host_call([&] {
        CUDASIM_TRY(stream_check(stream, "cudaStreamSynchronize"));
        CUDASIM_TRY(capture_forbids(stream, "cudaStreamSynchronize"));
        uint64_t target = stream->appended;
        pump_until([=] { return stream->finished >= target; });
        return device_error(stream->device);
    });
}

cudaError_t cudaStreamQuery(cudaStream_t stream)
{
    return host_call([&] {
        CUDASIM_TRY(stream_check(stream, "cudaStreamQuery"));
        CUDASIM_TRY(capture_forbids(stream, "cudaStreamQuery"));
        pump_some();
        return query(stream->device, stream_idle(stream));
    });
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned)
{
    return host_call([&] {
        CUDASIM_TRY(stream_check(stream, "cudaStreamWaitEvent"));
        CUDASIM_TRY(check_event(event, "cudaStreamWaitEvent"));
        return wait(stream, event);
    });
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void *user)
{
    return host_call([&] {
        CUDASIM_TRY(stream_check(stream, "cudaLaunchHostFunc"));
        return stream_submit(stream, make_operation(stream->device, [=] {
                                 return run_host_function(function, user);
                             }));
    });
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned flags)
{
    return create_event(out, flags, "cudaEventCreateWithFlags");
}

cudaError_t cudaEventCreate(cudaEvent_t *out)
{
    return create_event(out, cudaEventDefault, "cudaEventCreate");
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    return host_call([&] {
        CUDASIM_TRY(check_event(event, "cudaEventDestroy"));
        events().erase(event);
        delete event;
        return cudaSuccess;
    });
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    return host_call([&] {
        CUDASIM_TRY(check_event(event, "cudaEventRecord"));
        CUDASIM_TRY(stream_check(stream, "cudaEventRecord"));
        return record(event, stream);
    });
}

cudaError_t cudaEventQuery(cudaEvent_t event)
{
    return host_call([&] {
        CUDASIM_TRY(check_not_captured(event, "cudaEventQuery"));
        pump_some();
        return query(event->device, event->state->done >= event->state->recorded);
    });
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    return host_call([&] {
        CUDASIM_TRY(check_not_captured(event, "cudaEventSynchronize"));
        std::shared_ptr<event_state> state = event->state;
        uint64_t target = state->recorded;
        pump_until([=] { return state->done >= target; });
        return device_error(event->device);
    });
}

cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t start, cudaEvent_t end)
{
    return host_call([&] {
        CUDASIM_TRY(check_not_captured(start, "cudaEventElapsedTime"));
        CUDASIM_TRY(check_not_captured(end, "cudaEventElapsedTime"));
        const event_state &a = *start->state, &b = *end->state;
        if (!a.recorded || !b.recorded || (start->flags | end->flags) & cudaEventDisableTiming)
            return refuse(cudaErrorInvalidResourceHandle,
                          "cudaEventElapsedTime of events that were not recorded or keep no time");
        if (a.done < a.recorded || b.done < b.recorded)
            return cudaErrorNotReady;
        *milliseconds = (float)((b.seconds - a.seconds) * 1e3);
        return cudaSuccess;
    });
}
