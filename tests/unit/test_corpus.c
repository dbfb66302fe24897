#include "host/data/corpus.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zlib.h>
#include <zstd.h>

#include "host/base/file.h"
#include "host/base/mem.h"
#include "tests/support/check.h"
#include "tests/support/failing_memory.h"
#include "tests/support/scratch.h"

static void setup(void)
{
    scratch_make();
}

TestSuite(corpus, .init = setup, .fini = scratch_remove);

static const char *put(const char *name, const char *text)
{
    return scratch_write(name, text, strlen(text));
}

/* One entry with default options; target NULL for tab-separated text. */
static enum lng_status open_one(const char *source, const char *target, struct lng_corpus **corpus)
{
    struct lng_corpus_files files = {source, target};
    struct lng_corpus_options options = {.files = &files, .file_count = 1};
    return lng_corpus_open(&options, corpus);
}

static void expect_pair(const struct lng_corpus *corpus, uint64_t pair, const char *source,
                        const char *target, uint32_t sentence_id)
{
    struct lng_buffer texts[2] = {{0}, {0}};
    uint32_t id;
    check_ok(lng_corpus_read(corpus, pair, &texts[0], &texts[1], &id));
    cr_assert_str_eq(texts[0].data, source);
    cr_assert_str_eq(texts[1].data, target);
    cr_assert(texts[0].length == strlen(source) && texts[1].length == strlen(target));
    cr_assert(id == sentence_id, "sentence %u, expected %u", id, sentence_id);
    lng_buffer_release(&texts[0]);
    lng_buffer_release(&texts[1]);
}

static void expect_file(const char *path, const char *want)
{
    struct lng_buffer content = {0};
    check_ok(lng_file_read(path, 1 << 20, &content));
    cr_assert_str_eq(content.data, want);
    lng_buffer_release(&content);
}

static const char *put_gzip(const char *name, const char *text)
{
    const char *path = scratch_path(name);
    gzFile file = gzopen(path, "wb");
    cr_assert(gzwrite(file, text, (unsigned)strlen(text)) == (int)strlen(text));
    cr_assert(gzclose(file) == Z_OK);
    return path;
}

static const char *put_zstd(const char *name, const char *text)
{
    char packed[4096];
    size_t size = ZSTD_compress(packed, sizeof packed, text, strlen(text), 3);
    cr_assert(!ZSTD_isError(size));
    return scratch_write(name, packed, size);
}

