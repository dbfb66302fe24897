#include "host/cli/bench_input.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "host/base/file.h"
#include "host/base/philox.h"
#include "host/base/text.h"

enum { LONGEST = 100000 /* tokens of a sentence, either side */, ID_BYTES = 24 };

void lng_bench_sentences_release(struct lng_bench_sentences *sentences)
{
    lng_ids_release(&sentences->ids);
    lng_ids_release(&sentences->lengths);
    lng_ids_release(&sentences->produced);
    lng_free(sentences->begin);
    *sentences = (struct lng_bench_sentences){0};
}

/* The ids of the sentence are there already. */
static enum lng_status add_sentence(struct lng_bench_sentences *s, size_t length, int32_t produced)
{
    LNG_TRY(lng_ids_push(&s->lengths, (int32_t)length));
    LNG_TRY(lng_ids_push(&s->produced, produced));
    s->target_tokens += produced;
    s->longest = (int32_t)length > s->longest ? (int32_t)length : s->longest;
    s->most = produced > s->most ? produced : s->most;
    s->count++;
    return LNG_OK;
}

static enum lng_status find_begins(struct lng_bench_sentences *s)
{
    s->begin = lng_alloc(s->count, sizeof *s->begin);
    if (s->begin == NULL)
        return LNG_ERR_MEMORY;
    for (size_t i = 1; i < s->count; i++)
        s->begin[i] = s->begin[i - 1] + (size_t)s->lengths.data[i - 1];
    return LNG_OK;
}

/* ---- files -------------------------------------------------------------------------------------- */

static enum lng_status parse_number(struct lng_slice word, const char *what, int64_t low,
                                    int64_t high, int32_t *value)
{
    char text[ID_BYTES];
    int64_t number;
    LNG_FAIL_IF(word.length >= sizeof text || memchr(word.data, '\0', word.length) != NULL,
                LNG_ERR_FORMAT, "%s: expected a number from %lld to %lld, found '%.*s'", what,
                (long long)low, (long long)high, word.length < 40 ? (int)word.length : 40,
                word.data);
    memcpy(text, word.data, word.length);
    text[word.length] = '\0';
    enum lng_status status = lng_parse_int64(text, low, high, &number);
    if (status != LNG_OK)
        return lng_fail_context(status, "%s", what);
    *value = (int32_t)number;
    return LNG_OK;
}

static enum lng_status read_line(struct lng_bench_sentences *s, struct lng_slice line,
                                 int32_t vocabulary)
{
    struct lng_slice rest = line, ids, word;
    int32_t produced = 0, id;
    size_t length = 0;
    (void)lng_text_split(&rest, '\t', &ids);
    if (rest.data != NULL) {
        LNG_FAIL_IF(!lng_text_split(&rest, '\t', &word) || rest.data != NULL, LNG_ERR_FORMAT,
                    "expected one tab at most, before the number of tokens to produce");
        LNG_TRY(parse_number(lng_text_trim(word), "tokens to produce", 1, LONGEST, &produced));
    }
    while (lng_text_next_word(&ids, &word)) {
        LNG_TRY(parse_number(word, "token", 0, vocabulary - 1, &id));
        LNG_FAIL_IF(++length > LONGEST, LNG_ERR_RANGE, "expected %d tokens at most", LONGEST);
        LNG_TRY(lng_ids_push(&s->ids, id));
    }
    LNG_FAIL_IF(length == 0, LNG_ERR_FORMAT,
                "expected token ids separated by spaces, found an empty sentence");
    return add_sentence(s, length, produced);
}

static enum lng_status read_lines(struct lng_bench_sentences *s, struct lng_lines *lines,
                                  int32_t vocabulary)
{
    struct lng_line line;
    bool got;
    for (;;) {
        LNG_TRY(lng_lines_next(lines, &line, &got));
        if (!got)
            break;
        enum lng_status status =
            read_line(s, (struct lng_slice){line.data, line.length}, vocabulary);
        if (status != LNG_OK)
            return lng_fail_context(status, "line %llu",
                                    (unsigned long long)lng_lines_number(lines));
    }
    LNG_FAIL_IF(s->count == 0, LNG_ERR_FORMAT, "expected sentences of token ids, found nothing");
    return find_begins(s);
}

static enum lng_status read_file(const char *path, int32_t vocabulary,
                                 struct lng_bench_sentences *s)
{
    struct lng_lines *lines;
    LNG_TRY(lng_lines_open(path, &lines));
    enum lng_status status = read_lines(s, lines, vocabulary);
    lng_lines_close(lines);
    return status == LNG_OK ? LNG_OK : lng_fail_context(status, "%s", path);
}

