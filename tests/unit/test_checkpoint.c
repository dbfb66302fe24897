#include "host/store/checkpoint.h"

#include <stdio.h>
#include <string.h>

#include "host/base/mem.h"
#include "tests/support/check.h"
#include "tests/support/scratch.h"

static void setup(void)
{
    scratch_make();
}

TestSuite(checkpoint, .init = setup, .fini = scratch_remove);

static enum lng_status write_sections(const char *path, const char *text, const float *values,
                                      size_t count)
{
    struct lng_checkpoint_writer writer;
    enum lng_status status;
    LNG_TRY(lng_checkpoint_writer_open(&writer, path));
    LNG_TRY_OR_FAIL(lng_checkpoint_writer_add(&writer, LNG_SECTION_OPTIONS, LNG_CHECKPOINT_BYTES,
                                              text, strlen(text)));
    LNG_TRY_OR_FAIL(
        lng_checkpoint_writer_begin(&writer, LNG_SECTION_PARAMETERS, LNG_CHECKPOINT_F32));
    for (size_t i = 0; i < count; i += 7) /* in pieces */
        LNG_TRY_OR_FAIL(lng_checkpoint_writer_put(
            &writer, values + i, (count - i < 7 ? count - i : 7) * sizeof *values));
    LNG_TRY_OR_FAIL(lng_checkpoint_writer_end(&writer));
    LNG_TRY_OR_FAIL(lng_checkpoint_writer_add(&writer, "empty", LNG_CHECKPOINT_I32, NULL, 0));
    return lng_checkpoint_writer_commit(&writer);
fail:
    lng_checkpoint_writer_discard(&writer);
    return status;
}

static const float numbers[20] = {1,  -2, 3.5f, 4,  5,  6,  7,  8,  9,  10,
                                  11, 12, 13,   14, 15, 16, 17, 18, 19, 20};

static struct lng_buffer file_of(const char *path)
{
    struct lng_buffer content = {0};
    check_ok(lng_file_read(path, 1 << 24, &content));
    return content;
}

