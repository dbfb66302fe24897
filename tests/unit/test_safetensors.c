#include "host/store/safetensors.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/base/mem.h"
#include "host/base/philox.h"
#include "host/store/numbers.h"
#include "tests/support/check.h"
#include "tests/support/scratch.h"

static void setup(void)
{
    scratch_make();
}

TestSuite(safetensors, .init = setup, .fini = scratch_remove);

/* A file with this header and `data` bytes after it. */
static size_t compose(unsigned char *out, const char *header, size_t data)
{
    size_t length = strlen(header);
    lng_store_u64(out, length);
    memcpy(out + 8, header, length);
    for (size_t i = 0; i < data; i++)
        out[8 + length + i] = (unsigned char)i;
    return 8 + length + data;
}

#define T(shape, offsets) "{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

static const struct {
    const char *header;
    size_t data;
    const char *part; /* of the message; NULL = accepted */
} headers[] = {
    {"{\"a\":" T("[2]", "[0,8]") "}", 8, NULL},
    {"{\"a\":" T("[2]", "[0,8]") "}      ", 8, NULL},
    {"{}", 0, NULL},
    {"{\"a\":" T("[]", "[0,4]") "}", 4, NULL},
    {"{\"a\":" T("[0,7]", "[0,0]") ",\"b\":" T("[1]", "[0,4]") "}", 4, NULL},
    {"{\"b\":" T("[1]", "[4,8]") ",\"a\":" T("[1]", "[0,4]") "}", 8, NULL},
    {"{\"__metadata__\":{\"format\":\"pt\"},\"a\":" T("[1]", "[0,4]") "}", 4, NULL},
    {"{\"a\":{\"dtype\":\"I8\",\"shape\":[3],\"data_offsets\":[0,3]}}", 3, NULL},
    {"{\"a\":" T("[2]", "[0,8]") "}", 7, "0 <= begin <= end <= 7"},
    {"{\"a\":" T("[2]", "[0,8]") "}", 9, "something appended"},
    {"{\"a\":" T("[2]", "[8,0]") "}", 8, "begin <= end"},
    {"{\"a\":" T("[2]", "[-8,0]") "}", 8, "0 <= begin"},
    {"{\"a\":" T("[2]", "[0,4]") "}", 8, "make 8 bytes, its offsets 4"},
    {"{\"a\":" T("[2]", "[0]") "}", 8, "two integers"},
    {"{\"a\":" T("[2]", "[0,8,8]") "}", 8, "two integers"},
    {"{\"a\":" T("[2]", "[0.0,8]") "}", 8, "two integers"},
    {"{\"a\":" T("[2]", "{}") "}", 8, "two integers"},
    {"{\"a\":" T("[2]", "[0,9007199254740993]") "}", 8, "begin <= end <= 8"},
    {"{\"a\":" T("[1]", "[0,4]") ",\"b\":" T("[1]", "[0,4]") "}", 4, "overlap"},
    {"{\"a\":" T("[2]", "[0,8]") ",\"b\":" T("[2]", "[4,12]") "}", 12, "overlap"},
    {"{\"a\":" T("[1]", "[0,4]") ",\"b\":" T("[1]", "[8,12]") "}", 12, "hole"},
    {"{\"a\":" T("[1]", "[4,8]") "}", 8, "hole"},
    {"{\"a\":" T("[1]", "[0,4]") "}", 8, "something appended"},
    {"{\"a\":" T("[1]", "[0,4]") ",\"a\":" T("[1]", "[4,8]") "}", 8, "duplicate"},
    {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4,
     "\"dtype\" to be a string, found nothing"},
    {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "\"shape\" to be an array"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "two integers, found nothing"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"x\":1}}", 4, "4 keys"},
    {"{\"a\":{\"dtype\":\"F33\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4,
     "unknown dtype \"F33\""},
    {"{\"a\":{\"dtype\":5,\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "a string, found 5"},
    {"{\"a\":" T("[-1]", "[0,4]") "}", 4, "integers >= 0, found -1"},
    {"{\"a\":" T("[1.0]", "[0,4]") "}", 4, "integers >= 0, found 1"},
    {"{\"a\":" T("[\"1\"]", "[0,4]") "}", 4, "integers >= 0, found \"1\""},
    {"{\"a\":" T("\"1\"", "[0,4]") "}", 4, "an array, found \"1\""},
    {"{\"a\":" T("[1,1,1,1,1,1,1,1,1]", "[0,4]") "}", 4, "at most 8 dimensions"},
    {"{\"a\":" T("[4294967296,4294967296]", "[0,4]") "}", 4, "2^64 elements"},
    {"{\"a\":" T("[4611686018427387904]", "[0,4]") "}", 4, "2^64 bytes"},
    {"{\"a\":" T("[9223372036854775807,3]", "[0,4]") "}", 4, "2^64 elements"},
    {"{\"a\":[1]}", 4, "an object, found an array"},
    {"{\"__metadata__\":{\"format\":1},\"a\":" T("[1]", "[0,4]") "}", 4, "hold strings, found 1"},
    {"{\"__metadata__\":\"pt\",\"a\":" T("[1]", "[0,4]") "}", 4, "to be an object"},
    {"[1]", 4, "start with '{'"},
    {" {}", 0, "start with '{'"},
    {"{\"a\":", 4, "valid JSON"},
    {"{\"\xff\":" T("[1]", "[0,4]") "}", 4, "decode byte 0xff"},
    {"{\"a\":" T("[1]", "[0,4]") "} {", 4, "valid JSON"},
};

Test(safetensors, every_rule_of_the_header)
{
    unsigned char file[4096];
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        struct lng_safetensors opened;
        size_t size = compose(file, headers[i].header, headers[i].data);
        enum lng_status status = lng_safetensors_open_memory(&opened, "m.st", file, size);
        if (!headers[i].part) {
            cr_assert(status == LNG_OK, "case %zu: %s", i, lng_error_message());
            lng_safetensors_close(&opened);
            continue;
        }
        cr_assert(status == LNG_ERR_FORMAT, "case %zu was accepted: %s", i, headers[i].header);
        cr_assert(strstr(lng_error_message(), headers[i].part), "case %zu: '%s' lacks '%s'", i,
                  lng_error_message(), headers[i].part);
        cr_assert(strstr(lng_error_message(), "m.st"), "case %zu: no file name", i);
    }
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

Test(safetensors, header_lengths)
{
    static const uint64_t lengths[] = {0,         1,          3,          4089,
                                       100000001, 1ull << 63, UINT64_MAX, UINT64_MAX - 4};
    unsigned char file[4096] = {0};
    struct lng_safetensors opened;
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        lng_store_u64(file, lengths[i]);
        cr_assert(lng_safetensors_open_memory(&opened, "m", file, sizeof file) == LNG_ERR_FORMAT,
                  "length %zu", i);
    }
    for (size_t size = 0; size < 8; size++)
        check_fails(lng_safetensors_open_memory(&opened, "m", file, size), LNG_ERR_FORMAT, "only");
}

