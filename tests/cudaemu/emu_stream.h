/* Between emu_stream.cc, which queues work, and emu_graph.cc, which captures and repeats it. */
#ifndef LNG_TESTS_CUDAEMU_EMU_STREAM_H
#define LNG_TESTS_CUDAEMU_EMU_STREAM_H

#include "tests/cudaemu/emu.h"

#include <chrono>
#include <deque>
#include <thread>

struct CUevent_st {
    uint64_t recorded, completed;
    std::chrono::steady_clock::time_point when;
    uint64_t capture; /* in which it was last recorded; 0: in none */
    bool untimed;
};

namespace cudaemu
{

/* Memory that a node names, as it was when the node was captured. */
struct named_memory {
    const void *at;
    uint64_t serial; /* of the allocation */
};
struct graph_node {
    task work;
    std::vector<named_memory> memory;
};
/* Between cudaStreamBeginCapture and cudaStreamEndCapture. */
struct capture {
    uint64_t number;
    CUstream_st *origin;
    cudaStreamCaptureMode mode;
    std::thread::id thread;
    bool invalid;
    std::vector<graph_node> nodes;
};
struct queued {
    std::function<void()> work;
    CUevent_st *waits_for, *records;
    uint64_t generation; /* of waits_for */
};

CUstream_st *stream_of(cudaStream_t stream);
bool known(cudaStream_t stream);
const std::vector<CUstream_st *> &all_streams();
bool is_default(const CUstream_st *stream);
/* The capture of this number under way, or NULL. */
capture *capture_of(uint64_t number);
/* Adds to the capture, or, when that is void, refuses. */
cudaError_t add_node(capture *to, task work);

} // namespace cudaemu

struct CUstream_st {
    std::deque<cudaemu::queued> queue;
    int device;
    bool blocking; /* orders itself with the default stream */
    std::shared_ptr<cudaemu::capture> capture;
};

#endif
