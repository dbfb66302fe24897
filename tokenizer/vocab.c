#include "tokenizer/vocab.h"

#include <jansson.h>
#include <string.h>

#include "host/base/file.h"
#include "host/base/mem.h"

struct entry {
    size_t offset; /* into pool */
    uint32_t length;
    uint32_t hash;
};

/* Open addressing over `slots` (a power of two, at most half full); a slot holds id + 1. */
struct lng_vocab {
    struct entry *entries;
    size_t count, capacity;
    struct lng_buffer pool;
    uint32_t *slots;
    size_t slot_count;
};

enum lng_status lng_vocab_open(struct lng_vocab **vocab)
{
    struct lng_vocab *fresh = lng_alloc(1, sizeof *fresh);
    if (fresh == NULL)
        return LNG_ERR_MEMORY;
    *vocab = fresh;
    return LNG_OK;
}

void lng_vocab_close(struct lng_vocab *vocab)
{
    if (vocab == NULL)
        return;
    lng_free(vocab->entries);
    lng_free(vocab->slots);
    lng_buffer_release(&vocab->pool);
    lng_free(vocab);
}

static uint32_t hash_of(const char *text, size_t length)
{
    return (uint32_t)lng_checksum(text, length);
}

/* The slot that holds the text, or the empty one where it belongs. */
static size_t find_slot(const struct lng_vocab *vocab, const char *text, size_t length,
                        uint32_t hash)
{
    size_t mask = vocab->slot_count - 1, slot = hash & mask;
    while (vocab->slots[slot] != 0) {
        const struct entry *entry = &vocab->entries[vocab->slots[slot] - 1];
        if (entry->hash == hash && entry->length == length &&
            memcmp(vocab->pool.data + entry->offset, text, length) == 0)
            break;
        slot = (slot + 1) & mask;
    }
    return slot;
}

static enum lng_status grow_slots(struct lng_vocab *vocab)
{
    size_t count = vocab->slot_count > 0 ? vocab->slot_count * 2 : 64;
    uint32_t *slots = lng_alloc(count, sizeof *slots);
    if (slots == NULL)
        return LNG_ERR_MEMORY;
    for (size_t i = 0; i < vocab->count; i++) {
        size_t slot = vocab->entries[i].hash & (count - 1);
        while (slots[slot] != 0)
            slot = (slot + 1) & (count - 1);
        slots[slot] = (uint32_t)i + 1;
    }
    lng_free(vocab->slots);
    vocab->slots = slots;
    vocab->slot_count = count;
    return LNG_OK;
}

static int printable_length(size_t length)
{
    return length > 60 ? 60 : (int)length;
}

enum lng_status lng_vocab_add(struct lng_vocab *vocab, const char *text, size_t length, int32_t *id)
{
    LNG_FAIL_IF(vocab->count >= LNG_VOCAB_MAX_ENTRIES, LNG_ERR_FORMAT,
                "a vocabulary of more than %d entries", LNG_VOCAB_MAX_ENTRIES);
    LNG_FAIL_IF(length > LNG_VOCAB_MAX_ENTRY_BYTES, LNG_ERR_FORMAT,
                "vocabulary entry %zu has %zu bytes, expected at most %d", vocab->count, length,
                LNG_VOCAB_MAX_ENTRY_BYTES);
    LNG_FAIL_IF(!lng_utf8_valid(text, length) || (length > 0 && memchr(text, 0, length) != NULL),
                LNG_ERR_FORMAT, "vocabulary entry %zu is not UTF-8 text without NUL", vocab->count);
    if (vocab->count * 2 >= vocab->slot_count)
        LNG_TRY(grow_slots(vocab));
    uint32_t hash = hash_of(text, length);
    size_t slot = find_slot(vocab, text, length, hash);
    LNG_FAIL_IF(vocab->slots[slot] != 0, LNG_ERR_FORMAT,
                "vocabulary entries %u and %zu are both '%.*s', expected each text once",
                vocab->slots[slot] - 1, vocab->count, printable_length(length), text);
    LNG_TRY(lng_grow(&vocab->entries, &vocab->capacity, vocab->count + 1, sizeof *vocab->entries));
    LNG_TRY(lng_buffer_reserve(&vocab->pool, length + 1));
    struct entry entry = {vocab->pool.length, (uint32_t)length, hash};
    LNG_TRY(lng_buffer_append(&vocab->pool, text, length));
    LNG_TRY(lng_buffer_append_byte(&vocab->pool, '\0'));
    vocab->entries[vocab->count] = entry;
    vocab->slots[slot] = (uint32_t)++vocab->count;
    if (id != NULL)
        *id = (int32_t)vocab->count - 1;
    return LNG_OK;
}

