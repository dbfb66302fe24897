/* What the host gets wrong about graphs: what a capture forbids, and memory that is no longer what it was. */
#include "tests/cudaemu/planted/planted.h"

namespace
{

constexpr int COUNT = 96;

__global__ void add(float *y, const float *x, float by)
{
    y[threadIdx.x] = x[threadIdx.x] + by;
}

/* A stream, and what is captured on it. */
struct recorder {
    cudaStream_t stream;
    cudaGraphExec_t run;
    recorder() : stream(nullptr), run(nullptr)
    {
        PLANTED_TRY(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    }
    recorder(const recorder &) = delete;
    ~recorder()
    {
        if (run != nullptr)
            (void)cudaGraphExecDestroy(run);
        (void)cudaStreamDestroy(stream);
    }
    void begin()
    {
        PLANTED_TRY(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    }
    cudaGraph_t end()
    {
        cudaGraph_t graph = nullptr;
        PLANTED_TRY(cudaStreamEndCapture(stream, &graph));
        return graph;
    }
    void instantiate()
    {
        cudaGraph_t graph = end();
        PLANTED_TRY(cudaGraphInstantiate(&run, graph, 0));
        PLANTED_TRY(cudaGraphDestroy(graph));
    }
    void replay()
    {
        PLANTED_TRY(cudaGraphLaunch(run, stream));
        PLANTED_TRY(cudaStreamSynchronize(stream));
    }
};

bool allocate_in_capture(bool bug)
{
    recorder own;
    planted_array<float> x(planted_counting(COUNT)), y(COUNT);
    void *more = nullptr;
    if (!bug)
        PLANTED_TRY(cudaMalloc(&more, 4));
    own.begin();
    if (bug)
        (void)cudaMalloc(&more, 4);
    PLANTED_TRY(GPU_LAUNCH(add, 1, COUNT, 0, own.stream, y.at, x.at, 1.0f));
    own.instantiate();
    own.replay();
    PLANTED_TRY(cudaFree(more));
    return y.read()[5] == 6;
}
bool query_in_capture(bool bug)
{
    recorder own;
    planted_array<float> x(planted_counting(COUNT)), y(COUNT);
    own.begin();
    PLANTED_TRY(GPU_LAUNCH(add, 1, COUNT, 0, own.stream, y.at, x.at, 1.0f));
    if (bug)
        (void)cudaStreamQuery(own.stream);
    own.instantiate();
    own.replay();
    PLANTED_TRY(cudaStreamQuery(own.stream));
    return y.read()[5] == 6;
}
/* An event that was recorded in a capture stands for no moment. */
bool captured_event(bool bug)
{
    recorder own;
    cudaEvent_t done;
    planted_array<float> x(planted_counting(COUNT)), y(COUNT);
    PLANTED_TRY(cudaEventCreateWithFlags(&done, cudaEventDisableTiming));
    own.begin();
    PLANTED_TRY(GPU_LAUNCH(add, 1, COUNT, 0, own.stream, y.at, x.at, 1.0f));
    PLANTED_TRY(cudaEventRecord(done, own.stream));
    own.instantiate();
    PLANTED_TRY(cudaGraphLaunch(own.run, own.stream));
    if (!bug)
        PLANTED_TRY(cudaEventRecord(done, own.stream));
    PLANTED_TRY(cudaEventSynchronize(done));
    PLANTED_TRY(cudaEventDestroy(done));
    return y.read()[5] == 6;
}
/* Two streams in one capture, joined by events. */
bool captured_fork(bool bug)
{
    recorder own, other;
    cudaEvent_t fork, join;
    planted_array<float> x(planted_counting(COUNT)), y(COUNT), z(COUNT);
    PLANTED_TRY(cudaEventCreateWithFlags(&fork, cudaEventDisableTiming));
    PLANTED_TRY(cudaEventCreateWithFlags(&join, cudaEventDisableTiming));
    if (bug) /* a moment outside, which no graph can wait for */
        PLANTED_TRY(cudaEventRecord(fork, other.stream));
    own.begin();
    if (bug)
        (void)cudaStreamWaitEvent(own.stream, fork, 0);
    else
        PLANTED_TRY(cudaEventRecord(fork, own.stream));
    if (!bug)
        PLANTED_TRY(cudaStreamWaitEvent(other.stream, fork, 0));
    PLANTED_TRY(GPU_LAUNCH(add, 1, COUNT, 0, other.stream, y.at, x.at, 1.0f));
    if (!bug) {
        PLANTED_TRY(cudaEventRecord(join, other.stream));
        PLANTED_TRY(cudaStreamWaitEvent(own.stream, join, 0));
        PLANTED_TRY(GPU_LAUNCH(add, 1, COUNT, 0, own.stream, z.at, y.at, 1.0f));
    }
    own.instantiate();
    own.replay();
    PLANTED_TRY(cudaEventDestroy(fork));
    PLANTED_TRY(cudaEventDestroy(join));
    return z.read()[5] == 7;
}

/* Frees what the graph reads; `again` makes it another's at once, as a pool would. */
bool replay_with(bool bug, bool again)
{
    recorder own;
    planted_array<float> y(COUNT);
    void *x = nullptr, *next = nullptr;
    const std::vector<float> values = planted_counting(COUNT);
    const size_t bytes = COUNT * sizeof(float);
    PLANTED_TRY(cudaMalloc(&x, bytes));
    PLANTED_TRY(cudaMemcpy(x, values.data(), bytes, cudaMemcpyHostToDevice));
    own.begin();
    PLANTED_TRY(
        GPU_LAUNCH(add, 1, COUNT, 0, own.stream, y.at, static_cast<const float *>(x), 1.0f));
    own.instantiate();
    own.replay();
    if (bug) {
        PLANTED_TRY(cudaFree(x));
        if (again)
            PLANTED_TRY(cudaMalloc(&next, bytes));
    }
    own.replay();
    PLANTED_TRY(cudaFree(bug ? next : x));
    return y.read()[5] == 6;
}
bool replay_after_free(bool bug)
{
    return replay_with(bug, false);
}
bool replay_on_anothers(bool bug)
{
    return replay_with(bug, true);
}
bool replay_after_destroy(bool bug)
{
    recorder own;
    planted_array<float> x(planted_counting(COUNT)), y(COUNT);
    own.begin();
    PLANTED_TRY(GPU_LAUNCH(add, 1, COUNT, 0, own.stream, y.at, x.at, 1.0f));
    own.instantiate();
    cudaGraphExec_t run = own.run;
    if (bug) {
        PLANTED_TRY(cudaGraphExecDestroy(run));
        own.run = nullptr;
    }
    PLANTED_TRY(cudaGraphLaunch(run, own.stream));
    PLANTED_TRY(cudaStreamSynchronize(own.stream));
    return y.read()[5] == 6;
}
/* Other arguments for the same nodes; the bug has a node more. */
bool update_of_another_shape(bool bug)
{
    recorder own;
    cudaGraphExecUpdateResultInfo result;
    planted_array<float> x(planted_counting(COUNT)), y(COUNT);
    own.begin();
    PLANTED_TRY(GPU_LAUNCH(add, 1, COUNT, 0, own.stream, y.at, x.at, 1.0f));
    own.instantiate();
    own.replay();
    own.begin();
    if (bug)
        PLANTED_TRY(cudaMemsetAsync(y.at, 0, COUNT * sizeof(float), own.stream));
    PLANTED_TRY(GPU_LAUNCH(add, 1, COUNT, 0, own.stream, y.at, x.at, 2.0f));
    cudaGraph_t graph = own.end();
    PLANTED_TRY(cudaGraphExecUpdate(own.run, graph, &result));
    PLANTED_TRY(cudaGraphDestroy(graph));
    own.replay();
    return y.read()[5] == 7;
}
/* A captured copy reads the host's memory each time it runs, not when it is captured. */
bool captured_slot_reused(bool bug)
{
    recorder own;
    planted_array<float> x(planted_counting(COUNT)), y(COUNT);
    float *pinned = nullptr;
    PLANTED_TRY(cudaMallocHost(reinterpret_cast<void **>(&pinned), COUNT * sizeof(float)));
    for (int i = 0; i < COUNT; i++)
        pinned[i] = (float)i;
    own.begin();
    PLANTED_TRY(
        cudaMemcpyAsync(x.at, pinned, COUNT * sizeof(float), cudaMemcpyHostToDevice, own.stream));
    PLANTED_TRY(GPU_LAUNCH(add, 1, COUNT, 0, own.stream, y.at, x.at, 1.0f));
    own.instantiate();
    if (bug)
        pinned[5] = 70;
    own.replay();
    PLANTED_TRY(cudaFreeHost(pinned));
    return y.read()[5] == 6;
}

} // namespace

const planted_case planted_graphs[] = {
    {"allocate-in-capture", allocate_in_capture},
    {"query-in-capture", query_in_capture},
    {"captured-event", captured_event},
    {"captured-fork", captured_fork},
    {"replay-after-free", replay_after_free},
    {"replay-on-anothers", replay_on_anothers},
    {"replay-after-destroy", replay_after_destroy},
    {"update-of-another-shape", update_of_another_shape},
    {"captured-slot-reused", captured_slot_reused},
    {nullptr, nullptr},
};
