#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "host/base/bytes.h"
#include "host/base/file.h"
#include "host/base/mem.h"
#include "host/store/shortlist.h"
#include "tests/support/check.h"
#include "tests/support/scratch.h"

TestSuite(shortlist, .fini = scratch_remove);

/* Ids are places in the words. */
static struct lng_vocab *vocab_of(const char *words)
{
    struct lng_vocab *vocab;
    struct lng_slice rest = {words, strlen(words)}, word;
    check_ok(lng_vocab_open(&vocab));
    while (lng_text_next_word(&rest, &word))
        check_ok(lng_vocab_add(vocab, word.data, word.length, NULL));
    return vocab;
}

struct lists {
    struct lng_vocab *source, *target;
    struct lng_shortlist_options options;
    struct lng_shortlist list;
};

static struct lists lists_make(void)
{
    scratch_make();
    return (struct lists){.source = vocab_of("</s> <unk> a b c d"),
                          .target = vocab_of("</s> <unk> A B C D E F"),
                          .options = {.first = 2, .best = 2}};
}

static enum lng_status lists_read(struct lists *l, const void *data, size_t size)
{
    return lng_shortlist_read(scratch_write("list", data, size), l->source, l->target, false,
                              &l->options, &l->list);
}

static void lists_release(struct lists *l)
{
    lng_shortlist_release(&l->list);
    lng_vocab_close(l->source);
    lng_vocab_close(l->target);
}

/* The list of source words 2 and 4 with one more token, as text. */
static const char *collect(const struct lists *l, int32_t extra)
{
    static char text[100];
    uint8_t marks[8] = {0};
    const int32_t source[] = {2, 4, 2};
    int32_t tokens[9], count = lng_shortlist_collect(&l->list, source, 3, &extra, 1, marks, tokens);
    text[0] = '\0';
    for (int32_t i = 0; i < count; i++)
        sprintf(text + strlen(text), "%d ", tokens[i]);
    cr_assert(count <= lng_shortlist_bound(&l->list, 3) + 1);
    for (int i = 0; i < 8; i++)
        cr_assert(marks[i] == 0, "marks are left as they were found");
    return text;
}

/* Of a the two best; of c one is too improbable; the pair given twice counts as the second time. */
Test(shortlist, text_form)
{
    static const char text[] = "A a 0.2\nB a 0.5\nC a 0.3\nD c 0.9\nE c 0.01\nNULL a 1\nF NULL 1\n"
                               "zebra a 1\nF b 1\nB\ta\t1e-3\n\n";
    struct lists l = lists_make();
    l.options.threshold = 0.05;
    check_ok(lists_read(&l, text, sizeof text - 1));
    cr_assert_str_eq(collect(&l, 7), "0 1 2 4 5 7 ");
    cr_assert(l.list.lines_left_out == 1);
    l.list.shared = true;
    cr_assert_str_eq(collect(&l, 0), "0 1 2 4 5 ");
    lists_release(&l);
}

Test(shortlist, text_form_refused)
{
    static const struct {
        const char *text, *part;
        enum lng_status status;
    } cases[] = {
        {"A a\n", "list:1: ", LNG_ERR_FORMAT},
        {"A a 0.5\nA a 0.5 0.5\n", "list:2: ", LNG_ERR_FORMAT},
        {"A a often\n", "'often'", LNG_ERR_FORMAT},
        {"A a nan\n", "'nan'", LNG_ERR_FORMAT},
        {"A a -1\n", "'-1'", LNG_ERR_FORMAT},
        {"A a 0x1p99999\n", "probability", LNG_ERR_FORMAT},
        {"", "no pair", LNG_ERR_MISMATCH},
        {"x y 0.5\n", "no pair", LNG_ERR_MISMATCH},
        {"<html><body> of course</body>\n", "list:1: ", LNG_ERR_FORMAT},
    };
    struct lists l = lists_make();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_fails(lists_read(&l, cases[i].text, strlen(cases[i].text)), cases[i].status,
                    cases[i].part);
    check_fails(
        lng_shortlist_read(scratch_path("missing"), l.source, l.target, false, &l.options, &l.list),
        LNG_ERR_IO, "missing");
    lists_release(&l);
}

/* ---- the binary form ---- */

enum { OFFSETS = 7, IDS = 5, HEADER = 48, SIZE = HEADER + 8 * OFFSETS + 4 * IDS };

