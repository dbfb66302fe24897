/* JSON by jansson, strictly: no duplicate keys, no NaN, no trailing text, valid UTF-8, bounded depth.
 * Values are jansson's (json_decref). Messages name the file, the key, what was expected and found. */
#ifndef LNG_HOST_STORE_JSON_H
#define LNG_HOST_STORE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/base/status.h"
#include "host/base/text.h"

/* *root is the caller's. LNG_ERR_FORMAT with "name:line:column: what". */
LNG_MUST_CHECK enum lng_status lng_json_parse(const char *name, const char *data, size_t size,
                                              json_t **root);
/* A file of at most `limit` bytes that holds an object. */
LNG_MUST_CHECK enum lng_status lng_json_read_object(const char *path, size_t limit, json_t **root);

/* Indented, keys in their order, numbers with as few digits as bring back the same value; a newline at
 * the end. */
LNG_MUST_CHECK enum lng_status lng_json_print(const json_t *root, struct lng_buffer *text);
/* On one line, without spaces or newline. */
LNG_MUST_CHECK enum lng_status lng_json_print_compact(const json_t *root, struct lng_buffer *text);
/* The same into a file, atomically. */
LNG_MUST_CHECK enum lng_status lng_json_write(const char *path, const json_t *root);

/* A real, or null where JSON has no such number (NaN, infinity). NULL when memory is out. */
json_t *lng_json_number(double value);

/* object[key] = value, which is taken over (also on failure; it may be NULL, from a failed making).
 * LNG_ERR_MEMORY. */
LNG_MUST_CHECK enum lng_status lng_json_set(json_t *object, const char *key, json_t *value);

/* Members of an object that must be there; `file` is for messages. LNG_ERR_FORMAT when missing or of
 * another type, LNG_ERR_RANGE outside [low, high]. Integral reals are not integers. */
LNG_MUST_CHECK enum lng_status lng_json_get_int(const json_t *object, const char *file,
                                                const char *key, int64_t low, int64_t high,
                                                int64_t *value);
LNG_MUST_CHECK enum lng_status lng_json_get_double(const json_t *object, const char *file,
                                                   const char *key, double low, double high,
                                                   double *value);
LNG_MUST_CHECK enum lng_status lng_json_get_bool(const json_t *object, const char *file,
                                                 const char *key, bool *value);
/* *value lives as long as the object. */
LNG_MUST_CHECK enum lng_status lng_json_get_string(const json_t *object, const char *file,
                                                   const char *key, const char **value);
LNG_MUST_CHECK enum lng_status lng_json_get_object(const json_t *object, const char *file,
                                                   const char *key, json_t **value);
/* The key is there and not null: the way to optional members. */
bool lng_json_has(const json_t *object, const char *key);

enum { LNG_JSON_TEXT_BYTES = 64 };
/* A short description for messages: `12`, `"abc"`, `an array of 3`, `nothing`. */
const char *lng_json_describe(const json_t *value, char text[LNG_JSON_TEXT_BYTES]);

#endif