Test(corpus, pairs_in_order)
{
    struct lng_corpus *corpus;
    check_ok(
        open_one(put("s", "eins\nzwei drei\nvier\n"), put("t", "one\ntwo three\nfour\n"), &corpus));
    cr_assert(lng_corpus_count(corpus) == 3);
    cr_assert(lng_corpus_file_count(corpus) == 1);
    expect_pair(corpus, 2, "vier", "four", 2);
    expect_pair(corpus, 0, "eins", "one", 0);
    expect_pair(corpus, 1, "zwei drei", "two three", 1);
    struct lng_corpus_counts counts = lng_corpus_get_counts(corpus, 0);
    cr_assert(counts.lines == 3 && counts.kept == 3);
    cr_assert(counts.source_bytes == 17 && counts.target_bytes == 16);
    cr_assert(counts.source_characters == 17 && counts.target_characters == 16);
    struct lng_corpus_place place = lng_corpus_locate(corpus, 1);
    cr_assert_str_eq(place.path, scratch_path("s"));
    cr_assert(place.line == 2);
    lng_corpus_close(corpus);
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

Test(corpus, line_ends_and_byte_order_mark)
{
    struct lng_corpus *corpus;
    check_ok(open_one(put("s", "\xEF\xBB\xBFx\r\ny\r\r\nz w"),
                      put("t", "\xEF\xBB\xBF\x61\nb\r\nc\td\r"), &corpus));
    cr_assert(lng_corpus_count(corpus) == 3);
    expect_pair(corpus, 0, "x", "a", 0);
    expect_pair(corpus, 1, "y\r", "b", 1);
    expect_pair(corpus, 2, "z w", "c\td", 2);
    lng_corpus_close(corpus);
}

Test(corpus, tab_separated)
{
    struct lng_corpus *corpus;
    check_ok(
        open_one(put("s", "\xEF\xBB\xBFx\ta b\r\nno tab here\n\ty\nz\t\nu\tv\t0.7\nlast\tline"),
                 NULL, &corpus));
    cr_assert(lng_corpus_count(corpus) == 3);
    expect_pair(corpus, 0, "x", "a b", 0);
    expect_pair(corpus, 1, "u", "v", 4);
    expect_pair(corpus, 2, "last", "line", 5);
    struct lng_corpus_counts counts = lng_corpus_get_counts(corpus, 0);
    cr_assert(counts.dropped[LNG_DROP_NO_TAB] == 1);
    cr_assert(counts.dropped[LNG_DROP_EMPTY_SOURCE] == 1);
    cr_assert(counts.dropped[LNG_DROP_EMPTY_TARGET] == 1);
    lng_corpus_close(corpus);
}

Test(corpus, report_names_each_dropped_line)
{
    static const char source[] =
        "good\n\nb\nabcdefghijk\nc\nn\0l\nd\n\xFF\ne\nwxyz\n \t \n\xC3\xA4\xC3\xB6\n";
    static const char target[] =
        "good\na\n\nd\nabcdefghijk\ne\nn\0l\nf\n\xED\xA0\x80\nz\ni\nabcd\n";
    struct lng_corpus_files files = {scratch_write("s", source, sizeof source - 1),
                                     scratch_write("t", target, sizeof target - 1)};
    struct lng_corpus_options options = {
        .files = &files,
        .file_count = 1,
        .report_path = scratch_path("dropped.tsv"),
        .max_line_bytes = 10,
        .max_length_ratio = 2,
    };
    struct lng_corpus *corpus;
    check_ok(lng_corpus_open(&options, &corpus));
    struct lng_buffer want = {0}, text = {0};
    static const char *const reasons[] = {
        "2\tempty source",  "3\tempty target",  "4\tsource too long",  "5\ttarget too long",
        "6\tNUL in source", "7\tNUL in target", "8\tsource not UTF-8", "9\ttarget not UTF-8",
        "10\tlength ratio", "11\tempty source",
    };
    check_ok(lng_buffer_append_text(&want, "corpus\tline\treason\n"));
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        check_ok(lng_buffer_append_format(&want, "%s\t%s\n", files.source, reasons[i]));
    expect_file(options.report_path, want.data);
    cr_assert(lng_corpus_count(corpus) == 2);
    expect_pair(corpus, 0, "good", "good", 0);
    expect_pair(corpus, 1, "\xC3\xA4\xC3\xB6", "abcd", 11);
    cr_assert(lng_corpus_get_counts(corpus, 0).source_characters == 6);
    check_ok(lng_corpus_describe(corpus, &text));
    cr_assert(strstr(text.data,
                     ": 12 lines, 2 pairs kept; left out: 2 empty source, 1 empty target, "
                     "1 source too long,") != NULL,
              "%s", text.data);
    lng_buffer_release(&want);
    lng_buffer_release(&text);
    lng_corpus_close(corpus);
}

Test(corpus, several_entries)
{
    struct lng_corpus_files files[] = {{put("s1", "a\n\nb\n"), put("t1", "A\nX\nB\n")},
                                       {put("s2", "c\tC\nnone\nd\tD\n"), NULL},
                                       {put("s3", "e\n"), put("t3", "E\n")}};
    struct lng_corpus_options options = {
        .files = files, .file_count = 3, .report_path = scratch_path("dropped.tsv")};
    struct lng_corpus *corpus;
    check_ok(lng_corpus_open(&options, &corpus));
    cr_assert(lng_corpus_count(corpus) == 5);
    expect_pair(corpus, 0, "a", "A", 0);
    expect_pair(corpus, 1, "b", "B", 2);
    expect_pair(corpus, 2, "c", "C", 3);
    expect_pair(corpus, 3, "d", "D", 5);
    expect_pair(corpus, 4, "e", "E", 6);
    const struct {
        uint32_t id, line;
        const char *path;
    } places[] = {{0, 1, "s1"}, {2, 3, "s1"}, {3, 1, "s2"}, {5, 3, "s2"}, {6, 1, "s3"}};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        struct lng_corpus_place place = lng_corpus_locate(corpus, places[i].id);
        cr_assert_str_eq(place.path, scratch_path(places[i].path));
        cr_assert(place.line == places[i].line);
    }
    struct lng_corpus_counts all = lng_corpus_get_counts(corpus, SIZE_MAX);
    cr_assert(all.lines == 7 && all.kept == 5 && all.dropped[LNG_DROP_NO_TAB] == 1 &&
              all.dropped[LNG_DROP_EMPTY_SOURCE] == 1 && all.source_bytes == 5);
    lng_corpus_close(corpus);
}

