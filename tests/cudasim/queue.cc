/* Streams and which of them moves; see queue.h. */
#include "cudasim/queue.h"

#include "cudasim/call.h"
#include "cudasim/error.h"
#include "cudasim/graph.h"
#include "cudasim/memory.h"
#include "cudasim/random.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

namespace mb_cudasim
{

namespace
{

/* Never destroyed: programs synchronize until they end. */
std::vector<CUstream_st *> &streams()
{
    static auto *all = new std::vector<CUstream_st *>;
    return *all;
}

double now_seconds()
{
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

class work_entry final : public entry
{
  public:
    explicit work_entry(std::shared_ptr<const operation> op) : op_(std::move(op))
    {
    }
    bool step() override
    {
        operation_run(*op_);
        return true;
    }

  private:
    std::shared_ptr<const operation> op_;
};

class record_entry final : public entry
{
  public:
    explicit record_entry(std::shared_ptr<event_state> event)
        : event_(std::move(event)), number_(event_->recorded)
    {
    }
    bool step() override
    {
        event_->done = std::max(event_->done, number_);
        event_->seconds = now_seconds();
        return true;
    }

  private:
    std::shared_ptr<event_state> event_;
    uint64_t number_;
};

/* For the record that was the last one when the wait was made. */
class wait_entry final : public entry
{
  public:
    explicit wait_entry(std::shared_ptr<event_state> event)
        : event_(std::move(event)), number_(event_->recorded)
    {
    }
    bool ready() const override
    {
        return event_->done >= number_;
    }
    bool step() override
    {
        return true;
    }

  private:
    std::shared_ptr<event_state> event_;
    uint64_t number_;
};

class function_operation final : public operation
{
  public:
    function_operation(int where, std::function<cudaError_t()> run)
        : operation(where), run_(std::move(run))
    {
    }
    cudaError_t run() const override
    {
        return run_();
    }

  private:
    std::function<cudaError_t()> run_;
};

bool can_move(const CUstream_st *s)
{
    return !s->entries.empty() && s->entries.front()->ready();
}

/* Picks by the seed, and stays with its pick for a while: long lags of one stream behind another
 * are what an even choice would hardly ever make. How long is drawn for each pump. */
class picker
{
  public:
    picker() : stay_(1u << draw().below(6))
    {
    }
    /* NULL: nothing can move. */
    CUstream_st *pick()
    {
        if (last_ && draw().below(stay_) != 0 && still_there() && can_move(last_))
            return last_;
        std::vector<CUstream_st *> movable;
        for (CUstream_st *s : streams())
            if (can_move(s))
                movable.push_back(s);
        if (movable.empty())
            return last_ = nullptr;
        return last_ = movable[draw().below(movable.size())];
    }

  private:
    bool still_there() const
    {
        return std::find(streams().begin(), streams().end(), last_) != streams().end();
    }
    uint64_t stay_;
    CUstream_st *last_ = nullptr;
};

void remove_if_over(CUstream_st *s)
{
    if (!s->destroyed || !s->entries.empty())
        return;
    streams().erase(std::find(streams().begin(), streams().end(), s));
    delete s;
}

void move(CUstream_st *s)
{
    if (!s->entries.front()->step())
        return;
    s->entries.pop_front();
    s->finished++;
    remove_if_over(s);
}

/* What the heads of the queues say that they wait for. */
std::vector<std::string> waits()
{
    std::vector<std::string> all;
    for (CUstream_st *s : streams())
        if (!s->entries.empty() && !s->entries.front()->waits_for().empty())
            all.push_back(s->entries.front()->waits_for());
    return all;
}

[[noreturn]] void fail_stuck()
{
    for (const std::string &what : waits())
        say("deadlock: %s", what.c_str());
    if (!waits().empty())
        say("no stream can move: ranks of this process wait for each other");
    else
        say("no stream can move: every one waits for an event that no call has recorded ahead of "
            "it");
    abort();
}

template <typename F> bool every_stream(F condition)
{
    return std::all_of(streams().begin(), streams().end(), condition);
}

bool any_waits_outside()
{
    return !every_stream(
        [](CUstream_st *s) { return s->entries.empty() || !s->entries.front()->waits_outside(); });
}

using condition = std::function<bool()>;

/* What the threads in pump_until wait for; they hold the lock but for when they let others run. */
std::vector<const condition *> &waited_for()
{
    static auto *all = new std::vector<const condition *>;
    return *all;
}

/* Another thread makes calls, or will when it sees that its wait is over. */
bool another_thread_can_go_on()
{
    const std::vector<const condition *> &all = waited_for();
    return (int)all.size() < calling_threads() ||
           std::any_of(all.begin(), all.end(), [](const condition *done) { return (*done)(); });
}

/* Another process, or a thread of this one that is another rank. */
bool others_can_go_on()
{
    return any_waits_outside() || (!waits().empty() && another_thread_can_go_on());
}

/* Longer the longer it has lasted, so that the others have the processor. */
void wait_for_others(int round)
{
    memory_close();
    call_lock().unlock();
    if (round < 20)
        sched_yield();
    else
        usleep(round < 200 ? 20 : 500);
    call_lock().lock();
}

} // namespace

std::shared_ptr<const operation> make_operation(int device, std::function<cudaError_t()> run)
{
    return std::make_shared<function_operation>(device, std::move(run));
}

void operation_run(const operation &op)
{
    if (device_error(op.device()) != cudaSuccess)
        return;
    memory_open(op.device());
    cudaError_t error = op.run();
    if (error != cudaSuccess)
        set_device_error(op.device(), error);
}

CUstream_st *stream_create(int device, unsigned flags, int priority)
{
    CUstream_st *s = new CUstream_st;
    s->device = device;
    s->flags = flags;
    s->priority = priority;
    streams().push_back(s);
    return s;
}

cudaError_t stream_check(cudaStream_t stream, const char *call)
{
    if (stream == nullptr || stream == cudaStreamLegacy || stream == cudaStreamPerThread)
        return refuse(cudaErrorInvalidResourceHandle,
                      "%s: a default stream; this program is to use streams of its own", call);
    for (const CUstream_st *s : streams())
        if (s == stream && !s->destroyed)
            return cudaSuccess;
    return refuse(cudaErrorInvalidResourceHandle, "%s: %p is no stream", call, (void *)stream);
}

void stream_destroy(CUstream_st *stream)
{
    stream->destroyed = true;
    remove_if_over(stream);
}

void streams_forget(int device)
{
    std::vector<CUstream_st *> all = streams();
    for (CUstream_st *s : all) {
        if (s->device != device)
            continue;
        s->entries.clear();
        stream_destroy(s);
    }
}

void streams_each(const std::function<void(CUstream_st *)> &what)
{
    for (CUstream_st *s : streams())
        what(s);
}

bool stream_idle(const CUstream_st *stream)
{
    return stream->entries.empty();
}

bool device_idle(int device)
{
    return every_stream([=](CUstream_st *s) { return s->device != device || stream_idle(s); });
}

bool blocking_streams_idle(int device)
{
    return every_stream([=](CUstream_st *s) {
        return s->device != device || (s->flags & cudaStreamNonBlocking) || stream_idle(s);
    });
}

void stream_append(CUstream_st *stream, std::unique_ptr<entry> e)
{
    stream->entries.push_back(std::move(e));
    stream->appended++;
}

cudaError_t stream_submit(CUstream_st *stream, std::shared_ptr<const operation> op)
{
    if (stream->capturing)
        return capture_append(stream, std::move(op));
    stream_append(stream, std::make_unique<work_entry>(std::move(op)));
    return cudaSuccess;
}

void stream_record(CUstream_st *stream, std::shared_ptr<event_state> event)
{
    event->recorded++;
    stream_append(stream, std::make_unique<record_entry>(std::move(event)));
}

void stream_wait(CUstream_st *stream, std::shared_ptr<event_state> event)
{
    stream_append(stream, std::make_unique<wait_entry>(std::move(event)));
}

void pump_until(const std::function<bool()> &done)
{
    fault_prepare_thread();
    picker picker;
    waited_for().push_back(&done);
    for (int idle = 0; !done();) {
        CUstream_st *s = picker.pick();
        if (s) {
            move(s);
            idle = 0;
        } else if (others_can_go_on())
            wait_for_others(idle++);
        else
            fail_stuck();
    }
    waited_for().erase(std::find(waited_for().begin(), waited_for().end(), &done));
    memory_close();
}

void pump_some()
{
    fault_prepare_thread();
    picker picker;
    for (uint64_t moves = draw().below(8); moves; moves--) {
        CUstream_st *s = picker.pick();
        if (!s)
            break;
        move(s);
    }
    memory_close();
}

} // namespace mb_cudasim
