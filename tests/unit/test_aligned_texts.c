/* Translations in memory with the bytes that correspond. */
#include <criterion/criterion.h>
#include <string.h>

#include "host/base/mem.h"
#include "tests/support/check.h"
#include "tests/support/translate_rig.h"

struct seen {
    struct lng_buffer text; /* a line each */
    size_t lines, links, fail_at;
};

static bool is_token(struct lng_slice text, size_t begin, size_t end)
{
    /* Words of one letter, or the one with a line end in it, which translations have as a space. */
    return begin < end && end <= text.length && text.data[begin] != ' ' &&
           (end == text.length || text.data[end] == ' ') &&
           (begin == 0 || text.data[begin - 1] == ' ');
}

static enum lng_status take(void *context, const struct lng_aligned_text *aligned)
{
    struct seen *seen = context;
    size_t at = 0;
    if (++seen->lines == seen->fail_at)
        return lng_fail(LNG_ERR_IO, "no room");
    for (size_t i = 0; i < aligned->link_count; i++) {
        const struct lng_aligned_bytes *link = &aligned->links[i];
        cr_assert(link->target_begin >= at && link->target_end <= aligned->text.length);
        cr_assert(is_token(aligned->source, link->source_begin, link->source_end),
                  "line %zu: %zu to %zu of '%.*s'", seen->lines, link->source_begin,
                  link->source_end, (int)aligned->source.length, aligned->source.data);
        cr_assert(is_token(aligned->text, link->target_begin, link->target_end),
                  "line %zu: %zu to %zu of '%.*s'", seen->lines, link->target_begin,
                  link->target_end, (int)aligned->text.length, aligned->text.data);
        at = link->target_end;
    }
    seen->links += aligned->link_count;
    check_ok(lng_buffer_append(&seen->text, aligned->text.data, aligned->text.length));
    return lng_buffer_append_byte(&seen->text, '\n');
}

/* The same texts as without; every word of a translation has its source, in later segments too. */
Test(aligned_texts, words_and_their_places)
{
    enum { LINES = 40 };
    struct translate_rig *rig = translate_rig_open();
    struct lng_slice lines[LINES];
    struct lng_buffer want = {0};
    struct seen seen = {0};
    size_t words = 0;
    for (int i = 0; i < LINES; i++)
        lines[i] = lng_slice_of(lng_strdup(translate_rig_kind(i)));
    check_ok(lng_translator_texts(rig->translator, lines, LINES, &want));
    check_fails(lng_translator_aligned(rig->translator, lines, LINES, take, &seen),
                LNG_ERR_INTERNAL, "alignment");
    rig->options.alignment = LNG_TRANSLATE_ALIGNMENT_HARD;
    translate_rig_reopen(rig);
    check_ok(lng_translator_aligned(rig->translator, lines, LINES, take, &seen));
    cr_assert(seen.lines == LINES && seen.text.length == want.length &&
              memcmp(seen.text.data, want.data, want.length) == 0);
    for (struct lng_slice rest = {want.data, want.length}, word; lng_text_next_word(&rest, &word);)
        words++;
    cr_assert(seen.links > LINES && seen.links <= words, "%zu links of %zu words", seen.links,
              words);
    seen.lines = 0;
    seen.fail_at = 3;
    check_fails(lng_translator_aligned(rig->translator, lines, LINES, take, &seen), LNG_ERR_IO,
                "no room");
    check_ok(lng_translator_aligned(rig->translator, lines, 0, take, &seen));
    for (int i = 0; i < LINES; i++)
        lng_free((void *)(uintptr_t)lines[i].data);
    lng_buffer_release(&want);
    lng_buffer_release(&seen.text);
    translate_rig_close(rig);
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}
