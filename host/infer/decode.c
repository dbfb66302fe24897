#include "host/infer/decode.h"

#include "host/base/mem.h"
#include "host/infer/decode_crew.h"
#include "host/infer/decode_state.h"
#include "host/infer/steer.h"

static const size_t default_cache_bytes = (size_t)1 << 30;

struct lng_search_options lng_search_options_default(void)
{
    return (struct lng_search_options){
        .beam = lng_beam_options_default(),
        .batch_tokens = 4096,
        .scores = true,
        .alignment_layer = LNG_SEARCH_TRAINED_LAYER,
        .steering = lng_steering_default(),
    };
}

static enum lng_status check_options(const struct lng_search_options *o,
                                     const struct lng_hparams *h)
{
    LNG_TRY(lng_beam_options_check(&o->beam));
    LNG_FAIL_IF(h->eos < 0, LNG_ERR_UNSUPPORTED,
                "the model names no end-of-sentence token, so a search could not end");
    LNG_FAIL_IF(o->batch_tokens < 1, LNG_ERR_RANGE, "batch tokens: expected 1 or more, found %lld",
                (long long)o->batch_tokens);
    LNG_FAIL_IF(o->batch_sentences < 0 || o->max_rows < 0, LNG_ERR_RANGE,
                "batch limits: expected 0 (none) or more, found %lld sentences, %lld rows",
                (long long)o->batch_sentences, (long long)o->max_rows);
    LNG_FAIL_IF(o->workers < 0, LNG_ERR_RANGE, "workers: expected 0 or more, found %d", o->workers);
    LNG_FAIL_IF(o->copy_count > 0 && o->steering.member_count > 0, LNG_ERR_UNSUPPORTED,
                "several models are searched with on one device, not on %d", 1 + o->copy_count);
    LNG_FAIL_IF(
        (o->alignment || o->steering.coverage_penalty > 0.0) &&
            (o->alignment_layer < LNG_SEARCH_TRAINED_LAYER ||
             o->alignment_layer >= h->decoder_layers || o->alignment_head >= h->decoder_heads),
        LNG_ERR_RANGE, "alignment from layer %d, head %d: the decoder has %d layers of %d heads",
        o->alignment_layer, o->alignment_head, h->decoder_layers, h->decoder_heads);
    for (size_t i = 0; i < o->banned_count; i++)
        LNG_FAIL_IF(o->banned[i] < 0 || o->banned[i] >= h->target_vocab, LNG_ERR_RANGE,
                    "banned token %d is outside the vocabulary of %d entries", o->banned[i],
                    h->target_vocab);
    return LNG_OK;
}

static enum lng_status upload_banned(struct lng_search *search,
                                     const struct lng_search_options *options)
{
    const struct lng_hparams *h = &search->model->hparams;
    int32_t *list = lng_alloc(options->banned_count + 2, sizeof *list);
    if (list == NULL)
        return LNG_ERR_MEMORY;
    int64_t n = 0;
    enum lng_status status = LNG_OK;
    if (h->pad >= 0 && h->pad != h->eos && !options->allow_pad)
        list[n++] = h->pad;
    if (h->unk >= 0 && h->unk != h->eos && !options->allow_unk)
        list[n++] = h->unk;
    for (size_t i = 0; i < options->banned_count; i++)
        list[n++] = options->banned[i];
    if (search->steer != NULL)
        status = lng_steer_set_banned(search->steer, list, n);
    void *memory = NULL;
    size_t bytes = (size_t)n * sizeof *list;
    if (n > 0 && status == LNG_OK)
        status = lng_device_alloc(search->model->device, bytes, &memory);
    if (n > 0 && status == LNG_OK)
        status = lng_device_write(search->model->device, memory, list, bytes);
    if (options->renormalise)
        search->excluded = list;
    else
        lng_free(list);
    search->banned = memory;
    search->banned_count = n;
    return status;
}

enum lng_status lng_search_open(struct lng_model *model, const struct lng_search_options *options,
                                struct lng_search **search)
{
    LNG_TRY(check_options(options, &model->hparams));
    struct lng_search *made = lng_alloc(1, sizeof *made);
    if (made == NULL)
        return LNG_ERR_MEMORY;
    made->model = model;
    made->options = *options;
    made->options.banned = NULL;
    made->options.beam.eos = model->hparams.eos;
    if (made->options.cache_bytes == 0)
        made->options.cache_bytes = default_cache_bytes;
    if (options->steering.choice != LNG_CHOICE_BEST) /* each hypothesis is on its own to its end */
        made->options.beam.stop = LNG_BEAM_STOP_EXHAUST;
    enum lng_status status = lng_steer_open(made, options, &made->steer);
    if (status == LNG_OK)
        status = upload_banned(made, options);
    if (status == LNG_OK && (options->workers != 1 || options->copy_count > 0))
        status = lng_crew_open(made, options);
    if (status != LNG_OK) {
        lng_search_close(made);
        return status;
    }
    *search = made;
    return LNG_OK;
}

void lng_search_close(struct lng_search *search)
{
    if (search == NULL)
        return;
    lng_crew_close(search->crew);
    lng_search_release_plan(search);
    lng_steer_close(search);
    lng_device_free(search->model->device, search->banned);
    lng_free(search->excluded);
    lng_free(search);
}

struct lng_search_stats lng_search_get_stats(const struct lng_search *search)
{
    struct lng_search_stats stats = search->stats;
    stats.cache_bytes = search->cache.bytes;
    stats.device_bytes =
        search->cache.bytes + search->device_memory_bytes + search->workspace_bytes;
    if (search->steer != NULL)
        stats.device_bytes += search->steer->device_bytes + search->steer->member_bytes;
    stats.sentences_at_once = search->plan.seats;
    stats.repeats = lng_device_repeat_stats(search->model->device);
    lng_crew_add_stats(search->crew, search, &stats);
    return stats;
}
