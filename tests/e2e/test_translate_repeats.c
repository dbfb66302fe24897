/* Sentences that come again are not searched again, and nobody can tell from the output. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "host/base/mem.h"
#include "tests/support/check.h"
#include "tests/support/scratch.h"
#include "tests/support/translate_rig.h"

enum { LINES = 160 };

/* Lines that repeat near and far, some only in parts of long lines, each with one of three prefixes. */
static void make_text(struct lng_buffer *text, struct lng_buffer *prefixes)
{
    static const char *const prefix[] = {"", "b", "c d"};
    for (int i = 0; i < LINES; i++) {
        if (i % 20 == 7)
            for (int k = 0; k < 3; k++)
                check_ok(lng_buffer_append_text(text, "a b c d e f g h i j . "));
        check_ok(lng_buffer_append_format(text, "%s%s", translate_rig_kind(i),
                                          i % 9 == 4 ? "\r\n" : "\n"));
        check_ok(lng_buffer_append_format(prefixes, "%s\n", prefix[i / 3 % 3]));
    }
}

static void same_stats(const struct lng_translate_stats *a, const struct lng_translate_stats *b)
{
    cr_assert(a->lines == b->lines && a->blank == b->blank && a->cut == b->cut);
    cr_assert(a->source_tokens == b->source_tokens && a->target_tokens == b->target_tokens);
    cr_assert(a->inexact == b->inexact && a->at_limit == b->at_limit);
}

static void compare(struct translate_rig *rig, const struct lng_buffer *text, const char *prefixes)
{
    static const size_t memories[] = {0, 3000, 20000, 64 << 20};
    struct lng_buffer plain = {0};
    struct lng_translate_stats first;
    uint64_t repeated = 0;
    for (size_t m = 0; m < sizeof memories / sizeof memories[0]; m++) {
        rig->options.repeat_bytes = memories[m];
        translate_rig_reopen(rig);
        check_ok(translate_rig_bytes(rig, text->data, text->length, prefixes));
        struct lng_translate_stats stats = lng_translator_get_stats(rig->translator);
        if (m == 0) {
            check_ok(lng_buffer_append(&plain, rig->out.data, rig->out.length));
            first = stats;
        }
        cr_assert(plain.length == rig->out.length &&
                      memcmp(plain.data, rig->out.data, plain.length) == 0,
                  "with %zu bytes", memories[m]);
        same_stats(&first, &stats);
        cr_assert(stats.repeated >= repeated, "more memory, more repetitions found");
        cr_assert((stats.repeated > 0) == (m > 0));
        cr_assert(m == 0 || stats.search.encoded < first.search.encoded);
        repeated = stats.repeated;
    }
    /* with memory enough each of the few sentences is searched once */
    cr_assert(repeated > LINES / 2, "%llu repeated", (unsigned long long)repeated);
    lng_buffer_release(&plain);
}

Test(translate_repeats, same_output)
{
    scratch_make();
    struct translate_rig *rig = translate_rig_open();
    struct lng_buffer text = {0}, prefixes = {0};
    make_text(&text, &prefixes);
    static const struct {
        enum lng_translate_format format;
        enum lng_translate_alignment alignment;
        int n_best;
    } cases[] = {
        {LNG_TRANSLATE_PLAIN, LNG_TRANSLATE_ALIGNMENT_NONE, 1},
        {LNG_TRANSLATE_PLAIN, LNG_TRANSLATE_ALIGNMENT_HARD, 1},
        {LNG_TRANSLATE_NBEST, LNG_TRANSLATE_ALIGNMENT_NONE, 2},
        {LNG_TRANSLATE_NBEST, LNG_TRANSLATE_ALIGNMENT_SOFT, 2},
        {LNG_TRANSLATE_JSON, LNG_TRANSLATE_ALIGNMENT_SOFT, 2},
        {LNG_TRANSLATE_JSON, LNG_TRANSLATE_ALIGNMENT_NONE, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rig->options.format = cases[i].format;
        rig->options.alignment = cases[i].alignment;
        rig->options.search.beam.n_best = cases[i].n_best;
        compare(rig, &text, NULL);
        compare(rig, &text, prefixes.data);
    }
    lng_buffer_release(&text);
    lng_buffer_release(&prefixes);
    translate_rig_close(rig);
    scratch_remove();
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

/* A prefix is a part of what is the same. */
Test(translate_repeats, prefixes_are_told_apart)
{
    scratch_make();
    struct translate_rig *rig = translate_rig_open();
    translate_rig_reopen(rig);
    check_ok(translate_rig_bytes(rig, "a b c\na b c\na b c\n", 18, "d\ne f\nd\n"));
    cr_assert(lng_translator_get_stats(rig->translator).repeated == 1);
    cr_assert(translate_rig_line(rig, 0).data[0] == 'd');
    cr_assert(translate_rig_line(rig, 1).data[0] == 'e');
    cr_assert(translate_rig_line(rig, 2).data[0] == 'd');
    translate_rig_close(rig);
    scratch_remove();
}

struct reports {
    uint64_t last;
    int count;
};

static void on_progress(void *context, uint64_t lines)
{
    struct reports *reports = context;
    cr_assert(lines >= reports->last && lines <= LINES);
    reports->last = lines;
    reports->count++;
}

/* Inside windows too, forward only, and up to the last line; not for texts in memory. */
Test(translate_repeats, progress)
{
    scratch_make();
    struct translate_rig *rig = translate_rig_open();
    struct lng_buffer text = {0}, prefixes = {0};
    struct reports reports = {0, 0};
    make_text(&text, &prefixes);
    rig->options.window = 100;
    rig->options.progress = on_progress;
    rig->options.progress_context = &reports;
    translate_rig_reopen(rig);
    check_ok(translate_rig_bytes(rig, text.data, text.length, NULL));
    cr_assert(reports.last == LINES && reports.count > 4, "%d reports", reports.count);
    int count = reports.count;
    lng_buffer_clear(&text);
    translate_rig_alone(rig, "p o n m", &text);
    cr_assert(reports.count == count);
    lng_buffer_release(&text);
    lng_buffer_release(&prefixes);
    translate_rig_close(rig);
    scratch_remove();
}
