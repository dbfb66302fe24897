#include "host/documents/linked_words.h"

#include <string.h>
#include <unicode/uchar.h>
#include <unicode/utext.h>

#include "host/base/mem.h"
#include "tokenizer/breaks.h"

/* Comparing every word with every word must stay cheap, and all markup with all markup. */
enum { MOST_COMPARISONS = 1 << 22, MOST_ITEMS = 1 << 13 };

struct lng_words {
    UBreakIterator *breaks;
    struct lng_protector *protector;
};

enum lng_status lng_words_open(struct lng_protector *protector, struct lng_words **words)
{
    struct lng_words *made = lng_alloc(1, sizeof *made);
    if (made == NULL)
        return LNG_ERR_MEMORY;
    made->protector = protector;
    enum lng_status status = lng_breaks_open(UBRK_WORD, "", &made->breaks);
    if (status != LNG_OK) {
        lng_free(made);
        return status;
    }
    *words = made;
    return LNG_OK;
}

void lng_words_close(struct lng_words *words)
{
    if (words == NULL)
        return;
    ubrk_close(words->breaks);
    lng_free(words);
}

void lng_joined_release(struct lng_joined *joined)
{
    lng_buffer_release(&joined->text);
    lng_free(joined->sentences);
    lng_free(joined->source.data);
    lng_free(joined->target.data);
    *joined = (struct lng_joined){0};
}

/* ---- joining ---- */

/* Scripts that put no space between sentences: what ends so needs none behind it. */
static bool is_ideographic(const char *text, size_t length)
{
    uint32_t c = 0;
    size_t at = length;
    while (at > 0 && length - at < 4 && ((unsigned char)text[--at] & 0xC0) == 0x80) {
    }
    (void)lng_utf8_decode(text + at, length - at, &c);
    return c != LNG_UTF8_INVALID && c >= 0x2E80 &&
           u_getIntPropertyValue((UChar32)c, UCHAR_EAST_ASIAN_WIDTH) >= U_EA_FULLWIDTH;
}

static enum lng_status append_collapsed(struct lng_buffer *text, struct lng_slice slice)
{
    for (size_t i = 0; i < slice.length; i++)
        if (!lng_is_space(slice.data[i]))
            LNG_TRY(lng_buffer_append_byte(text, slice.data[i]));
        else if (text->length > 0 && text->data[text->length - 1] != ' ')
            LNG_TRY(lng_buffer_append_byte(text, ' '));
    return LNG_OK;
}

static enum lng_status join(const struct lng_segment_view *view,
                            const struct lng_translated *translated, struct lng_joined *joined)
{
    const struct lng_segments *sentences = &view->sentences;
    joined->sentences = lng_alloc(sentences->count, sizeof *joined->sentences);
    if (joined->sentences == NULL)
        return LNG_ERR_MEMORY;
    LNG_TRY(lng_buffer_reserve(&joined->text, 0));
    for (size_t i = 0; i < sentences->count; i++) {
        if (i > 0 && joined->text.length > 0 &&
            !is_ideographic(joined->text.data, joined->text.length))
            LNG_TRY(lng_buffer_append_byte(&joined->text, ' '));
        joined->sentences[i].begin = joined->text.length;
        LNG_TRY(append_collapsed(&joined->text, translated[i].text));
        joined->sentences[i].end = joined->text.length;
    }
    return LNG_OK;
}

/* ---- words ---- */

/* What cuts[i] says of the place before byte i: a word of Unicode's begins or ends here; so does a part of one. */
enum { CUT = 1, PART = 2, KEPT = 4 };

static enum lng_status mark_cuts(struct lng_words *words, const char *text, size_t length,
                                 unsigned char *cuts)
{
    UErrorCode error = U_ZERO_ERROR;
    UText *view = utext_openUTF8(NULL, text, (int64_t)length, &error);
    if (U_SUCCESS(error))
        ubrk_setUText(words->breaks, view, &error);
    if (U_SUCCESS(error)) {
        (void)ubrk_first(words->breaks);
        for (int32_t at; (at = ubrk_next(words->breaks)) != UBRK_DONE;)
            cuts[at] |= CUT;
    }
    if (view != NULL)
        utext_close(view);
    LNG_FAIL_IF(U_FAILURE(error), LNG_ERR_INTERNAL, "ICU cannot find the words of a text: %s",
                u_errorName(error));
    return LNG_OK;
}

