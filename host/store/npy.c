#include "host/store/npy.h"

#include <stdio.h>
#include <string.h>

#include "host/base/bytes.h"

static const struct {
    const char *name;
    char kind;
    unsigned bytes;
} types[LNG_NPY_TYPE_COUNT] = {
#define LNG_NPY(name, kind, bytes) {#name, kind, bytes},
    LNG_NPY_TYPES(LNG_NPY)
#undef LNG_NPY
};

static const char magic[] = "\x93NUMPY";
enum { MAGIC = sizeof magic - 1 };

const char *lng_npy_type_name(enum lng_npy_type type)
{
    return types[type].name;
}

enum lng_status lng_npy_header_bytes(const char *name, const void *start, size_t size,
                                     size_t *bytes)
{
    const unsigned char *at = start;
    LNG_FAIL_IF(size < MAGIC + 4 || memcmp(at, magic, MAGIC) != 0, LNG_ERR_FORMAT,
                "%s: expected a NumPy array (\\x93NUMPY), found something else", name);
    unsigned version = at[MAGIC];
    LNG_FAIL_IF(version < 1 || version > 3, LNG_ERR_UNSUPPORTED,
                "%s: expected version 1, 2 or 3 of the .npy format, found %u", name, version);
    size_t fixed = version == 1 ? MAGIC + 4 : MAGIC + 6;
    LNG_FAIL_IF(size < fixed, LNG_ERR_FORMAT, "%s: the .npy header is cut short", name);
    size_t length = version == 1 ? lng_load_u16(at + MAGIC + 2) : lng_load_u32(at + MAGIC + 2);
    LNG_FAIL_IF(length > LNG_NPY_HEADER_BYTES - fixed, LNG_ERR_FORMAT,
                "%s: expected a .npy header of at most %d bytes, found a length of %zu", name,
                LNG_NPY_HEADER_BYTES, length);
    *bytes = fixed + length;
    return LNG_OK;
}

/* ---- the dictionary ---- */

struct scan {
    const char *name, *at, *end;
};

static enum lng_status unexpected(const struct scan *scan, const char *expected)
{
    size_t left = (size_t)(scan->end - scan->at);
    return lng_fail(LNG_ERR_FORMAT, "%s: .npy header: expected %s, found '%.*s'", scan->name,
                    expected, left > 24 ? 24 : (int)left, scan->at);
}

static void skip_spaces(struct scan *scan)
{
    while (scan->at < scan->end && (*scan->at == ' ' || *scan->at == '\n'))
        scan->at++;
}

/* Takes `text` after spaces, if it is there. */
static bool take(struct scan *scan, const char *text)
{
    size_t length = strlen(text);
    skip_spaces(scan);
    if ((size_t)(scan->end - scan->at) < length || memcmp(scan->at, text, length) != 0)
        return false;
    scan->at += length;
    return true;
}

/* 'abc' or "abc", without escapes. */
static enum lng_status take_string(struct scan *scan, const char *expected, struct lng_slice *text)
{
    skip_spaces(scan);
    if (scan->at == scan->end || (*scan->at != '\'' && *scan->at != '"'))
        return unexpected(scan, expected);
    const char *start = scan->at + 1;
    const char *stop = memchr(start, *scan->at, (size_t)(scan->end - start));
    if (!stop || memchr(start, '\\', (size_t)(stop - start)))
        return unexpected(scan, expected);
    *text = (struct lng_slice){start, (size_t)(stop - start)};
    scan->at = stop + 1;
    return LNG_OK;
}

