#include "host/store/marian_vocab.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "host/base/file.h"
#include "host/base/mem.h"
#include "host/store/blob.h"
#include "host/store/json.h"
#include "tokenizer/spm.h"

enum { EOS = 0, UNK = 1, SPECIALS = 2 }; /* ids, where Nematus has its own names for them */
static const char *const specials[] = {LNG_EOS_TEXT, LNG_UNK_TEXT};
static const char *const nematus[] = {"eos", "UNK"};

/* The entries of a file below `rows`, by id. */
struct entries {
    struct lng_buffer pool; /* texts, each behind the other */
    struct place {
        size_t begin, length; /* in pool; begin from 1, 0 = no entry */
    } * by_id;                /* [rows] */
    int32_t rows;
    uint64_t dropped; /* entries of ids past the model's */
};

static enum lng_status add(void *context, const char *text, size_t length, uint64_t id)
{
    struct entries *entries = context;
    if (id >= (uint64_t)entries->rows) {
        entries->dropped++;
        return LNG_OK;
    }
    struct place *place = &entries->by_id[id];
    int shown = length > 60 ? 60 : (int)length;
    LNG_FAIL_IF(place->begin > 0, LNG_ERR_FORMAT,
                "vocabulary entries '%.*s' and '%.*s' have the same id %" PRIu64,
                place->length > 60 ? 60 : (int)place->length, entries->pool.data + place->begin,
                shown, text, id);
    if (entries->pool.length == 0) /* so that no place begins at 0 */
        LNG_TRY(lng_buffer_append_byte(&entries->pool, '\n'));
    *place = (struct place){entries->pool.length, length};
    return lng_buffer_append(&entries->pool, text, length);
}

static enum lng_status add_json(struct entries *entries, const char *name, const char *text,
                                size_t size)
{
    json_t *root = NULL, *value;
    const char *key;
    LNG_TRY(lng_json_parse(name, text, size, &root));
    enum lng_status status = LNG_OK;
    char found[LNG_JSON_TEXT_BYTES];
    json_object_foreach(root, key, value)
    {
        LNG_GOTO_FAIL_IF(!json_is_integer(value) || json_integer_value(value) < 0, LNG_ERR_FORMAT,
                         "%s: vocabulary entry '%.60s': expected an id, found %s", name, key,
                         lng_json_describe(value, found));
        LNG_TRY_OR_FAIL(add(entries, key, strlen(key), (uint64_t)json_integer_value(value)));
    }
fail:
    json_decref(root);
    return status;
}

static enum lng_status add_lines(struct entries *entries, const char *name, const char *text,
                                 size_t size)
{
    struct lng_slice rest = {text, size}, line;
    uint64_t id = 0;
    if (size > 0 && text[size - 1] == '\n')
        rest.length--;
    for (; lng_text_split(&rest, '\n', &line); id++) {
        if (line.length > 0 && line.data[line.length - 1] == '\r')
            line.length--;
        LNG_FAIL_IF(line.length == 0, LNG_ERR_FORMAT,
                    "%s:%" PRIu64 ": expected a vocabulary entry, found an empty line", name,
                    id + 1);
        LNG_TRY(add(entries, line.data, line.length, id));
    }
    return LNG_OK;
}

/* ---- from entries to a vocabulary ---- */

static enum lng_status add_entry(const struct entries *entries, int32_t id, bool names_by_id,
                                 struct lng_vocab *vocab, size_t *unused)
{
    const struct place *place = &entries->by_id[id];
    struct lng_slice text = {"", 0};
    char name[32];
    if (place->begin > 0) /* else there may be no pool */
        text = (struct lng_slice){entries->pool.data + place->begin, place->length};
    if (names_by_id && id < SPECIALS &&
        (place->begin == 0 || lng_slice_equals(text, nematus[id]))) {
        text = lng_slice_of(specials[id]);
    } else if (place->begin == 0) {
        snprintf(name, sizeof name, "<unused:%d>", id);
        text = lng_slice_of(name);
        ++*unused;
    }
    return lng_vocab_add(vocab, text.data, text.length, NULL);
}

