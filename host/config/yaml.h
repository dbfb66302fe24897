/* Flat YAML: a mapping of keys to scalars or lists of scalars, read by libyaml's event parser.
 * Everything else (nested mappings, aliases, anchors, tags, more than one document) is refused with
 * its place. Scalars stay texts: what they mean is the caller's business. Safe on any input. */
#ifndef LNG_HOST_CONFIG_YAML_H
#define LNG_HOST_CONFIG_YAML_H

#include <stdbool.h>
#include <stddef.h>

#include "host/base/status.h"

enum {
    LNG_YAML_MAX_BYTES = 1 << 20,
    LNG_YAML_MAX_ENTRIES = 2000,
    LNG_YAML_MAX_ITEMS = 100000, /* of all lists together */
};

struct lng_yaml_entry {
    char *key;
    char **items; /* one for a scalar */
    size_t count, capacity;
    bool is_list;
    bool is_null;                 /* a plain scalar: nothing, ~ or null */
    int line, column;             /* of the key, from 1 */
    int value_line, value_column; /* of the value */
};

struct lng_yaml {
    struct lng_yaml_entry *entries; /* in the order of the file, keys unique */
    size_t count, capacity;
};

/* LNG_ERR_FORMAT with "name:line:column: ...", LNG_ERR_RANGE past a limit above. Nothing is held on
 * failure. No text holds a NUL byte. */
LNG_MUST_CHECK enum lng_status lng_yaml_read(struct lng_yaml *yaml, const char *name,
                                             const void *text, size_t length);
/* Fine on a zeroed struct. */
void lng_yaml_release(struct lng_yaml *yaml);

#endif
