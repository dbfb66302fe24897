#include "kernels/cuda/cuda_graph.h"

#include <stdlib.h>
#include <string.h>

#include "host/base/mem.h"
#include "kernels/cuda/cuda_device.h"
#include "kernels/cuda/cuda_pool.h"

/* More than the shapes that a search of one beam size goes through; a graph of a step is some 100 kB. */
enum { GRAPHS = 64 };

/* A key that was seen, and its graph if there is one. used 0: free. */
struct entry {
    uint64_t hash, used;
    size_t bytes;
    unsigned char key[LNG_REPEAT_KEY];
    bool refused;
    cudaGraphExec_t run;
};
struct cuda_graphs {
    bool off;
    uint64_t clock;
    uint64_t given; /* blocks given back when the entries were made */
    struct entry entries[GRAPHS];
};

enum lng_status cuda_graphs_open(struct lng_device *device)
{
    struct cuda_state *cuda = cuda_state_of(device);
    const char *wanted = getenv("LNG_CUDA_GRAPHS");
    cuda->graphs = lng_alloc(1, sizeof *cuda->graphs);
    if (cuda->graphs == NULL)
        return LNG_ERR_MEMORY;
    cuda->graphs->off = cuda->check_each || (wanted != NULL && wanted[0] == '0');
    return LNG_OK;
}

/* A graph that still runs ends first: CUDA sees to it. */
static void forget(struct entry *entry)
{
    if (entry->run != NULL)
        (void)cudaGraphExecDestroy(entry->run);
    entry->run = NULL;
    entry->used = 0;
}

void cuda_graphs_close(struct lng_device *device)
{
    struct cuda_graphs *graphs = cuda_state_of(device)->graphs;
    if (graphs == NULL)
        return;
    for (int i = 0; i < GRAPHS; i++)
        forget(&graphs->entries[i]);
    lng_free(graphs);
    cuda_state_of(device)->graphs = NULL;
}

static uint64_t hash_of(const unsigned char *key, size_t bytes)
{
    uint64_t h = 0x9E3779B97F4A7C15u ^ bytes;
    for (size_t at = 0; at < bytes; at += sizeof(uint64_t)) {
        uint64_t word = 0;
        memcpy(&word, key + at, bytes - at < sizeof word ? bytes - at : sizeof word);
        h = (h ^ word) * 0xFF51AFD7ED558CCDu;
        h ^= h >> 32;
    }
    return h;
}

/* The key's entry; NULL when it was not seen before: it then has one, in place of the one not used for longest. */
static struct entry *find(struct cuda_graphs *graphs, const void *key, size_t bytes)
{
    const uint64_t hash = hash_of(key, bytes);
    struct entry *oldest = &graphs->entries[0];
    graphs->clock++;
    for (int i = 0; i < GRAPHS; i++) {
        struct entry *entry = &graphs->entries[i];
        if (entry->used > 0 && entry->hash == hash && entry->bytes == bytes &&
            memcmp(entry->key, key, bytes) == 0) {
            entry->used = graphs->clock;
            return entry;
        }
        if (entry->used < oldest->used)
            oldest = entry;
    }
    forget(oldest);
    *oldest = (struct entry){.hash = hash, .used = graphs->clock, .bytes = bytes};
    memcpy(oldest->key, key, bytes);
    return NULL;
}

/* The work's operations as a graph that can be launched; NULL when they cannot be had as one. */
static cudaGraphExec_t record(struct lng_device *device, lng_device_work work, void *context)
{
    struct cuda_state *cuda = cuda_state_of(device);
    const uint64_t given = cuda_pool_given(cuda->pool);
    cudaGraph_t graph = NULL;
    cudaGraphExec_t run = NULL;
    /* Other threads may go on with other devices, and with this one's memory. */
    if (cudaStreamBeginCapture(cuda->stream, cudaStreamCaptureModeThreadLocal) != cudaSuccess)
        return NULL;
    cuda->capturing = true;
    enum lng_status status = work(context);
    cuda->capturing = false;
    cudaError_t error = cudaStreamEndCapture(cuda->stream, &graph);
    if (error == cudaSuccess && status == LNG_OK && cuda_pool_given(cuda->pool) == given)
        error = cudaGraphInstantiateWithFlags(&run, graph, 0);
    if (graph != NULL)
        (void)cudaGraphDestroy(graph);
    return error == cudaSuccess ? run : NULL;
}

/* Whether the entry's graph was launched, a new one if it had none. */
static bool launch(struct lng_device *device, struct entry *entry, lng_device_work work,
                   void *context)
{
    const bool is_new = entry->run == NULL;
    if (is_new)
        entry->run = record(device, work, context);
    if (entry->run != NULL && cudaGraphLaunch(entry->run, cuda_stream(device)) == cudaSuccess) {
        *(is_new ? &device->repeats.recorded : &device->repeats.replayed) += 1;
        return true;
    }
    /* What the runtime does not recover from the work itself will meet, and name. */
    (void)cudaGetLastError();
    forget(entry);
    entry->used = cuda_state_of(device)->graphs->clock;
    entry->refused = true;
    device->repeats.refused++;
    return false;
}

enum lng_status cuda_repeat(struct lng_device *device, const void *key, size_t bytes,
                            lng_device_work work, void *context)
{
    struct cuda_state *cuda = cuda_state_of(device);
    struct cuda_graphs *graphs = cuda->graphs;
    if (cuda->capturing) /* a part of what is being recorded */
        return work(context);
    LNG_TRY(cuda_check_usable(device));
    if (graphs->off) {
        device->repeats.plain++;
        return work(context);
    }
    const uint64_t given = cuda_pool_given(cuda->pool);
    for (int i = 0; i < GRAPHS && given != graphs->given; i++)
        forget(&graphs->entries[i]);
    graphs->given = given;
    struct entry *entry = find(graphs, key, bytes);
    if (entry != NULL && !entry->refused && launch(device, entry, work, context))
        return LNG_OK;
    device->repeats.plain++;
    return work(context);
}