Test(safetensors, deep_and_wide_headers)
{
    enum { BIG = 1 << 20 };
    unsigned char *file = lng_alloc(BIG + 8, 1);
    struct lng_safetensors opened;
    lng_store_u64(file, BIG);
    memset(file + 8, '[', BIG);
    file[8] = '{';
    memcpy(file + 9, "\"a\":", 4);
    check_fails(lng_safetensors_open_memory(&opened, "m", file, BIG + 8), LNG_ERR_FORMAT, "depth");
    /* a shape of half a million dimensions */
    static const char start[] = "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,0],\"shape\":[1";
    size_t at = sizeof start - 1;
    memcpy(file + 8, start, at);
    for (; at < BIG - 4; at += 2)
        memcpy(file + 8 + at, ",1", 2);
    memset(file + 8 + at, ' ', BIG - at);
    memcpy(file + 8 + at, "]}}", 3);
    check_fails(lng_safetensors_open_memory(&opened, "m", file, BIG + 8), LNG_ERR_FORMAT,
                "at most 8 dimensions");
    lng_free(file);
}

Test(safetensors, things_that_are_not_safetensors)
{
    static const struct {
        const char *text, *part;
    } files[] = {
        {"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git lfs pull"},
        {"<!DOCTYPE html><html><body>404</body></html>", "HTML"},
        {"PK\3\4 and so on and so on", "zip"},
        {"LNGCKPT1\1\0\0\0\0\0\0\0", "checkpoint"},
        {"just a text file, as one makes them", "header of 2 to"},
    };
    struct lng_safetensors opened;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        const char *path = scratch_write("f", files[i].text, strlen(files[i].text));
        check_fails(lng_safetensors_open(&opened, path), LNG_ERR_FORMAT, files[i].part);
    }
    cr_assert(mkfifo(scratch_path("pipe"), 0600) == 0);
    cr_assert(symlink("loop", scratch_path("loop")) == 0);
    check_fails(lng_safetensors_open(&opened, scratch_path("pipe")), LNG_ERR_IO, "a pipe");
    check_fails(lng_safetensors_open(&opened, scratch_path(".")), LNG_ERR_IO, "a folder");
    check_fails(lng_safetensors_open(&opened, "/dev/zero"), LNG_ERR_IO, "a device");
    check_fails(lng_safetensors_open(&opened, scratch_path("loop")), LNG_ERR_IO, "loop");
    check_fails(lng_safetensors_open(&opened, scratch_path("none")), LNG_ERR_IO, "No such file");
}

