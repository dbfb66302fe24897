#include "tokenizer/breaks.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

/* Few languages are used in one process; what comes later is opened anew each time. */
enum { MOST_KEPT = 16, LONGEST_LANGUAGE = 16 };

static struct {
    pthread_mutex_t lock;
    size_t count;
    struct {
        UBreakIteratorType type;
        char language[LONGEST_LANGUAGE];
        UBreakIterator *breaks; /* for copies only */
    } list[MOST_KEPT];
} kept = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Both with the lock held. */
static UBreakIterator *find(UBreakIteratorType type, const char *language)
{
    for (size_t i = 0; i < kept.count; i++)
        if (kept.list[i].type == type && strcmp(kept.list[i].language, language) == 0)
            return kept.list[i].breaks;
    return NULL;
}

static bool keep(UBreakIteratorType type, const char *language, UBreakIterator *breaks)
{
    size_t length = strlen(language);
    if (kept.count == MOST_KEPT || length >= LONGEST_LANGUAGE)
        return false;
    kept.list[kept.count].type = type;
    memcpy(kept.list[kept.count].language, language, length + 1);
    kept.list[kept.count++].breaks = breaks;
    return true;
}

enum lng_status lng_breaks_open(UBreakIteratorType type, const char *language,
                                UBreakIterator **breaks)
{
    UErrorCode error = U_ZERO_ERROR;
    language = language != NULL ? language : "";
    pthread_mutex_lock(&kept.lock);
    UBreakIterator *made = NULL, *first = find(type, language);
    if (first == NULL) {
        first = ubrk_open(type, language, NULL, 0, &error);
        if (U_SUCCESS(error) && !keep(type, language, first))
            made = first;
    }
    if (U_SUCCESS(error) && made == NULL)
        made = ubrk_clone(first, &error);
    pthread_mutex_unlock(&kept.lock);
    LNG_FAIL_IF(U_FAILURE(error),
                error == U_MEMORY_ALLOCATION_ERROR ? LNG_ERR_MEMORY : LNG_ERR_INTERNAL,
                "ICU has no rules for the %s of language '%s': %s",
                type == UBRK_WORD       ? "words"
                : type == UBRK_SENTENCE ? "sentences"
                                        : "lines",
                language, u_errorName(error));
    *breaks = made;
    return LNG_OK;
}
