#include "host/store/npz.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "host/base/bytes.h"
#include "host/base/mem.h"
#include "tests/support/check.h"
#include "tests/support/failing_memory.h"
#include "tests/support/npz_fixture.h"
#include "tests/support/scratch.h"

static void setup(void)
{
    scratch_make();
}

TestSuite(npz, .init = setup, .fini = scratch_remove);

static const float six[] = {1, -2, 3.5f, 1e-40f, 1e30f, 0};

/* Three arrays of one kind. */
static struct npz_fixture small(unsigned kind)
{
    struct npz_fixture npz = {0};
    npz_fixture_array(&npz, "zwei", "<f4", "(2, 3)", six, sizeof six, kind);
    npz_fixture_array(&npz, "eins", "<f4", "(6,)", six, sizeof six, kind);
    npz_fixture_array(&npz, "special:text", "<i1", "(4,)", "abc", 4, kind);
    npz_fixture_end(&npz);
    return npz;
}

static enum lng_status open_fixture(struct lng_npz *file, const struct npz_fixture *npz)
{
    return lng_npz_open_memory(file, "m.npz", npz->file.data, npz->file.length);
}

/* Opens, reads everything; the first failure. */
static enum lng_status use(const void *data, size_t size, float values[6])
{
    struct lng_npz file;
    char text[4] = "";
    LNG_TRY(lng_npz_open_memory(&file, "m.npz", data, size));
    enum lng_status status = LNG_OK;
    const struct lng_npz_member *eins = lng_npz_find(&file, "eins"),
                                *zwei = lng_npz_find(&file, "zwei"),
                                *special = lng_npz_find(&file, "special:text");
    if (!eins || !zwei || !special || zwei->array.elements != 6 || special->array.bytes != 4)
        status = lng_fail(LNG_ERR_FORMAT, "another file");
    if (status == LNG_OK)
        status = lng_npz_read_f32(&file, eins, values);
    if (status == LNG_OK)
        status = lng_npz_read_f32(&file, zwei, values);
    if (status == LNG_OK)
        status = lng_npz_read_raw(&file, special, text);
    if (status == LNG_OK && strcmp(text, "abc") != 0)
        status = lng_fail(LNG_ERR_INTERNAL, "damage was not noticed");
    lng_npz_close(&file);
    return status;
}

Test(npz, all_kinds_of_members)
{
    static const unsigned kinds[] = {NPZ_MARIAN,     NPZ_DEFLATED,
                                     NPZ_ZIP64,      NPZ_ZIP64 | NPZ_DEFLATED,
                                     NPZ_DESCRIPTOR, NPZ_DESCRIPTOR | NPZ_DEFLATED};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        float values[6] = {0};
        struct lng_npz file;
        struct npz_fixture npz = small(kinds[i]);
        check_ok(use(npz.file.data, npz.file.length, values));
        cr_assert(memcmp(values, six, sizeof six) == 0, "kind %u", kinds[i]);
        check_ok(lng_npz_open(&file, scratch_write("m.npz", npz.file.data, npz.file.length)));
        cr_assert(file.count == 3 && strcmp(file.list[0].name, "eins") == 0);
        const struct lng_npy *array = &lng_npz_find(&file, "zwei")->array;
        cr_assert(array->rank == 2 && array->shape[0] == 2 && array->shape[1] == 3);
        cr_assert(lng_npz_find(&file, "drei") == NULL && lng_npz_find(&file, "") == NULL);
        lng_npz_close(&file);
        npz_fixture_release(&npz);
    }
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