Test(safetensors, a_file_that_shrinks_is_an_error)
{
    unsigned char file[4096];
    size_t size = compose(file, "{\"a\":" T("[512]", "[0,2048]") "}", 2048);
    const char *path = scratch_write("f", file, size);
    struct lng_safetensors opened;
    float values[512];
    check_ok(lng_safetensors_open(&opened, path));
    cr_assert(truncate(path, 1000) == 0);
    check_fails(lng_safetensors_read_f32(&opened, &opened.list[0], values), LNG_ERR_FORMAT,
                "became shorter");
    lng_safetensors_close(&opened);
}

Test(safetensors, number_formats)
{
    static const struct {
        uint16_t bits;
        float value;
    } half[] = {{0x0000, 0.0f},       {0x3C00, 1.0f},        {0xC000, -2.0f},    {0x0001, 0x1p-24f},
                {0x03FF, 0x3FFp-24f}, {0x0400, 0x1p-14f},    {0x7BFF, 65504.0f}, {0x7C00, INFINITY},
                {0xFC00, -INFINITY},  {0x3555, 0x1.554p-2f}, {0x8001, -0x1p-24f}};
    for (size_t i = 0; i < sizeof half / sizeof half[0]; i++)
        cr_assert(lng_f16_value(half[i].bits) == half[i].value, "half %zu: %a", i,
                  (double)lng_f16_value(half[i].bits));
    cr_assert(isnan(lng_f16_value(0x7E00)) && signbit(lng_f16_value(0x8000)));
    cr_assert(lng_bf16_to_f32(0x3F80) == 1.0f);
    cr_assert(lng_f32_to_bf16(1.0f) == 0x3F80);
    cr_assert(lng_f32_to_bf16(0x1.01p0f) == 0x3F80); /* a tie: to even, down */
    cr_assert(lng_f32_to_bf16(0x1.03p0f) == 0x3F82); /* a tie: to even, up */
    cr_assert(lng_f32_to_bf16(0x1.010002p0f) == 0x3F81);
    cr_assert(lng_f32_to_bf16(-INFINITY) == 0xFF80 && isnan(lng_bf16_to_f32(lng_f32_to_bf16(NAN))));
}

static void fill(float *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        values[i] =
            (float)lng_philox_uniform(lng_philox4x32((uint32_t)i, 0, 0, 0, 7, 7).word[0]) - 0.5f;
}

static void write_file(const char *path, const float *values, uint64_t *checksum)
{
    struct lng_safetensors_writer writer;
    const int64_t a[] = {3, 100000}, b[] = {5}, c[] = {0, 4};
    check_ok(lng_safetensors_writer_open(&writer, path));
    check_ok(lng_safetensors_writer_declare(&writer, "z.f32", LNG_SAFETENSORS_F32, a, 2));
    check_ok(lng_safetensors_writer_declare(&writer, "a.bf16", LNG_SAFETENSORS_BF16, a, 2));
    check_ok(lng_safetensors_writer_declare(&writer, "empty", LNG_SAFETENSORS_F32, c, 2));
    check_ok(lng_safetensors_writer_declare(&writer, "raw", LNG_SAFETENSORS_I8, b, 1));
    check_ok(lng_safetensors_writer_add_f32(&writer, values, 300000));
    check_ok(lng_safetensors_writer_add_f32(&writer, values, 300000));
    check_ok(lng_safetensors_writer_add_f32(&writer, values, 0));
    check_ok(lng_safetensors_writer_add_raw(&writer, "hello", 5));
    check_ok(lng_safetensors_writer_commit(&writer, checksum, NULL));
}

