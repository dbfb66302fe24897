#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/bytes.h"
#include "host/base/mem.h"
#include "host/store/ctranslate2_internal.h"

/* ---- the layout ---- */

/* A place in the file; reading past its end fails. */
struct cursor {
    const struct lng_blob *blob;
    uint64_t at;
};

static enum lng_status take(struct cursor *cursor, void *to, size_t size)
{
    LNG_TRY(lng_blob_read(cursor->blob, cursor->at, to, size));
    cursor->at += size;
    return LNG_OK;
}

static enum lng_status take_u8(struct cursor *cursor, uint8_t *value)
{
    return take(cursor, value, 1);
}

static enum lng_status take_u32(struct cursor *cursor, uint32_t *value)
{
    unsigned char bytes[4];
    LNG_TRY(take(cursor, bytes, sizeof bytes));
    *value = lng_load_u32(bytes);
    return LNG_OK;
}

/* *text is the caller's. Names are shown in messages: nothing but printable ASCII gets through. */
static enum lng_status take_string(struct cursor *cursor, char **text)
{
    unsigned char bytes[2];
    uint64_t start = cursor->at;
    LNG_TRY(take(cursor, bytes, sizeof bytes));
    size_t length = lng_load_u16(bytes);
    LNG_FAIL_IF(length == 0 || length > cursor->blob->size - cursor->at, LNG_ERR_FORMAT,
                "%s: offset %" PRIu64 ": expected a name, found the length %zu, and the file has "
                "%" PRIu64 " bytes left",
                cursor->blob->name, start, length, cursor->blob->size - cursor->at);
    char *fresh = lng_alloc(length, 1);
    if (!fresh)
        return LNG_ERR_MEMORY;
    enum lng_status status;
    LNG_TRY_OR_FAIL(take(cursor, fresh, length));
    for (size_t i = 0; i < length; i++) {
        bool fine = i + 1 < length ? fresh[i] > ' ' && fresh[i] < 0x7F : fresh[i] == '\0';
        LNG_GOTO_FAIL_IF(!fine, LNG_ERR_FORMAT,
                         "%s: offset %" PRIu64 ": expected a name of printable characters and a "
                         "NUL, found byte 0x%02x",
                         cursor->blob->name, start + 2 + i, (unsigned char)fresh[i]);
    }
    *text = fresh;
    return LNG_OK;
fail:
    lng_free(fresh);
    return status;
}

static enum lng_status take_shape(struct cursor *cursor, struct lng_ct2_variable *variable)
{
    uint8_t rank;
    LNG_TRY(take_u8(cursor, &rank));
    LNG_FAIL_IF(rank > LNG_CT2_RANK, LNG_ERR_FORMAT,
                "%s: variable \"%s\": expected at most %d dimensions, found %d", cursor->blob->name,
                variable->name, LNG_CT2_RANK, rank);
    variable->rank = rank;
    variable->elements = 1;
    for (int i = 0; i < rank; i++) {
        uint32_t size;
        LNG_TRY(take_u32(cursor, &size));
        LNG_FAIL_IF(
            size == 0 ||
                __builtin_mul_overflow(variable->elements, (uint64_t)size, &variable->elements),
            LNG_ERR_FORMAT,
            "%s: variable \"%s\": expected dimensions over 0 with fewer than 2^64 elements, "
            "found %" PRIu32 " as dimension %d",
            cursor->blob->name, variable->name, size, i);
        variable->shape[i] = size;
    }
    return LNG_OK;
}

