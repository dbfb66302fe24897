/* Rows of options.def as data, and what the files of this folder share about them. */
#ifndef LNG_HOST_CONFIG_OPTION_TABLE_H
#define LNG_HOST_CONFIG_OPTION_TABLE_H

#include "host/config/options.h"

enum lng_option_group {
#define LNG_OPTION_GROUP(group, heading) LNG_GROUP_##group,
#include "host/config/options.def"
    LNG_GROUP_HIDDEN,
};

struct lng_option_row {
    const char *name;
    const char *value; /* default, NULL = not set */
    const char *metavar;
    const char *help;
    double min, max;
    size_t offset; /* of the field in struct lng_options */
    enum lng_option_type type;
    enum lng_choices choices;
    enum lng_option_group group;
    unsigned commands;
    char short_name; /* 0 = none */
};

extern const struct lng_option_row lng_option_rows[LNG_OPTION_COUNT];
/* "Model:"; "" for LNG_GROUP_HIDDEN. */
const char *lng_option_group_heading(enum lng_option_group group);
/* Words of a list, NULL-terminated; *count may be NULL. */
const char *const *lng_choice_words(enum lng_choices list, size_t *count);

/* About the command line itself: never in a file, the environment or a dump. */
bool lng_option_is_action(enum lng_option_id id);
bool lng_option_is_list(enum lng_option_id id);
/* Row of the option called `name[0..length)` that `command` has; LNG_OPTION_COUNT when none. */
enum lng_option_id lng_option_find(const struct lng_command *command, const char *name,
                                   size_t length);
/* LNG_ERR_USAGE: 'prefix' + name is no option, with the nearest one, or the command that has it. */
enum lng_status lng_option_unknown(const struct lng_command *command, const char *prefix,
                                   const char *name);

/* Sets an option from texts: one value, or the items of a list. Words of a WORDS option are split
 * at commas only where `split`; `append` adds to a list. The message of a failure says what was
 * expected and found, without the option's name. Texts are copied. */
LNG_MUST_CHECK enum lng_status lng_option_assign(struct lng_options *options, enum lng_option_id id,
                                                 const char *const *texts, size_t count, bool split,
                                                 bool append);
/* Appends the value as it would be typed; PATHS and WORDS: item `index`. Not quoted. */
LNG_MUST_CHECK enum lng_status lng_option_append_value(const struct lng_options *options,
                                                       enum lng_option_id id, size_t index,
                                                       struct lng_buffer *text);
/* Back to the default. */
LNG_MUST_CHECK enum lng_status lng_option_reset(struct lng_options *options, enum lng_option_id id);

/* Copies that live as long as the options. NULL when out of memory. */
const char *lng_options_keep_text(struct lng_options *options, const char *text, size_t length);
void *lng_options_keep(struct lng_options *options, size_t count, size_t size);

/* Reads the preset `name` over what is set so far. */
LNG_MUST_CHECK enum lng_status lng_options_read_preset(struct lng_options *options,
                                                       const char *name);

/* Path of the file of a preset: `name`, looked for in `directory` (NULL = none), in its folder
 * configs, in $LINGSTER_PRESETS, and where the program is installed. lng_free it. */
LNG_MUST_CHECK enum lng_status lng_preset_find(const char *name, const char *directory,
                                               char **path);

/* option_check_search.c: what the options of a search say about each other. */
LNG_MUST_CHECK enum lng_status lng_option_check_search(const struct lng_options *options);

#endif