static void mark_keep(unsigned char *cuts, size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i++)
        cuts[i] = KEPT;
    cuts[begin] = CUT | KEPT;
    cuts[end] |= CUT;
}

static enum lng_status add_word(struct lng_word_list *list, struct lng_word word)
{
    LNG_TRY(lng_grow(&list->data, &list->capacity, list->count + 1, sizeof *list->data));
    list->data[list->count++] = word;
    return LNG_OK;
}

static enum lng_status collect_words(const char *text, size_t length, const unsigned char *cuts,
                                     const struct lng_segment *sentences, size_t sentence_count,
                                     struct lng_word_list *list)
{
    size_t sentence = 0, whole = 0;
    for (size_t begin = 0, end; begin < length; begin = end) {
        end = begin + 1;
        while (end < length && (cuts[end] & (CUT | PART)) == 0)
            end++;
        whole = cuts[begin] & CUT || begin == 0 ? begin : whole;
        while (sentence + 1 < sentence_count && begin >= sentences[sentence].end)
            sentence++;
        if (text[begin] != ' ' || end - begin > 1)
            LNG_TRY(add_word(
                list, (struct lng_word){begin, end, whole, sentence, SIZE_MAX, SIZE_MAX, 0}));
    }
    return LNG_OK;
}

static enum lng_status source_words(const struct lng_segment_view *view, struct lng_words *words,
                                    struct lng_word_list *list)
{
    const char *text = view->text.data;
    size_t length = view->text.length, at = 0;
    unsigned char *cuts = lng_alloc(length + 1, 1);
    if (cuts == NULL)
        return LNG_ERR_MEMORY;
    enum lng_status status = mark_cuts(words, text, length, cuts);
    for (size_t i = 0; i < view->item_count && status == LNG_OK; i++) {
        const struct lng_item *item = &view->items[i];
        if (item->kind == LNG_PIECE_KEEP && item->end > item->begin)
            mark_keep(cuts, item->begin, item->end);
        else if (item->kind != LNG_PIECE_TEXT && !(cuts[item->begin] & (CUT | KEPT)))
            cuts[item->begin] |= PART;
    }
    if (status == LNG_OK)
        status =
            collect_words(text, length, cuts, view->sentences.data, view->sentences.count, list);
    for (size_t i = 0; i < view->item_count && status == LNG_OK; i++) {
        const struct lng_item *item = &view->items[i];
        while (at < list->count && list->data[at].begin < item->begin)
            at++;
        if (item->kind == LNG_PIECE_KEEP && item->end > item->begin && at < list->count)
            list->data[at].keep = i;
    }
    lng_free(cuts);
    return status;
}

static bool is_word_byte(char c)
{
    return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '_' ||
           (c & 0x80) != 0;
}

/* Where the text of `keep` stands in the translation, from `from` on, as a word of its own and not yet taken. */
static bool find_keep(const struct lng_joined *joined, const unsigned char *cuts, size_t from,
                      size_t end, const char *keep, size_t length, size_t *found)
{
    const char *text = joined->text.data;
    while (end - from >= length) {
        const char *hit = memmem(text + from, end - from, keep, length);
        if (hit == NULL)
            return false;
        size_t at = (size_t)(hit - text), after = at + length;
        bool apart = !(at > 0 && is_word_byte(text[at - 1]) && is_word_byte(keep[0])) &&
                     !(after < joined->text.length && is_word_byte(text[after]) &&
                       is_word_byte(keep[length - 1]));
        bool taken = false;
        for (size_t i = at; i < after; i++)
            taken |= (cuts[i] & KEPT) != 0;
        if (apart && !taken) {
            *found = at;
            return true;
        }
        from = at + 1;
    }
    return false;
}

/* Does each sentence have as many placeholders in both? Else one was lost, or made. */
static enum lng_status compare_counts(const struct lng_segment_view *view,
                                      const struct lng_joined *joined, struct lng_words *words,
                                      bool *equal)
{
    *equal = true;
    for (size_t i = 0; i < view->sentences.count && *equal; i++) {
        const struct lng_segment *from = &view->sentences.data[i], *to = &joined->sentences[i];
        struct lng_protected_list list;
        LNG_TRY(lng_protector_find(words->protector, view->text.data + from->begin,
                                   from->end - from->begin, &list));
        size_t count = list.count;
        LNG_TRY(lng_protector_find(words->protector, joined->text.data + to->begin,
                                   to->end - to->begin, &list));
        *equal = list.count == count;
    }
    return LNG_OK;
}