static void sign(unsigned char *bytes, size_t size)
{
    lng_store_u64(bytes + 8, lng_shortlist_checksum(bytes + 16, (size - 16) / 8));
}

/* a -> C B, c -> D, d -> E F */
static void make_binary(unsigned char *bytes)
{
    const uint64_t words[] = {LNG_SHORTLIST_MAGIC, 0, 1, 2, OFFSETS, IDS, 0, 0, 0, 2, 2, 3, 5};
    const uint32_t ids[] = {4, 3, 5, 6, 7};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        lng_store_u64(bytes + 8 * i, words[i]);
    for (size_t i = 0; i < IDS; i++)
        lng_store_u32(bytes + HEADER + 8 * OFFSETS + 4 * i, ids[i]);
    sign(bytes, SIZE);
}

Test(shortlist, binary_form)
{
    struct lists l = lists_make();
    unsigned char bytes[SIZE];
    make_binary(bytes);
    check_ok(lists_read(&l, bytes, SIZE));
    cr_assert_str_eq(collect(&l, 0), "0 3 4 5 ");
    cr_assert(lng_shortlist_bound(&l.list, 2) == 5 && lng_shortlist_bound(&l.list, 1000000) == 8);
    lists_release(&l);
}

/* The sum that Marian's hash gives: seed ^= v + 0x9e3779b9 + (seed << 6) + (seed >> 2), from 0. */
Test(shortlist, checksum)
{
    unsigned char two[16];
    lng_store_u64(two, 1);
    lng_store_u64(two + 8, 2);
    uint64_t first = 0x9e3779baU, second = 0x9e3779bbU + (first << 6) + (first >> 2);
    cr_assert(lng_shortlist_checksum(two, 2) == (first ^ second));
}

static void refuse(struct lists *l, size_t at, uint64_t value, bool signed_again, size_t size,
                   enum lng_status status, const char *part)
{
    unsigned char bytes[SIZE + 8] = {0};
    make_binary(bytes);
    if (at < sizeof bytes)
        lng_store_u64(bytes + at, value);
    if (signed_again)
        sign(bytes, size);
    check_fails(lng_shortlist_parse_binary("list", bytes, size, 6, 8, &l->list), status, part);
}

Test(shortlist, binary_form_refused)
{
    struct lists l = lists_make();
    const size_t none = SIZE + 8, id = HEADER + 8 * OFFSETS;
    for (size_t size = 0; size < SIZE; size++) /* cut off anywhere */
        refuse(&l, none, 0, size >= 16, size, LNG_ERR_FORMAT, "cut off");
    refuse(&l, none, 0, true, SIZE + 4, LNG_ERR_FORMAT, "header speaks of");
    refuse(&l, 0, 7, false, SIZE, LNG_ERR_FORMAT, "magic");
    refuse(&l, 8, 7, false, SIZE, LNG_ERR_FORMAT, "checksum");
    refuse(&l, HEADER + 8 * 3, 1, false, SIZE, LNG_ERR_FORMAT, "checksum");
    /* sizes that wrap: 2^61 offsets are 0 bytes more */
    refuse(&l, 32, OFFSETS + (UINT64_C(1) << 61), true, SIZE, LNG_ERR_FORMAT, "header speaks of");
    refuse(&l, 40, IDS + (UINT64_C(1) << 62), true, SIZE, LNG_ERR_FORMAT, "header speaks of");
    refuse(&l, 32, UINT64_MAX, true, SIZE, LNG_ERR_FORMAT, "header speaks of");
    refuse(&l, 16, 9, true, SIZE, LNG_ERR_MISMATCH, "first words");
    refuse(&l, HEADER + 8, 3, true, SIZE, LNG_ERR_FORMAT, "offset 2: expected 3 to 5, found 0");
    refuse(&l, HEADER + 8 * 6, 6, true, SIZE, LNG_ERR_FORMAT, "offset 6: expected 3 to 5, found 6");
    refuse(&l, HEADER + 8 * 6, UINT64_MAX, true, SIZE, LNG_ERR_FORMAT, "offset 6");
    refuse(&l, id, 8, true, SIZE, LNG_ERR_MISMATCH,
           "id 0: expected a target word below 8, found 8");
    refuse(&l, id, UINT32_MAX, true, SIZE, LNG_ERR_MISMATCH, "id 0");
    unsigned char bytes[SIZE];
    make_binary(bytes);
    check_fails(lng_shortlist_parse_binary("list", bytes, SIZE, 5, 8, &l.list), LNG_ERR_MISMATCH,
                "source words");
    unsigned char empty[HEADER] = {0};
    lng_store_u64(empty, LNG_SHORTLIST_MAGIC);
    sign(empty, HEADER);
    check_fails(lng_shortlist_parse_binary("list", empty, HEADER, 6, 8, &l.list), LNG_ERR_MISMATCH,
                "found 0 offsets");
    lists_release(&l);
}