Test(safetensors, written_and_read_back)
{
    enum { COUNT = 300000 };
    float *values = lng_alloc(COUNT, sizeof *values), *back = lng_alloc(COUNT, sizeof *back);
    uint64_t checksum = 0, found = 1;
    struct lng_safetensors file;
    char raw[5];
    fill(values, COUNT);
    write_file(scratch_path("m.st"), values, &checksum);
    check_ok(lng_safetensors_open(&file, scratch_path("m.st")));
    check_ok(lng_blob_checksum(&file.blob, 0, file.blob.size, &found));
    cr_assert(found == checksum && file.count == 4);
    const struct lng_safetensor *tensor = lng_safetensors_find(&file, "z.f32");
    cr_assert(tensor && tensor->rank == 2 && tensor->shape[1] == 100000);
    cr_assert(tensor->offset % 8 == 0);
    check_ok(lng_safetensors_read_f32(&file, tensor, back));
    cr_assert(memcmp(values, back, COUNT * sizeof *values) == 0);
    check_ok(lng_safetensors_read_f32(&file, lng_safetensors_find(&file, "a.bf16"), back));
    for (size_t i = 0; i < COUNT; i++)
        cr_assert(fabsf(back[i] - values[i]) <= fabsf(values[i]) * 0x1p-8f);
    check_ok(lng_safetensors_read_raw(&file, lng_safetensors_find(&file, "raw"), raw));
    cr_assert(memcmp(raw, "hello", 5) == 0);
    check_fails(lng_safetensors_read_f32(&file, lng_safetensors_find(&file, "raw"), back),
                LNG_ERR_DTYPE, "found I8");
    cr_assert(!lng_safetensors_find(&file, "none") && !lng_safetensors_find(&file, ""));
    lng_safetensors_close(&file);
    lng_free(values);
    lng_free(back);
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

Test(safetensors, writer_wants_what_was_declared)
{
    struct lng_safetensors_writer writer;
    const int64_t shape[] = {2};
    const float values[3] = {0};
    check_ok(lng_safetensors_writer_open(&writer, scratch_path("m.st")));
    check_ok(lng_safetensors_writer_declare(&writer, "a", LNG_SAFETENSORS_F32, shape, 1));
    check_fails(lng_safetensors_writer_add_f32(&writer, values, 3), LNG_ERR_INTERNAL,
                "another size");
    check_fails(lng_safetensors_writer_commit(&writer, NULL, NULL), LNG_ERR_INTERNAL, "0 of 1");
    cr_assert(scratch_count() == 0, "a file that was given up is still there");
    check_ok(lng_safetensors_writer_open(&writer, "/dev/full"));
    check_ok(lng_safetensors_writer_declare(&writer, "a", LNG_SAFETENSORS_F32, shape, 1));
    enum lng_status status = lng_safetensors_writer_add_f32(&writer, values, 2);
    if (status == LNG_OK)
        status = lng_safetensors_writer_commit(&writer, NULL, NULL);
    cr_assert(status == LNG_ERR_IO, "%s", lng_error_message());
    lng_safetensors_writer_discard(&writer);
}

Test(safetensors, no_byte_sequence_crashes_it)
{
    unsigned char file[1024], changed[1024];
    size_t size = compose(file,
                          "{\"__metadata__\":{\"format\":\"pt\"},\"w\":" T(
                              "[2,3]", "[0,24]") ",\"b\":" T("[3]", "[24,36]") "}",
                          36);
    struct lng_safetensors opened;
    size_t refused = 0, rounds = 3000;
    float values[64];
    for (size_t i = 0; i < rounds; i++) {
        struct lng_philox random = lng_philox4x32((uint32_t)i, 0, 0, 0, 11, 12);
        memcpy(changed, file, size);
        for (uint32_t flips = 0; flips <= random.word[3] % 3; flips++)
            changed[random.word[flips] % (size - 36)] ^=
                (unsigned char)(1u << (random.word[flips] >> 29));
        size_t cut = i % 4 ? size : random.word[2] % size;
        if (lng_safetensors_open_memory(&opened, "m", changed, cut) != LNG_OK) {
            refused++;
            cr_assert(lng_error_message()[0] != '\0');
            continue;
        }
        for (size_t j = 0; j < opened.count; j++)
            if (opened.list[j].elements <= 64)
                (void)!lng_safetensors_read_f32(&opened, &opened.list[j], values);
        lng_safetensors_close(&opened);
    }
    cr_assert(refused > rounds / 2, "only %zu of %zu refused", refused, rounds);
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}
