/* Capture, instantiation and launch of graphs; see graph.h. */
#include "cudasim/graph.h"

#include "cudasim/call.h"
#include "cudasim/error.h"
#include "cudasim/random.h"

#include <algorithm>
#include <set>

struct CUgraph_st {
    std::vector<mb_cudasim::graph_node> nodes;
};

namespace mb_cudasim
{

/* Launches of one executable graph follow each other, whatever their streams. */
struct executable {
    std::vector<graph_node> nodes;
    uint64_t launched = 0, finished = 0;
};

} // namespace mb_cudasim

struct CUgraphExec_st {
    std::shared_ptr<mb_cudasim::executable> state;
};

namespace mb_cudasim
{

namespace
{

std::set<capture *> &captures()
{
    static auto *all = new std::set<capture *>;
    return *all;
}

cudaError_t spoil(capture *c, cudaError_t code)
{
    c->invalid = true;
    return code;
}

void merge(std::vector<int> *into, const std::vector<int> &from)
{
    for (int node : from)
        if (std::find(into->begin(), into->end(), node) == into->end())
            into->push_back(node);
}

/* Every node leads to one that the origin stands behind. */
bool joined(const capture &c)
{
    std::vector<bool> followed(c.nodes.size());
    for (const graph_node &node : c.nodes)
        for (int before : node.after)
            followed[(size_t)before] = true;
    for (int node : c.origin->nodes)
        followed[(size_t)node] = true;
    return std::all_of(followed.begin(), followed.end(), [](bool f) { return f; });
}

class graph_entry final : public entry
{
  public:
    explicit graph_entry(std::shared_ptr<executable> graph)
        : graph_(std::move(graph)), number_(graph_->launched++), done_(graph_->nodes.size())
    {
    }
    bool ready() const override
    {
        return graph_->finished == number_;
    }
    bool step() override
    {
        if (n_done_ < done_.size())
            run_one();
        if (n_done_ < done_.size())
            return false;
        graph_->finished++;
        return true;
    }

  private:
    bool can_run(size_t node) const
    {
        const std::vector<int> &after = graph_->nodes[node].after;
        return !done_[node] && std::all_of(after.begin(), after.end(),
                                           [this](int before) { return done_[(size_t)before]; });
    }
    void run_one()
    {
        std::vector<size_t> movable;
        for (size_t node = 0; node < done_.size(); node++)
            if (can_run(node))
                movable.push_back(node);
        size_t node = movable[draw().below(movable.size())];
        operation_run(*graph_->nodes[node].op);
        done_[node] = true;
        n_done_++;
    }
    std::shared_ptr<executable> graph_;
    uint64_t number_;
    std::vector<bool> done_;
    size_t n_done_ = 0;
};

void leave_capture(CUstream_st *stream)
{
    stream->capturing.reset();
    stream->nodes.clear();
}

} // namespace

cudaError_t capture_append(CUstream_st *stream, std::shared_ptr<const operation> op)
{
    capture *c = stream->capturing.get();
    if (c->invalid)
        return cudaErrorStreamCaptureInvalidated;
    c->nodes.push_back({std::move(op), stream->nodes});
    stream->nodes.assign(1, (int)c->nodes.size() - 1);
    return cudaSuccess;
}

cudaError_t capture_record(CUstream_st *stream, event_state *event)
{
    event->captured = stream->capturing;
    event->nodes = stream->nodes;
    return cudaSuccess;
}

cudaError_t capture_wait(CUstream_st *stream, const event_state &event)
{
    if (!captures().count(event.captured.get()))
        return refuse(cudaErrorCapturedEvent,
                      "cudaStreamWaitEvent: the event was recorded into a capture that is over");
    if (stream->capturing && stream->capturing != event.captured)
        return refuse(spoil(stream->capturing.get(), cudaErrorStreamCaptureIsolation),
                      "cudaStreamWaitEvent: stream and event belong to different captures");
    stream->capturing = event.captured;
    merge(&stream->nodes, event.nodes);
    return cudaSuccess;
}

cudaError_t capture_forbids(CUstream_st *stream, const char *call)
{
    if (!stream->capturing)
        return cudaSuccess;
    return refuse(spoil(stream->capturing.get(), cudaErrorStreamCaptureUnsupported),
                  "%s while its stream captures", call);
}

cudaError_t capture_forbids_anywhere(const char *call)
{
    for (capture *c : captures())
        if (c->mode == cudaStreamCaptureModeGlobal)
            return refuse(spoil(c, cudaErrorStreamCaptureUnsupported),
                          "%s while a stream captures in global mode", call);
    return cudaSuccess;
}

} // namespace mb_cudasim

using namespace mb_cudasim;

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode)
{
    return host_call([&] {
        CUDASIM_TRY(stream_check(stream, "cudaStreamBeginCapture"));
        if (stream->capturing)
            return refuse(cudaErrorIllegalState, "cudaStreamBeginCapture: it captures already");
        stream->capturing = std::make_shared<capture>();
        stream->capturing->origin = stream;
        stream->capturing->mode = mode;
        captures().insert(stream->capturing.get());
        return cudaSuccess;
    });
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus *status)
{
    return host_call([&] {
        CUDASIM_TRY(stream_check(stream, "cudaStreamIsCapturing"));
        *status = !stream->capturing           ? cudaStreamCaptureStatusNone
                  : stream->capturing->invalid ? cudaStreamCaptureStatusInvalidated
                                               : cudaStreamCaptureStatusActive;
        return cudaSuccess;
    });
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *out)
{
    *out = nullptr;
    return host_call([&] {
        CUDASIM_TRY(stream_check(stream, "cudaStreamEndCapture"));
        std::shared_ptr<capture> c = stream->capturing;
        if (!c || c->origin != stream)
            return refuse(cudaErrorStreamCaptureUnmatched,
                          "cudaStreamEndCapture: no capture began in this stream");
        bool all = joined(*c);
        captures().erase(c.get());
        streams_each([&](CUstream_st *s) {
            if (s->capturing == c)
                leave_capture(s);
        });
        if (c->invalid)
            return cudaErrorStreamCaptureInvalidated;
        if (!all)
            return refuse(cudaErrorStreamCaptureUnjoined,
                          "cudaStreamEndCapture: a stream joined the capture, and its last work is "
                          "behind no event that the first stream waits for");
        *out = new CUgraph_st{std::move(c->nodes)};
        return cudaSuccess;
    });
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t *nodes, size_t *count)
{
    return host_call([&] {
        if (nodes)
            return refuse(cudaErrorNotSupported, "cudaGraphGetNodes gives the count only");
        *count = graph->nodes.size();
        return cudaSuccess;
    });
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *out, cudaGraph_t graph, unsigned long long)
{
    return host_call([&] {
        auto state = std::make_shared<executable>();
        state->nodes = graph->nodes;
        *out = new CUgraphExec_st{std::move(state)};
        return cudaSuccess;
    });
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream)
{
    return host_call([&] {
        CUDASIM_TRY(stream_check(stream, "cudaGraphLaunch"));
        CUDASIM_TRY(capture_forbids(stream, "cudaGraphLaunch"));
        stream_append(stream, std::make_unique<graph_entry>(graph->state));
        return cudaSuccess;
    });
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    return host_call([&] {
        delete graph;
        return cudaSuccess;
    });
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph)
{
    return host_call([&] {
        delete graph;
        return cudaSuccess;
    });
}
