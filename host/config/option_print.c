/* What is printed about options: help, usage, completion, a configuration file. */
#include "host/config/option_table.h"

#include <argp.h>
#include <string.h>

#include "host/base/mem.h"

/* ---- help, by argp ---- */

/* Help of one option with its choices and its default. */
static enum lng_status describe(const struct lng_option_row *row, struct lng_buffer *text)
{
    LNG_TRY(lng_buffer_append_text(text, row->help));
    const char *const *words = lng_choice_words(row->choices, NULL);
    for (size_t i = 0; words[i] != NULL; i++)
        LNG_TRY(lng_buffer_append_format(text, "%s%s", i == 0 ? ": " : ", ", words[i]));
    bool trivial =
        row->value == NULL || (row->type == LNG_OPTION_TYPE_BOOL && row->value[0] == 'f');
    if (!trivial)
        LNG_TRY(lng_buffer_append_format(text, " (default %s)", row->value));
    return LNG_OK;
}

struct help_table {
    struct argp_option options[LNG_OPTION_COUNT + LNG_GROUP_HIDDEN + 1];
    struct lng_buffer texts[LNG_OPTION_COUNT];
};

static enum lng_status fill_table(const struct lng_command *command, struct help_table *table)
{
    struct argp_option *next = table->options;
    for (int group = 0; group < LNG_GROUP_HIDDEN; group++) {
        bool headed = false;
        for (int id = 0; id < LNG_OPTION_COUNT; id++) {
            const struct lng_option_row *row = &lng_option_rows[id];
            if (!(row->commands & command->bit) || (int)row->group != group)
                continue;
            if (!headed)
                *next++ = (struct argp_option){
                    .doc = lng_option_group_heading((enum lng_option_group)group),
                    .group = group + 1};
            headed = true;
            LNG_TRY(describe(row, &table->texts[id]));
            *next++ = (struct argp_option){.name = row->name,
                                           .key = row->short_name ? row->short_name : 256 + id,
                                           .arg = row->metavar,
                                           .doc = table->texts[id].data,
                                           .group = group + 1};
        }
    }
    *next = (struct argp_option){0};
    return LNG_OK;
}

enum lng_status lng_command_print_help(const struct lng_command *command, bool brief, FILE *stream)
{
    struct help_table *table = lng_alloc(1, sizeof *table);
    char *name = lng_format("lingster %s", command->name);
    char *doc =
        lng_format("%s\vEvery option may also stand in a YAML file (beam-size: 4) and in the "
                   "environment (LINGSTER_BEAM_SIZE=4). Long names may be cut short as long as "
                   "they stay clear, but only full names are sure to stay.",
                   command->summary);
    enum lng_status status = LNG_ERR_MEMORY;
    if (table == NULL || name == NULL || doc == NULL)
        goto fail;
    LNG_TRY_OR_FAIL(fill_table(command, table));
    struct argp argp = {.options = table->options,
                        .args_doc = *command->arguments ? command->arguments : NULL,
                        .doc = doc};
    argp_help(&argp, stream,
              brief ? ARGP_HELP_USAGE
                    : ARGP_HELP_STD_HELP & ~(ARGP_HELP_EXIT_OK | ARGP_HELP_BUG_ADDR),
              name);
fail:
    for (int id = 0; table != NULL && id < LNG_OPTION_COUNT; id++)
        lng_buffer_release(&table->texts[id]);
    lng_free(table);
    lng_free(name);
    lng_free(doc);
    return status;
}

enum lng_status lng_command_list_options(const struct lng_command *command, struct lng_buffer *text)
{
    for (int id = 0; id < LNG_OPTION_COUNT; id++) {
        const struct lng_option_row *row = &lng_option_rows[id];
        if ((row->commands & command->bit) && row->group != LNG_GROUP_HIDDEN)
            LNG_TRY(lng_buffer_append_format(text, "--%s\n", row->name));
    }
    return LNG_OK;
}

/* ---- a configuration file ---- */

