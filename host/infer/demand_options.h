/* What translations are to hold, beside what the model makes of the source. */
#ifndef LNG_HOST_INFER_DEMAND_OPTIONS_H
#define LNG_HOST_INFER_DEMAND_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

/* All zero: nothing. Everything is borrowed. */
struct lng_demand_options {
    bool constraints;        /* line by line from lng_translator_set_constraints */
    const char *terminology; /* a file, see terminology.h */
    bool terminology_ignore_case;
    bool placeholders;           /* those of tokenizer/placeholder.def stay as they are */
    const char *const *patterns; /* further regular expressions, whatever `placeholders` says */
    size_t pattern_count;
    double prefix_bias;         /* 0: prefixes are as given; above 0, below 1: see constrain.h */
    bool replace_unk;           /* an unknown token becomes the source word it attended to most */
    const char *unk_dictionary; /* a file as terminology: its translation, where it is there */
};

#endif
