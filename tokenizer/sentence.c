#include "tokenizer/sentence.h"

#include <stdint.h>
#include <string.h>
#include <unicode/utext.h>

#include "host/base/mem.h"
#include "host/base/text.h"
#include "tokenizer/breaks.h"

enum { MAX_TEXT_BYTES = 1 << 30, LONGEST_LANGUAGE = 16 };

enum when { ALWAYS, NUMBER };

static const struct abbreviation {
    const char *language, *word;
    enum when when;
} abbreviations[] = {
#define LNG_ABBREVIATION(language, word, when) {language, word, when},
#include "tokenizer/abbreviations.def"
};

static const char *const ordinal_languages[] = {
#define LNG_ORDINALS(language) language,
#include "tokenizer/abbreviations.def"
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "de" of "de", "de-AT" and "de_AT". */
static bool speaks(const char *language, const char *wanted)
{
    size_t length = strlen(wanted);
    return language != NULL && strncmp(language, wanted, length) == 0 &&
           (language[length] == '\0' || language[length] == '-' || language[length] == '_');
}

static bool in_table(struct lng_slice word, const char *language, bool common, bool number)
{
    for (size_t i = 0; i < sizeof abbreviations / sizeof abbreviations[0]; i++) {
        const struct abbreviation *a = &abbreviations[i];
        if ((a->language[0] == '\0') == common && (common || speaks(language, a->language)) &&
            (a->when == ALWAYS || number) && lng_slice_equals(word, a->word))
            return true;
    }
    return false;
}

/* What every language has: a word of plain letters, or one capital. */
static bool common_abbreviation(const char *text, size_t begin, size_t stop, bool number)
{
    size_t first = stop;
    while (first > begin && (text[first - 1] | 32) >= 'a' && (text[first - 1] | 32) <= 'z')
        first--;
    /* A word that goes on to the left in other letters is no abbreviation of ours. */
    if (first > begin && ((unsigned char)text[first - 1] >= 0x80 || text[first - 1] == '.'))
        return false;
    struct lng_slice word = {text + first, stop - first};
    if (word.length == 1 && word.data[0] >= 'A' && word.data[0] <= 'Z')
        return true;
    return in_table(word, NULL, true, number);
}

/* What one language has: all since the last space, inner full stops included, opening brackets not. */
static bool own_abbreviation(const char *text, size_t begin, size_t stop, const char *language,
                             bool number)
{
    size_t first = stop;
    while (first > begin && (unsigned char)text[first - 1] > ' ')
        first--;
    while (first < stop && strchr("([{\"'", text[first]) != NULL)
        first++;
    struct lng_slice word = {text + first, stop - first};
    bool digits = word.length == 1 || word.length == 2;
    for (size_t i = 0; i < word.length; i++)
        digits = digits && is_digit(word.data[i]);
    for (size_t i = 0; digits && i < sizeof ordinal_languages / sizeof ordinal_languages[0]; i++)
        if (speaks(language, ordinal_languages[i]))
            return true;
    return in_table(word, language, false, number);
}

bool lng_sentence_goes_on(const char *text, size_t length, size_t begin, size_t at,
                          const char *language)
{
    size_t end = at;
    while (end > begin && strchr(" \t\r\n", text[end - 1]) != NULL && text[end - 1] != '\0')
        end--;
    if (end <= begin || text[end - 1] != '.')
        return false;
    bool number = at < length && is_digit(text[at]);
    return common_abbreviation(text, begin, end - 1, number) ||
           (language != NULL && own_abbreviation(text, begin, end - 1, language, number));
}

struct lng_sentences {
    UBreakIterator *breaks;
    char language[LONGEST_LANGUAGE];
};

enum lng_status lng_sentences_open(const char *language, struct lng_sentences **sentences)
{
    struct lng_sentences *made = lng_alloc(1, sizeof *made);
    if (made == NULL)
        return LNG_ERR_MEMORY;
    if (language != NULL && strlen(language) < sizeof made->language)
        memcpy(made->language, language, strlen(language) + 1);
    enum lng_status status = lng_breaks_open(UBRK_SENTENCE, made->language, &made->breaks);
    if (status != LNG_OK) {
        lng_free(made);
        return status;
    }
    *sentences = made;
    return LNG_OK;
}

void lng_sentences_close(struct lng_sentences *sentences)
{
    if (sentences == NULL)
        return;
    ubrk_close(sentences->breaks);
    lng_free(sentences);
}

enum lng_status lng_sentences_split(struct lng_sentences *sentences, const char *text,
                                    size_t length, struct lng_segments *segments)
{
    UErrorCode error = U_ZERO_ERROR;
    LNG_FAIL_IF(length > MAX_TEXT_BYTES, LNG_ERR_RANGE,
                "a paragraph of %zu bytes, expected at most %d: is it a text file?", length,
                MAX_TEXT_BYTES);
    UText *view = utext_openUTF8(NULL, text, (int64_t)length, &error);
    if (U_SUCCESS(error))
        ubrk_setUText(sentences->breaks, view, &error);
    enum lng_status status = LNG_OK;
    if (U_FAILURE(error))
        status = lng_fail(error == U_MEMORY_ALLOCATION_ERROR ? LNG_ERR_MEMORY : LNG_ERR_INTERNAL,
                          "ICU cannot find the sentences of a text: %s", u_errorName(error));
    size_t begin = 0;
    if (status == LNG_OK)
        (void)ubrk_first(sentences->breaks);
    while (status == LNG_OK && begin < length) {
        int32_t next = ubrk_next(sentences->breaks);
        size_t at = next == UBRK_DONE ? length : (size_t)next;
        if (at < length && lng_sentence_goes_on(text, length, begin, at, sentences->language))
            continue;
        status = lng_grow(&segments->data, &segments->capacity, segments->count + 1,
                          sizeof *segments->data);
        if (status == LNG_OK)
            segments->data[segments->count++] = (struct lng_segment){begin, at};
        begin = at;
    }
    if (view != NULL)
        utext_close(view);
    return status;
}
