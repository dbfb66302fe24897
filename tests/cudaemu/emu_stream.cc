/* Streams are queues, run at once or, with LNG_CUDAEMU_ASYNC, only when something waits for them: then in
 * order within a stream, at random between streams. Graphs are the lists of what was queued in a capture. */
#include "tests/cudaemu/emu.h"

#include <algorithm>
#include <chrono>
#include <deque>

typedef std::function<void()> work_item;
struct CUevent_st {
    uint64_t recorded, completed;
    std::chrono::steady_clock::time_point when;
    CUgraph_st *capture;
};
struct CUgraph_st {
    std::vector<work_item> items;
};
struct CUgraphExec_st {
    std::vector<work_item> items;
};
struct queued {
    work_item work;
    CUevent_st *waits_for, *records;
    uint64_t generation; /* of waits_for */
};
struct CUstream_st {
    std::deque<queued> queue;
    int device;
    bool blocking; /* orders itself with the default stream */
    CUgraph_st *capture;
    bool origin, invalid, relaxed;
};

namespace cudaemu
{

/* Never destroyed: work may be queued from destructors. */
static CUstream_st &default_stream = *new CUstream_st();
static std::vector<CUstream_st *> &streams = *new std::vector<CUstream_st *>{&default_stream};

static CUstream_st *stream_of(cudaStream_t stream)
{
    bool is_default =
        stream == nullptr || stream == cudaStreamLegacy || stream == cudaStreamPerThread;
    return is_default ? &default_stream : stream;
}
static bool known(cudaStream_t stream)
{
    return std::find(streams.begin(), streams.end(), stream_of(stream)) != streams.end();
}
static bool step(CUstream_st *stream)
{
    if (stream->queue.empty())
        return false;
    const queued &first = stream->queue.front();
    if (first.waits_for != nullptr && first.waits_for->completed < first.generation)
        return false;
    if (first.work)
        first.work();
    if (first.records != nullptr) {
        first.records->completed++;
        first.records->when = std::chrono::steady_clock::now();
    }
    stream->queue.pop_front();
    return true;
}
template <class Done> static void drain_until(Done done)
{
    while (!done()) {
        const size_t count = streams.size(), first = random_number() % count;
        size_t tried = 0;
        while (tried < count && !step(streams[(first + tried) % count]))
            tried++;
        if (tried == count)
            die("deadlock", "streams wait for an event that nothing will record");
    }
}
static void drain(CUstream_st *stream)
{
    drain_until([stream] { return stream->queue.empty(); });
}
void drain_stream(cudaStream_t stream)
{
    CUstream_st *own = stream_of(stream);
    drain(own);
    for (CUstream_st *other : streams)
        if (own == &default_stream && other->blocking)
            drain(other);
}
void drain_all()
{
    for (CUstream_st *stream : streams)
        drain(stream);
}
bool elsewhere(cudaStream_t stream)
{
    CUstream_st *own = stream_of(stream);
    return known(stream) && own != &default_stream && own->device != current_device();
}
bool capturing(cudaStream_t stream)
{
    return stream_of(stream)->capture != nullptr;
}
cudaError_t refuse_capture()
{
    cudaError_t error = device_lost();
    for (CUstream_st *stream : streams)
        if (stream->capture != nullptr && !stream->relaxed) {
            stream->invalid = true;
            error = failed(cudaErrorStreamCaptureUnsupported);
        }
    return error;
}

static cudaError_t enqueue(CUstream_st *stream, queued item)
{
    if (device_lost() != cudaSuccess)
        return failed(device_lost());
    if (stream->capture != nullptr) {
        if (item.work)
            stream->capture->items.push_back(std::move(item.work));
        return cudaSuccess;
    }
    /* The default stream and blocking streams wait for each other. */
    if (stream == &default_stream) {
        for (CUstream_st *other : streams) {
            if (other->capture != nullptr && other->blocking) {
                other->invalid = true;
                return failed(cudaErrorStreamCaptureImplicit);
            }
            if (other != stream && other->blocking)
                drain(other);
        }
    } else if (stream->blocking) {
        drain(&default_stream);
    }
    stream->queue.push_back(std::move(item));
    if (!options().async)
        drain(stream);
    return cudaSuccess;
}
cudaError_t enqueue(cudaStream_t stream, std::function<void()> work)
{
    if (!known(stream))
        return failed(cudaErrorInvalidResourceHandle, "%p is no stream", (void *)stream);
    return enqueue(stream_of(stream), {std::move(work), nullptr, nullptr, 0});
}

} // namespace cudaemu