struct placed_keep {
    size_t at, word; /* where in the translation; which word of the source */
};

/* Finds each kept word of the source in its sentence's translation. */
static bool mark_keeps(const struct lng_segment_view *view, const struct lng_joined *joined,
                       unsigned char *cuts, struct placed_keep *keeps, size_t *count)
{
    for (size_t i = 0; i < joined->source.count; i++) {
        const struct lng_word *word = &joined->source.data[i];
        const struct lng_segment *to = &joined->sentences[word->sentence];
        size_t at;
        if (word->keep == SIZE_MAX)
            continue;
        if (!find_keep(joined, cuts, to->begin, to->end, view->text.data + word->begin,
                       word->end - word->begin, &at))
            return false;
        mark_keep(cuts, at, at + (word->end - word->begin));
        keeps[(*count)++] = (struct placed_keep){at, i};
    }
    return true;
}

/* A word whose parts are marked up apart and which the translation has as it is ("H2O") is cut there alike. */
static void cut_alike(const struct lng_segment_view *view, const struct lng_joined *joined,
                      const struct lng_word_list *plain, unsigned char *cuts)
{
    const char *from = view->text.data, *to = joined->text.data;
    for (size_t i = 0; i < joined->source.count; i++) {
        const struct lng_word *part = &joined->source.data[i];
        size_t last = i;
        if (part->whole != part->begin || i + 1 == joined->source.count ||
            joined->source.data[i + 1].whole != part->begin)
            continue;
        while (last + 1 < joined->source.count &&
               joined->source.data[last + 1].whole == part->begin)
            last++;
        size_t length = joined->source.data[last].end - part->begin;
        for (size_t j = 0; j < plain->count; j++) {
            const struct lng_word *word = &plain->data[j];
            if (word->end - word->begin == length &&
                memcmp(from + part->begin, to + word->begin, length) == 0)
                for (size_t k = i; k <= last; k++)
                    cuts[word->begin + joined->source.data[k].begin - part->begin] |= PART;
        }
        i = last;
    }
}

static enum lng_status target_words(const struct lng_segment_view *view, struct lng_words *words,
                                    struct lng_joined *joined, bool *fine)
{
    size_t length = joined->text.length, count = 0;
    struct lng_word_list plain = {0};
    enum lng_status status;
    unsigned char *cuts = lng_alloc(length + 1, 1);
    struct placed_keep *keeps = lng_alloc(joined->source.count, sizeof *keeps);
    status = cuts != NULL && keeps != NULL ? LNG_OK : LNG_ERR_MEMORY;
    if (status == LNG_OK)
        status = mark_cuts(words, joined->text.data, length, cuts);
    if (status == LNG_OK && !mark_keeps(view, joined, cuts, keeps, &count)) {
        *fine = false;
        goto fail;
    }
    if (status == LNG_OK)
        status = collect_words(joined->text.data, length, cuts, joined->sentences,
                               view->sentences.count, &plain);
    if (status == LNG_OK && plain.count * (joined->source.count + 1) > MOST_COMPARISONS) {
        *fine = false;
        goto fail;
    }
    LNG_TRY_OR_FAIL(status);
    cut_alike(view, joined, &plain, cuts);
    LNG_TRY_OR_FAIL(collect_words(joined->text.data, length, cuts, joined->sentences,
                                  view->sentences.count, &joined->target));
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < joined->target.count; j++)
            if (joined->target.data[j].begin == keeps[i].at) {
                joined->target.data[j].keep = joined->source.data[keeps[i].word].keep;
                joined->target.data[j].link = keeps[i].word;
            }
fail:
    lng_free(plain.data);
    lng_free(cuts);
    lng_free(keeps);
    return status;
}

/* ---- links ---- */

struct range {
    size_t begin, end;
};

static struct range words_of(const struct lng_word_list *list, size_t sentence, size_t from)
{
    struct range range = {from, from};
    while (range.begin < list->count && list->data[range.begin].sentence < sentence)
        range.begin++;
    for (range.end = range.begin;
         range.end < list->count && list->data[range.end].sentence == sentence;)
        range.end++;
    return range;
}

