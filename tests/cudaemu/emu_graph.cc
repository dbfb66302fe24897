/* Captures and graphs: lists of the work that was queued in a capture, repeated in its order. What a capture
 * forbids makes it void; a graph remembers which allocations its nodes name, and none may be gone, or another's,
 * when it runs. */
#include "tests/cudaemu/emu_stream.h"

#include <algorithm>
#include <set>
#include <string.h>

struct CUgraph_st {
    std::vector<cudaemu::graph_node> nodes;
};
struct CUgraphExec_st {
    std::vector<cudaemu::graph_node> nodes;
};

namespace cudaemu
{

static std::set<const CUgraph_st *> &graphs = *new std::set<const CUgraph_st *>;
static std::set<const CUgraphExec_st *> &runs = *new std::set<const CUgraphExec_st *>;

/* A real runtime would follow the pointer. */
static void check_alive(const CUgraph_st *graph, const char *call)
{
    if (graphs.count(graph) == 0)
        die("graph", "%s: %p is no graph: destroyed, or never made", call, (const void *)graph);
}
static void check_alive(const CUgraphExec_st *run, const char *call)
{
    if (runs.count(run) == 0)
        die("graph", "%s: %p is no instantiated graph: destroyed, or never made", call,
            (const void *)run);
}

/* Whatever in the arguments looks like an address of memory of the device's or pinned memory. */
static std::vector<named_memory> memory_of(const task &work)
{
    std::vector<named_memory> found;
    for (const span &one : work.arguments)
        for (size_t i = 0; i + sizeof(void *) <= one.bytes; i += sizeof(void *)) {
            const void *at;
            memcpy(&at, one.at + i, sizeof at);
            const uint64_t serial = allocation_serial(at);
            if (serial != 0)
                found.push_back({at, serial});
        }
    for (const void *at : work.pointers)
        if (allocation_serial(at) != 0)
            found.push_back({at, allocation_serial(at)});
    return found;
}
static void check_memory(const graph_node &node, size_t number)
{
    for (const named_memory &one : node.memory) {
        const uint64_t serial = allocation_serial(one.at);
        if (serial != one.serial)
            die("graph", "node %zu, %s: the memory at %p, with which it was captured, was freed%s",
                number, node.work.name, one.at, serial != 0 ? ", and is now another's" : "");
    }
}

cudaError_t add_node(capture *to, task work)
{
    if (to->invalid)
        return failed(cudaErrorStreamCaptureInvalidated);
    std::vector<named_memory> memory = memory_of(work);
    to->nodes.push_back({std::move(work), std::move(memory)});
    return cudaSuccess;
}
capture *capture_of(uint64_t number)
{
    for (const CUstream_st *stream : all_streams())
        if (number != 0 && stream->capture != nullptr && stream->capture->number == number)
            return stream->capture.get();
    return nullptr;
}
/* Of the calls that only a relaxed capture allows, those of another thread spoil a global one alone. */
cudaError_t refuse_capture()
{
    cudaError_t error = device_lost();
    for (CUstream_st *stream : all_streams()) {
        capture *one = stream->capture.get();
        if (one == nullptr || one->mode == cudaStreamCaptureModeRelaxed ||
            (one->mode == cudaStreamCaptureModeThreadLocal &&
             one->thread != std::this_thread::get_id()))
            continue;
        one->invalid = true;
        error = failed(cudaErrorStreamCaptureUnsupported);
    }
    return error;
}

} // namespace cudaemu

using namespace cudaemu;

