/* Options of all commands: one table (options.def), one typed struct.
 *
 * Where a value comes from, weakest first: the default, a preset, configuration files in the order
 * given, the environment (LINGSTER_BEAM_SIZE for --beam-size), the command line. An unknown name or
 * an unusable value is LNG_ERR_USAGE, with the place and the nearest valid name in the message;
 * nothing is ignored. */
#ifndef LNG_HOST_CONFIG_OPTIONS_H
#define LNG_HOST_CONFIG_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "host/base/status.h"
#include "host/base/text.h"

/* ---- choices: enum lng_opt_activation { LNG_OPT_ACTIVATION_RELU, ... } ---- */

#define LNG_CHOICES(list) \
    enum lng_opt_##list   \
    {
#define LNG_CHOICE(name, word) LNG_OPT_##name,
#define LNG_CHOICES_END \
    }                   \
    ;
#include "host/config/choices.def"
#undef LNG_CHOICES
#undef LNG_CHOICE
#undef LNG_CHOICES_END

enum lng_choices {
    LNG_CHOICES_none,
#define LNG_CHOICES(list) LNG_CHOICES_##list,
#define LNG_CHOICE(name, word)
#define LNG_CHOICES_END
#include "host/config/choices.def"
#undef LNG_CHOICES
#undef LNG_CHOICE
#undef LNG_CHOICES_END
    LNG_CHOICES_COUNT
};

/* The word of a value ("relu" of LNG_CHOICES_activation, LNG_OPT_ACTIVATION_RELU); NULL when there
 * is none such. Static. */
const char *lng_choice_word(enum lng_choices list, int value);
/* The value of a word, -1 when it is not in the list. For WORDS options with choices. */
int lng_choice_value(enum lng_choices list, const char *word);

/* ---- values ---- */

/* Borrowed strings; items[count] does not exist. */
struct lng_string_list {
    const char *const *items;
    size_t count;
};

enum lng_unit {
    LNG_UNIT_UPDATES, /* "4000" or "4000u" */
    LNG_UNIT_EPOCHS,  /* "10e" */
    LNG_UNIT_TARGETS, /* "100Mt": target tokens */
};
/* How long or how often. K, M and G (powers of 1000) may stand before the unit. */
struct lng_quantity {
    int64_t value;
    enum lng_unit unit;
};

/* Types of options, and of their fields:
 *   BOOL      bool          --json, --json=false, --no-json
 *   INT       int           decimal; K, M, G as powers of 1000
 *   INT64     int64_t       the same
 *   BYTES     int64_t       K, M, G as powers of 1024
 *   DOUBLE    double        finite, decimal
 *   STRING    const char *  NULL when not set
 *   PATH      const char *  the same; relative to the working directory, in configuration files too
 *   PATHS     list          repeated on the command line, ':' between paths in the environment
 *   WORDS     list          commas between words; each one of the choices, where there are any
 *   CHOICE    enum lng_opt_<choices>
 *   QUANTITY  struct lng_quantity
 * A YAML file gives lists as lists, or as one scalar written as on the command line. A stronger
 * source replaces a list whole. */
enum lng_option_type {
    LNG_OPTION_TYPE_BOOL,
    LNG_OPTION_TYPE_INT,
    LNG_OPTION_TYPE_INT64,
    LNG_OPTION_TYPE_BYTES,
    LNG_OPTION_TYPE_DOUBLE,
    LNG_OPTION_TYPE_STRING,
    LNG_OPTION_TYPE_PATH,
    LNG_OPTION_TYPE_PATHS,
    LNG_OPTION_TYPE_WORDS,
    LNG_OPTION_TYPE_CHOICE,
    LNG_OPTION_TYPE_QUANTITY,
};

/* ---- commands ---- */

/* Which command an option is for. A new command takes the next bit. */
enum lng_option_commands {
    LNG_FOR_VOCAB = 1 << 0,
    LNG_FOR_TRAIN = 1 << 1,
    LNG_FOR_TRANSLATE = 1 << 2,
    LNG_FOR_SCORE = 1 << 3,
    LNG_FOR_EVAL = 1 << 4,
    LNG_FOR_AVERAGE = 1 << 5,
    LNG_FOR_INFO = 1 << 6,
    LNG_FOR_COMPARE = 1 << 7,
    LNG_FOR_CONVERT = 1 << 8,
    LNG_FOR_SHORTLIST = 1 << 9,
    LNG_FOR_BENCH = 1 << 10,
    LNG_FOR_QUANTIZE = 1 << 11,
    LNG_FOR_ALL = (1 << 12) - 1,
};

/* A command as the parser and --help see it. Static strings. */
struct lng_command {
    const char *name;
    unsigned bit;          /* LNG_FOR_<COMMAND> */
    const char *arguments; /* "CHECKPOINT...", for --help; "" when it takes none */
    int min_arguments;
    int max_arguments;         /* -1 = any number */
    bool arguments_are_config; /* arguments are read as if after --config */
    const char *summary;
};

