#include "tests/support/spm_fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static uint32_t draw(uint32_t *seed, uint32_t below)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (*seed >> 8) % below;
}

enum lng_status fixture_next_line(void *context, const char **text, size_t *length, bool *got)
{
    static const char *const starts[2][8] = {
        {"the", "walk", "talk", "read", "house", "tree", "green", "under"},
        {"der", "geh", "sprech", "lies", "Haus", "Baum", "grün", "unter"}};
    static const char *const ends[2][6] = {{"", "s", "ed", "ing", "er", "ly"},
                                           {"", "e", "en", "st", "te", "lich"}};
    static const char *const marks[] = {".", "!", "?", ",", ""};
    struct fixture_text *from = context;
    *got = from->left > 0;
    if (!*got)
        return LNG_OK;
    from->left--;
    int words = 2 + (int)draw(&from->seed, 8), used = 0;
    for (int i = 0; i < words; i++)
        used += snprintf(from->line + used, sizeof from->line - (size_t)used, "%s%s%s",
                         i > 0 ? " " : "", starts[from->german][draw(&from->seed, 8)],
                         ends[from->german][draw(&from->seed, 6)]);
    used += snprintf(from->line + used, sizeof from->line - (size_t)used, " %u%s",
                     draw(&from->seed, 2000), marks[draw(&from->seed, 5)]);
    *text = from->line;
    *length = (size_t)used;
    return LNG_OK;
}

enum lng_status fixture_next_of_list(void *context, const char **text, size_t *length, bool *got)
{
    struct fixture_list *from = context;
    *got = *from->lines != NULL;
    if (!*got)
        return LNG_OK;
    *text = *from->lines++;
    *length = strlen(*text);
    return LNG_OK;
}

struct lng_spm_train_options fixture_options(void)
{
    struct lng_spm_train_options options = lng_spm_train_defaults();
    options.vocab_size = 150;
    options.num_threads = 1;
    options.self_test_samples = 5;
    options.character_coverage = 1.0;
    return options;
}

struct lng_buffer fixture_train(const struct lng_spm_train_options *options, bool german)
{
    struct fixture_text text = {.seed = 7, .left = 600, .german = german};
    struct lng_buffer model = {0};
    enum lng_status status = lng_spm_train(options, fixture_next_line, &text, &model, NULL);
    cr_assert(status == LNG_OK, "training: %s", lng_error_message());
    return model;
}

struct lng_spm *fixture_spm(const struct lng_spm_train_options *options, bool german)
{
    struct lng_buffer model = fixture_train(options, german);
    struct lng_spm *spm = NULL;
    enum lng_status status = lng_spm_open(model.data, model.length, &spm);
    cr_assert(status == LNG_OK, "loading: %s", lng_error_message());
    lng_buffer_release(&model);
    return spm;
}
