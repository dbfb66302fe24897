/* Streams are queues, run at once or, with LNG_CUDAEMU_ASYNC, only when something waits for them: then in
 * order within a stream, at random between streams. In a capture (emu_graph.cc) nothing runs. */
#include "tests/cudaemu/cudaemu_counts.h"
#include "tests/cudaemu/emu_stream.h"

#include <algorithm>

namespace cudaemu
{

/* Never destroyed: work may be queued from destructors. */
static CUstream_st &default_stream = *new CUstream_st();
static std::vector<CUstream_st *> &streams = *new std::vector<CUstream_st *>{&default_stream};

CUstream_st *stream_of(cudaStream_t stream)
{
    bool by_default =
        stream == nullptr || stream == cudaStreamLegacy || stream == cudaStreamPerThread;
    return by_default ? &default_stream : stream;
}
bool known(cudaStream_t stream)
{
    return std::find(streams.begin(), streams.end(), stream_of(stream)) != streams.end();
}
const std::vector<CUstream_st *> &all_streams()
{
    return streams;
}
bool is_default(const CUstream_st *stream)
{
    return stream == &default_stream;
}
static uint64_t steps, waits, idle_waits;
host_wait::host_wait() : before(steps)
{
}
host_wait::~host_wait()
{
    if (steps == before)
        return;
    waits++;
    idle_waits += std::all_of(streams.begin(), streams.end(),
                              [](const CUstream_st *one) { return one->queue.empty(); });
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
    steps++;
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
static cudaError_t enqueue(CUstream_st *stream, queued item)
{
    if (device_lost() != cudaSuccess)
        return failed(device_lost());
    /* The default stream and blocking streams wait for each other. */
    if (stream == &default_stream) {
        for (CUstream_st *other : streams) {
            if (other->capture != nullptr && other->blocking) {
                other->capture->invalid = true;
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
static uint64_t counts[HOST_NODE + 1];
cudaError_t enqueue(cudaStream_t stream, task work)
{
    if (!known(stream))
        return failed(cudaErrorInvalidResourceHandle, "%p is no stream", (void *)stream);
    CUstream_st *own = stream_of(stream);
    if (own->capture != nullptr && device_lost() == cudaSuccess)
        return add_node(own->capture.get(), std::move(work));
    counts[work.kind]++;
    return enqueue(own, {std::move(work.run), nullptr, nullptr, 0});
}
/* Neither may be asked of what is not scheduled to run. */
static cudaError_t refuse_captured(const CUstream_st *stream)
{
    if (stream->capture == nullptr)
        return cudaSuccess;
    stream->capture->invalid = true;
    return failed(cudaErrorStreamCaptureUnsupported);
}
static cudaError_t refuse_captured(const CUevent_st *event)
{
    if (event->capture == 0)
        return refuse_capture();
    if (capture *one = capture_of(event->capture))
        one->invalid = true;
    return failed(cudaErrorCapturedEvent);
}

} // namespace cudaemu

using namespace cudaemu;

void cudaemu_get_counts(struct cudaemu_counts *out)
{
    entry guard;
    *out = {counts[KERNEL_NODE], counts[COPY_NODE], counts[FILL_NODE], waits, idle_waits};
}

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
    host_wait wait;
    if (!known(stream))
        return failed(cudaErrorInvalidResourceHandle);
    cudaError_t error = refuse_captured(stream_of(stream));
    if (error != cudaSuccess)
        return error;
    drain_stream(stream);
    return device_lost();
}
CUDAEMU_API cudaStreamQuery(cudaStream_t stream)
{
    entry guard;
    cudaError_t error = refuse_captured(stream_of(stream));
    if (error != cudaSuccess || device_lost() != cudaSuccess)
        return error != cudaSuccess ? error : device_lost();
    return stream_of(stream)->queue.empty() ? cudaSuccess : cudaErrorNotReady;
}
CUDAEMU_API cudaDeviceSynchronize(void)
{
    entry guard;
    host_wait wait;
    cudaError_t error = refuse_capture();
    if (error == cudaSuccess)
        drain_all();
    return error == cudaSuccess ? device_lost() : error;
}
CUDAEMU_API cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void *argument)
{
    entry guard;
    return enqueue(stream, {"a call of the host", HOST_NODE, [=] { function(argument); }, {}, {}});
}

CUDAEMU_API cudaEventCreateWithFlags(cudaEvent_t *out, unsigned flags)
{
    entry guard;
    *out = new CUevent_st();
    (*out)->untimed = flags & cudaEventDisableTiming;
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
    event->capture = own->capture != nullptr ? own->capture->number : 0;
    if (own->capture != nullptr)
        return own->capture->invalid ? failed(cudaErrorStreamCaptureInvalidated) : cudaSuccess;
    event->recorded++;
    return enqueue(own, {nullptr, nullptr, event, 0});
}
/* In a capture the waiting stream joins it; one list keeps the order of issue. */
CUDAEMU_API cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned)
{
    entry guard;
    CUstream_st *own = stream_of(stream);
    if (event->capture == 0) {
        if (own->capture == nullptr)
            return enqueue(own, {nullptr, event, nullptr, event->recorded});
        own->capture->invalid = true; /* it would depend on what no graph holds */
        return failed(cudaErrorStreamCaptureIsolation);
    }
    capture *joined = capture_of(event->capture);
    if (joined == nullptr)
        return failed(cudaErrorCapturedEvent);
    if (own->capture != nullptr && own->capture.get() != joined) {
        own->capture->invalid = joined->invalid = true;
        return failed(cudaErrorStreamCaptureMerge);
    }
    own->capture = joined->origin->capture;
    return joined->invalid ? failed(cudaErrorStreamCaptureInvalidated) : cudaSuccess;
}
CUDAEMU_API cudaEventSynchronize(cudaEvent_t event)
{
    entry guard;
    host_wait wait;
    const uint64_t generation = event->recorded;
    cudaError_t error = refuse_captured(event);
    if (error != cudaSuccess)
        return error;
    drain_until([=] { return event->completed >= generation; });
    return device_lost();
}
CUDAEMU_API cudaEventQuery(cudaEvent_t event)
{
    entry guard;
    cudaError_t error = refuse_captured(event);
    return error != cudaSuccess                  ? error
           : event->completed >= event->recorded ? cudaSuccess
                                                 : cudaErrorNotReady;
}
CUDAEMU_API cudaEventElapsedTime(float *out, cudaEvent_t from, cudaEvent_t to)
{
    entry guard;
    if (from->recorded == 0 || to->recorded == 0 || from->untimed || to->untimed)
        return failed(cudaErrorInvalidResourceHandle);
    if (from->completed < from->recorded || to->completed < to->recorded)
        return failed(cudaErrorNotReady);
    *out = std::chrono::duration<float, std::milli>(to->when - from->when).count();
    return cudaSuccess;
}
