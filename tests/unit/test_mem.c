#include "host/base/mem.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/check.h"

static int all_zero(const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != 0)
            return 0;
    return 1;
}

Test(mem, zeroed_and_aligned_at_every_size)
{
    static const size_t sizes[] = {0, 1, 63, 64, 65, 4096, 262143, 262144, 262145, 5000001};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        /* Twice, so that the second block is likely to be recycled memory. */
        for (int round = 0; round < 2; round++) {
            char *block = lng_alloc(sizes[i], 1);
            cr_assert(block != NULL);
            cr_assert((uintptr_t)block % 64 == 0, "size %zu", sizes[i]);
            cr_assert(all_zero(block, sizes[i]), "size %zu", sizes[i]);
            memset(block, 0xAB, sizes[i]);
            lng_free(block);
        }
    }
    cr_assert(lng_mem_get_stats().blocks_live == 0);
    cr_assert(lng_mem_get_stats().bytes_live == 0);
}

static size_t resident_pages(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long size = 0, resident = 0;
    cr_assert(file != NULL && fscanf(file, "%lu %lu", &size, &resident) == 2);
    fclose(file);
    return resident;
}

Test(mem, large_blocks_are_not_touched)
{
#ifdef __SANITIZE_ADDRESS__
    cr_skip_test("AddressSanitizer needs exact block ends, which touches the memory");
#endif
    size_t before = resident_pages();
    char *block = lng_alloc((size_t)1 << 30, 1);
    cr_assert(block != NULL);
    cr_assert(resident_pages() - before < 1000);
    block[12345678] = 1;
    lng_free(block);
}

Test(mem, overflow_is_refused)
{
    cr_assert(lng_alloc(SIZE_MAX, 2) == NULL);
    cr_assert(lng_alloc(SIZE_MAX, 1) == NULL);
    cr_assert(strstr(lng_error_message(), "no memory for") != NULL);
    size_t capacity = 0;
    char *array = NULL;
    check_fails(lng_grow(&array, &capacity, SIZE_MAX / 2, 16), LNG_ERR_MEMORY, "no memory for");
    cr_assert(array == NULL && capacity == 0);
}

Test(mem, stats_follow)
{
    struct lng_mem_stats start = lng_mem_get_stats();
    char *a = lng_alloc(100, 3), *b = lng_alloc(1, 50);
    struct lng_mem_stats now = lng_mem_get_stats();
    cr_assert(now.bytes_live - start.bytes_live == 350);
    cr_assert(now.blocks_live - start.blocks_live == 2);
    cr_assert(now.allocations - start.allocations == 2);
    lng_free(a);
    lng_free(b);
    lng_free(NULL);
    now = lng_mem_get_stats();
    cr_assert(now.bytes_live == start.bytes_live && now.bytes_peak >= 350);
}

Test(mem, nth_allocation_fails)
{
    lng_mem_fail_nth(2, 0);
    char *first = lng_alloc(1, 1), *second = lng_alloc(1, 1), *third = lng_alloc(1, 1);
    cr_assert(first != NULL && second == NULL && third != NULL);
    lng_free(first);
    lng_free(third);
    lng_mem_fail_nth(1, 1);
    cr_assert(lng_alloc(1, 1) == NULL);
    cr_assert(lng_strdup("x") == NULL);
    lng_mem_fail_nth(0, 0);
    char *after = lng_format("%d-%s", 42, "x");
    cr_assert_str_eq(after, "42-x");
    lng_free(after);
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

Test(mem, limit_holds)
{
    lng_mem_set_limit(1000);
    char *a = lng_alloc(900, 1);
    cr_assert(a != NULL);
    cr_assert(lng_alloc(101, 1) == NULL);
    lng_free(a);
    lng_mem_set_limit(0);
    a = lng_alloc(100000, 1);
    cr_assert(a != NULL);
    lng_free(a);
}

Test(mem, realloc_keeps_content_and_zeroes_the_rest)
{
    char *block = lng_realloc(NULL, 10, 1);
    memset(block, 7, 10);
    block = lng_realloc(block, 300000, 1);
    cr_assert(block[0] == 7 && block[9] == 7 && all_zero(block + 10, 300000 - 10));
    lng_mem_fail_nth(1, 0);
    cr_assert(lng_realloc(block, 400000, 1) == NULL);
    cr_assert(block[9] == 7);
    block = lng_realloc(block, 5, 1);
    cr_assert(block[4] == 7);
    lng_free(block);
}

Test(mem, grow_doubles)
{
    int *array = NULL;
    size_t capacity = 0;
    for (size_t i = 0; i < 1000; i++) {
        check_ok(lng_grow(&array, &capacity, i + 1, sizeof *array));
        array[i] = (int)i;
    }
    cr_assert(capacity == 1024);
    for (size_t i = 0; i < 1000; i++)
        cr_assert(array[i] == (int)i);
    lng_free(array);
}

Test(mem, strndup_stops)
{
    char *copy = lng_strndup("abcdef", 3);
    cr_assert_str_eq(copy, "abc");
    lng_free(copy);
}