/* ---- random ones -------------------------------------------------------------------------------- */

enum { SITE_LENGTH = 1, SITE_TOKEN = 2 };

/* Source lengths as BPE tokens of news (newstest2014): log-normal with this mean and standard deviation. */
static const double mean_length = 27, deviation = 14, shortest = 5, longest = 120;
static const double target_factor = 1.05, target_deviation = 2;

static struct lng_philox draw(uint64_t seed, uint32_t site, size_t sentence, size_t token)
{
    return lng_philox4x32((uint32_t)sentence, (uint32_t)token, site, 0, (uint32_t)seed,
                          (uint32_t)(seed >> 32));
}

/* Two independent standard normal numbers (Box and Muller 1958). */
static void normal_pair(uint64_t seed, size_t sentence, double normal[2])
{
    struct lng_philox random = draw(seed, SITE_LENGTH, sentence, 0);
    double radius = sqrt(-2 * log(lng_philox_uniform(random.word[0])));
    double angle = 6.283185307179586 * lng_philox_uniform(random.word[1]);
    normal[0] = radius * cos(angle);
    normal[1] = radius * sin(angle);
}

static void choose_lengths(uint64_t seed, size_t sentence, int32_t *source, int32_t *target)
{
    double normal[2], variance = log(1 + deviation * deviation / (mean_length * mean_length));
    normal_pair(seed, sentence, normal);
    double s = exp(log(mean_length) - variance / 2 + sqrt(variance) * normal[0]);
    s = round(fmin(fmax(s, shortest), longest));
    *source = (int32_t)s;
    *target = (int32_t)fmax(1, round(target_factor * s + target_deviation * normal[1]));
}

/* Uniform over the vocabulary without its special tokens; the last one is the end token, where there is one. */
static enum lng_status add_random(struct lng_bench_sentences *s, const struct lng_hparams *h,
                                  uint64_t seed, int32_t length, bool target)
{
    const int32_t special[] = {h->eos, h->unk, h->pad, h->source_eos};
    const int32_t end = target ? h->eos : h->source_eos;
    const int32_t vocabulary = target ? h->target_vocab : h->source_vocab;
    for (int32_t i = 0; i < length; i++) {
        bool taken = true;
        int32_t id = 0;
        if (i + 1 == length && end >= 0) {
            LNG_TRY(lng_ids_push(&s->ids, end));
            continue;
        }
        for (uint32_t attempt = 0; taken; attempt++) {
            struct lng_philox random = draw(seed + attempt, SITE_TOKEN, s->count, (size_t)i);
            id = (int32_t)(lng_philox_uniform(random.word[0]) * vocabulary);
            taken = false;
            for (size_t k = 0; k < sizeof special / sizeof special[0]; k++)
                taken = taken || id == special[k];
        }
        LNG_TRY(lng_ids_push(&s->ids, id));
    }
    return LNG_OK;
}

enum lng_status lng_bench_sentences_random(const struct lng_hparams *hparams, uint64_t seed,
                                           size_t count, int32_t length,
                                           struct lng_bench_sentences *sentences)
{
    for (size_t i = 0; i < count; i++) {
        int32_t source = length, target = length;
        if (length == 0)
            choose_lengths(seed, i, &source, &target);
        LNG_TRY(add_random(sentences, hparams, seed, source, false));
        LNG_TRY(add_sentence(sentences, (size_t)source, target));
    }
    return find_begins(sentences);
}

enum lng_status lng_bench_sentences_targets(const struct lng_hparams *hparams, uint64_t seed,
                                            const struct lng_bench_sentences *sources,
                                            struct lng_bench_sentences *targets)
{
    for (size_t i = 0; i < sources->count; i++) {
        int32_t length = sources->produced.data[i];
        LNG_TRY(add_random(targets, hparams, seed, length, true));
        LNG_TRY(add_sentence(targets, (size_t)length, length));
    }
    return find_begins(targets);
}

enum lng_status lng_bench_sentences_open(const struct lng_options *options,
                                         const struct lng_hparams *hparams,
                                         struct lng_bench_sentences *sentences)
{
    if (options->bench_ids != NULL)
        return read_file(options->bench_ids, hparams->source_vocab, sentences);
    return lng_bench_sentences_random(hparams, (uint64_t)options->seed,
                                      (size_t)options->bench_sentences, options->bench_length,
                                      sentences);
}
