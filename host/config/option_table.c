#include "host/config/option_table.h"

#include <string.h>

#include "host/base/mem.h"

const struct lng_option_row lng_option_rows[LNG_OPTION_COUNT] = {
#define LNG_OPTION(id, name, short_name, type, value, min, max, choices, group, commands, metavar, \
                   help)                                                                           \
    {name,                                                                                         \
     value,                                                                                        \
     metavar,                                                                                      \
     help,                                                                                         \
     min,                                                                                          \
     max,                                                                                          \
     offsetof(struct lng_options, id),                                                             \
     LNG_OPTION_TYPE_##type,                                                                       \
     LNG_CHOICES_##choices,                                                                        \
     LNG_GROUP_##group,                                                                            \
     commands,                                                                                     \
     short_name},
#include "host/config/options.def"
};

const char *lng_option_group_heading(enum lng_option_group group)
{
    static const char *const headings[] = {
#define LNG_OPTION_GROUP(group, heading) heading,
#include "host/config/options.def"
    };
    return (size_t)group < sizeof headings / sizeof headings[0] ? headings[group] : "";
}

#define LNG_CHOICES(list) static const char *const words_##list[] = {
#define LNG_CHOICE(name, word) word,
#define LNG_CHOICES_END \
    NULL                \
    }                   \
    ;
#include "host/config/choices.def"
#undef LNG_CHOICES
#undef LNG_CHOICE
#undef LNG_CHOICES_END

static const char *const words_none[] = {NULL};

const char *const *lng_choice_words(enum lng_choices list, size_t *count)
{
    static const char *const *const lists[LNG_CHOICES_COUNT] = {
        words_none,
#define LNG_CHOICES(list) words_##list,
#define LNG_CHOICE(name, word)
#define LNG_CHOICES_END
#include "host/config/choices.def"
#undef LNG_CHOICES
#undef LNG_CHOICE
#undef LNG_CHOICES_END
    };
    const char *const *words = lists[list];
    if (count != NULL) {
        *count = 0;
        while (words[*count] != NULL)
            ++*count;
    }
    return words;
}

const char *lng_choice_word(enum lng_choices list, int value)
{
    size_t count;
    const char *const *words = lng_choice_words(list, &count);
    return value >= 0 && (size_t)value < count ? words[value] : NULL;
}

int lng_choice_value(enum lng_choices list, const char *word)
{
    const char *const *words = lng_choice_words(list, NULL);
    for (int i = 0; words[i] != NULL; i++)
        if (strcmp(words[i], word) == 0)
            return i;
    return -1;
}

bool lng_option_is_action(enum lng_option_id id)
{
    return id == LNG_OPTION_config || id == LNG_OPTION_dump_config || id == LNG_OPTION_help ||
           id == LNG_OPTION_usage || id == LNG_OPTION_version || id == LNG_OPTION_completions;
}

bool lng_option_is_list(enum lng_option_id id)
{
    return lng_option_rows[id].type == LNG_OPTION_TYPE_PATHS ||
           lng_option_rows[id].type == LNG_OPTION_TYPE_WORDS;
}

enum lng_option_id lng_option_find(const struct lng_command *command, const char *name,
                                   size_t length)
{
    for (int id = 0; id < LNG_OPTION_COUNT; id++) {
        const struct lng_option_row *row = &lng_option_rows[id];
        if ((row->commands & command->bit) && strlen(row->name) == length &&
            memcmp(row->name, name, length) == 0)
            return (enum lng_option_id)id;
    }
    return LNG_OPTION_COUNT;
}

enum lng_status lng_option_unknown(const struct lng_command *command, const char *prefix,
                                   const char *name)
{
    const char *names[LNG_OPTION_COUNT];
    size_t count = 0;
    bool of_others = false;
    for (int id = 0; id < LNG_OPTION_COUNT; id++) {
        const struct lng_option_row *row = &lng_option_rows[id];
        if (row->group == LNG_GROUP_HIDDEN)
            continue;
        if (row->commands & command->bit)
            names[count++] = row->name;
        else if (strcmp(row->name, name) == 0)
            of_others = true;
    }
    const char *nearest = lng_text_nearest(name, names, count);
    LNG_FAIL_IF(nearest != NULL, LNG_ERR_USAGE, "unknown option '%s%.60s'; did you mean '%s%s'?",
                prefix, name, prefix, nearest);
    LNG_FAIL_IF(of_others, LNG_ERR_USAGE, "'%s%.60s' is an option of other commands, not of %s",
                prefix, name, command->name);
    return lng_fail(LNG_ERR_USAGE, "unknown option '%s%.60s'; 'lingster %s --help' lists them all",
                    prefix, name, command->name);
}

void *lng_options_keep(struct lng_options *options, size_t count, size_t size)
{
    if (lng_grow(&options->owned, &options->owned_capacity, options->owned_count + 1,
                 sizeof *options->owned) != LNG_OK)
        return NULL;
    void *block = lng_alloc(count, size);
    if (block != NULL)
        options->owned[options->owned_count++] = block;
    return block;
}

const char *lng_options_keep_text(struct lng_options *options, const char *text, size_t length)
{
    char *copy = lng_options_keep(options, length + 1, 1);
    if (copy != NULL)
        memcpy(copy, text, length);
    return copy;
}

enum lng_status lng_option_reset(struct lng_options *options, enum lng_option_id id)
{
    const char *value = lng_option_rows[id].value;
    options->origin[id] = (struct lng_option_origin){LNG_SOURCE_DEFAULT, "default"};
    if (value != NULL)
        return lng_option_assign(options, id, &value, 1, true, false);
    static const size_t sizes[] = {
        [LNG_OPTION_TYPE_BOOL] = sizeof(bool),
        [LNG_OPTION_TYPE_INT] = sizeof(int),
        [LNG_OPTION_TYPE_INT64] = sizeof(int64_t),
        [LNG_OPTION_TYPE_BYTES] = sizeof(int64_t),
        [LNG_OPTION_TYPE_DOUBLE] = sizeof(double),
        [LNG_OPTION_TYPE_STRING] = sizeof(const char *),
        [LNG_OPTION_TYPE_PATH] = sizeof(const char *),
        [LNG_OPTION_TYPE_PATHS] = sizeof(struct lng_string_list),
        [LNG_OPTION_TYPE_WORDS] = sizeof(struct lng_string_list),
        [LNG_OPTION_TYPE_CHOICE] = sizeof(int),
        [LNG_OPTION_TYPE_QUANTITY] = sizeof(struct lng_quantity),
    };
    memset((char *)options + lng_option_rows[id].offset, 0, sizes[lng_option_rows[id].type]);
    return LNG_OK;
}

enum lng_status lng_options_init(struct lng_options *options, const struct lng_command *command)
{
    memset(options, 0, sizeof *options);
    options->command = command;
    for (int id = 0; id < LNG_OPTION_COUNT; id++) {
        enum lng_status status = lng_option_reset(options, (enum lng_option_id)id);
        if (status != LNG_OK) {
            lng_options_release(options);
            return status;
        }
    }
    return LNG_OK;
}

void lng_options_release(struct lng_options *options)
{
    for (size_t i = 0; i < options->owned_count; i++)
        lng_free(options->owned[i]);
    lng_free(options->owned);
    memset(options, 0, sizeof *options);
}