static enum lng_status check_specials(const struct lng_vocab *vocab)
{
    for (int i = 0; i < SPECIALS; i++)
        LNG_FAIL_IF(lng_vocab_find(vocab, specials[i], strlen(specials[i])) < 0, LNG_ERR_FORMAT,
                    "expected an entry %s, found none among the model's %d", specials[i],
                    lng_vocab_size(vocab));
    return LNG_OK;
}

static enum lng_status make_vocab(const struct entries *entries, const char *name, bool names_by_id,
                                  struct lng_vocab **vocab, struct lng_buffer *warnings)
{
    struct lng_vocab *fresh = NULL;
    enum lng_status status;
    size_t unused = 0;
    LNG_TRY_OR_FAIL(lng_vocab_open(&fresh));
    for (int32_t id = 0; id < entries->rows; id++)
        LNG_TRY_OR_FAIL(add_entry(entries, id, names_by_id, fresh, &unused));
    LNG_TRY_OR_FAIL(check_specials(fresh));
    if (unused > 0)
        LNG_TRY_OR_FAIL(lng_buffer_append_format(
            warnings, "%s: %zu of the model's %d ids have no entry; they are called <unused:ID>\n",
            name, unused, entries->rows));
    if (entries->dropped > 0)
        LNG_TRY_OR_FAIL(lng_buffer_append_format(
            warnings, "%s: %" PRIu64 " entries are past the model's %d ids and are left out\n",
            name, entries->dropped, entries->rows));
    *vocab = fresh;
    return LNG_OK;
fail:
    lng_vocab_close(fresh);
    return status;
}

/* Puts the name before messages that lack it. */
static enum lng_status with_name(enum lng_status status, const char *name)
{
    if (status == LNG_OK || strncmp(lng_error_message(), name, strlen(name)) == 0)
        return status;
    return lng_fail_context(status, "%s", name);
}

enum lng_status lng_marian_vocab_parse(const char *name, enum lng_marian_vocab_format format,
                                       const char *text, size_t size, int32_t rows,
                                       struct lng_vocab **vocab, struct lng_buffer *warnings)
{
    enum lng_status status;
    struct entries entries = {.rows = rows};
    entries.by_id = lng_alloc((size_t)rows, sizeof *entries.by_id);
    if (!entries.by_id)
        return LNG_ERR_MEMORY;
    bool lines = format == LNG_MARIAN_VOCAB_LINES;
    struct lng_slice body = lng_text_trim((struct lng_slice){size > 0 ? text : "", size});
    if (lines)
        LNG_TRY_OR_FAIL(add_lines(&entries, name, text, size));
    else if (body.length > 0 && body.data[0] == '{')
        LNG_TRY_OR_FAIL(add_json(&entries, name, text, size));
    else
        LNG_TRY_OR_FAIL(lng_marian_yaml_entries(name, text, size, add, &entries));
    LNG_GOTO_FAIL_IF(entries.pool.length == 0 && entries.dropped == 0, LNG_ERR_FORMAT,
                     "%s: expected a vocabulary, found no entry", name);
    status = make_vocab(&entries, name, !lines, vocab, warnings);
fail:
    lng_buffer_release(&entries.pool);
    lng_free(entries.by_id);
    return with_name(status, name);
}

/* ---- files ---- */

