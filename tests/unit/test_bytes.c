#include "host/base/bytes.h"

#include <math.h>
#include <string.h>

#include "tests/support/check.h"

Test(bytes, numbers_are_little_endian)
{
    unsigned char memory[64];
    struct lng_writer writer;
    lng_writer_init(&writer, memory, sizeof memory);
    check_ok(lng_writer_u8(&writer, 0xAB));
    check_ok(lng_writer_u16(&writer, 0x1234));
    check_ok(lng_writer_u32(&writer, 0xDEADBEEF));
    check_ok(lng_writer_u64(&writer, 0x0102030405060708u));
    check_ok(lng_writer_f32(&writer, 1.0f));
    check_ok(lng_writer_f64(&writer, -2.5));
    check_ok(lng_writer_u32(&writer, (uint32_t)-7));
    check_ok(lng_writer_u64(&writer, (uint64_t)-8));
    static const unsigned char want[] = {0xAB, 0x34, 0x12, 0xEF, 0xBE, 0xAD, 0xDE, 8,    7,   6,
                                         5,    4,    3,    2,    1,    0,    0,    0x80, 0x3F};
    cr_assert(memcmp(memory, want, sizeof want) == 0);

    struct lng_reader reader;
    lng_reader_init(&reader, "numbers", memory, writer.position);
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;
    float f32;
    double f64;
    int32_t i32;
    int64_t i64;
    check_ok(lng_reader_u8(&reader, &u8));
    check_ok(lng_reader_u16(&reader, &u16));
    check_ok(lng_reader_u32(&reader, &u32));
    check_ok(lng_reader_u64(&reader, &u64));
    check_ok(lng_reader_f32(&reader, &f32));
    check_ok(lng_reader_f64(&reader, &f64));
    check_ok(lng_reader_i32(&reader, &i32));
    check_ok(lng_reader_i64(&reader, &i64));
    cr_assert(u8 == 0xAB && u16 == 0x1234 && u32 == 0xDEADBEEF && u64 == 0x0102030405060708u);
    cr_assert(f32 == 1.0f && f64 == -2.5 && i32 == -7 && i64 == -8);
    cr_assert(lng_reader_left(&reader) == 0);
}

Test(bytes, reading_past_the_end_changes_nothing)
{
    struct lng_reader reader;
    lng_reader_init(&reader, "model.bin", "abc", 3);
    uint32_t value = 77;
    const void *bytes = NULL;
    check_ok(lng_reader_skip(&reader, 1));
    check_fails(lng_reader_u32(&reader, &value), LNG_ERR_FORMAT, "model.bin");
    check_fails(lng_reader_bytes(&reader, SIZE_MAX, &bytes), LNG_ERR_FORMAT, "offset 1");
    check_fails(lng_reader_seek(&reader, 4), LNG_ERR_FORMAT, "past the end");
    cr_assert(value == 77 && bytes == NULL && reader.position == 1);
    check_ok(lng_reader_seek(&reader, 3));
    check_fails(lng_reader_skip(&reader, 1), LNG_ERR_FORMAT, "cut short");
    check_ok(lng_reader_seek(&reader, 0));
    check_ok(lng_reader_bytes(&reader, 3, &bytes));
    cr_assert(memcmp(bytes, "abc", 3) == 0);
}

Test(bytes, empty_memory)
{
    struct lng_reader reader;
    lng_reader_init(&reader, "empty", NULL, 0);
    uint8_t value;
    const void *bytes;
    check_fails(lng_reader_u8(&reader, &value), LNG_ERR_FORMAT, "empty");
    check_ok(lng_reader_bytes(&reader, 0, &bytes));
    cr_assert(bytes != NULL);
}

Test(bytes, writing_past_the_end_is_refused)
{
    unsigned char memory[6] = {0};
    struct lng_writer writer;
    lng_writer_init(&writer, memory, 5);
    check_ok(lng_writer_u32(&writer, ~0u));
    check_fails(lng_writer_u16(&writer, 0xFFFF), LNG_ERR_INTERNAL, "do not fit");
    check_ok(lng_writer_u8(&writer, 0xFF));
    cr_assert(writer.position == 5 && memory[5] == 0);
}

Test(bytes, unaligned_loads_and_stores)
{
    unsigned char memory[16] = {0};
    lng_store_u64(memory + 1, 0x1122334455667788u);
    lng_store_u32(memory + 9, 0xAABBCCDD);
    cr_assert(lng_load_u64(memory + 1) == 0x1122334455667788u);
    cr_assert(lng_load_u32(memory + 9) == 0xAABBCCDD && lng_load_u16(memory + 9) == 0xCCDD);
}

Test(bytes, checksum_is_xxh3)
{
    /* XXH3_64bits of nothing, as published with xxHash. */
    cr_assert(lng_checksum(NULL, 0) == 0x2D06800538D394C2u);
    char text[1000];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * 31);
    uint64_t whole = lng_checksum(text, sizeof text);
    struct lng_hash *hash;
    check_ok(lng_hash_open(&hash));
    cr_assert(lng_hash_value(hash) == 0x2D06800538D394C2u);
    for (size_t at = 0; at < sizeof text; at += 37)
        lng_hash_add(hash, text + at, at + 37 <= sizeof text ? 37 : sizeof text - at);
    cr_assert(lng_hash_value(hash) == whole);
    lng_hash_add(hash, "x", 1);
    cr_assert(lng_hash_value(hash) != whole);
    lng_hash_close(hash);
    text[500] ^= 1;
    cr_assert(lng_checksum(text, sizeof text) != whole);
}