static enum lng_status read_type(struct scan *scan, enum lng_npy_type *type)
{
    struct lng_slice text;
    skip_spaces(scan);
    LNG_FAIL_IF(scan->at < scan->end && *scan->at == '[', LNG_ERR_UNSUPPORTED,
                "%s: expected an array of numbers, found records (a list as descr)", scan->name);
    LNG_TRY(take_string(scan, "descr to be a type like '<f4'", &text));
    int shown = text.length > 24 ? 24 : (int)text.length;
    if (text.length == 3) {
        char order = text.data[0], kind = text.data[1];
        unsigned bytes = (unsigned)(text.data[2] - '0');
        LNG_FAIL_IF(order == '>', LNG_ERR_UNSUPPORTED,
                    "%s: expected little-endian numbers, found big-endian '%.*s'; save it again "
                    "with numpy: a.astype(a.dtype.newbyteorder('<'))",
                    scan->name, shown, text.data);
        for (int i = 0; i < LNG_NPY_TYPE_COUNT && (order == '<' || order == '|'); i++) {
            if (types[i].kind == kind && types[i].bytes == bytes && (order == '<' || bytes == 1)) {
                *type = (enum lng_npy_type)i;
                return LNG_OK;
            }
        }
    }
    LNG_FAIL_IF(text.length >= 2 && text.data[1] == 'O', LNG_ERR_UNSUPPORTED,
                "%s: expected an array of numbers, found Python objects ('%.*s'), which would have "
                "to be executed to be read",
                scan->name, shown, text.data);
    return lng_fail(LNG_ERR_UNSUPPORTED,
                    "%s: expected integers or reals of 1 to 8 bytes ('<f4', '<f2', '|i1', ...), "
                    "found type '%.*s'",
                    scan->name, shown, text.data);
}

static enum lng_status read_size(struct scan *scan, int64_t *size)
{
    uint64_t value = 0;
    const char *start = scan->at;
    while (scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9') {
        LNG_FAIL_IF(__builtin_mul_overflow(value, 10, &value) ||
                        __builtin_add_overflow(value, (uint64_t)(*scan->at - '0'), &value) ||
                        value > INT64_MAX,
                    LNG_ERR_FORMAT, "%s: .npy header: a size of the shape is too large",
                    scan->name);
        scan->at++;
    }
    if (scan->at == start)
        return unexpected(scan, "a shape like (3, 4)");
    if (scan->at < scan->end && *scan->at == 'L') /* Python 2 */
        scan->at++;
    *size = (int64_t)value;
    return LNG_OK;
}

static enum lng_status read_shape(struct scan *scan, struct lng_npy *array)
{
    array->rank = 0;
    if (!take(scan, "("))
        return unexpected(scan, "shape to be a tuple");
    bool comma = true;
    while (!take(scan, ")")) {
        if (!comma)
            return unexpected(scan, "',' or ')' in the shape");
        LNG_FAIL_IF(array->rank >= LNG_NPY_RANK, LNG_ERR_FORMAT,
                    "%s: expected at most %d dimensions, found more", scan->name, LNG_NPY_RANK);
        LNG_TRY(read_size(scan, &array->shape[array->rank++]));
        comma = take(scan, ",");
    }
    /* (3) is no tuple in Python */
    LNG_FAIL_IF(array->rank == 1 && !comma, LNG_ERR_FORMAT,
                "%s: .npy header: expected a tuple as shape, found a number in parentheses",
                scan->name);
    return LNG_OK;
}

static enum lng_status read_order(struct scan *scan)
{
    LNG_FAIL_IF(take(scan, "True"), LNG_ERR_UNSUPPORTED,
                "%s: expected an array in C order, found Fortran order; save it again with "
                "numpy.ascontiguousarray",
                scan->name);
    return take(scan, "False") ? LNG_OK : unexpected(scan, "fortran_order to be True or False");
}