/* ---- the struct ---- */

enum lng_option_id {
#define LNG_OPTION(id, name, short_name, type, value, min, max, choices, group, commands, metavar, \
                   help)                                                                           \
    LNG_OPTION_##id,
#include "host/config/options.def"
    LNG_OPTION_COUNT
};

enum lng_option_source {
    LNG_SOURCE_DEFAULT,
    LNG_SOURCE_DERIVED, /* from other options, by lng_options_finish */
    LNG_SOURCE_PRESET,
    LNG_SOURCE_FILE,
    LNG_SOURCE_ENVIRONMENT,
    LNG_SOURCE_COMMAND_LINE,
};
struct lng_option_origin {
    enum lng_option_source source;
    const char *where; /* "run.yml:3:6", "LINGSTER_DIM", "the command line", "default"; borrowed */
};

enum lng_options_action {
    LNG_ACTION_RUN,
    LNG_ACTION_HELP,
    LNG_ACTION_USAGE,
    LNG_ACTION_VERSION,
    LNG_ACTION_DUMP_CONFIG,
    LNG_ACTION_COMPLETIONS,
};

#define LNG_FIELD_BOOL(choices) bool
#define LNG_FIELD_INT(choices) int
#define LNG_FIELD_INT64(choices) int64_t
#define LNG_FIELD_BYTES(choices) int64_t
#define LNG_FIELD_DOUBLE(choices) double
#define LNG_FIELD_STRING(choices) const char *
#define LNG_FIELD_PATH(choices) const char *
#define LNG_FIELD_PATHS(choices) struct lng_string_list
#define LNG_FIELD_WORDS(choices) struct lng_string_list
#define LNG_FIELD_CHOICE(choices) enum lng_opt_##choices
#define LNG_FIELD_QUANTITY(choices) struct lng_quantity

/* One field an option, named by its id. Fields of other commands' options hold their defaults. */
struct lng_options {
#define LNG_OPTION(id, name, short_name, type, value, min, max, choices, group, commands, metavar, \
                   help)                                                                           \
    LNG_FIELD_##type(choices) id;
#include "host/config/options.def"
    struct lng_string_list arguments; /* of the command, without options */
    enum lng_options_action action;   /* what the command line asked for */
    struct lng_option_origin origin[LNG_OPTION_COUNT];
    const struct lng_command *command; /* borrowed */
    void **owned;                      /* private: every block the fields point into */
    size_t owned_count, owned_capacity;
};

/* All defaults. `command` must outlive the struct. On failure nothing is held. */
LNG_MUST_CHECK enum lng_status lng_options_init(struct lng_options *options,
                                                const struct lng_command *command);
/* Fine on a zeroed struct. */
void lng_options_release(struct lng_options *options);

/* Reads everything: argv[1..] (argv[0] is ignored), the files it names, `environment` (as environ;
 * NULL = none), then lng_options_finish unless the action is only to print something. Release in
 * any case. Not thread-safe (getopt). */
LNG_MUST_CHECK enum lng_status lng_options_parse(struct lng_options *options, int argc,
                                                 char *const *argv, char *const *environment);

/* Sets one option as if on the command line, from its long name and text. */
LNG_MUST_CHECK enum lng_status lng_options_set(struct lng_options *options, const char *name,
                                               const char *value);
/* Reads one YAML file over what is set so far, its preset first. `path` "-" is standard input. */
LNG_MUST_CHECK enum lng_status lng_options_read_file(struct lng_options *options, const char *path);
/* The same from memory; `name` stands for the file in messages. */
LNG_MUST_CHECK enum lng_status lng_options_read_text(struct lng_options *options, const char *name,
                                                     const char *text, size_t length);

/* Fills in what follows from other options (dec-ffn-dim, positions, output-bias, embedding-dropout,
 * see their help) and checks options against each other and, when `complete`, that none required is
 * missing. */
LNG_MUST_CHECK enum lng_status lng_options_finish(struct lng_options *options, bool complete);

/* Whether anything but the default set it. LNG_OPTION_IS_SET(options, valid_source) */
#define LNG_OPTION_IS_SET(options, id) \
    ((options)->origin[LNG_OPTION_##id].source > LNG_SOURCE_DERIVED)

/* ---- printing ---- */

/* --help (all options by group) or, when `brief`, --usage. */
LNG_MUST_CHECK enum lng_status lng_command_print_help(const struct lng_command *command, bool brief,
                                                      FILE *stream);
/* "--beam-size\n--device\n...": names for shell completion. */
LNG_MUST_CHECK enum lng_status lng_command_list_options(const struct lng_command *command,
                                                        struct lng_buffer *text);
/* Appends a YAML file that gives the same options again, with help and origins as comments.
 * LNG_ERR_FORMAT when a value is not UTF-8 and so cannot be written in YAML. */
LNG_MUST_CHECK enum lng_status lng_options_dump(const struct lng_options *options,
                                                struct lng_buffer *text);

#endif