/* By what the translator says: the word at the middle of the source bytes. */
static void link_given(const struct lng_segment_view *view, const struct lng_translated *translated,
                       struct lng_joined *joined, size_t sentence, struct range from,
                       struct range to)
{
    size_t source = view->sentences.data[sentence].begin,
           target = joined->sentences[sentence].begin;
    for (size_t i = 0; i < translated->link_count; i++) {
        const struct lng_link *link = &translated->links[i];
        size_t middle = source + (link->source_begin + link->source_end) / 2;
        for (size_t j = to.begin; j < to.end; j++) {
            struct lng_word *word = &joined->target.data[j];
            if (word->link != SIZE_MAX || word->end <= target + link->target_begin ||
                word->begin >= target + link->target_end)
                continue;
            for (size_t k = from.begin; k < from.end; k++)
                if (joined->source.data[k].end > middle) {
                    word->link = k;
                    break;
                }
        }
    }
}

/* The one word of a list that is equal to this text; SIZE_MAX when there is none, or more. */
static size_t only_equal(const struct lng_word_list *list, struct range range, const char *all,
                         const char *text, size_t length)
{
    size_t found = SIZE_MAX;
    for (size_t i = range.begin; i < range.end; i++) {
        const struct lng_word *word = &list->data[i];
        if (word->end - word->begin != length || memcmp(all + word->begin, text, length) != 0)
            continue;
        if (found != SIZE_MAX)
            return SIZE_MAX;
        found = i;
    }
    return found;
}

/* Words that stand once in the source and once in the translation, numbers and names mostly. */
static void link_equal(const struct lng_segment_view *view, struct lng_joined *joined,
                       struct range from, struct range to)
{
    for (size_t j = to.begin; j < to.end; j++) {
        struct lng_word *word = &joined->target.data[j];
        const char *text = joined->text.data + word->begin;
        size_t length = word->end - word->begin;
        bool digit = text[0] >= '0' && text[0] <= '9';
        if (word->keep != SIZE_MAX || (!digit && !lng_text_has_letter(text, length)))
            continue;
        size_t k = only_equal(&joined->source, from, view->text.data, text, length);
        if (k != SIZE_MAX && only_equal(&joined->target, to, joined->text.data, text, length) == j)
            word->link = k;
    }
}

/* The rest in proportion, between neighbours that are linked and in order. */
static void link_rest(struct lng_joined *joined, struct range from, struct range to)
{
    size_t words = to.end - to.begin, sources = from.end - from.begin;
    for (size_t j = to.begin; j < to.end && sources > 0;) {
        if (joined->target.data[j].link != SIZE_MAX) {
            j++;
            continue;
        }
        size_t end = j;
        while (end < to.end && joined->target.data[end].link == SIZE_MAX)
            end++;
        size_t low = j > to.begin ? joined->target.data[j - 1].link + 1 : from.begin;
        size_t high = end < to.end ? joined->target.data[end].link : from.end;
        for (size_t i = j; i < end; i++) {
            size_t k = low < high ? low + (2 * (i - j) + 1) * (high - low) / (2 * (end - j))
                                  : from.begin + (2 * (i - to.begin) + 1) * sources / (2 * words);
            joined->target.data[i].link = k < from.end ? k : from.end - 1;
        }
        j = end;
    }
}

enum lng_status lng_join_sentences(const struct lng_segment_view *view,
                                   const struct lng_translated *translated, struct lng_words *words,
                                   struct lng_joined *joined, bool *fine)
{
    struct range from = {0, 0}, to = {0, 0};
    LNG_TRY(join(view, translated, joined));
    LNG_TRY(source_words(view, words, &joined->source));
    *fine = view->item_count <= MOST_ITEMS &&
            joined->source.count * joined->source.count <= MOST_COMPARISONS;
    if (*fine)
        LNG_TRY(compare_counts(view, joined, words, fine));
    if (*fine)
        LNG_TRY(target_words(view, words, joined, fine));
    for (size_t i = 0; i < view->sentences.count && *fine; i++) {
        from = words_of(&joined->source, i, from.end);
        to = words_of(&joined->target, i, to.end);
        link_equal(view, joined, from, to);
        link_given(view, &translated[i], joined, i, from, to);
        link_rest(joined, from, to);
    }
    return LNG_OK;
}