/* Text in double quotes; what YAML cannot hold is an error. */
static enum lng_status append_quoted(struct lng_buffer *text, const char *value)
{
    size_t length = strlen(value);
    LNG_FAIL_IF(!lng_utf8_valid(value, length), LNG_ERR_FORMAT,
                "'%.60s' is not UTF-8 and cannot be written in a YAML file", value);
    LNG_TRY(lng_buffer_append_byte(text, '"'));
    for (size_t i = 0; i < length;) {
        uint32_t code;
        size_t step = lng_utf8_decode(value + i, length - i, &code);
        if (code == '"' || code == '\\')
            LNG_TRY(lng_buffer_append_format(text, "\\%c", (int)code));
        else if (code < 0x20 || (code >= 0x7F && code < 0xA0) ||
                 (code >= 0x2028 && code <= 0x2029) || code == 0xFEFF || code >= 0xFFFE)
            LNG_TRY(lng_buffer_append_format(text, "\\U%08X", (unsigned)code));
        else
            LNG_TRY(lng_buffer_append(text, value + i, step));
        i += step;
    }
    return lng_buffer_append_byte(text, '"');
}

static bool is_quoted(enum lng_option_type type)
{
    return type == LNG_OPTION_TYPE_STRING || type == LNG_OPTION_TYPE_PATH ||
           type == LNG_OPTION_TYPE_PATHS || type == LNG_OPTION_TYPE_WORDS;
}

static enum lng_status append_item(const struct lng_options *options, enum lng_option_id id,
                                   size_t index, struct lng_buffer *text)
{
    if (!is_quoted(lng_option_rows[id].type))
        return lng_option_append_value(options, id, index, text);
    struct lng_buffer value = {0};
    enum lng_status status = lng_option_append_value(options, id, index, &value);
    if (status == LNG_OK)
        status = append_quoted(text, value.data);
    lng_buffer_release(&value);
    return status;
}

static enum lng_status append_option(const struct lng_options *options, enum lng_option_id id,
                                     struct lng_buffer *text)
{
    const struct lng_option_row *row = &lng_option_rows[id];
    const struct lng_option_origin *origin = &options->origin[id];
    LNG_TRY(lng_buffer_append_text(text, "# "));
    LNG_TRY(describe(row, text));
    bool unset = row->value == NULL && origin->source == LNG_SOURCE_DEFAULT;
    if (unset)
        return lng_buffer_append_format(text, "\n#%s:\n", row->name);
    if (origin->source > LNG_SOURCE_DEFAULT) {
        LNG_TRY(lng_buffer_append_text(text, "; from "));
        /* A file name may hold anything; a comment may not. */
        for (const char *c = origin->where; *c != '\0'; c++)
            LNG_TRY(lng_buffer_append_byte(text, *c < 0x20 || *c > 0x7E ? '?' : *c));
    }
    LNG_TRY(lng_buffer_append_format(text, "\n%s:", row->name));
    if (!lng_option_is_list(id)) {
        LNG_TRY(lng_buffer_append_byte(text, ' '));
        LNG_TRY(append_item(options, id, 0, text));
        return lng_buffer_append_byte(text, '\n');
    }
    const struct lng_string_list *list =
        (const void *)((const char *)options + lng_option_rows[id].offset);
    for (size_t i = 0; i < list->count; i++) {
        LNG_TRY(lng_buffer_append_text(text, i == 0 ? "\n  - " : "  - "));
        LNG_TRY(append_item(options, id, i, text));
        LNG_TRY(lng_buffer_append_byte(text, '\n'));
    }
    return list->count == 0 ? lng_buffer_append_text(text, " []\n") : LNG_OK;
}

enum lng_status lng_options_dump(const struct lng_options *options, struct lng_buffer *text)
{
    const struct lng_command *command = options->command;
    LNG_TRY(
        lng_buffer_append_format(text, "# lingster %s, version %s\n", command->name, LNG_VERSION));
    for (int group = 0; group < LNG_GROUP_HIDDEN; group++) {
        bool headed = false;
        for (int i = 0; i < LNG_OPTION_COUNT; i++) {
            enum lng_option_id id = (enum lng_option_id)i;
            const struct lng_option_row *row = &lng_option_rows[id];
            /* A preset's values are in the file already; those of --compat follow from it again. */
            bool follows = options->compat != LNG_OPT_COMPAT_NONE &&
                           options->origin[id].source == LNG_SOURCE_DERIVED;
            if (!(row->commands & command->bit) || (int)row->group != group || follows ||
                lng_option_is_action(id) || id == LNG_OPTION_preset)
                continue;
            if (!headed)
                LNG_TRY(lng_buffer_append_format(
                    text, "\n# ---- %s\n", lng_option_group_heading((enum lng_option_group)group)));
            headed = true;
            LNG_TRY(append_option(options, id, text));
        }
    }
    return LNG_OK;
}