using namespace cudaemu;

CUDAEMU_API cudaStreamCreateWithFlags(cudaStream_t *out, unsigned flags)
{
    entry guard;
    *out = new CUstream_st();
    (*out)->device = current_device();
    (*out)->blocking = !(flags & cudaStreamNonBlocking);
    streams.push_back(*out);
    return cudaSuccess;
}
CUDAEMU_API cudaStreamCreate(cudaStream_t *out)
{
    return cudaStreamCreateWithFlags(out, cudaStreamDefault);
}
CUDAEMU_API cudaStreamCreateWithPriority(cudaStream_t *out, unsigned flags, int)
{
    return cudaStreamCreateWithFlags(out, flags);
}
CUDAEMU_API cudaStreamDestroy(cudaStream_t stream)
{
    entry guard;
    if (!known(stream) || stream_of(stream) == &default_stream)
        return failed(cudaErrorInvalidResourceHandle);
    drain(stream);
    streams.erase(std::find(streams.begin(), streams.end(), stream));
    delete stream;
    return cudaSuccess;
}
CUDAEMU_API cudaStreamSynchronize(cudaStream_t stream)
{
    entry guard;
    if (!known(stream))
        return failed(cudaErrorInvalidResourceHandle);
    if (capturing(stream)) {
        stream_of(stream)->invalid = true;
        return failed(cudaErrorStreamCaptureUnsupported);
    }
    drain_stream(stream);
    return device_lost();
}
CUDAEMU_API cudaStreamQuery(cudaStream_t stream)
{
    entry guard;
    if (device_lost() != cudaSuccess)
        return device_lost();
    return stream_of(stream)->queue.empty() ? cudaSuccess : cudaErrorNotReady;
}
CUDAEMU_API cudaDeviceSynchronize(void)
{
    entry guard;
    cudaError_t error = refuse_capture();
    if (error == cudaSuccess)
        drain_all();
    return error == cudaSuccess ? device_lost() : error;
}
CUDAEMU_API cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void *argument)
{
    entry guard;
    return enqueue(stream, [=] { function(argument); });
}

CUDAEMU_API cudaEventCreateWithFlags(cudaEvent_t *out, unsigned)
{
    entry guard;
    *out = new CUevent_st();
    return cudaSuccess;
}
CUDAEMU_API cudaEventCreate(cudaEvent_t *out)
{
    return cudaEventCreateWithFlags(out, cudaEventDefault);
}
CUDAEMU_API cudaEventDestroy(cudaEvent_t event)
{
    entry guard;
    drain_all();
    delete event;
    return cudaSuccess;
}
CUDAEMU_API cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    entry guard;
    CUstream_st *own = stream_of(stream);
    event->capture = own->capture;
    if (own->capture != nullptr)
        return cudaSuccess;
    event->recorded++;
    return enqueue(own, {nullptr, nullptr, event, 0});
}
/* In a capture the waiting stream joins it; one list keeps the order of issue. */
CUDAEMU_API cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned)
{
    entry guard;
    CUstream_st *own = stream_of(stream);
    if (event->capture != nullptr) {
        own->capture = event->capture;
        return cudaSuccess;
    }
    return enqueue(own, {nullptr, event, nullptr, event->recorded});
}
CUDAEMU_API cudaEventSynchronize(cudaEvent_t event)
{
    entry guard;
    const uint64_t generation = event->recorded;
    if (device_lost() == cudaSuccess)
        drain_until([=] { return event->completed >= generation; });
    return device_lost();
}
CUDAEMU_API cudaEventQuery(cudaEvent_t event)
{
    entry guard;
    return event->completed >= event->recorded ? cudaSuccess : cudaErrorNotReady;
}
CUDAEMU_API cudaEventElapsedTime(float *out, cudaEvent_t from, cudaEvent_t to)
{
    entry guard;
    if (from->completed == 0 || to->completed == 0)
        return failed(cudaErrorInvalidResourceHandle);
    *out = std::chrono::duration<float, std::milli>(to->when - from->when).count();
    return cudaSuccess;
}