Test(checkpoint, sections_come_back)
{
    struct lng_checkpoint checkpoint;
    struct lng_buffer text = {0};
    float back[20];
    const char *path = scratch_path("c.ckpt");
    check_ok(write_sections(path, "a: 1\n", numbers, 20));
    check_ok(lng_checkpoint_open(&checkpoint, path));
    cr_assert(checkpoint.count == 3 && lng_checkpoint_is_file(path));
    check_ok(lng_checkpoint_read_bytes(&checkpoint, "options", 5, &text));
    cr_assert_str_eq(text.data, "a: 1\n");
    check_ok(lng_checkpoint_read_f32(&checkpoint, "parameters", back, 20));
    cr_assert(memcmp(back, numbers, sizeof back) == 0);
    const struct lng_checkpoint_section *section = lng_checkpoint_find(&checkpoint, "parameters");
    cr_assert(section->offset % 64 == 0 && section->length == sizeof numbers);
    check_ok(lng_checkpoint_read(&checkpoint, section, 76, back, 4));
    cr_assert(back[0] == 20);
    check_fails(lng_checkpoint_read(&checkpoint, section, 77, back, 4), LNG_ERR_FORMAT,
                "parameters");
    check_fails(lng_checkpoint_read(&checkpoint, section, UINT64_MAX, back, 4), LNG_ERR_FORMAT,
                "80");
    check_fails(lng_checkpoint_read_f32(&checkpoint, "parameters", back, 19), LNG_ERR_MISMATCH,
                "another architecture");
    check_fails(lng_checkpoint_read_f32(&checkpoint, "ema", back, 19), LNG_ERR_FORMAT, "missing");
    check_fails(lng_checkpoint_read_f32(&checkpoint, "options", back, 1), LNG_ERR_FORMAT, "type 1");
    check_fails(lng_checkpoint_read_bytes(&checkpoint, "options", 4, &text), LNG_ERR_RANGE,
                "at most 4");
    lng_checkpoint_close(&checkpoint);
    lng_buffer_release(&text);
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

Test(checkpoint, every_cut_is_noticed)
{
    struct lng_checkpoint checkpoint;
    check_ok(write_sections(scratch_path("c"), "a: 1\n", numbers, 20));
    struct lng_buffer file = file_of(scratch_path("c"));
    for (size_t size = 0; size < file.length; size++) {
        enum lng_status status = lng_checkpoint_open_memory(&checkpoint, "c", file.data, size);
        cr_assert(status == LNG_ERR_FORMAT, "cut at %zu of %zu", size, file.length);
    }
    check_ok(lng_buffer_append_byte(&file, '\0'));
    check_fails(lng_checkpoint_open_memory(&checkpoint, "c", file.data, file.length),
                LNG_ERR_FORMAT, "cut, or something was appended");
    lng_buffer_release(&file);
}

Test(checkpoint, every_flipped_bit_is_noticed)
{
    struct lng_checkpoint checkpoint;
    check_ok(write_sections(scratch_path("c"), "a: 1\n", numbers, 20));
    struct lng_buffer file = file_of(scratch_path("c"));
    for (size_t bit = 0; bit < file.length * 8; bit++) {
        file.data[bit / 8] ^= (char)(1 << bit % 8);
        enum lng_status status =
            lng_checkpoint_open_memory(&checkpoint, "c.ckpt", file.data, file.length);
        cr_assert(status != LNG_OK, "bit %zu of byte %zu", bit % 8, bit / 8);
        cr_assert(strstr(lng_error_message(), "c.ckpt"));
        file.data[bit / 8] ^= (char)(1 << bit % 8);
    }
    check_ok(lng_checkpoint_open_memory(&checkpoint, "c", file.data, file.length));
    lng_checkpoint_close(&checkpoint);
    lng_buffer_release(&file);
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

/* ---- tables that lie, with checksums that are right ---- */

/* Seals a file of two sections after `change` had its way with the table. */
static size_t forge(unsigned char *file, void (*change)(unsigned char *table, unsigned char *end))
{
    memset(file, 0, 1024);
    memcpy(file, "LNGCKPT1\1\0\0\0", 12);
    unsigned char *table = file + 192, *end = table + 2 * 96;
    for (int i = 0; i < 2; i++) {
        unsigned char *entry = table + i * 96, *data = file + 64 + i * 64;
        memcpy(data, "datadata", 8);
        memcpy(entry, i ? "second" : "first", 6);
        lng_store_u64(entry + 72, (uint64_t)(data - file));
        lng_store_u64(entry + 80, 8);
        lng_store_u64(entry + 88, lng_checksum(data, 8));
    }
    lng_store_u64(end, 192);
    lng_store_u32(end + 8, 2);
    lng_store_u64(end + 16, 192 + 2 * 96 + 40);
    memcpy(end + 32, "LNGCKEND", 8);
    change(table, end);
    unsigned char covered[16 + 2 * 96 + 24];
    memcpy(covered, file, 16);
    memcpy(covered + 16, table, sizeof covered - 16);
    lng_store_u64(end + 24, lng_checksum(covered, sizeof covered));
    return 192 + 2 * 96 + 40;
}

static void no_change(unsigned char *table, unsigned char *end)
{
    (void)table, (void)end;
}
static void same_name(unsigned char *table, unsigned char *end)
{
    (void)end;
    memcpy(table + 96, "first\0", 6);
}
static void no_name(unsigned char *table, unsigned char *end)
{
    (void)end;
    memset(table, 0, 64);
}
static void long_name(unsigned char *table, unsigned char *end)
{
    (void)end;
    memset(table, 'x', 64);
}
static void bad_name(unsigned char *table, unsigned char *end)
{
    (void)end;
    table[0] = 0xFF;
}
static void unknown_type(unsigned char *table, unsigned char *end)
{
    (void)end;
    table[64] = 99;
}
static void overlap(unsigned char *table, unsigned char *end)
{
    (void)end;
    lng_store_u64(table + 96 + 72, 64);
}
static void hole(unsigned char *table, unsigned char *end)
{
    (void)end;
    lng_store_u64(table + 72, 128);
}
static void far_length(unsigned char *table, unsigned char *end)
{
    (void)end;
    lng_store_u64(table + 80, UINT64_MAX - 63);
}
static void into_table(unsigned char *table, unsigned char *end)
{
    (void)end;
    lng_store_u64(table + 96 + 80, 65);
}
static void wrong_sum(unsigned char *table, unsigned char *end)
{
    (void)end;
    table[88] ^= 1;
}
static void hidden_byte(unsigned char *table, unsigned char *end)
{
    (void)end;
    table[-1] = 1;
}
static void many_sections(unsigned char *table, unsigned char *end)
{
    (void)table;
    lng_store_u32(end + 8, UINT32_MAX);
}
static void fewer_sections(unsigned char *table, unsigned char *end)
{
    (void)table;
    lng_store_u32(end + 8, 1);
}
static void far_table(unsigned char *table, unsigned char *end)
{
    (void)table;
    lng_store_u64(end, UINT64_MAX - 63);
}
static void newer(unsigned char *table, unsigned char *end)
{
    (void)end;
    table[8 - 192] = 2;
}
static void version_zero(unsigned char *table, unsigned char *end)
{
    (void)end;
    table[8 - 192] = 0;
}
static void big_endian(unsigned char *table, unsigned char *end)
{
    (void)end;
    table[8 - 192] = 0;
    table[11 - 192] = 1;
}

static const struct {
    void (*change)(unsigned char *table, unsigned char *end);
    enum lng_status status;
    const char *part;
} forgeries[] = {
    {no_change, LNG_OK, ""},
    {same_name, LNG_ERR_FORMAT, "\"first\" is there twice"},
    {no_name, LNG_ERR_FORMAT, "names of 1 to 63"},
    {long_name, LNG_ERR_FORMAT, "names of 1 to 63"},
    {bad_name, LNG_ERR_FORMAT, "UTF-8"},
    {unknown_type, LNG_ERR_FORMAT, "unknown type 99"},
    {overlap, LNG_ERR_FORMAT, "expected its data at offset 128"},
    {hole, LNG_ERR_FORMAT, "expected its data at offset 64"},
    {far_length, LNG_ERR_FORMAT, "to end by 192"},
    {into_table, LNG_ERR_FORMAT, "to end by 192"},
    {wrong_sum, LNG_ERR_MISMATCH, "\"first\": expected checksum"},
    {hidden_byte, LNG_ERR_MISMATCH, "expected a zero byte at offset 191"},
    {many_sections, LNG_ERR_FORMAT, "table of sections"},
    {fewer_sections, LNG_ERR_FORMAT, "table of sections"},
    {far_table, LNG_ERR_FORMAT, "table of sections"},
    {newer, LNG_ERR_UNSUPPORTED, "newer lingster"},
    {version_zero, LNG_ERR_FORMAT, "found 0"},
    {big_endian, LNG_ERR_UNSUPPORTED, "found 16777216"},
};

Test(checkpoint, tables_that_lie)
{
    unsigned char file[1024];
    struct lng_checkpoint checkpoint;
    for (size_t i = 0; i < sizeof forgeries / sizeof forgeries[0]; i++) {
        size_t size = forge(file, forgeries[i].change);
        enum lng_status status = lng_checkpoint_open_memory(&checkpoint, "c", file, size);
        cr_assert(status == forgeries[i].status, "case %zu: '%s' (%s)", i, lng_status_text(status),
                  lng_error_message());
        cr_assert(status == LNG_OK || strstr(lng_error_message(), forgeries[i].part),
                  "case %zu: '%s' lacks '%s'", i, lng_error_message(), forgeries[i].part);
        if (status == LNG_OK)
            lng_checkpoint_close(&checkpoint);
    }
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

Test(checkpoint, other_files)
{
    static const char text[] =
        "<html><body>not found, and some more text to be long enough</body></html>";
    struct lng_checkpoint checkpoint;
    scratch_write("t", text, sizeof text);
    check_fails(lng_checkpoint_open(&checkpoint, scratch_path("t")), LNG_ERR_FORMAT, "3c 68 74 6d");
    scratch_write("e", "", 0);
    check_fails(lng_checkpoint_open(&checkpoint, scratch_path("e")), LNG_ERR_FORMAT,
                "only 0 bytes");
    check_fails(lng_checkpoint_open(&checkpoint, scratch_path(".")), LNG_ERR_IO, "a folder");
    check_fails(lng_checkpoint_open(&checkpoint, "/dev/zero"), LNG_ERR_IO, "a device");
    check_fails(lng_checkpoint_open(&checkpoint, scratch_path("no")), LNG_ERR_IO, "No such file");
    cr_assert(!lng_checkpoint_is_file(scratch_path("t")) && !lng_checkpoint_is_file("/dev/zero"));
}

Test(checkpoint, misuse_is_refused)
{
    struct lng_checkpoint_writer writer;
    char long_text[65];
    memset(long_text, 'n', 64);
    long_text[64] = '\0';
    check_ok(lng_checkpoint_writer_open(&writer, scratch_path("c")));
    check_fails(lng_checkpoint_writer_put(&writer, "x", 1), LNG_ERR_INTERNAL, "no section");
    check_fails(lng_checkpoint_writer_end(&writer), LNG_ERR_INTERNAL, "no section");
    check_fails(lng_checkpoint_writer_begin(&writer, "", LNG_CHECKPOINT_BYTES), LNG_ERR_INTERNAL,
                "");
    check_fails(lng_checkpoint_writer_begin(&writer, long_text, LNG_CHECKPOINT_BYTES),
                LNG_ERR_INTERNAL, "cannot be begun");
    check_ok(lng_checkpoint_writer_add(&writer, "a", LNG_CHECKPOINT_BYTES, "x", 1));
    check_fails(lng_checkpoint_writer_add(&writer, "a", LNG_CHECKPOINT_BYTES, "x", 1),
                LNG_ERR_INTERNAL, "twice");
    check_ok(lng_checkpoint_writer_begin(&writer, "b", LNG_CHECKPOINT_BYTES));
    check_fails(lng_checkpoint_writer_commit(&writer), LNG_ERR_INTERNAL, "not ended");
    cr_assert(scratch_count() == 0);
}
