/* Options from the command line and the environment, and all sources in their order. */
#include "host/config/option_table.h"

#include <ctype.h>
#include <getopt.h>
#include <string.h>

#include "host/base/mem.h"

/* Values of struct option: long options, and --no-... of switches, above all characters. */
enum { FIRST_LONG = 256, FIRST_NO = FIRST_LONG + LNG_OPTION_COUNT };

struct given {
    enum lng_option_id id;
    const char *value;
};

/* The command line taken apart; points into argv. */
struct command_line {
    struct given *given;
    size_t count;
    const char **arguments;
    size_t argument_count;
    enum lng_options_action action;
};

static void command_line_release(struct command_line *line)
{
    lng_free(line->given);
    lng_free(line->arguments);
}

/* ---- getopt's tables ---- */

struct getopt_tables {
    struct option options[2 * LNG_OPTION_COUNT + 1];
    char names[LNG_OPTION_COUNT][40]; /* "no-json" */
    char shorts[3 * LNG_OPTION_COUNT + 2];
};

static void make_tables(const struct lng_command *command, struct getopt_tables *tables)
{
    struct option *option = tables->options;
    char *shorts = tables->shorts;
    *shorts++ = ':'; /* tell a missing value from an unknown option */
    for (int id = 0; id < LNG_OPTION_COUNT; id++) {
        const struct lng_option_row *row = &lng_option_rows[id];
        if (!(row->commands & command->bit))
            continue;
        bool is_switch = row->type == LNG_OPTION_TYPE_BOOL;
        bool is_action = lng_option_is_action((enum lng_option_id)id);
        int argument = !is_switch ? required_argument : is_action ? no_argument : optional_argument;
        *option++ = (struct option){row->name, argument, NULL, FIRST_LONG + id};
        if (is_switch && !is_action) {
            snprintf(tables->names[id], sizeof tables->names[id], "no-%s", row->name);
            *option++ = (struct option){tables->names[id], no_argument, NULL, FIRST_NO + id};
        }
        if (row->short_name != '\0') {
            *shorts++ = row->short_name;
            if (!is_switch)
                *shorts++ = ':';
        }
    }
    *option = (struct option){0};
    *shorts = '\0';
}

/* ---- argv ---- */

static enum lng_status fail_unknown(const struct lng_command *command,
                                    const struct getopt_tables *tables, const char *argument,
                                    int short_name)
{
    if (short_name >= FIRST_LONG) {
        int id = (short_name - FIRST_LONG) % LNG_OPTION_COUNT;
        return lng_fail(LNG_ERR_USAGE, "'%.60s': --%s%s takes no value", argument,
                        short_name >= FIRST_NO ? "no-" : "", lng_option_rows[id].name);
    }
    if (short_name != 0)
        return lng_fail(LNG_ERR_USAGE, "unknown option '-%c'; 'lingster %s --help' lists them all",
                        short_name, command->name);
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(argument + 2, "="), argument + 2);
    for (const struct option *option = tables->options; option->name != NULL; option++)
        if (strncmp(option->name, name, strlen(name)) == 0)
            return lng_fail(LNG_ERR_USAGE, "'--%s' may be '--%s' and others; give the full name",
                            name, option->name);
    return lng_option_unknown(command, "--", name);
}

static enum lng_options_action action_of(enum lng_option_id id)
{
    switch (id) {
    case LNG_OPTION_help:
        return LNG_ACTION_HELP;
    case LNG_OPTION_usage:
        return LNG_ACTION_USAGE;
    case LNG_OPTION_version:
        return LNG_ACTION_VERSION;
    case LNG_OPTION_completions:
        return LNG_ACTION_COMPLETIONS;
    case LNG_OPTION_dump_config:
        return LNG_ACTION_DUMP_CONFIG;
    default:
        return LNG_ACTION_RUN;
    }
}

static enum lng_option_id id_of_short(const struct lng_command *command, int short_name)
{
    for (int id = 0; id < LNG_OPTION_COUNT; id++)
        if (lng_option_rows[id].short_name == short_name &&
            (lng_option_rows[id].commands & command->bit))
            return (enum lng_option_id)id;
    return LNG_OPTION_COUNT;
}

/* One answer of getopt_long. *stop: --help and its like end the reading. */
static enum lng_status take_option(const struct lng_command *command, struct command_line *line,
                                   int code, bool *stop)
{
    enum lng_option_id id;
    const char *value = optarg ? optarg : "true";
    if (code >= FIRST_NO) {
        id = (enum lng_option_id)(code - FIRST_NO);
        value = "false";
    } else {
        id = code >= FIRST_LONG ? (enum lng_option_id)(code - FIRST_LONG)
                                : id_of_short(command, code);
    }
    enum lng_options_action action = action_of(id);
    if (action != LNG_ACTION_RUN) {
        line->action = action;
        *stop = action != LNG_ACTION_DUMP_CONFIG;
        return LNG_OK;
    }
    line->given[line->count++] = (struct given){id, value};
    return LNG_OK;
}