/* One bit wrong anywhere is found, but for those of an odd last id, which the checksum leaves out. */
Test(shortlist, every_bit)
{
    struct lists l = lists_make();
    unsigned char bytes[SIZE];
    for (size_t bit = 0; bit < 8 * (SIZE - 4); bit++) {
        make_binary(bytes);
        bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
        enum lng_status status = lng_shortlist_parse_binary("list", bytes, SIZE, 6, 8, &l.list);
        cr_assert(status != LNG_OK, "bit %zu", bit);
    }
    lists_release(&l);
}

/* ---- writing ---- */

static const int64_t written_offsets[] = {0, 0, 0, 2, 2, 3, 5};
static const int32_t written_targets[] = {4, 3, 5, 6, 7};
static const double written_probabilities[] = {0.5, 0.25, 1, 0.125, 1e-9};
static const struct lng_shortlist_table written = {6, written_offsets, written_targets,
                                                   written_probabilities};

/* What is written is what the tests above read. */
Test(shortlist, written_and_read)
{
    static const char text[] = "C a 0.5\nB a 0.25\nD c 1\nE d 0.125\nF d 1e-09\n";
    struct lists l = lists_make();
    struct lng_buffer content = {0};
    unsigned char bytes[SIZE];
    int64_t left_out = -1;
    const char *path = scratch_path("written");
    check_ok(lng_shortlist_write_text(path, &written, l.source, l.target, &left_out));
    check_ok(lng_file_read(path, 1000, &content));
    cr_assert_str_eq(content.data, text);
    cr_assert(left_out == 0);
    check_ok(lists_read(&l, content.data, content.length));
    cr_assert_str_eq(collect(&l, 0), "0 1 3 4 5 ");
    lng_shortlist_release(&l.list);
    path = scratch_path("written");
    check_ok(lng_shortlist_write_binary(path, &written, 1, 2));
    check_ok(lng_file_read(path, 1000, &content));
    make_binary(bytes);
    lng_store_u32(bytes + HEADER + 8 * OFFSETS, 3); /* by id */
    lng_store_u32(bytes + HEADER + 8 * OFFSETS + 4, 4);
    sign(bytes, SIZE);
    cr_assert(content.length == SIZE && memcmp(content.data, bytes, SIZE) == 0);
    check_ok(lists_read(&l, content.data, content.length));
    cr_assert_str_eq(collect(&l, 0), "0 3 4 5 ");
    lng_buffer_release(&content);
    lists_release(&l);
}

/* Entries that would be read as something else. */
Test(shortlist, names_that_cannot_be_written)
{
    static const int64_t offsets[] = {0, 3, 4};
    static const int32_t targets[] = {0, 1, 2, 0};
    static const double probabilities[] = {0.5, 0.3, 0.2, 1};
    const struct lng_shortlist_table table = {2, offsets, targets, probabilities};
    struct lng_vocab *source = vocab_of("a NULL"), *target = vocab_of("A NULL");
    struct lng_buffer content = {0};
    int64_t left_out;
    scratch_make();
    check_ok(lng_vocab_add(target, "two words", 9, NULL));
    const char *path = scratch_path("written");
    check_ok(lng_shortlist_write_text(path, &table, source, target, &left_out));
    check_ok(lng_file_read(path, 1000, &content));
    cr_assert_str_eq(content.data, "A a 0.5\n");
    cr_assert(left_out == 3);
    check_fails(
        lng_shortlist_write_text(scratch_path("missing/list"), &table, source, target, &left_out),
        LNG_ERR_IO, "missing");
    check_fails(lng_shortlist_write_binary(scratch_path("missing/list"), &table, 1, 1), LNG_ERR_IO,
                "missing");
    lng_buffer_release(&content);
    lng_vocab_close(source);
    lng_vocab_close(target);
}