CUDAEMU_API cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode)
{
    entry guard;
    static uint64_t captures;
    CUstream_st *own = stream_of(stream);
    if (!known(stream))
        return failed(cudaErrorInvalidResourceHandle);
    if (is_default(own))
        return failed(cudaErrorStreamCaptureUnsupported);
    if (own->capture != nullptr)
        return failed(cudaErrorIllegalState);
    own->capture = std::make_shared<capture>(
        capture{++captures, own, mode, std::this_thread::get_id(), false, {}});
    return cudaSuccess;
}
CUDAEMU_API cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *out)
{
    entry guard;
    *out = nullptr;
    if (!known(stream))
        return failed(cudaErrorInvalidResourceHandle);
    const std::shared_ptr<capture> one = stream_of(stream)->capture;
    if (one == nullptr)
        return failed(cudaErrorIllegalState);
    if (one->origin != stream_of(stream))
        return failed(cudaErrorStreamCaptureUnmatched);
    if (one->mode != cudaStreamCaptureModeRelaxed && one->thread != std::this_thread::get_id()) {
        one->invalid = true;
        return failed(cudaErrorStreamCaptureWrongThread);
    }
    for (CUstream_st *other : all_streams())
        if (other->capture == one)
            other->capture = nullptr;
    if (one->invalid)
        return failed(cudaErrorStreamCaptureInvalidated);
    *out = new CUgraph_st{std::move(one->nodes)};
    graphs.insert(*out);
    return cudaSuccess;
}
CUDAEMU_API cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus *out)
{
    entry guard;
    const capture *one = stream_of(stream)->capture.get();
    *out = one == nullptr ? cudaStreamCaptureStatusNone
           : one->invalid ? cudaStreamCaptureStatusInvalidated
                          : cudaStreamCaptureStatusActive;
    return cudaSuccess;
}
CUDAEMU_API cudaGraphInstantiate(cudaGraphExec_t *out, cudaGraph_t graph, unsigned long long)
{
    entry guard;
    check_alive(graph, "cudaGraphInstantiate");
    cudaError_t error = refuse_capture(); /* it takes memory of the device */
    if (error != cudaSuccess)
        return error;
    *out = new CUgraphExec_st{graph->nodes};
    runs.insert(*out);
    return cudaSuccess;
}
CUDAEMU_API cudaGraphInstantiateWithFlags(cudaGraphExec_t *out, cudaGraph_t graph,
                                          unsigned long long flags)
{
    return cudaGraphInstantiate(out, graph, flags);
}
/* The same nodes with other arguments. */
CUDAEMU_API cudaGraphExecUpdate(cudaGraphExec_t run, cudaGraph_t graph,
                                cudaGraphExecUpdateResultInfo *result)
{
    entry guard;
    check_alive(run, "cudaGraphExecUpdate");
    check_alive(graph, "cudaGraphExecUpdate");
    *result = {};
    result->result = cudaGraphExecUpdateSuccess;
    if (graph->nodes.size() != run->nodes.size())
        result->result = cudaGraphExecUpdateErrorTopologyChanged;
    for (size_t i = 0; i < run->nodes.size() && result->result == cudaGraphExecUpdateSuccess; i++)
        if (graph->nodes[i].work.kind != run->nodes[i].work.kind)
            result->result = cudaGraphExecUpdateErrorNodeTypeChanged;
    if (result->result != cudaGraphExecUpdateSuccess)
        return failed(cudaErrorGraphExecUpdateFailure);
    run->nodes = graph->nodes;
    return cudaSuccess;
}
CUDAEMU_API cudaGraphUpload(cudaGraphExec_t run, cudaStream_t)
{
    entry guard;
    check_alive(run, "cudaGraphUpload");
    return refuse_capture();
}
CUDAEMU_API cudaGraphLaunch(cudaGraphExec_t run, cudaStream_t stream)
{
    entry guard;
    check_alive(run, "cudaGraphLaunch");
    for (size_t i = 0; i < run->nodes.size(); i++)
        check_memory(run->nodes[i], i);
    for (const graph_node &node : run->nodes) {
        cudaError_t error = enqueue(stream, node.work);
        if (error != cudaSuccess)
            return error;
    }
    return cudaSuccess;
}
CUDAEMU_API cudaGraphDestroy(cudaGraph_t graph)
{
    entry guard;
    check_alive(graph, "cudaGraphDestroy");
    graphs.erase(graph);
    delete graph;
    return cudaSuccess;
}
/* One that runs ends first: what is queued has its own copy of the work. */
CUDAEMU_API cudaGraphExecDestroy(cudaGraphExec_t run)
{
    entry guard;
    check_alive(run, "cudaGraphExecDestroy");
    runs.erase(run);
    delete run;
    return cudaSuccess;
}
CUDAEMU_API cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t *nodes, size_t *count)
{
    entry guard;
    check_alive(graph, "cudaGraphGetNodes");
    if (nodes != nullptr)
        return failed(cudaErrorNotSupported);
    *count = graph->nodes.size();
    return cudaSuccess;
}