static enum lng_status read_options(const struct lng_command *command,
                                    const struct getopt_tables *tables, int argc, char **argv,
                                    struct command_line *line)
{
    bool stop = false;
    opterr = 0;
    optind = 0; /* glibc: start anew, forgetting all state */
    while (!stop) {
        int code = getopt_long(argc, argv, tables->shorts, tables->options, NULL);
        if (code == -1)
            break;
        if (code == '?')
            return fail_unknown(command, tables, argv[optind - 1], optopt);
        if (code == ':') {
            enum lng_option_id id = optopt >= FIRST_LONG ? (enum lng_option_id)(optopt - FIRST_LONG)
                                                         : id_of_short(command, optopt);
            return lng_fail(LNG_ERR_USAGE, "--%s needs a value: --%s %s", lng_option_rows[id].name,
                            lng_option_rows[id].name, lng_option_rows[id].metavar);
        }
        LNG_TRY(take_option(command, line, code, &stop));
    }
    for (int i = optind; !stop && i < argc; i++)
        line->arguments[line->argument_count++] = argv[i];
    return LNG_OK;
}

static enum lng_status check_arguments(const struct lng_command *command,
                                       const struct command_line *line)
{
    int count = (int)line->argument_count;
    if (command->max_arguments >= 0 && count > command->max_arguments) {
        const char *extra = line->arguments[command->max_arguments];
        bool ignored;
        bool looks_bool = lng_parse_bool(extra, &ignored) == LNG_OK;
        return lng_fail(LNG_ERR_USAGE, "unexpected argument '%.60s'%s", extra,
                        looks_bool ? "; a switch takes its value as in --name=false" : "");
    }
    LNG_FAIL_IF(line->action == LNG_ACTION_RUN && count < command->min_arguments, LNG_ERR_USAGE,
                "expected %s; see 'lingster %s --help'", command->arguments, command->name);
    return LNG_OK;
}

static enum lng_status read_command_line(const struct lng_command *command, int argc,
                                         char *const *argv, struct command_line *line)
{
    struct getopt_tables tables;
    make_tables(command, &tables);
    size_t capacity = (size_t)argc + 1;
    /* getopt reorders, and a cluster of short options gives several answers for one argument. */
    size_t most = 0;
    for (int i = 1; i < argc; i++)
        most += strlen(argv[i]) + 1;
    char **copy = lng_alloc(capacity, sizeof *copy);
    line->given = lng_alloc(most, sizeof *line->given);
    line->arguments = lng_alloc(capacity, sizeof *line->arguments);
    if (copy == NULL || line->given == NULL || line->arguments == NULL) {
        lng_free(copy);
        return LNG_ERR_MEMORY;
    }
    for (int i = 0; i < argc; i++)
        copy[i] = argv[i];
    enum lng_status status = read_options(command, &tables, argc, copy, line);
    lng_free(copy);
    if (status == LNG_OK)
        status = check_arguments(command, line);
    return status;
}

static enum lng_status assign_given(struct lng_options *options, const struct command_line *line)
{
    bool seen[LNG_OPTION_COUNT] = {false};
    for (size_t i = 0; i < line->count; i++) {
        enum lng_option_id id = line->given[i].id;
        enum lng_status status =
            lng_option_assign(options, id, &line->given[i].value, 1, true, seen[id]);
        if (status != LNG_OK)
            return lng_fail_context(status, "--%s", lng_option_rows[id].name);
        seen[id] = true;
        options->origin[id] =
            (struct lng_option_origin){LNG_SOURCE_COMMAND_LINE, "the command line"};
    }
    return LNG_OK;
}

enum lng_status lng_options_set(struct lng_options *options, const char *name, const char *value)
{
    enum lng_option_id id = lng_option_find(options->command, name, strlen(name));
    if (id == LNG_OPTION_COUNT || lng_option_is_action(id))
        return lng_option_unknown(options->command, "--", name);
    struct given given = {id, value};
    return assign_given(options, &(struct command_line){.given = &given, .count = 1});
}

/* ---- environment ---- */

static enum lng_status assign_paths(struct lng_options *options, enum lng_option_id id,
                                    const char *value)
{
    struct lng_slice rest = lng_slice_of(value), piece;
    bool append = false;
    while (lng_text_split(&rest, ':', &piece)) {
        char *text = lng_strndup(piece.data, piece.length);
        if (text == NULL)
            return LNG_ERR_MEMORY;
        enum lng_status status =
            lng_option_assign(options, id, &(const char *){text}, 1, false, append);
        lng_free(text);
        LNG_TRY(status);
        append = true;
    }
    return LNG_OK;
}

/* Whether any command has an option of this name: then it is not a mistake, only not for this one.
 */
static bool known_to_any(const char *name)
{
    for (int id = 0; id < LNG_OPTION_COUNT; id++)
        if (strcmp(lng_option_rows[id].name, name) == 0 &&
            !lng_option_is_action((enum lng_option_id)id))
            return true;
    return false;
}