Test(corpus, gzip_and_zstd_are_unpacked_once)
{
    struct lng_corpus_files files = {put_gzip("s.gz", "eins\nzwei\n\ndrei"),
                                     put_zstd("t.zst", "one\ntwo\nx\nthree\n")};
    struct lng_corpus_options options = {
        .files = &files, .file_count = 1, .cache_directory = scratch_path("cache/deep")};
    struct lng_corpus *corpus, *plain;
    check_ok(lng_corpus_open(&options, &corpus));
    cr_assert(lng_corpus_count(corpus) == 3);
    expect_pair(corpus, 2, "drei", "three", 3);
    uint64_t digest = lng_corpus_digest(corpus);
    lng_corpus_close(corpus);

    /* What is packed does not matter, only what is in it. */
    check_ok(open_one(put("s", "eins\nzwei\n\ndrei"), put("t", "one\ntwo\nx\nthree\n"), &plain));
    cr_assert(lng_corpus_digest(plain) == digest);
    lng_corpus_close(plain);

    struct stat before, after;
    cr_assert(stat(options.cache_directory, &before) == 0);
    check_ok(lng_corpus_open(&options, &corpus));
    lng_corpus_close(corpus);
    cr_assert(stat(options.cache_directory, &after) == 0);
    cr_assert(before.st_mtim.tv_nsec == after.st_mtim.tv_nsec, "unpacked again");

    /* Another file of the same name is unpacked anew. */
    put_gzip("s.gz", "vier\nzwei\n\ndrei ");
    check_ok(lng_corpus_open(&options, &corpus));
    expect_pair(corpus, 0, "vier", "one", 0);
    lng_corpus_close(corpus);
}

Test(corpus, packed_without_a_cache_leaves_nothing_behind)
{
    setenv("TMPDIR", scratch_path(""), 1);
    struct lng_corpus *corpus;
    check_ok(open_one(put_gzip("s.gz", "a\nb\n"), put("t", "A\nB\n"), &corpus));
    cr_assert(scratch_count() == 2);
    expect_pair(corpus, 1, "b", "B", 1);
    lng_corpus_close(corpus);
}