enum lng_status lng_marian_vocab_kind(const char *path, enum lng_marian_vocab_format *format)
{
    LNG_FAIL_IF(lng_text_ends_in(path, ".fsv"), LNG_ERR_UNSUPPORTED,
                "%s: expected a vocabulary of words or pieces, found a factored one (.fsv)", path);
    *format = lng_text_ends_in(path, ".spm") ? LNG_MARIAN_VOCAB_SPM
              : lng_text_ends_in(path, ".yml") || lng_text_ends_in(path, ".yaml") ||
                      lng_text_ends_in(path, ".json")
                  ? LNG_MARIAN_VOCAB_YAML
                  : LNG_MARIAN_VOCAB_LINES;
    return LNG_OK;
}

static enum lng_status read_spm(const char *path, int32_t rows, struct lng_vocab **vocab,
                                struct lng_buffer *warnings)
{
    struct lng_spm *spm = NULL;
    struct entries entries = {.rows = rows};
    enum lng_status status;
    LNG_TRY(lng_spm_open_file(path, &spm));
    entries.by_id = lng_alloc((size_t)rows, sizeof *entries.by_id);
    LNG_TRY_OR_FAIL(entries.by_id ? LNG_OK : LNG_ERR_MEMORY);
    for (int32_t id = 0; id < lng_spm_get_info(spm)->pieces; id++) {
        size_t length = 0;
        const char *piece = lng_spm_piece(spm, id, &length);
        LNG_TRY_OR_FAIL(add(&entries, piece, length, (uint64_t)id));
    }
    status = make_vocab(&entries, path, false, vocab, warnings);
fail:
    lng_buffer_release(&entries.pool);
    lng_free(entries.by_id);
    lng_spm_close(spm);
    return with_name(status, path);
}

enum lng_status lng_marian_vocab_read(const char *path, int32_t rows, struct lng_vocab **vocab,
                                      struct lng_buffer *warnings)
{
    enum lng_marian_vocab_format format;
    struct lng_buffer content = {0};
    LNG_TRY(lng_marian_vocab_kind(path, &format));
    if (format == LNG_MARIAN_VOCAB_SPM)
        return read_spm(path, rows, vocab, warnings);
    enum lng_status status = lng_blob_read_file(path, LNG_VOCAB_MAX_FILE_BYTES, &content);
    if (status == LNG_OK)
        status = lng_marian_vocab_parse(path, format, content.data ? content.data : "",
                                        content.length, rows, vocab, warnings);
    lng_buffer_release(&content);
    return status;
}

/* ---- writing ---- */

/* In double quotes; what YAML takes for white space or cannot hold is escaped. */
static enum lng_status append_quoted(struct lng_buffer *yaml, struct lng_slice text)
{
    LNG_TRY(lng_buffer_append_byte(yaml, '"'));
    for (size_t at = 0, taken; at < text.length; at += taken) {
        uint32_t code;
        taken = lng_utf8_decode(text.data + at, text.length - at, &code);
        if (code == '"' || code == '\\')
            LNG_TRY(lng_buffer_append_format(yaml, "\\%c", (char)code));
        else if (code < 0x20 || (code >= 0x7F && code <= 0xA0))
            LNG_TRY(lng_buffer_append_format(yaml, "\\x%02X", code));
        else if (code == 0x2028 || code == 0x2029 || code == 0xFEFF)
            LNG_TRY(lng_buffer_append_format(yaml, "\\u%04X", code));
        else
            LNG_TRY(lng_buffer_append(yaml, text.data + at, taken));
    }
    return lng_buffer_append_byte(yaml, '"');
}

enum lng_status lng_marian_vocab_format(const struct lng_vocab *vocab, int32_t count, int32_t eos,
                                        int32_t unk, struct lng_buffer *yaml)
{
    for (int32_t id = 0; id < count; id++) {
        if (id == eos || id == unk)
            LNG_TRY(lng_buffer_append_text(yaml, id == eos ? LNG_EOS_TEXT : LNG_UNK_TEXT));
        else
            LNG_TRY(append_quoted(yaml, lng_vocab_entry(vocab, id)));
        LNG_TRY(lng_buffer_append_format(yaml, ": %d\n", id));
    }
    return LNG_OK;
}
