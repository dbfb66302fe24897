/* What the host gets wrong: streams it does not wait for, limits of a launch, sizes of a copy, captures. */
#include "tests/cudaemu/planted/planted.h"

namespace
{

constexpr int COUNT = 128;

__global__ void add_one(float *y, const float *x)
{
    y[threadIdx.x] = x[threadIdx.x] + 1;
}
struct stream {
    cudaStream_t at;
    stream() : at(nullptr)
    {
        PLANTED_TRY(cudaStreamCreateWithFlags(&at, cudaStreamNonBlocking));
    }
    stream(const stream &) = delete;
    ~stream()
    {
        (void)cudaStreamDestroy(at);
    }
};

/* With LNG_CUDAEMU_ASYNC. */
bool pinned_early(bool bug)
{
    stream own;
    planted_array<float> x(planted_counting(COUNT)), y(COUNT);
    float *pinned = nullptr;
    PLANTED_TRY(cudaMallocHost(reinterpret_cast<void **>(&pinned), COUNT * sizeof(float)));
    pinned[5] = -1;
    PLANTED_TRY(GPU_LAUNCH(add_one, 1, COUNT, 0, own.at, y.at, x.at));
    PLANTED_TRY(
        cudaMemcpyAsync(pinned, y.at, COUNT * sizeof(float), cudaMemcpyDeviceToHost, own.at));
    if (!bug)
        PLANTED_TRY(cudaStreamSynchronize(own.at));
    const bool right = pinned[5] == 6;
    PLANTED_TRY(cudaFreeHost(pinned));
    return right;
}
/* With LNG_CUDAEMU_ASYNC, for some seeds. */
bool streams_no_event(bool bug)
{
    stream first, second;
    cudaEvent_t done;
    planted_array<float> x(planted_counting(COUNT)), y(COUNT), z(COUNT);
    PLANTED_TRY(cudaEventCreateWithFlags(&done, cudaEventDisableTiming));
    PLANTED_TRY(GPU_LAUNCH(add_one, 1, COUNT, 0, first.at, y.at, x.at));
    PLANTED_TRY(cudaEventRecord(done, first.at));
    if (!bug)
        PLANTED_TRY(cudaStreamWaitEvent(second.at, done, 0));
    PLANTED_TRY(GPU_LAUNCH(add_one, 1, COUNT, 0, second.at, z.at, y.at));
    const bool right = z.read()[5] == 7;
    PLANTED_TRY(cudaEventDestroy(done));
    return right;
}

__global__ void large_room(float *y, int count)
{
    GPU_SHARED(room);
    float *all = gpu_shared_take<float>(room, count);
    for (int i = threadIdx.x; i < count; i += blockDim.x)
        all[i] = 1;
    __syncthreads();
    y[threadIdx.x] = all[count - 1 - threadIdx.x];
}
bool shared_without_consent(bool bug)
{
    constexpr int FLOATS = 15 << 10;
    const size_t shared = gpu_shared_bytes<float>(FLOATS);
    planted_array<float> y(COUNT);
    if (!bug)
        PLANTED_TRY(cudaFuncSetAttribute(reinterpret_cast<const void *>(large_room),
                                         cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared));
    PLANTED_TRY(GPU_LAUNCH(large_room, 1, COUNT, shared, 0, y.at, FLOATS));
    return y.read()[0] == 1;
}
bool block_too_large(bool bug)
{
    planted_array<float> x(planted_counting(1024)), y(1024);
    PLANTED_TRY(GPU_LAUNCH(add_one, 1, bug ? 2048 : 1024, 0, 0, y.at, x.at));
    return y.read()[1023] == 1024;
}
bool copy_too_long(bool bug)
{
    const std::vector<float> here = planted_counting(COUNT + 1);
    planted_array<float> y(COUNT);
    PLANTED_TRY(cudaMemcpy(y.at, here.data(), (COUNT + (bug ? 1 : 0)) * sizeof(float),
                           cudaMemcpyHostToDevice));
    return y.read()[5] == 5;
}

/* A fill and a kernel, captured once and run three times on new input; the bug waits inside the capture. */
bool wait_in_capture(bool bug)
{
    stream own;
    cudaGraph_t graph;
    cudaGraphExec_t run;
    planted_array<float> x(planted_counting(COUNT)), y(COUNT);
    bool right = true;
    PLANTED_TRY(cudaStreamBeginCapture(own.at, cudaStreamCaptureModeThreadLocal));
    PLANTED_TRY(cudaMemsetAsync(y.at, 0, COUNT * sizeof(float), own.at));
    if (bug)
        (void)cudaStreamSynchronize(own.at);
    PLANTED_TRY(GPU_LAUNCH(add_one, 1, COUNT, 0, own.at, y.at, x.at));
    PLANTED_TRY(cudaStreamEndCapture(own.at, &graph));
    PLANTED_TRY(cudaGraphInstantiate(&run, graph, 0));
    PLANTED_TRY(cudaGraphDestroy(graph));
    for (int turn = 0; turn < 3; turn++) {
        const std::vector<float> input(COUNT, (float)turn);
        PLANTED_TRY(cudaMemcpyAsync(x.at, input.data(), COUNT * sizeof(float),
                                    cudaMemcpyHostToDevice, own.at));
        PLANTED_TRY(cudaGraphLaunch(run, own.at));
        PLANTED_TRY(cudaStreamSynchronize(own.at));
        right = right && y.read()[7] == (float)turn + 1;
    }
    PLANTED_TRY(cudaGraphExecDestroy(run));
    return right;
}

/* With LNG_CUDAEMU_FATAL_LAUNCH=1: the launch succeeds, whoever waits for it hears, and so does all that follows. */
bool lost_device(bool bug)
{
    planted_array<float> x(planted_counting(COUNT)), y(COUNT);
    stream own;
    PLANTED_TRY(GPU_LAUNCH(add_one, 1, COUNT, 0, own.at, y.at, x.at));
    if (!bug)
        return y.read()[5] == 6;
    void *more = nullptr;
    const bool lost = cudaStreamSynchronize(own.at) == cudaErrorIllegalAddress &&
                      cudaGetLastError() == cudaErrorIllegalAddress &&
                      cudaStreamQuery(own.at) == cudaErrorIllegalAddress &&
                      cudaMalloc(&more, 4) == cudaErrorIllegalAddress;
    printf(lost ? "lost\n" : "not lost\n");
    return !lost;
}

} // namespace

const planted_case planted_host[] = {
    {"pinned-early", pinned_early},
    {"streams-no-event", streams_no_event},
    {"shared-without-consent", shared_without_consent},
    {"block-too-large", block_too_large},
    {"copy-too-long", copy_too_long},
    {"wait-in-capture", wait_in_capture},
    {"lost-device", lost_device},
    {nullptr, nullptr},
};
