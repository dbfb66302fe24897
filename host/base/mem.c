#include "host/base/mem.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    ALIGNMENT = 64,
    /* From here on calloc takes fresh zero pages from the system: nothing is touched before its use. */
    LARGE_BYTES = 1 << 18,
};

/* Lies right before what the caller gets. */
struct header {
    void *block; /* as the C library gave it */
    size_t bytes;
};

/* Under AddressSanitizer every block ends where its redzone begins: the large path leaves a gap. */
#if defined(__SANITIZE_ADDRESS__)
#define EXACT_END 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define EXACT_END 1
#endif
#endif
#ifndef EXACT_END
#define EXACT_END 0
#endif

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct lng_mem_stats stats;
static size_t limit_bytes;
static size_t fail_countdown;
static int fail_forever;

/* Books `bytes` more and `less` fewer; 0 when the limit or the failure hook says no. */
static int account(size_t bytes, size_t less, int blocks)
{
    int granted = 1;
    pthread_mutex_lock(&lock);
    if (bytes > 0 || blocks > 0) {
        if (fail_countdown > 0 && --fail_countdown == 0) {
            granted = 0;
            fail_countdown = fail_forever ? 1 : 0;
        }
        if (limit_bytes > 0 && stats.bytes_live - less + bytes > limit_bytes)
            granted = 0;
    }
    if (granted) {
        stats.bytes_live += bytes - less;
        stats.blocks_live += (size_t)blocks;
        stats.allocations += bytes > 0 || blocks > 0;
        if (stats.bytes_live > stats.bytes_peak)
            stats.bytes_peak = stats.bytes_live;
    }
    pthread_mutex_unlock(&lock);
    return granted;
}

static void *refuse(size_t count, size_t size)
{
    (void)lng_fail(LNG_ERR_MEMORY,
                   "no memory for %zu x %zu bytes (%zu bytes in use): use a smaller batch, or give "
                   "the process more memory",
                   count, size, lng_mem_get_stats().bytes_live);
    return NULL;
}

static struct header *header_of(void *memory)
{
    return (struct header *)((char *)memory - sizeof(struct header));
}

/* Memory of bytes + ALIGNMENT, and where in it the caller's part begins. Zeroed, but for the first `kept` bytes of
 * that part, which may hold anything. */
static void *get_block(size_t bytes, size_t kept, char **memory)
{
    void *block = NULL;
    if (bytes >= LARGE_BYTES && !EXACT_END) {
        block = calloc(1, bytes + ALIGNMENT);
        if (block != NULL) {
            /* calloc aligns to 16 at least, so 64 bytes hold the header and the gap. */
            uintptr_t first = (uintptr_t)block + sizeof(struct header);
            *memory = (char *)block + sizeof(struct header) + (-first & (ALIGNMENT - 1));
        }
    } else if (posix_memalign(&block, ALIGNMENT, bytes + ALIGNMENT) == 0) {
        *memory = (char *)block + ALIGNMENT;
        memset(*memory + kept, 0, bytes - kept);
    } else {
        block = NULL;
    }
    return block;
}

/* `kept` may be more than there is. */
static void *get(size_t count, size_t size, size_t kept)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > SIZE_MAX / 2)
        return refuse(count, size);
    if (!account(bytes, 0, 1))
        return refuse(count, size);
    char *memory = NULL;
    void *block = get_block(bytes, kept < bytes ? kept : bytes, &memory);
    if (block == NULL) {
        account(0, bytes, -1);
        return refuse(count, size);
    }
    *header_of(memory) = (struct header){block, bytes};
    return memory;
}

void *lng_alloc(size_t count, size_t size)
{
    return get(count, size, 0);
}

void *lng_realloc(void *old, size_t count, size_t size)
{
    if (old == NULL)
        return lng_alloc(count, size);
    size_t old_bytes = header_of(old)->bytes;
    void *fresh = get(count, size, old_bytes);
    if (fresh == NULL)
        return NULL;
    size_t new_bytes = count * size;
    memcpy(fresh, old, old_bytes < new_bytes ? old_bytes : new_bytes);
    lng_free(old);
    return fresh;
}

char *lng_strndup(const char *text, size_t length)
{
    char *copy = length < SIZE_MAX ? lng_alloc(length + 1, 1) : NULL;
    if (copy != NULL)
        memcpy(copy, text, length);
    return copy;
}

char *lng_strdup(const char *text)
{
    return lng_strndup(text, strlen(text));
}

char *lng_format(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0)
        return refuse(1, strlen(format));
    char *text = lng_alloc((size_t)length + 1, 1);
    if (text == NULL)
        return NULL;
    va_start(arguments, format);
    vsnprintf(text, (size_t)length + 1, format, arguments);
    va_end(arguments);
    return text;
}

void lng_free(void *memory)
{
    if (memory == NULL)
        return;
    struct header *header = header_of(memory);
    account(0, header->bytes, -1);
    free(header->block);
}

void lng_free_foreign(void *memory)
{
    free(memory);
}

enum lng_status lng_grow(void *array_pointer, size_t *capacity, size_t needed, size_t element_size)
{
    if (needed <= *capacity)
        return LNG_OK;
    size_t wanted = *capacity < 16 ? 16 : *capacity;
    while (wanted < needed)
        wanted = wanted > SIZE_MAX / 2 ? needed : wanted * 2;
    void *old;
    memcpy(&old, array_pointer, sizeof old);
    void *fresh = lng_realloc(old, wanted, element_size);
    if (fresh == NULL)
        return LNG_ERR_MEMORY;
    memcpy(array_pointer, &fresh, sizeof fresh);
    *capacity = wanted;
    return LNG_OK;
}

struct lng_mem_stats lng_mem_get_stats(void)
{
    pthread_mutex_lock(&lock);
    struct lng_mem_stats copy = stats;
    pthread_mutex_unlock(&lock);
    return copy;
}

size_t lng_mem_resident(void)
{
    unsigned long long whole, resident;
    FILE *statm = fopen("/proc/self/statm", "re");
    if (statm == NULL)
        return 0;
    const int found = fscanf(statm, "%llu %llu", &whole, &resident);
    (void)fclose(statm);
    return found == 2 ? (size_t)resident * (size_t)sysconf(_SC_PAGESIZE) : 0;
}

void lng_mem_set_limit(size_t bytes)
{
    pthread_mutex_lock(&lock);
    limit_bytes = bytes;
    pthread_mutex_unlock(&lock);
}

void lng_mem_fail_nth(size_t n, int forever)
{
    pthread_mutex_lock(&lock);
    fail_countdown = n;
    fail_forever = forever;
    pthread_mutex_unlock(&lock);
}