/* `variable` is "LINGSTER_BEAM_SIZE=4". */
static enum lng_status read_variable(struct lng_options *options, const char *variable)
{
    static const char prefix[] = "LINGSTER_";
    char name[64];
    size_t length = strcspn(variable, "=") - (sizeof prefix - 1), used = 0;
    const char *rest = variable + sizeof prefix - 1;
    if (length >= sizeof name || rest[length] != '=')
        return lng_fail(LNG_ERR_USAGE, "environment: '%.60s' is no option", variable);
    for (; used < length; used++)
        name[used] = rest[used] == '_' ? '-' : (char)tolower((unsigned char)rest[used]);
    name[used] = '\0';
    if (strcmp(name, "presets") == 0)
        return LNG_OK;
    enum lng_option_id id = lng_option_find(options->command, name, used);
    if (id == LNG_OPTION_COUNT || lng_option_is_action(id)) {
        if (known_to_any(name))
            return LNG_OK;
        lng_option_unknown(options->command, "", name);
        return lng_fail_context(LNG_ERR_USAGE, "environment variable %.*s",
                                (int)strcspn(variable, "="), variable);
    }
    const char *value = rest + length + 1;
    const char *where = lng_options_keep_text(options, variable, strcspn(variable, "="));
    if (where == NULL)
        return LNG_ERR_MEMORY;
    enum lng_status status = lng_option_rows[id].type == LNG_OPTION_TYPE_PATHS
                                 ? assign_paths(options, id, value)
                                 : lng_option_assign(options, id, &value, 1, true, false);
    if (status != LNG_OK)
        return lng_fail_context(status, "environment variable %s", where);
    options->origin[id] = (struct lng_option_origin){LNG_SOURCE_ENVIRONMENT, where};
    return LNG_OK;
}

static enum lng_status read_environment(struct lng_options *options, char *const *environment)
{
    for (; environment != NULL && *environment != NULL; environment++)
        if (strncmp(*environment, "LINGSTER_", 9) == 0)
            LNG_TRY(read_variable(options, *environment));
    return LNG_OK;
}

/* ---- all of them ---- */

/* A preset that the command line or the environment names goes below all files. */
static enum lng_status read_outer_preset(struct lng_options *options,
                                         const struct command_line *line, char *const *environment)
{
    const char *name = NULL;
    for (; environment != NULL && *environment != NULL; environment++)
        if (strncmp(*environment, "LINGSTER_PRESET=", 16) == 0)
            name = *environment + 16;
    for (size_t i = 0; i < line->count; i++)
        if (line->given[i].id == LNG_OPTION_preset)
            name = line->given[i].value;
    if (name == NULL || !(lng_option_rows[LNG_OPTION_preset].commands & options->command->bit))
        return LNG_OK;
    options->origin[LNG_OPTION_preset] =
        (struct lng_option_origin){LNG_SOURCE_COMMAND_LINE, "the command line"};
    return lng_options_read_preset(options, name);
}

static enum lng_status read_files(struct lng_options *options, const struct command_line *line)
{
    for (size_t i = 0; options->command->arguments_are_config && i < line->argument_count; i++)
        LNG_TRY(lng_options_read_file(options, line->arguments[i]));
    for (size_t i = 0; i < line->count; i++)
        if (line->given[i].id == LNG_OPTION_config)
            LNG_TRY(lng_options_read_file(options, line->given[i].value));
    return LNG_OK;
}

static enum lng_status keep_arguments(struct lng_options *options, const struct command_line *line)
{
    const char **kept = lng_options_keep(options, line->argument_count, sizeof *kept);
    if (kept == NULL)
        return LNG_ERR_MEMORY;
    for (size_t i = 0; i < line->argument_count; i++) {
        kept[i] = lng_options_keep_text(options, line->arguments[i], strlen(line->arguments[i]));
        if (kept[i] == NULL)
            return LNG_ERR_MEMORY;
    }
    options->arguments = (struct lng_string_list){kept, line->argument_count};
    return LNG_OK;
}

enum lng_status lng_options_parse(struct lng_options *options, int argc, char *const *argv,
                                  char *const *environment)
{
    struct command_line line = {0};
    enum lng_status status = LNG_OK;
    LNG_TRY_OR_FAIL(read_command_line(options->command, argc, argv, &line));
    options->action = line.action;
    if (line.action != LNG_ACTION_RUN && line.action != LNG_ACTION_DUMP_CONFIG)
        goto fail;
    LNG_TRY_OR_FAIL(read_outer_preset(options, &line, environment));
    LNG_TRY_OR_FAIL(read_files(options, &line));
    LNG_TRY_OR_FAIL(read_environment(options, environment));
    LNG_TRY_OR_FAIL(assign_given(options, &line));
    LNG_TRY_OR_FAIL(keep_arguments(options, &line));
    status = lng_options_finish(options, line.action == LNG_ACTION_RUN);
fail:
    command_line_release(&line);
    return status;
}