static enum lng_status read_entry(struct scan *scan, struct lng_npy *array, unsigned *seen)
{
    static const char *const keys[] = {"descr", "fortran_order", "shape"};
    struct lng_slice key;
    unsigned which = 0;
    LNG_TRY(take_string(scan, "a key", &key));
    while (which < 3 && !lng_slice_equals(key, keys[which]))
        which++;
    LNG_FAIL_IF(which == 3, LNG_ERR_FORMAT, "%s: .npy header: unknown key '%.*s'", scan->name,
                key.length > 24 ? 24 : (int)key.length, key.data);
    LNG_FAIL_IF(*seen & 1u << which, LNG_ERR_FORMAT, "%s: .npy header: key '%s' twice", scan->name,
                keys[which]);
    *seen |= 1u << which;
    if (!take(scan, ":"))
        return unexpected(scan, "':'");
    return which == 0   ? read_type(scan, &array->type)
           : which == 1 ? read_order(scan)
                        : read_shape(scan, array);
}

enum lng_status lng_npy_measure(const char *name, struct lng_npy *array)
{
    uint64_t elements = 1, bytes = 0;
    bool overflow = false;
    for (int i = 0; i < array->rank; i++)
        overflow |= __builtin_mul_overflow(elements, (uint64_t)array->shape[i], &elements);
    overflow |= __builtin_mul_overflow(elements, (uint64_t)types[array->type].bytes, &bytes);
    LNG_FAIL_IF(overflow || bytes > INT64_MAX, LNG_ERR_FORMAT,
                "%s: the shape stands for more than 2^63 bytes", name);
    array->elements = elements;
    array->bytes = bytes;
    return LNG_OK;
}

enum lng_status lng_npy_parse_header(const char *name, const void *header, size_t size,
                                     struct lng_npy *array)
{
    size_t bytes = 0;
    unsigned seen = 0;
    bool comma = true;
    struct lng_npy result = {0};
    LNG_TRY(lng_npy_header_bytes(name, header, size, &bytes));
    LNG_FAIL_IF(bytes != size, LNG_ERR_FORMAT, "%s: the .npy header is cut short", name);
    const char *text = header;
    struct scan scan = {name, text + (text[MAGIC] == 1 ? MAGIC + 4 : MAGIC + 6), text + size};
    if (!take(&scan, "{"))
        return unexpected(&scan, "'{'");
    while (!take(&scan, "}")) {
        if (!comma)
            return unexpected(&scan, "',' or '}'");
        LNG_TRY(read_entry(&scan, &result, &seen));
        comma = take(&scan, ",");
    }
    skip_spaces(&scan);
    if (scan.at != scan.end)
        return unexpected(&scan, "nothing after '}'");
    LNG_FAIL_IF(seen != 7, LNG_ERR_FORMAT,
                "%s: .npy header: expected the keys descr, fortran_order and shape, not all are "
                "there",
                name);
    LNG_TRY(lng_npy_measure(name, &result));
    *array = result;
    return LNG_OK;
}

enum lng_status lng_npy_format_header(enum lng_npy_type type, const int64_t *shape, int rank,
                                      struct lng_buffer *header)
{
    /* Rank 8 of 20 digits each fits; Marian marks one-byte types '<' too. */
    char text[256];
    int used = snprintf(text, sizeof text, "{'descr': '<%c%u', 'fortran_order': False, 'shape': (",
                        types[type].kind, types[type].bytes);
    for (int i = 0; i < rank; i++)
        used += snprintf(text + used, sizeof text - (size_t)used, "%s%lld", i > 0 ? ", " : "",
                         (long long)shape[i]);
    used += snprintf(text + used, sizeof text - (size_t)used, "%s), }", rank == 1 ? "," : "");
    int fill = 16 - (MAGIC + 4 + used) % 16; /* 1 to 16, the newline included */
    int length = used + fill;
    LNG_TRY(lng_buffer_append(header, magic, MAGIC));
    LNG_TRY(lng_buffer_append(header, "\1\0", 2));
    LNG_TRY(lng_buffer_append_byte(header, (char)(length & 0xFF)));
    LNG_TRY(lng_buffer_append_byte(header, (char)(length >> 8)));
    LNG_TRY(lng_buffer_append(header, text, (size_t)used));
    for (; fill > 1; fill--)
        LNG_TRY(lng_buffer_append_byte(header, ' '));
    return lng_buffer_append_byte(header, '\n');
}
