#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <zlib.h>
#include <zstd.h>

#include "host/base/file.h"
#include "host/base/mem.h"
#include "tests/support/check.h"
#include "tests/support/scratch.h"

static void setup(void)
{
    scratch_make();
}

TestSuite(lines, .init = setup, .fini = scratch_remove);

/* Opens, and expects exactly these lines. */
static void expect_lines(const char *path, const char *const *want, size_t count, bool last_newline)
{
    struct lng_lines *lines;
    struct lng_line line;
    bool got;
    check_ok(lng_lines_open(path, &lines));
    for (size_t i = 0; i < count; i++) {
        check_ok(lng_lines_next(lines, &line, &got));
        cr_assert(got, "line %zu is missing", i + 1);
        cr_assert_str_eq(line.data, want[i]);
        cr_assert(line.length == strlen(want[i]));
        cr_assert(line.newline == (i + 1 < count || last_newline));
        cr_assert(lng_lines_number(lines) == i + 1);
    }
    for (int again = 0; again < 2; again++) {
        check_ok(lng_lines_next(lines, &line, &got));
        cr_assert(!got);
    }
    lng_lines_close(lines);
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

#define EXPECT(content, last_newline, ...)                                    \
    do {                                                                      \
        const char *const want_[] = {__VA_ARGS__};                            \
        expect_lines(scratch_write("in", content, sizeof content - 1), want_, \
                     sizeof want_ / sizeof want_[0], last_newline);           \
    } while (0)

Test(lines, ends)
{
    EXPECT("a\nb\n", true, "a", "b");
    EXPECT("a\nb", false, "a", "b");
    EXPECT("\n", true, "");
    EXPECT("a\n\n", true, "a", "");
    EXPECT("\x1F", false, "\x1F");
    EXPECT("\x1F\x8B", false, "\x1F\x8B");
    EXPECT("\x28\xB5\n", true, "\x28\xB5");
    expect_lines(scratch_write("in", "", 0), NULL, 0, true);
}

Test(lines, carriage_return_stays_and_is_told)
{
    struct lng_lines *lines;
    struct lng_line line;
    bool got;
    check_ok(lng_lines_open(scratch_write("in", "a\r\n\r\nb\rc\n", 9), &lines));
    static const struct {
        size_t length;
        bool carriage_return;
    } want[] = {{2, true}, {1, true}, {3, false}};
    for (int i = 0; i < 3; i++) {
        check_ok(lng_lines_next(lines, &line, &got));
        cr_assert(got && line.length == want[i].length);
        cr_assert(line.carriage_return == want[i].carriage_return);
    }
    lng_lines_close(lines);
}

Test(lines, nul_bytes_are_bytes)
{
    struct lng_lines *lines;
    struct lng_line line;
    bool got;
    check_ok(lng_lines_open(scratch_write("in", "a\0b\n\0\nz", 7), &lines));
    check_ok(lng_lines_next(lines, &line, &got));
    cr_assert(line.length == 3 && memcmp(line.data, "a\0b", 4) == 0);
    check_ok(lng_lines_next(lines, &line, &got));
    cr_assert(line.length == 1 && line.data[0] == '\0');
    check_ok(lng_lines_next(lines, &line, &got));
    cr_assert(got && line.length == 1 && !line.newline && line.data[1] == '\0');
    lng_lines_close(lines);
}

/* Lines of many lengths round the sizes of the buffers, 7 MB in all; every byte follows from its place. */
static char *make_corpus(size_t *size)
{
    static const size_t around[] = {1 << 10, 1 << 15, 1 << 16, 1 << 17, 1 << 20};
    char *text = lng_alloc(8 << 20, 1);
    size_t at = 0;
    for (size_t i = 0; i < 5; i++)
        for (size_t length = around[i] - 2; length <= around[i] + 2; length++) {
            for (size_t j = 0; j < length; j++)
                text[at++] = (char)('a' + (j * 7 + length + j / 911) % 26);
            text[at++] = '\n';
        }
    *size = at;
    return text;
}

static void expect_corpus(const char *path, const char *text, size_t size, int times)
{
    struct lng_lines *lines;
    struct lng_line line;
    bool got;
    check_ok(lng_lines_open(path, &lines));
    for (int time = 0; time < times; time++)
        for (size_t at = 0; at < size; at += line.length + 1) {
            check_ok(lng_lines_next(lines, &line, &got));
            cr_assert(got && line.newline);
            cr_assert(memcmp(line.data, text + at, line.length) == 0);
            cr_assert(text[at + line.length] == '\n');
        }
    check_ok(lng_lines_next(lines, &line, &got));
    cr_assert(!got && lng_lines_number(lines) == (uint64_t)times * 25);
    lng_lines_close(lines);
}

Test(lines, a_megabyte_in_one_line)
{
    size_t size;
    char *text = make_corpus(&size);
    expect_corpus(scratch_write("in", text, size), text, size, 1);
    lng_free(text);
}

Test(lines, line_limit)
{
    struct lng_lines *lines;
    struct lng_line line;
    bool got;
    char text[3000];
    memset(text, 'x', sizeof text);
    memcpy(text, "short\n", 6);
    check_ok(lng_lines_open(scratch_write("in", text, sizeof text), &lines));
    lng_lines_set_limit(lines, 100);
    check_ok(lng_lines_next(lines, &line, &got));
    cr_assert(got);
    check_fails(lng_lines_next(lines, &line, &got), LNG_ERR_RANGE, "line 2");
    lng_lines_close(lines);
    check_fails(lng_lines_open(scratch_path("none"), &lines), LNG_ERR_IO, "No such file");
    check_ok(lng_lines_open(scratch_path("."), &lines));
    check_fails(lng_lines_next(lines, &line, &got), LNG_ERR_IO, "directory");
    lng_lines_close(lines);
}

static size_t pack_gzip(const char *text, size_t size, unsigned char *packed, size_t capacity)
{
    z_stream stream = {0};
    cr_assert(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    stream.next_in = (Bytef *)text;
    stream.avail_in = (uInt)size;
    stream.next_out = packed;
    stream.avail_out = (uInt)capacity;
    cr_assert(deflate(&stream, Z_FINISH) == Z_STREAM_END);
    deflateEnd(&stream);
    return capacity - stream.avail_out;
}

static size_t pack_zstd(const char *text, size_t size, unsigned char *packed, size_t capacity)
{
    ZSTD_CCtx *context = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
    size_t length = ZSTD_compress2(context, packed, capacity, text, size);
    cr_assert(!ZSTD_isError(length));
    ZSTD_freeCCtx(context);
    return length;
}

static const struct {
    const char *name;
    size_t (*pack)(const char *text, size_t size, unsigned char *packed, size_t capacity);
} packers[] = {{"gz", pack_gzip}, {"zst", pack_zstd}};

Test(lines, packed_files_of_one_and_two_members)
{
    size_t size, capacity = 8 << 20;
    char *text = make_corpus(&size);
    unsigned char *packed = lng_alloc(capacity, 1);
    for (int kind = 0; kind < 2; kind++) {
        size_t length = packers[kind].pack(text, size, packed, capacity);
        cr_assert(length < size / 2 && length > 1000);
        expect_corpus(scratch_write(packers[kind].name, packed, length), text, size, 1);
        memcpy(packed + length, packed, length);
        expect_corpus(scratch_write(packers[kind].name, packed, 2 * length), text, size, 2);
    }
    lng_free(text);
    lng_free(packed);
}

Test(lines, a_packed_file_without_text)
{
    unsigned char packed[200];
    for (int kind = 0; kind < 2; kind++) {
        size_t length = packers[kind].pack("", 0, packed, sizeof packed);
        expect_lines(scratch_write("empty", packed, length), NULL, 0, true);
    }
}

/* Reads to the end or the first failure. */
static enum lng_status read_out(const char *path, uint64_t *count)
{
    struct lng_lines *lines;
    struct lng_line line;
    bool got = true;
    enum lng_status status = lng_lines_open(path, &lines);
    cr_assert(status == LNG_OK);
    while (status == LNG_OK && got)
        status = lng_lines_next(lines, &line, &got);
    *count = lng_lines_number(lines);
    lng_lines_close(lines);
    return status;
}

Test(lines, every_cut_of_a_packed_file_is_noticed)
{
    char text[900];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = i % 30 == 29 ? '\n' : (char)('a' + i * i % 25);
    unsigned char packed[2000];
    for (int kind = 0; kind < 2; kind++) {
        size_t length = packers[kind].pack(text, sizeof text, packed, sizeof packed);
        for (size_t cut = 4; cut < length; cut++) {
            uint64_t count;
            check_fails(read_out(scratch_write("cut", packed, cut), &count), LNG_ERR_FORMAT,
                        "cut short");
        }
        /* The second member cut: 30 whole lines come first. */
        memcpy(packed + length, packed, length);
        uint64_t count;
        check_fails(read_out(scratch_write("cut", packed, 2 * length - 1), &count), LNG_ERR_FORMAT,
                    "cut short");
        cr_assert(count >= 30 && count <= 60);
    }
}

Test(lines, damage_is_noticed)
{
    static char text[100000];
    memset(text, 'x', sizeof text);
    for (size_t i = 99; i < sizeof text; i += 100)
        text[i] = '\n';
    unsigned char packed[4000];
    uint64_t count;
    for (int kind = 0; kind < 2; kind++) {
        size_t length = packers[kind].pack(text, sizeof text, packed, sizeof packed - 10);
        /* Both formats keep the checksum of the text near the end. */
        size_t place = kind == 0 ? length - 8 : length - 1;
        packed[place] ^= 1;
        check_fails(read_out(scratch_write("bad", packed, length), &count), LNG_ERR_FORMAT,
                    kind == 0 ? "incorrect data check" : "checksum");
        packed[place] ^= 1;
        memcpy(packed + length, "garbage", 7);
        check_fails(read_out(scratch_write("bad", packed, length + 7), &count), LNG_ERR_FORMAT,
                    "cannot be unpacked");
    }
    size_t length = pack_gzip(text, sizeof text, packed, sizeof packed - 10);
    memset(packed + length, 0, 10);
    check_ok(read_out(scratch_write("padded", packed, length + 10), &count));
    cr_assert(count == 1000);
}

Test(lines, a_pipe_gives_lines_as_they_come)
{
    int ends[2];
    cr_assert(pipe(ends) == 0);
    struct lng_lines *lines;
    struct lng_line line;
    bool got;
    check_ok(lng_lines_open_fd(ends[0], "pipe", &lines));
    cr_assert(write(ends[1], "a\n", 2) == 2);
    check_ok(lng_lines_next(lines, &line, &got));
    cr_assert_str_eq(line.data, "a");
    cr_assert(write(ends[1], "b\nc", 3) == 3);
    check_ok(lng_lines_next(lines, &line, &got));
    cr_assert_str_eq(line.data, "b");
    close(ends[1]);
    check_ok(lng_lines_next(lines, &line, &got));
    cr_assert(got && !line.newline);
    cr_assert_str_eq(line.data, "c");
    lng_lines_close(lines);
    cr_assert(close(ends[0]) == 0, "the descriptor stays the caller's");
}

Test(lines, standard_input)
{
    cr_assert(freopen(scratch_write("in", "one\ntwo\n", 8), "r", stdin) != NULL);
    static const char *const want[] = {"one", "two"};
    expect_lines("-", want, 2, true);
}

Test(lines, every_allocation_may_fail)
{
    unsigned char packed[200];
    size_t length = pack_gzip("a\nb\n", 4, packed, sizeof packed);
    scratch_write("in", packed, length);
    bool finished = false;
    for (size_t n = 1; n < 50 && !finished; n++) {
        struct lng_lines *lines = NULL;
        struct lng_line line;
        bool got = true;
        lng_mem_fail_nth(n, 0);
        enum lng_status status = lng_lines_open(scratch_path("in"), &lines);
        while (status == LNG_OK && got)
            status = lng_lines_next(lines, &line, &got);
        finished = status == LNG_OK;
        cr_assert(finished || status == LNG_ERR_MEMORY, "%d", (int)status);
        lng_mem_fail_nth(0, 0);
        lng_lines_close(lines);
        cr_assert(lng_mem_get_stats().blocks_live == 0);
    }
    cr_assert(finished);
}

/* Every place of a short file lies once at the end of a piece. */
Test(lines, small_pieces)
{
    static const char text[] = "one\n\ntwenty bytes or more of it\r\nfour\nlast";
    static const char *const want[] = {"one", "", "twenty bytes or more of it\r", "four", "last"};
    for (size_t bytes = 0; bytes < 64; bytes++) {
        lng_lines_set_chunk(bytes);
        expect_lines(scratch_write("in", text, sizeof text - 1), want, 5, false);
    }
    lng_lines_set_chunk(1 << 20);
    expect_lines(scratch_write("in", text, sizeof text - 1), want, 5, false);
}