Test(npz, types_as_f32)
{
    static const uint16_t halves[] = {0x3C00, 0xC000, 0x0001, 0x7BFF};
    static const double doubles[] = {1, -2.5, 1e-3, 3e38};
    float values[4];
    struct npz_fixture npz = {0};
    struct lng_npz file;
    npz_fixture_array(&npz, "half", "<f2", "(2, 2)", halves, sizeof halves, NPZ_MARIAN);
    npz_fixture_array(&npz, "double", "<f8", "(4, 1)", doubles, sizeof doubles, NPZ_DEFLATED);
    npz_fixture_array(&npz, "int", "<i4", "()", "\1\0\0\0", 4, NPZ_MARIAN);
    npz_fixture_array(&npz, "byte", "|i1", "(2,)", "ab", 2, NPZ_MARIAN);
    npz_fixture_array(&npz, "none", "<f4", "(0, 5)", "", 0, NPZ_DEFLATED);
    npz_fixture_end(&npz);
    check_ok(open_fixture(&file, &npz));
    check_ok(lng_npz_read_f32(&file, lng_npz_find(&file, "half"), values));
    cr_assert(values[0] == 1 && values[1] == -2 && values[2] == 0x1p-24f && values[3] == 65504);
    check_ok(lng_npz_read_f32(&file, lng_npz_find(&file, "double"), values));
    cr_assert(values[1] == -2.5f && values[2] == 1e-3f && values[3] == 3e38f);
    check_ok(lng_npz_read_f32(&file, lng_npz_find(&file, "none"), values));
    cr_assert(lng_npz_find(&file, "int")->array.elements == 1);
    check_fails(lng_npz_read_f32(&file, lng_npz_find(&file, "byte"), values), LNG_ERR_DTYPE,
                "m.npz: array \"byte\": expected type F32, F16 or F64, found I8");
    lng_npz_close(&file);
    npz_fixture_release(&npz);
}

/* More than one piece of input and of output. */
Test(npz, large_members)
{
    enum { COUNT = 300000 };
    float *values = lng_alloc(COUNT, sizeof *values), *back = lng_alloc(COUNT, sizeof *back);
    uint16_t *halves = lng_alloc(COUNT, sizeof *halves);
    for (uint32_t i = 0; i < COUNT; i++) {
        values[i] = (float)(i * 2654435761u % 100003) / 7;
        halves[i] = (uint16_t)(i * 2654435761u >> 18);
    }
    for (unsigned kind = NPZ_MARIAN; kind <= NPZ_DEFLATED; kind++) {
        struct npz_fixture npz = {0};
        struct lng_npz file;
        npz_fixture_array(&npz, "a", "<f4", "(300, 1000)", values, COUNT * 4, kind);
        npz_fixture_array(&npz, "h", "<f2", "(300000,)", halves, COUNT * 2, kind);
        npz_fixture_end(&npz);
        check_ok(open_fixture(&file, &npz));
        check_ok(lng_npz_read_f32(&file, &file.list[0], back));
        cr_assert(memcmp(values, back, COUNT * sizeof *back) == 0);
        check_ok(lng_npz_read_f32(&file, &file.list[1], back));
        cr_assert(back[COUNT - 1] > 0);
        lng_npz_close(&file);
        npz_fixture_release(&npz);
    }
    lng_free(values);
    lng_free(back);
    lng_free(halves);
}

/* ---- the header of an array ---- */