/* The type, and where the data lies; every product is checked before it counts. */
static enum lng_status take_data(struct cursor *cursor, uint32_t version,
                                 struct lng_ct2_variable *variable)
{
    static const enum lng_ct2_type by_width[5] = {
        [1] = LNG_CT2_I8, [2] = LNG_CT2_I16, [4] = LNG_CT2_F32};
    bool coded = version >= 4;
    uint8_t type;
    uint32_t size;
    LNG_TRY(take_u8(cursor, &type));
    LNG_TRY(take_u32(cursor, &size));
    LNG_FAIL_IF(coded ? type >= LNG_CT2_TYPE_COUNT : type != 1 && type != 2 && type != 4,
                LNG_ERR_FORMAT, "%s: variable \"%s\": expected %s, found %d", cursor->blob->name,
                variable->name,
                coded ? "a code of float32, int8, int16, int32, float16 or bfloat16 (0 to 5)"
                      : "items of 1, 2 or 4 bytes",
                type);
    variable->type = coded ? (enum lng_ct2_type)type : by_width[type];
    unsigned width = lng_ct2_type_bytes(variable->type);
    uint64_t left = cursor->blob->size - cursor->at, bytes = coded ? size : (uint64_t)size * width;
    LNG_FAIL_IF(bytes % width != 0 || bytes / width != variable->elements, LNG_ERR_FORMAT,
                "%s: variable \"%s\": its shape has %" PRIu64 " elements, its data %" PRIu64
                " bytes of %s",
                cursor->blob->name, variable->name, variable->elements, bytes,
                lng_ct2_type_name(variable->type));
    LNG_FAIL_IF(bytes > left, LNG_ERR_FORMAT,
                "%s: variable \"%s\": expected %" PRIu64 " bytes of data, but the file has only "
                "%" PRIu64 " left: it is cut or damaged",
                cursor->blob->name, variable->name, bytes, left);
    variable->bytes = bytes;
    variable->offset = cursor->at;
    cursor->at += bytes;
    return LNG_OK;
}

/* A zeroed variable at the end of the list. */
static enum lng_status append(struct lng_ct2_file *file, struct lng_ct2_variable **variable)
{
    LNG_FAIL_IF(file->count >= LNG_CT2_VARIABLES, LNG_ERR_FORMAT,
                "%s: more than %d variables: it is damaged", file->blob.name, LNG_CT2_VARIABLES);
    LNG_TRY(lng_grow(&file->list, &file->capacity, file->count + 1, sizeof *file->list));
    *variable = &file->list[file->count++];
    return LNG_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct lng_ct2_variable *)a)->name,
                  ((const struct lng_ct2_variable *)b)->name);
}

/* Today's names, in order, each once. */
static enum lng_status settle_names(struct lng_ct2_file *file, size_t from)
{
    for (size_t i = from; i < file->count; i++) {
        char **names[] = {&file->list[i].name, &file->list[i].alias_of};
        for (int n = 0; n < 2 && *names[n]; n++) {
            char *today = lng_ct2_rename(*names[n], file->revision == 1);
            if (!today)
                return LNG_ERR_MEMORY;
            lng_free(*names[n]);
            *names[n] = today;
        }
    }
    if (file->count > 0)
        qsort(file->list, file->count, sizeof *file->list, by_name);
    for (size_t i = 1; i < file->count; i++)
        LNG_FAIL_IF(strcmp(file->list[i - 1].name, file->list[i].name) == 0, LNG_ERR_FORMAT,
                    "%s: variable \"%s\" is there twice", file->blob.name, file->list[i].name);
    return LNG_OK;
}

static enum lng_status take_variables(struct lng_ct2_file *file, struct cursor *cursor)
{
    uint32_t count;
    LNG_TRY(take_u32(cursor, &count));
    for (uint32_t i = 0; i < count; i++) {
        struct lng_ct2_variable *variable;
        LNG_TRY(append(file, &variable));
        LNG_TRY(take_string(cursor, &variable->name));
        LNG_TRY(take_shape(cursor, variable));
        LNG_TRY(take_data(cursor, file->version, variable));
    }
    return settle_names(file, 0);
}

