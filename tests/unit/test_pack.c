/* Pieces packed one by one unpack to all of them, whatever they are and however they were cut. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "host/base/file.h"
#include "host/base/mem.h"
#include "host/base/pack.h"
#include "tests/support/check.h"
#include "tests/support/scratch.h"

TestSuite(pack, .init = (void (*)(void))scratch_make, .fini = scratch_remove);

Test(pack, kinds_by_name)
{
    cr_assert(lng_packing_of("a.gz") == LNG_PACKING_GZIP);
    cr_assert(lng_packing_of("x/a.de.zst") == LNG_PACKING_ZSTD);
    cr_assert(lng_packing_of("a.gz.de") == LNG_PACKING_NONE);
    cr_assert(lng_packing_of("agz") == LNG_PACKING_NONE);
    cr_assert(lng_packing_of(".gz") == LNG_PACKING_NONE, "a hidden file called gz");
    cr_assert(lng_packing_of("") == LNG_PACKING_NONE);
    cr_assert_str_eq(lng_packing_suffix(LNG_PACKING_ZSTD), ".zst");
}

/* Reads the file as the program does. */
static void read_back(const char *path, struct lng_buffer *text)
{
    struct lng_lines *lines;
    struct lng_line line;
    bool got;
    check_ok(lng_lines_open(path, &lines));
    for (;;) {
        check_ok(lng_lines_next(lines, &line, &got));
        if (!got)
            break;
        check_ok(lng_buffer_append(text, line.data, line.length));
        check_ok(lng_buffer_append_byte(text, '\n'));
    }
    lng_lines_close(lines);
}

Test(pack, pieces)
{
    static const enum lng_packing kinds[] = {LNG_PACKING_NONE, LNG_PACKING_GZIP, LNG_PACKING_ZSTD};
    static const size_t cuts[] = {0, 1, 0, 7, 100, 65536, 65536, 300000};
    struct lng_buffer text = {0}, packed = {0}, again = {0}, back = {0};
    size_t total = 0;
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++)
        total += cuts[i];
    while (text.length < total)
        check_ok(lng_buffer_append_format(&text, "%zx\n", text.length * 2654435761u));
    text.data[total - 1] = '\n';
    for (size_t k = 0; k < 3; k++) {
        lng_buffer_clear(&packed);
        lng_buffer_clear(&back);
        size_t at = 0;
        for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; at += cuts[i++])
            check_ok(lng_pack(kinds[k], text.data + at, cuts[i], &packed));
        read_back(scratch_write("packed", packed.data, packed.length), &back);
        cr_assert(back.length == total && memcmp(back.data, text.data, total) == 0, "kind %zu", k);
    }
    /* The same piece gives the same bytes at any time. */
    lng_buffer_clear(&packed);
    check_ok(lng_pack(LNG_PACKING_GZIP, text.data, 1000, &packed));
    check_ok(lng_pack(LNG_PACKING_GZIP, text.data, 1000, &again));
    cr_assert(packed.length == again.length && !memcmp(packed.data, again.data, again.length));
    lng_buffer_release(&text);
    lng_buffer_release(&packed);
    lng_buffer_release(&again);
    lng_buffer_release(&back);
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

Test(pack, out_of_memory)
{
    static const enum lng_packing kinds[] = {LNG_PACKING_GZIP, LNG_PACKING_ZSTD};
    for (int k = 0; k < 2; k++) {
        struct lng_buffer packed = {0};
        lng_mem_fail_nth(1, true);
        cr_assert(lng_pack(kinds[k], "a", 1, &packed) == LNG_ERR_MEMORY);
        lng_mem_fail_nth(0, false);
        lng_buffer_release(&packed);
    }
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}