#define HEAD "{'descr': '<f4', 'fortran_order': False, 'shape': "
static const struct {
    const char *text;
    enum lng_status status;
    const char *part; /* of the message; NULL = accepted, 8 bytes of data */
} headers[] = {
    {HEAD "(2,), }", LNG_OK, NULL},
    {HEAD "(2,)}", LNG_OK, NULL},
    {HEAD "(1, 2)}   \n", LNG_OK, NULL},
    {HEAD "(2L, 1L), }", LNG_OK, NULL},
    {"{ 'shape' :( 2 , ) ,\"descr\": \"<f4\",'fortran_order':False }\n", LNG_OK, NULL},
    {"{'descr': '|i1', 'fortran_order': False, 'shape': (8,)}", LNG_OK, NULL},
    {"{'descr': '<c8', 'fortran_order': False, 'shape': (1,)}", LNG_ERR_UNSUPPORTED, "'<c8'"},
    {"{'descr': '<f4', 'fortran_order': True, 'shape': (2,)}", LNG_ERR_UNSUPPORTED,
     "found Fortran order"},
    {"{'descr': '>f4', 'fortran_order': False, 'shape': (2,)}", LNG_ERR_UNSUPPORTED, "big-endian"},
    {"{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", LNG_ERR_UNSUPPORTED,
     "Python objects"},
    {"{'descr': '|f4', 'fortran_order': False, 'shape': (2,)}", LNG_ERR_UNSUPPORTED, "'|f4'"},
    {"{'descr': '=f4', 'fortran_order': False, 'shape': (2,)}", LNG_ERR_UNSUPPORTED, "'=f4'"},
    {"{'descr': '<f16', 'fortran_order': False, 'shape': (2,)}", LNG_ERR_UNSUPPORTED, "'<f16'"},
    {"{'descr': '|S8', 'fortran_order': False, 'shape': ()}", LNG_ERR_UNSUPPORTED, "'|S8'"},
    {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,)}", LNG_ERR_UNSUPPORTED,
     "records"},
    {"{'descr': '', 'fortran_order': False, 'shape': (2,)}", LNG_ERR_UNSUPPORTED, "''"},
    {"{'descr': 'a\\'b', 'fortran_order': False, 'shape': (2,)}", LNG_ERR_FORMAT, "a type like"},
    {HEAD "(2)}", LNG_ERR_FORMAT, "a number in parentheses"},
    {HEAD "2}", LNG_ERR_FORMAT, "a tuple"},
    {HEAD "[2]}", LNG_ERR_FORMAT, "a tuple"},
    {HEAD "(,)}", LNG_ERR_FORMAT, "a shape like"},
    {HEAD "(-2,)}", LNG_ERR_FORMAT, "a shape like"},
    {HEAD "(2.0,)}", LNG_ERR_FORMAT, "',' or ')'"},
    {HEAD "(2 1)}", LNG_ERR_FORMAT, "',' or ')'"},
    {HEAD "(2,}", LNG_ERR_FORMAT, "a shape like"},
    {HEAD "(99999999999999999999,)}", LNG_ERR_FORMAT, "too large"},
    {HEAD "(9223372036854775807,)}", LNG_ERR_FORMAT, "2^63 bytes"},
    {HEAD "(4294967296, 4294967296)}", LNG_ERR_FORMAT, "2^63 bytes"},
    {HEAD "(1,1,1,1,1,1,1,1,2)}", LNG_ERR_FORMAT, "at most 8 dimensions"},
    {HEAD "(3,)}", LNG_ERR_FORMAT, "stand for 12 bytes, found 8"},
    {HEAD "(1,)}", LNG_ERR_FORMAT, "stand for 4 bytes, found 8"},
    {HEAD "(2,)", LNG_ERR_FORMAT, "',' or '}'"},
    {HEAD "(2,)} x", LNG_ERR_FORMAT, "nothing after"},
    {HEAD "(2,), 'x': 1}", LNG_ERR_FORMAT, "unknown key 'x'"},
    {HEAD "(2,), 'shape': (2,)}", LNG_ERR_FORMAT, "'shape' twice"},
    {HEAD "(2,),, }", LNG_ERR_FORMAT, "a key"},
    {"{'descr': '<f4', 'shape': (2,)}", LNG_ERR_FORMAT, "not all are"},
    {"{'descr': '<f4', 'fortran_order': 0, 'shape': (2,)}", LNG_ERR_FORMAT, "True or False"},
    {"{'descr' '<f4'}", LNG_ERR_FORMAT, "':'"},
    {"{'descr: 3}", LNG_ERR_FORMAT, "a key"},
    {"{}", LNG_ERR_FORMAT, "not all are"},
    {"__import__('os')", LNG_ERR_FORMAT, "'{'"},
    {"", LNG_ERR_FORMAT, "a .npy header of 12 to"},
};

static struct npz_fixture with_header(const char *magic, size_t magic_bytes, size_t length,
                                      const char *text)
{
    struct npz_fixture npz = {0};
    unsigned char member[1024];
    memcpy(member, magic, magic_bytes);
    size_t fixed = magic_bytes;
    for (size_t i = 0; i < (member[6] == 1 ? 2u : 4u); i++)
        member[fixed++] = (unsigned char)(length >> (8 * i));
    size_t used = strlen(text);
    memcpy(member + fixed, text, used);
    memset(member + fixed + used, 0, 8);
    npz_fixture_member(&npz, "a.npy", member, fixed + used + 8, NPZ_MARIAN);
    npz_fixture_end(&npz);
    return npz;
}

Test(npz, every_rule_of_the_array_header)
{
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        const char *text = headers[i].text;
        struct lng_npz file;
        struct npz_fixture npz = with_header("\x93NUMPY\1\0", 8, strlen(text), text);
        enum lng_status status = open_fixture(&file, &npz);
        cr_assert(status == headers[i].status, "case %zu (%s): %s", i, text, lng_error_message());
        if (status == LNG_OK)
            lng_npz_close(&file);
        else
            cr_assert(strstr(lng_error_message(), headers[i].part) &&
                          strstr(lng_error_message(), "m.npz: array \"a\""),
                      "case %zu: '%s' lacks '%s'", i, lng_error_message(), headers[i].part);
        npz_fixture_release(&npz);
    }
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

