/* Stream capture and graphs. While a stream captures, operations become nodes; a node follows the
 * nodes that its stream stands behind, and an event carries such a set to other streams, which
 * thereby join the capture. A launch is one entry of a stream, which moves a node at a time, any
 * whose predecessors have run. */
#ifndef MB_CUDASIM_GRAPH_H
#define MB_CUDASIM_GRAPH_H

#include "cudasim/queue.h"

namespace mb_cudasim
{

struct graph_node {
    std::shared_ptr<const operation> op;
    std::vector<int> after; /* each below this node's own number */
};

struct capture {
    CUstream_st *origin;
    cudaStreamCaptureMode mode;
    bool invalid = false;
    std::vector<graph_node> nodes;
};

/* The stream captures. */
cudaError_t capture_append(CUstream_st *stream, std::shared_ptr<const operation> op);
cudaError_t capture_record(CUstream_st *stream, event_state *event);
/* The event was recorded into a capture; the stream joins it. */
cudaError_t capture_wait(CUstream_st *stream, const event_state &event);

/* An error if STREAM captures, or if any stream captures in global mode: CALL is forbidden then,
 * and spoils the capture. */
cudaError_t capture_forbids(CUstream_st *stream, const char *call);
cudaError_t capture_forbids_anywhere(const char *call);

} // namespace mb_cudasim

#endif