int32_t lng_vocab_size(const struct lng_vocab *vocab)
{
    return (int32_t)vocab->count;
}

int32_t lng_vocab_find(const struct lng_vocab *vocab, const char *text, size_t length)
{
    if (vocab->slot_count == 0 || length > LNG_VOCAB_MAX_ENTRY_BYTES)
        return -1;
    size_t slot = find_slot(vocab, text, length, hash_of(text, length));
    return (int32_t)vocab->slots[slot] - 1;
}

struct lng_slice lng_vocab_entry(const struct lng_vocab *vocab, int32_t id)
{
    if (id < 0 || (size_t)id >= vocab->count)
        return (struct lng_slice){0};
    const struct entry *entry = &vocab->entries[id];
    return (struct lng_slice){vocab->pool.data + entry->offset, entry->length};
}

int32_t lng_vocab_first_difference(const struct lng_vocab *a, const struct lng_vocab *b)
{
    int32_t left = lng_vocab_size(a), right = lng_vocab_size(b),
            least = left < right ? left : right;
    for (int32_t id = 0; id < least; id++) {
        struct lng_slice x = lng_vocab_entry(a, id), y = lng_vocab_entry(b, id);
        if (x.length != y.length || memcmp(x.data, y.data, x.length) != 0)
            return id;
    }
    return left == right ? -1 : least;
}

enum lng_status lng_vocab_copy(const struct lng_vocab *from, struct lng_vocab **vocab)
{
    struct lng_vocab *fresh = NULL;
    LNG_TRY(lng_vocab_open(&fresh));
    for (int32_t i = 0; i < lng_vocab_size(from); i++) {
        struct lng_slice entry = lng_vocab_entry(from, i);
        enum lng_status status = lng_vocab_add(fresh, entry.data, entry.length, NULL);
        if (status != LNG_OK) {
            lng_vocab_close(fresh);
            return status;
        }
    }
    *vocab = fresh;
    return LNG_OK;
}

void lng_vocab_hash(const struct lng_vocab *vocab, struct lng_hash *hash)
{
    uint64_t count = vocab->count;
    lng_hash_add(hash, &count, sizeof count);
    /* Entries hold no NUL and end in one: two vocabularies never give the same bytes. */
    if (vocab->pool.length > 0)
        lng_hash_add(hash, vocab->pool.data, vocab->pool.length);
}

/* keys[id] = text; borrowed from the JSON object. */
static enum lng_status collect_keys(json_t *object, const char **keys, size_t count)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        int shown = printable_length(strlen(key));
        LNG_FAIL_IF(!json_is_integer(value), LNG_ERR_FORMAT,
                    "vocabulary entry '%.*s' has no integer id", shown, key);
        json_int_t id = json_integer_value(value);
        LNG_FAIL_IF(id < 0 || (uint64_t)id >= count, LNG_ERR_FORMAT,
                    "vocabulary entry '%.*s' has id %lld, expected 0 to %zu (%zu entries)", shown,
                    key, (long long)id, count - 1, count);
        LNG_FAIL_IF(keys[id] != NULL, LNG_ERR_FORMAT,
                    "vocabulary entries '%.*s' and '%.*s' have the same id %lld", shown, key,
                    printable_length(strlen(keys[id])), keys[id], (long long)id);
        keys[id] = key;
    }
    return LNG_OK;
}