Test(npz, versions_and_lengths_of_the_array_header)
{
    static const struct {
        const char *magic;
        size_t magic_bytes, length;
        enum lng_status status;
    } cases[] = {
        {"\x93NUMPY\1\0", 8, 56, LNG_OK},
        {"\x93NUMPY\2\0", 8, 56, LNG_OK},
        {"\x93NUMPY\3\0", 8, 56, LNG_OK},
        {"\x93NUMPY\4\0", 8, 56, LNG_ERR_UNSUPPORTED},
        {"\x93NUMPY\0\0", 8, 56, LNG_ERR_UNSUPPORTED},
        {"\x93NUMPX\1\0", 8, 56, LNG_ERR_FORMAT},
        {"\x93NUMPY\1\0", 8, 55, LNG_ERR_FORMAT},
        {"\x93NUMPY\1\0", 8, 65, LNG_ERR_FORMAT},
        {"\x93NUMPY\1\0", 8, 0, LNG_ERR_FORMAT},
        {"\x93NUMPY\1\0", 8, 0xFFFF, LNG_ERR_FORMAT},
        {"\x93NUMPY\2\0", 8, 0xFFFFFFFF, LNG_ERR_FORMAT},
        {"\x93NUMPY\2\0", 8, 0x7FFFFFFF, LNG_ERR_FORMAT},
    };
    static const char text[] = HEAD "(2,)}\n";
    cr_assert(strlen(text) == 56);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct lng_npz file;
        struct npz_fixture npz =
            with_header(cases[i].magic, cases[i].magic_bytes, cases[i].length, text);
        enum lng_status status = open_fixture(&file, &npz);
        cr_assert(status == cases[i].status, "case %zu: %s", i, lng_error_message());
        if (status == LNG_OK)
            lng_npz_close(&file);
        npz_fixture_release(&npz);
    }
}

/* ---- damage ---- */