Test(corpus, damaged_gzip)
{
    struct lng_corpus *corpus = NULL;
    struct lng_buffer content = {0};
    char text[2000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (size_t i = 0; i < sizeof text - 1; i += 7)
        text[i] = (char)('a' + i * i % 26);
    check_ok(lng_file_read(put_gzip("s.gz", text), 1 << 20, &content));
    scratch_write("s.gz", content.data, content.length / 2);
    lng_buffer_release(&content);
    struct lng_corpus_files files = {scratch_path("s.gz"), put("t", "A\n")};
    struct lng_corpus_options options = {
        .files = &files, .file_count = 1, .cache_directory = scratch_path("cache")};
    check_fails(lng_corpus_open(&options, &corpus), LNG_ERR_FORMAT, "s.gz");
    cr_assert(corpus == NULL);
    check_fails(lng_corpus_open(&options, &corpus), LNG_ERR_FORMAT, "s.gz");
}

Test(corpus, unequal_counts)
{
    struct lng_corpus *corpus = NULL;
    put("s", "a\nb\nc\nd\n");
    put("t", "A\nB\n");
    check_fails(open_one(scratch_path("s"), scratch_path("t"), &corpus), LNG_ERR_MISMATCH,
                "/s has 4 lines but");
    cr_assert(strstr(lng_error_message(), "/t has 2:") != NULL, "%s", lng_error_message());
    check_fails(open_one(scratch_path("t"), scratch_path("s"), &corpus), LNG_ERR_MISMATCH,
                "/t has 2 lines but");
    check_fails(open_one(scratch_path("s"), put("e", ""), &corpus), LNG_ERR_MISMATCH, "/e has 0");
    cr_assert(corpus == NULL);
}

Test(corpus, nothing_to_train_on)
{
    struct lng_corpus *corpus = NULL;
    struct lng_corpus_files files = {put("s", "\n\n"), put("t", "a\nb\n")};
    struct lng_corpus_options options = {
        .files = &files, .file_count = 1, .report_path = scratch_path("dropped.tsv")};
    check_fails(lng_corpus_open(&options, &corpus), LNG_ERR_FORMAT, "2 empty source");
    cr_assert(lng_file_exists(options.report_path));
    check_fails(open_one(put("e", ""), put("f", ""), &corpus), LNG_ERR_FORMAT, "0 lines");
    check_fails(open_one(put("e", ""), NULL, &corpus), LNG_ERR_FORMAT, "0 lines");
    check_fails(open_one(scratch_path("missing"), NULL, &corpus), LNG_ERR_IO, "missing");
    check_fails(open_one(scratch_path("s"), scratch_path("missing"), &corpus), LNG_ERR_IO,
                "missing");
    check_fails(open_one(scratch_path(""), NULL, &corpus), LNG_ERR_IO, "folder");
    cr_assert(corpus == NULL && lng_mem_get_stats().blocks_live == 0);
}

Test(corpus, bad_options)
{
    struct lng_corpus *corpus = NULL;
    struct lng_corpus_files files = {put("s", "a\tb\n"), NULL};
    struct lng_corpus_options options = {.files = &files};
    check_fails(lng_corpus_open(&options, &corpus), LNG_ERR_USAGE, "corpus");
    options.file_count = 1;
    options.max_line_bytes = LNG_CORPUS_MAX_LINE_BYTES + 1;
    check_fails(lng_corpus_open(&options, &corpus), LNG_ERR_RANGE, "16777216");
    options.max_line_bytes = 0;
    options.max_length_ratio = 0.5;
    check_fails(lng_corpus_open(&options, &corpus), LNG_ERR_RANGE, "0.5");
    options.max_length_ratio = 0;
    options.report_path = scratch_path("no/such/folder/dropped.tsv");
    check_fails(lng_corpus_open(&options, &corpus), LNG_ERR_IO, "no/such/folder");
}

Test(corpus, lines_longer_than_the_buffer)
{
    size_t size = 5 << 20;
    char *text = lng_alloc(size + 8, 1);
    memset(text, 'x', size);
    memcpy(text + size, "\nend\nz\n", 7);
    struct lng_corpus *corpus;
    check_ok(open_one(scratch_write("s", text, size + 7), put("t", "a\nEND\nZ\n"), &corpus));
    cr_assert(lng_corpus_count(corpus) == 2);
    cr_assert(lng_corpus_get_counts(corpus, 0).dropped[LNG_DROP_LONG_SOURCE] == 1);
    expect_pair(corpus, 0, "end", "END", 1);
    lng_corpus_close(corpus);

    /* The same with tabs, and as the last line of a file. */
    memcpy(text + size, "\na\tb\n", 5);
    check_ok(open_one(scratch_write("s3", text, size + 5), NULL, &corpus));
    cr_assert(lng_corpus_count(corpus) == 1);
    cr_assert(lng_corpus_get_counts(corpus, 0).dropped[LNG_DROP_LONG_SOURCE] == 1);
    expect_pair(corpus, 0, "a", "b", 1);
    lng_corpus_close(corpus);
    memcpy(text, "A\n", 2);
    check_ok(open_one(put("s4", "a\nb"), scratch_write("t4", text, size), &corpus));
    cr_assert(lng_corpus_count(corpus) == 1);
    cr_assert(lng_corpus_get_counts(corpus, 0).dropped[LNG_DROP_LONG_TARGET] == 1);
    lng_corpus_close(corpus);
    lng_free(text);
}

/* Lines of all lengths round the size of the scan's buffer: none is torn at its border. */
Test(corpus, borders_of_the_buffer)
{
    struct lng_buffer source = {0}, target = {0};
    uint64_t lines = 0;
    for (uint64_t state = 1; source.length < (3 << 20); lines++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        size_t length = (size_t)(state >> 40) % 70000 + 1;
        for (size_t i = 0; i < length; i++)
            check_ok(lng_buffer_append_byte(&source, (char)('a' + (lines + i) % 26)));
        check_ok(lng_buffer_append_byte(&source, '\n'));
        check_ok(lng_buffer_append_format(&target, "%zu\n", length));
    }
    struct lng_corpus *corpus;
    check_ok(open_one(scratch_write("s", source.data, source.length),
                      scratch_write("t", target.data, target.length), &corpus));
    cr_assert(lng_corpus_count(corpus) == lines);
    for (uint64_t i = 0; i < lines; i++) {
        uint32_t id;
        check_ok(lng_corpus_read(corpus, i, &source, &target, &id));
        cr_assert(source.length == (size_t)atoll(target.data), "pair %zu", (size_t)i);
        cr_assert(source.data[0] == (char)('a' + i % 26));
    }
    lng_buffer_release(&source);
    lng_buffer_release(&target);
    lng_corpus_close(corpus);
}

Test(corpus, digest_changes_with_content_and_rules)
{
    struct lng_corpus_files files = {put("s", "a\nb\n"), put("t", "A\nB\n")};
    struct lng_corpus_options options = {.files = &files, .file_count = 1};
    struct lng_corpus *corpus;
    uint64_t digests[4];
    for (int i = 0; i < 4; i++) {
        options.max_length_ratio = i == 1 ? 3 : 0;
        if (i == 2)
            put("t", "A\nC\n");
        if (i == 3)
            put("t", "A\nB\n");
        check_ok(lng_corpus_open(&options, &corpus));
        digests[i] = lng_corpus_digest(corpus);
        lng_corpus_close(corpus);
    }
    cr_assert(digests[0] != digests[1] && digests[0] != digests[2] && digests[0] == digests[3]);
    cr_assert(digests[0] != 0);
}

Test(corpus, files_changed_while_open)
{
    struct lng_corpus *corpus;
    struct lng_buffer source = {0}, target = {0};
    uint32_t id = 77;
    check_ok(open_one(put("s", "abc\ndef\nghi\n"), put("t", "A\nB\nC\n"), &corpus));
    cr_assert(truncate(scratch_path("s"), 5) == 0);
    check_ok(lng_corpus_read(corpus, 0, &source, &target, &id));
    check_fails(lng_corpus_read(corpus, 1, &source, &target, &id), LNG_ERR_MISMATCH, "line 2");
    check_fails(lng_corpus_read(corpus, 2, &source, &target, &id), LNG_ERR_MISMATCH, "/s");
    put("s", "abcdef ghi jkl\n");
    check_fails(lng_corpus_read(corpus, 0, &source, &target, &id), LNG_ERR_MISMATCH, "changed");
    lng_buffer_release(&source);
    lng_buffer_release(&target);
    lng_corpus_close(corpus);
}

/* Every allocation on the way may fail, and nothing is leaked. */
Test(corpus, out_of_memory)
{
    struct lng_corpus_files files = {put_gzip("s.gz", "a\nb\n"), put("t", "A\nB\n")};
    struct lng_corpus_options options = {.files = &files,
                                         .file_count = 1,
                                         .cache_directory = scratch_path("cache"),
                                         .report_path = scratch_path("dropped.tsv")};
    struct lng_corpus *corpus = NULL;
    struct failing_memory memory = {.forever = true};
    while (failing_memory_try(&memory))
        failing_memory_check(&memory, lng_corpus_open(&options, &corpus));
    cr_assert(memory.tries > 10);
    lng_corpus_close(corpus);
}

/* The index and what opening needs beside it; nothing grows with the text. */
Test(corpus, memory_of_200000_lines)
{
    enum { LINES = 200000 };
    FILE *source = fopen(scratch_path("s"), "w"), *target = fopen(scratch_path("t"), "w");
    for (int i = 0; i < LINES; i++) {
        fprintf(source, "%d das ist ein Satz von etwa sechzig Zeichen, wie er vorkommt\n", i);
        fprintf(target, "%d this is a sentence of about sixty characters as they come\n", i);
    }
    fclose(source);
    fclose(target);
    size_t before = lng_mem_get_stats().bytes_live;
    struct lng_corpus *corpus;
    check_ok(open_one(scratch_path("s"), scratch_path("t"), &corpus));
    size_t live = lng_mem_get_stats().bytes_live - before;
    size_t peak = lng_mem_get_stats().bytes_peak - before;
    cr_assert(live < 20 * (LINES + 65536) + 8192, "%zu bytes", live);
    cr_assert(peak < live + (3 << 20), "%zu bytes at most, then %zu", peak, live);
    expect_pair(corpus, LINES - 1,
                "199999 das ist ein Satz von etwa sechzig Zeichen, wie er vorkommt",
                "199999 this is a sentence of about sixty characters as they come", LINES - 1);
    lng_corpus_close(corpus);
}