static enum lng_status take_aliases(struct lng_ct2_file *file, struct cursor *cursor)
{
    uint32_t count;
    size_t variables = file->count;
    LNG_TRY(take_u32(cursor, &count));
    for (uint32_t i = 0; i < count; i++) {
        struct lng_ct2_variable *alias;
        LNG_TRY(append(file, &alias));
        LNG_TRY(take_string(cursor, &alias->name));
        LNG_TRY(take_string(cursor, &alias->alias_of));
    }
    /* Found before the list is sorted anew: an alias stands for a variable, not for another alias. */
    struct lng_ct2_file stored = {.list = file->list, .count = variables};
    for (size_t i = variables; i < file->count; i++) {
        struct lng_ct2_variable *alias = &file->list[i];
        char *today = lng_ct2_rename(alias->alias_of, file->revision == 1);
        if (!today)
            return LNG_ERR_MEMORY;
        const struct lng_ct2_variable *of = lng_ct2_find(&stored, today);
        lng_free(today);
        LNG_FAIL_IF(!of, LNG_ERR_FORMAT, "%s: alias \"%s\" stands for \"%s\", which is not there",
                    file->blob.name, alias->name, alias->alias_of);
        struct lng_ct2_variable copy = *of;
        copy.name = alias->name;
        copy.alias_of = alias->alias_of;
        *alias = copy;
    }
    return settle_names(file, variables);
}

static enum lng_status take_all(struct lng_ct2_file *file)
{
    struct cursor cursor = {&file->blob, 0};
    LNG_TRY(take_u32(&cursor, &file->version));
    LNG_FAIL_IF(file->version == 0 || file->version > 1000, LNG_ERR_FORMAT,
                "%s: expected the binary version of a CTranslate2 model, found %" PRIu32 "%s",
                file->blob.name, file->version, lng_blob_hint(&file->blob));
    LNG_FAIL_IF(file->version > LNG_CT2_VERSION, LNG_ERR_UNSUPPORTED,
                "%s: expected binary version 1 to %d, found %" PRIu32
                ": a newer CTranslate2 wrote it",
                file->blob.name, LNG_CT2_VERSION, file->version);
    file->revision = 1;
    if (file->version >= 2) {
        LNG_TRY(take_string(&cursor, &file->spec));
        LNG_TRY(take_u32(&cursor, &file->revision));
    } else {
        file->spec = lng_strdup("");
        if (!file->spec)
            return LNG_ERR_MEMORY;
    }
    LNG_TRY(take_variables(file, &cursor));
    if (file->version >= 3)
        LNG_TRY(take_aliases(file, &cursor));
    LNG_FAIL_IF(cursor.at != file->blob.size, LNG_ERR_FORMAT,
                "%s: its variables end at byte %" PRIu64 " of %" PRIu64
                ": it is damaged or has something appended",
                file->blob.name, cursor.at, file->blob.size);
    return LNG_OK;
}

static enum lng_status open_blob(struct lng_ct2_file *fresh, struct lng_ct2_file *file)
{
    enum lng_status status = take_all(fresh);
    if (status == LNG_OK)
        *file = *fresh;
    else
        lng_ct2_close(fresh);
    return status;
}

enum lng_status lng_ct2_open(struct lng_ct2_file *file, const char *path)
{
    struct lng_ct2_file fresh = {0};
    LNG_TRY(lng_blob_open(&fresh.blob, path));
    return open_blob(&fresh, file);
}

enum lng_status lng_ct2_open_memory(struct lng_ct2_file *file, const char *name, const void *data,
                                    size_t size)
{
    struct lng_ct2_file fresh = {0};
    LNG_TRY(lng_blob_open_memory(&fresh.blob, name, data, size));
    return open_blob(&fresh, file);
}

void lng_ct2_close(struct lng_ct2_file *file)
{
    for (size_t i = 0; i < file->count; i++) {
        lng_free(file->list[i].name);
        lng_free(file->list[i].alias_of);
    }
    lng_free(file->list);
    lng_free(file->spec);
    lng_blob_close(&file->blob);
    *file = (struct lng_ct2_file){.blob.fd = -1};
}

const struct lng_ct2_variable *lng_ct2_find(const struct lng_ct2_file *file, const char *name)
{
    struct lng_ct2_variable key = {.name = (char *)name};
    return file->count ? bsearch(&key, file->list, file->count, sizeof key, by_name) : NULL;
}
