/* Streams as queues. A call only appends; work happens inside a call that waits or queries, which
 * again and again picks one of the queues whose head can move, by the seed, until what it waits for
 * has happened:
 *
 *     stream a:  [kernel][record e][kernel]
 *     stream b:  [wait e][copy]                  the head of b can move once a's record has
 *     stream c:  [graph: nodes by their edges]   one node a move
 *
 * So nothing is ordered but what streams and events order, and a missing event shows as a wrong
 * number for some seeds. */
#ifndef MB_CUDASIM_QUEUE_H
#define MB_CUDASIM_QUEUE_H

#include <cuda_runtime_api.h>

#include <stdint.h>

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace mb_cudasim
{

/* What a stream or a graph does once. It may run many times, as part of a graph. */
class operation
{
  public:
    explicit operation(int device) : device_(device)
    {
    }
    virtual ~operation() = default;
    virtual cudaError_t run() const = 0;
    int device() const
    {
        return device_;
    }

  private:
    int device_;
};

/* An operation of a device as a function object. */
std::shared_ptr<const operation> make_operation(int device, std::function<cudaError_t()> run);

/* Unless the device has failed. A failure is the device's from then on. */
void operation_run(const operation &op);

/* What a stream's queue holds. */
class entry
{
  public:
    virtual ~entry() = default;
    virtual bool ready() const
    {
        return true;
    }
    /* Does some of the work; true when it was the last. */
    virtual bool step() = 0;
    /* Could what it waits for be done by another process? */
    virtual bool waits_outside() const
    {
        return false;
    }
    /* For people; "" for nothing to say. */
    virtual std::string waits_for() const
    {
        return "";
    }
};

struct capture;

/* An event counts how often it was recorded, and the last record that has happened. */
struct event_state {
    uint64_t recorded = 0;
    uint64_t done = 0;
    double seconds = 0; /* of the last record that has happened */
    /* Recorded into a capture: it, and the nodes that the event stands for. */
    std::shared_ptr<capture> captured;
    std::vector<int> nodes;
};

} // namespace mb_cudasim

/* The toolkit's opaque handles. */
struct CUstream_st {
    int device = 0;
    unsigned flags = 0;
    int priority = 0;
    bool destroyed = false; /* by the caller; goes away when it is empty */
    std::deque<std::unique_ptr<mb_cudasim::entry>> entries;
    uint64_t appended = 0, finished = 0;
    std::shared_ptr<mb_cudasim::capture> capturing;
    std::vector<int> nodes; /* what the next captured node follows */
};

struct CUevent_st {
    int device = 0;
    unsigned flags = 0;
    std::shared_ptr<mb_cudasim::event_state> state;
};

namespace mb_cudasim
{

/* The device of a stream that a library works on beside the program's. */
constexpr int NO_DEVICE = -1;

CUstream_st *stream_create(int device, unsigned flags, int priority);
/* Is it a stream that has been created and not destroyed? Says what is wrong otherwise. */
cudaError_t stream_check(cudaStream_t stream, const char *call);
void stream_destroy(CUstream_st *stream);
void streams_forget(int device);
void streams_each(const std::function<void(CUstream_st *)> &what);
bool stream_idle(const CUstream_st *stream);
bool device_idle(int device);
/* No stream that waits for the legacy default stream has work. */
bool blocking_streams_idle(int device);

void stream_append(CUstream_st *stream, std::unique_ptr<entry> e);
/* Appends it, or makes it a node while the stream captures. */
cudaError_t stream_submit(CUstream_st *stream, std::shared_ptr<const operation> op);
void stream_record(CUstream_st *stream, std::shared_ptr<event_state> event);
void stream_wait(CUstream_st *stream, std::shared_ptr<event_state> event);

/* Moves queues until DONE says so. While only others can go on, it lets other threads make calls.
 */
void pump_until(const std::function<bool()> &done);
/* A few moves or none: time passes while the host asks. */
void pump_some();

} // namespace mb_cudasim

#endif