Test(npz, cut_at_every_length)
{
    for (unsigned kind = NPZ_MARIAN; kind <= NPZ_DEFLATED; kind++) {
        struct npz_fixture npz = small(kind);
        float values[6];
        for (size_t size = 0; size < npz.file.length; size++) {
            enum lng_status status = use(npz.file.data, size, values);
            cr_assert(status == LNG_ERR_FORMAT, "%zu bytes: %s", size, lng_error_message());
        }
        check_fails(use(npz.file.data, npz.file.length - 1, values), LNG_ERR_FORMAT,
                    "no end record: cut short?");
        npz_fixture_release(&npz);
    }
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

/* A changed byte is noticed or does not matter. */
Test(npz, every_byte_changed)
{
    static const unsigned char changes[] = {0x01, 0x80, 0xFF};
    static const unsigned kinds[] = {NPZ_MARIAN, NPZ_DEFLATED, NPZ_ZIP64, NPZ_DESCRIPTOR};
    for (size_t k = 0; k < 4; k++) {
        struct npz_fixture npz = small(kinds[k]);
        size_t noticed = 0;
        for (size_t i = 0; i < 3 * npz.file.length; i++) {
            float values[6] = {0};
            npz.file.data[i / 3] ^= (char)changes[i % 3];
            enum lng_status status = use(npz.file.data, npz.file.length, values);
            cr_assert(status == LNG_ERR_FORMAT || status == LNG_ERR_UNSUPPORTED ||
                          status == LNG_ERR_DTYPE ||
                          (status == LNG_OK && memcmp(values, six, sizeof six) == 0),
                      "byte %zu ^ %02x: %s", i / 3, changes[i % 3], lng_error_message());
            noticed += status != LNG_OK;
            npz.file.data[i / 3] ^= (char)changes[i % 3];
        }
        cr_assert(noticed > 2 * npz.file.length, "only %zu of %zu", noticed, 3 * npz.file.length);
        npz_fixture_release(&npz);
    }
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

/* Places in the file of small(): the first member's header, its entry in the directory, the end record. */
enum { LOCAL, ENTRY, END };

static const struct {
    int where;
    size_t at, bytes;
    uint32_t value;
    enum lng_status status;
    const char *part;
} lies[] = {
    {LOCAL, 0, 4, 0x04034B51, LNG_ERR_FORMAT, "says something else"},
    {LOCAL, 6, 2, 1, LNG_ERR_FORMAT, "says something else"},
    {LOCAL, 8, 2, 8, LNG_ERR_FORMAT, "says something else"},
    {LOCAL, 14, 4, 7, LNG_ERR_FORMAT, "or another CRC"},
    {LOCAL, 18, 4, 1, LNG_ERR_FORMAT, "found 1 and"},
    {LOCAL, 22, 4, 0xFFFFFFFF, LNG_ERR_FORMAT, "and 4294967295"},
    {LOCAL, 26, 2, 7, LNG_ERR_FORMAT, "says something else"},
    {LOCAL, 26, 2, 0xFFFF, LNG_ERR_FORMAT, "expected"},
    {LOCAL, 28, 2, 16, LNG_ERR_FORMAT, "overlaps"},
    {LOCAL, 30, 1, 'y', LNG_ERR_FORMAT, "says something else"},
    {ENTRY, 0, 4, 0, LNG_ERR_FORMAT, "entry 0 of the central directory"},
    {ENTRY, 8, 2, 1, LNG_ERR_UNSUPPORTED, "encrypted"},
    {ENTRY, 8, 2, 0x40, LNG_ERR_UNSUPPORTED, "unknown flags"},
    {ENTRY, 10, 2, 12, LNG_ERR_UNSUPPORTED, "neither stored nor deflated"},
    {ENTRY, 16, 4, 7, LNG_ERR_FORMAT, "or another CRC"},
    {ENTRY, 20, 4, 1, LNG_ERR_FORMAT, "its two sizes differ"},
    {ENTRY, 20, 4, 0xFFFFFFFF, LNG_ERR_UNSUPPORTED, "ZIP64 member"},
    {ENTRY, 24, 4, 0xFFFFFFFF, LNG_ERR_UNSUPPORTED, "ZIP64 member"},
    {ENTRY, 28, 2, 0, LNG_ERR_FORMAT, "NAME.npy"},
    {ENTRY, 28, 2, 0xFFFF, LNG_ERR_FORMAT, "m.npz"},
    {ENTRY, 30, 2, 5, LNG_ERR_FORMAT, "entry 1 of the central directory"},
    {ENTRY, 32, 2, 0xFFFF, LNG_ERR_FORMAT, "m.npz"},
    {ENTRY, 42, 4, 1, LNG_ERR_FORMAT, "bytes at offset 31, but"},
    {ENTRY, 42, 4, 0x7FFFFFFF, LNG_ERR_FORMAT, "more than the file can hold"},
    {ENTRY, 46, 1, '/', LNG_ERR_FORMAT, "members in no folder"},
    {ENTRY, 46, 1, '\\', LNG_ERR_FORMAT, "members in no folder"},
    {ENTRY, 46, 2, 0x2E2E, LNG_ERR_FORMAT, "members in no folder"},
    {ENTRY, 46, 1, 0, LNG_ERR_FORMAT, "members in no folder"},
    {ENTRY, 46, 1, 0xFF, LNG_ERR_FORMAT, "names of members in UTF-8"},
    {ENTRY, 53, 1, 'z', LNG_ERR_FORMAT, "another kind of ZIP file"},
    {END, 4, 2, 1, LNG_ERR_UNSUPPORTED, "one of several"},
    {END, 8, 2, 2, LNG_ERR_UNSUPPORTED, "one of several"},
    {END, 8, 4, 0x00020002, LNG_ERR_FORMAT, "more bytes in the central directory"},
    {END, 8, 4, 0x00040004, LNG_ERR_FORMAT, "m.npz"},
    {END, 8, 4, 0xFFFEFFFE, LNG_ERR_FORMAT, "65534 members"},
    {END, 8, 4, 0xFFFFFFFF, LNG_ERR_UNSUPPORTED, "ZIP64"},
    {END, 12, 4, 0xFFFFFFFF, LNG_ERR_UNSUPPORTED, "ZIP64"},
    {END, 16, 4, 0xFFFFFFFF, LNG_ERR_UNSUPPORTED, "ZIP64"},
    {END, 16, 4, 0, LNG_ERR_FORMAT, "where the end record starts"},
    {END, 20, 2, 1, LNG_ERR_FORMAT, "no end record"},
};

Test(npz, every_field_that_lies)
{
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        struct npz_fixture npz = small(NPZ_MARIAN);
        float values[6];
        size_t start = lies[i].where == LOCAL   ? 0
                       : lies[i].where == ENTRY ? npz.file.length - 22 - npz.directory.length
                                                : npz.file.length - 22;
        for (size_t k = 0; k < lies[i].bytes; k++)
            npz.file.data[start + lies[i].at + k] = (char)(lies[i].value >> (8 * k));
        enum lng_status status = use(npz.file.data, npz.file.length, values);
        cr_assert(status == lies[i].status, "case %zu: got '%s': %s", i, lng_status_text(status),
                  lng_error_message());
        cr_assert(strstr(lng_error_message(), lies[i].part), "case %zu: '%s' lacks '%s'", i,
                  lng_error_message(), lies[i].part);
        npz_fixture_release(&npz);
    }
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

/* Sets the unpacked size in both places, and in the array's header before it was packed. */
static struct npz_fixture bomb(uint32_t claimed, size_t real)
{
    struct npz_fixture npz = {0};
    char shape[32];
    unsigned char *zeros = lng_alloc(real, 1);
    snprintf(shape, sizeof shape, "(%u,)", claimed - 128);
    npz_fixture_array(&npz, "a", "|i1", shape, zeros, real - 128, NPZ_DEFLATED);
    lng_store_u32(npz.file.data + 22, claimed);
    lng_store_u32(npz.directory.data + 24, claimed);
    npz_fixture_end(&npz);
    lng_free(zeros);
    return npz;
}

Test(npz, what_unpacks_to_another_size)
{
    static const struct {
        uint32_t claimed;
        size_t real;
        const char *part;
    } cases[] = {
        {100000, 100000, NULL},
        {100000, 90000, "fewer bytes than its size"},
        {100000, 110000, "more bytes than its size"},
        {100000, 100001, "more bytes than its size"},
        {4000000000u, 100000, "more than the file can hold"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct npz_fixture npz = bomb(cases[i].claimed, cases[i].real);
        struct lng_npz file;
        size_t before = lng_mem_get_stats().bytes_live;
        enum lng_status status = open_fixture(&file, &npz);
        if (status == LNG_OK) {
            cr_assert(lng_mem_get_stats().bytes_live - before < 10000);
            char *to = lng_alloc((size_t)file.list[0].array.bytes, 1);
            status = lng_npz_read_raw(&file, &file.list[0], to);
            lng_free(to);
            lng_npz_close(&file);
        }
        if (cases[i].part)
            check_fails(status, LNG_ERR_FORMAT, cases[i].part);
        else
            check_ok(status);
        npz_fixture_release(&npz);
    }
}

Test(npz, members_twice_or_over_each_other)
{
    struct npz_fixture npz = {0};
    struct lng_npz file;
    npz_fixture_array(&npz, "a", "<f4", "(6,)", six, sizeof six, NPZ_MARIAN);
    npz_fixture_array(&npz, "a", "<f4", "(6,)", six, sizeof six, NPZ_MARIAN);
    npz_fixture_end(&npz);
    check_fails(open_fixture(&file, &npz), LNG_ERR_FORMAT, "array \"a\" is there twice");
    npz_fixture_release(&npz);
    /* both entries say the same place */
    npz_fixture_array(&npz, "a", "<f4", "(6,)", six, sizeof six, NPZ_MARIAN);
    check_ok(lng_buffer_reserve(&npz.directory, npz.directory.length));
    check_ok(lng_buffer_append(&npz.directory, npz.directory.data, npz.directory.length));
    npz.count = 2;
    npz_fixture_end(&npz);
    check_fails(open_fixture(&file, &npz), LNG_ERR_FORMAT, "overlaps");
    npz_fixture_release(&npz);
}

Test(npz, what_is_no_npz)
{
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"", "no end record"},
        {"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"},
        {"<!DOCTYPE html><html>", "HTML page"},
        {"\x93NUMPY\1", "a single array"},
        {"PK\3\4 and so on", "cut short"},
    };
    struct lng_npz file;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_fails(lng_npz_open_memory(&file, "m.npz", cases[i].text, strlen(cases[i].text)),
                    LNG_ERR_FORMAT, cases[i].part);
    struct npz_fixture npz = {0};
    npz_fixture_member(&npz, "data.pkl", "x", 1, NPZ_MARIAN);
    npz_fixture_end(&npz);
    check_fails(open_fixture(&file, &npz), LNG_ERR_FORMAT, "found 'data.pkl'");
    npz_fixture_release(&npz);
    npz_fixture_end(&npz); /* none at all, with a comment */
    check_ok(lng_buffer_append_text(&npz.file, "PK\5\6 a comment"));
    npz.file.data[20] = 14;
    check_ok(open_fixture(&file, &npz));
    cr_assert(file.count == 0);
    lng_npz_close(&file);
    npz_fixture_release(&npz);
    check_fails(lng_npz_open(&file, scratch_path("none.npz")), LNG_ERR_IO, "No such file");
    check_fails(lng_npz_open(&file, scratch_path(".")), LNG_ERR_IO, "a folder");
}

Test(npz, out_of_memory)
{
    for (unsigned kind = NPZ_MARIAN; kind <= NPZ_DEFLATED; kind++) {
        struct npz_fixture npz = small(kind);
        float values[6];
        struct failing_memory memory = {.forever = true};
        size_t live = lng_mem_get_stats().blocks_live;
        while (failing_memory_try(&memory))
            failing_memory_check(&memory, use(npz.file.data, npz.file.length, values));
        cr_assert(lng_mem_get_stats().blocks_live == live && memory.tries > 10);
        npz_fixture_release(&npz);
    }
}

/* ---- writing ---- */

Test(npz, writes_what_marian_writes)
{
    static const int64_t shapes[][2] = {{2, 3}, {6, 0}, {4, 0}};
    struct lng_npz_writer writer;
    struct lng_buffer written = {0};
    struct npz_fixture npz = small(NPZ_MARIAN);
    check_ok(lng_npz_writer_open(&writer, scratch_path("w.npz")));
    check_ok(lng_npz_writer_add(&writer, "zwei", LNG_NPY_F32, shapes[0], 2, six));
    check_ok(lng_npz_writer_add(&writer, "eins", LNG_NPY_F32, shapes[1], 1, six));
    check_ok(lng_npz_writer_add(&writer, "special:text", LNG_NPY_I8, shapes[2], 1, "abc"));
    check_ok(lng_npz_writer_commit(&writer));
    check_ok(lng_file_read(scratch_path("w.npz"), 1 << 20, &written));
    cr_assert(written.length == npz.file.length);
    cr_assert(memcmp(written.data, npz.file.data, npz.file.length) == 0);
    lng_buffer_release(&written);
    npz_fixture_release(&npz);
    /* nothing, and empty arrays */
    struct lng_npz file;
    static const int64_t none[] = {0, 5};
    check_ok(lng_npz_writer_open(&writer, scratch_path("w.npz")));
    check_ok(lng_npz_writer_add(&writer, "none", LNG_NPY_F64, none, 2, NULL));
    check_ok(lng_npz_writer_add(&writer, "one", LNG_NPY_F64, none, 0, "12345678"));
    check_ok(lng_npz_writer_commit(&writer));
    check_ok(lng_npz_open(&file, scratch_path("w.npz")));
    cr_assert(file.count == 2 && file.list[0].array.elements == 0 && file.list[1].array.rank == 0);
    float value;
    check_ok(lng_npz_read_f32(&file, &file.list[0], &value));
    check_ok(lng_npz_read_f32(&file, &file.list[1], &value));
    lng_npz_close(&file);
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

Test(npz, what_is_not_finished_is_not_there)
{
    static const int64_t shape[] = {6}, huge[] = {1 << 20, 1 << 12};
    struct lng_npz_writer writer;
    check_fails(lng_npz_writer_open(&writer, scratch_path("no/w.npz")), LNG_ERR_IO, "no/w.npz");
    check_ok(lng_npz_writer_open(&writer, scratch_path("w.npz")));
    check_ok(lng_npz_writer_add(&writer, "a", LNG_NPY_F32, shape, 1, six));
    check_fails(lng_npz_writer_add(&writer, "b", LNG_NPY_F32, huge, 2, six), LNG_ERR_RANGE,
                "more than 4 GiB");
    check_fails(lng_npz_writer_add(&writer, "b", LNG_NPY_F32, huge, 9, six), LNG_ERR_INTERNAL,
                "rank 9");
    lng_npz_writer_discard(&writer);
    lng_npz_writer_discard(&writer);
    cr_assert(scratch_count() == 0);
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}