enum lng_status lng_vocab_parse_json(const char *json, size_t size, struct lng_vocab **vocab)
{
    struct lng_vocab *fresh = NULL;
    const char **keys = NULL;
    json_error_t error;
    enum lng_status status;
    json_t *object = json_loadb(size > 0 ? json : "", size, JSON_REJECT_DUPLICATES, &error);
    LNG_GOTO_FAIL_IF(object == NULL, LNG_ERR_FORMAT,
                     "not a JSON vocabulary: line %d, column %d: %s", error.line, error.column,
                     error.text);
    size_t count = json_object_size(object);
    LNG_GOTO_FAIL_IF(!json_is_object(object) || count == 0, LNG_ERR_FORMAT,
                     "a vocabulary is a JSON object {\"text\": id, ...} with at least one entry");
    LNG_GOTO_FAIL_IF(count > LNG_VOCAB_MAX_ENTRIES, LNG_ERR_FORMAT,
                     "a vocabulary of %zu entries, expected at most %d", count,
                     LNG_VOCAB_MAX_ENTRIES);
    keys = lng_alloc(count, sizeof *keys);
    LNG_TRY_OR_FAIL(keys == NULL ? LNG_ERR_MEMORY : LNG_OK);
    LNG_TRY_OR_FAIL(collect_keys(object, keys, count));
    LNG_TRY_OR_FAIL(lng_vocab_open(&fresh));
    for (size_t i = 0; i < count; i++)
        LNG_TRY_OR_FAIL(lng_vocab_add(fresh, keys[i], strlen(keys[i]), NULL));
    *vocab = fresh;
    fresh = NULL;
fail:
    lng_vocab_close(fresh);
    lng_free(keys);
    json_decref(object);
    return status;
}

enum lng_status lng_vocab_read_json(const char *path, struct lng_vocab **vocab)
{
    struct lng_buffer content = {0};
    enum lng_status status = lng_file_read(path, LNG_VOCAB_MAX_FILE_BYTES, &content);
    if (status == LNG_OK) {
        status = lng_vocab_parse_json(content.data, content.length, vocab);
        if (status != LNG_OK)
            status = lng_fail_context(status, "%s", path);
    }
    lng_buffer_release(&content);
    return status;
}

/* An entry may end in a carriage return; only when all do, the file has Windows' line ends. */
static bool windows_lines(struct lng_slice text)
{
    struct lng_slice line;
    while (lng_text_split(&text, '\n', &line))
        if (line.length == 0 || line.data[line.length - 1] != '\r')
            return false;
    return true;
}

enum lng_status lng_vocab_parse_lines(const char *text, size_t size, struct lng_vocab **vocab)
{
    struct lng_vocab *fresh = NULL;
    struct lng_slice rest = {text, size}, line;
    if (size > 0 && text[size - 1] == '\n')
        rest.length--;
    bool windows = windows_lines(rest);
    LNG_TRY(lng_vocab_open(&fresh));
    enum lng_status status = LNG_OK;
    for (size_t number = 1; lng_text_split(&rest, '\n', &line); number++) {
        line.length -= windows;
        LNG_GOTO_FAIL_IF(line.length == 0, LNG_ERR_FORMAT, "line %zu: an empty vocabulary entry",
                         number);
        status = lng_vocab_add(fresh, line.data, line.length, NULL);
        if (status != LNG_OK) {
            status = lng_fail_context(status, "line %zu", number);
            goto fail;
        }
    }
    *vocab = fresh;
    return LNG_OK;
fail:
    lng_vocab_close(fresh);
    return status;
}

static enum lng_status append_json_string(struct lng_buffer *json, struct lng_slice text)
{
    LNG_TRY(lng_buffer_append_byte(json, '"'));
    for (size_t i = 0; i < text.length; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c < 0x20 || c == 0x7F)
            LNG_TRY(lng_buffer_append_format(json, "\\u%04x", c));
        else if (c == '"' || c == '\\')
            LNG_TRY(lng_buffer_append_format(json, "\\%c", c));
        else
            LNG_TRY(lng_buffer_append_byte(json, (char)c));
    }
    return lng_buffer_append_byte(json, '"');
}

enum lng_status lng_vocab_format_json(const struct lng_vocab *vocab, struct lng_buffer *json)
{
    LNG_TRY(lng_buffer_append_text(json, "{"));
    for (int32_t i = 0; i < lng_vocab_size(vocab); i++) {
        LNG_TRY(lng_buffer_append_text(json, i > 0 ? ",\n  " : "\n  "));
        LNG_TRY(append_json_string(json, lng_vocab_entry(vocab, i)));
        LNG_TRY(lng_buffer_append_format(json, ": %d", i));
    }
    return lng_buffer_append_text(json, "\n}\n");
}

enum lng_status lng_vocab_write_json(const struct lng_vocab *vocab, const char *path)
{
    struct lng_buffer json = {0};
    enum lng_status status = lng_vocab_format_json(vocab, &json);
    if (status == LNG_OK)
        status = lng_file_write(path, json.data, json.length);
    lng_buffer_release(&json);
    return status;
}