CUDAEMU_API cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode)
{
    entry guard;
    CUstream_st *own = stream_of(stream);
    if (own == &default_stream)
        return failed(cudaErrorStreamCaptureUnsupported);
    if (own->capture != nullptr)
        return failed(cudaErrorIllegalState);
    own->capture = new CUgraph_st();
    own->origin = true;
    own->invalid = false;
    own->relaxed = mode == cudaStreamCaptureModeRelaxed;
    return cudaSuccess;
}
CUDAEMU_API cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *out)
{
    entry guard;
    CUstream_st *own = stream_of(stream);
    *out = nullptr;
    if (own->capture == nullptr || !own->origin)
        return failed(cudaErrorStreamCaptureUnmatched);
    CUgraph_st *graph = own->capture;
    bool invalid = false;
    for (CUstream_st *other : streams)
        if (other->capture == graph) {
            invalid = invalid || other->invalid;
            other->capture = nullptr;
            other->origin = other->invalid = false;
        }
    if (invalid) {
        delete graph;
        return failed(cudaErrorStreamCaptureInvalidated);
    }
    *out = graph;
    return cudaSuccess;
}
CUDAEMU_API cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus *out)
{
    entry guard;
    const CUstream_st *own = stream_of(stream);
    *out = own->capture == nullptr ? cudaStreamCaptureStatusNone
           : own->invalid          ? cudaStreamCaptureStatusInvalidated
                                   : cudaStreamCaptureStatusActive;
    return cudaSuccess;
}
CUDAEMU_API cudaGraphInstantiate(cudaGraphExec_t *out, cudaGraph_t graph, unsigned long long)
{
    entry guard;
    *out = new CUgraphExec_st{graph->items};
    return cudaSuccess;
}
CUDAEMU_API cudaGraphInstantiateWithFlags(cudaGraphExec_t *out, cudaGraph_t graph,
                                          unsigned long long flags)
{
    return cudaGraphInstantiate(out, graph, flags);
}
CUDAEMU_API cudaGraphExecUpdate(cudaGraphExec_t run, cudaGraph_t graph,
                                cudaGraphExecUpdateResultInfo *result)
{
    entry guard;
    *result = {};
    if (graph->items.size() != run->items.size()) {
        result->result = cudaGraphExecUpdateErrorTopologyChanged;
        return failed(cudaErrorGraphExecUpdateFailure);
    }
    result->result = cudaGraphExecUpdateSuccess;
    run->items = graph->items;
    return cudaSuccess;
}
CUDAEMU_API cudaGraphUpload(cudaGraphExec_t, cudaStream_t)
{
    return cudaSuccess;
}
CUDAEMU_API cudaGraphLaunch(cudaGraphExec_t run, cudaStream_t stream)
{
    entry guard;
    for (const work_item &item : run->items) {
        cudaError_t error = enqueue(stream, item);
        if (error != cudaSuccess)
            return error;
    }
    return cudaSuccess;
}
CUDAEMU_API cudaGraphDestroy(cudaGraph_t graph)
{
    entry guard;
    delete graph;
    return cudaSuccess;
}
CUDAEMU_API cudaGraphExecDestroy(cudaGraphExec_t run)
{
    entry guard;
    delete run;
    return cudaSuccess;
}
CUDAEMU_API cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t *nodes, size_t *count)
{
    entry guard;
    if (nodes != nullptr)
        return failed(cudaErrorNotSupported);
    *count = graph->items.size();
    return cudaSuccess;
}
