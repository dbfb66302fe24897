/* An encoder for tests of host/data: a word is a token. No vocabulary, no SentencePiece. */
#ifndef LNG_TESTS_SUPPORT_WORD_ENCODER_H
#define LNG_TESTS_SUPPORT_WORD_ENCODER_H

#include "host/base/bytes.h"
#include "host/data/batch.h"

enum { WORD_EOS = 0, WORD_UNKNOWN = 1, WORD_FIRST = 16 };

/* "unk" is WORD_UNKNOWN, "FAIL" fails, "~" is no token; a number n is WORD_FIRST + n; any other
 * word is decided by its bytes. With `sampling` (context not NULL) the epoch and the sentence
 * count too. */
static inline enum lng_status word_encode(void *sampling, enum lng_side side, const char *text,
                                          size_t length, uint64_t epoch, uint32_t sentence_id,
                                          struct lng_ids *ids)
{
    struct lng_slice rest = {text, length}, word;
    (void)side;
    while (lng_text_next_word(&rest, &word)) {
        uint64_t id = 0;
        bool number = true;
        for (size_t i = 0; i < word.length; i++) {
            number = number && word.data[i] >= '0' && word.data[i] <= '9';
            id = id * 10 + (uint64_t)(word.data[i] - '0');
        }
        if (!number)
            id = lng_checksum(word.data, word.length) % 30000;
        if (sampling != NULL)
            id = (id + epoch * 7919 + sentence_id) % 30000;
        LNG_FAIL_IF(lng_slice_equals(word, "FAIL"), LNG_ERR_UNSUPPORTED, "cannot encode FAIL");
        if (!lng_slice_equals(word, "~"))
            LNG_TRY(lng_ids_push(ids, lng_slice_equals(word, "unk") ? WORD_UNKNOWN
                                                                    : (int32_t)id + WORD_FIRST));
    }
    return LNG_OK;
}

#endif
