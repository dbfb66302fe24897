/* usage: make_seeds FOLDER   Writes the seeds of the fuzz targets for binary formats into FOLDER/spm,
 * FOLDER/checkpoint, FOLDER/safetensors, FOLDER/ctranslate2, FOLDER/npz, FOLDER/lines, FOLDER/shortlist and FOLDER/journal, the same bytes every time
 * (`make fuzz-seeds`). Seeds of text formats are written by hand. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "host/base/bytes.h"
#include "host/base/file.h"
#include "host/base/mem.h"
#include "host/store/checkpoint.h"
#include "host/store/ctranslate2_put.h"
#include "host/store/journal.h"
#include "host/store/npz.h"
#include "host/store/safetensors.h"
#include "host/store/shortlist.h"

static const char *folder;

/* In one static buffer. */
static const char *path_of(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* ---- protobuf, as far as SentencePiece needs it ---- */

static enum lng_status put_varint(struct lng_buffer *to, uint64_t value)
{
    for (; value > 127; value >>= 7)
        LNG_TRY(lng_buffer_append_byte(to, (char)(value | 128)));
    return lng_buffer_append_byte(to, (char)value);
}

static enum lng_status put_number(struct lng_buffer *to, unsigned field, uint64_t value)
{
    LNG_TRY(put_varint(to, field << 3));
    return put_varint(to, value);
}

static enum lng_status put_bytes(struct lng_buffer *to, unsigned field, const void *data,
                                 size_t size)
{
    LNG_TRY(put_varint(to, field << 3 | 2));
    LNG_TRY(put_varint(to, size));
    return lng_buffer_append(to, data, size);
}

static enum lng_status put_piece(struct lng_buffer *to, const char *text, float score, int type)
{
    struct lng_buffer piece = {0};
    enum lng_status status;
    LNG_TRY_OR_FAIL(put_bytes(&piece, 1, text, strlen(text)));
    LNG_TRY_OR_FAIL(put_varint(&piece, 2 << 3 | 5));
    LNG_TRY_OR_FAIL(lng_buffer_append(&piece, (const char *)&score, sizeof score));
    if (type != 1)
        LNG_TRY_OR_FAIL(put_number(&piece, 3, (uint64_t)type));
    status = put_bytes(to, 1, piece.data, piece.length);
fail:
    lng_buffer_release(&piece);
    return status;
}

/* A normalisation table that makes A an a: the root's children at 256 ^ byte, the one value at 512. */
static enum lng_status put_charsmap(struct lng_buffer *normalizer)
{
    enum { UNITS = 768, ROOT = 256, LEAF = 512 };
    static unsigned char table[4 + 4 * UNITS + 2];
    lng_store_u32(table, 4 * UNITS);
    unsigned char *units = table + 4;
    lng_store_u32(units, ROOT << 10);
    lng_store_u32(units + 4 * ROOT, 1); /* label 1: no child for the byte 0 */
    lng_store_u32(units + 4 * (ROOT ^ 'A'), 'A' | 1u << 8 | (uint32_t)(ROOT ^ 'A' ^ LEAF) << 10);
    lng_store_u32(units + 4 * LEAF, 1u << 31);
    memcpy(table + 4 + 4 * UNITS, "a", 2);
    return put_bytes(normalizer, 2, table, sizeof table);
}

static enum lng_status write_spm(const char *name, int model_type, bool bytes, bool charsmap)
{
    struct lng_buffer model = {0}, trainer = {0}, normalizer = {0}, sample = {0}, test = {0};
    static const char *const pieces[] = {
        "\xE2\x96\x81", "\xE2\x96\x81the", "e", "t", "h", "a", "th", "tree", "r", "b", "1", "2"};
    enum lng_status status;
    LNG_TRY_OR_FAIL(put_piece(&model, "</s>", 0, 3));
    LNG_TRY_OR_FAIL(put_piece(&model, "<unk>", 0, 2));
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++)
        LNG_TRY_OR_FAIL(put_piece(&model, pieces[i], -1.5f - (float)i, 1));
    LNG_TRY_OR_FAIL(put_piece(&model, "<user>", 0, 4));
    for (int byte = 0; bytes && byte < 256; byte++) {
        char text[8];
        snprintf(text, sizeof text, "<0x%02X>", byte);
        LNG_TRY_OR_FAIL(put_piece(&model, text, -9, 6));
    }
    LNG_TRY_OR_FAIL(put_number(&trainer, 3, (uint64_t)model_type));
    LNG_TRY_OR_FAIL(put_number(&trainer, 4, bytes ? 271 : 15));
    LNG_TRY_OR_FAIL(put_number(&trainer, 16, 1));
    LNG_TRY_OR_FAIL(put_number(&trainer, 35, bytes));
    LNG_TRY_OR_FAIL(put_number(&trainer, 40, 1)); /* unk_id, bos_id, eos_id, pad_id */
    LNG_TRY_OR_FAIL(put_number(&trainer, 41, UINT64_MAX));
    LNG_TRY_OR_FAIL(put_number(&trainer, 42, 0));
    LNG_TRY_OR_FAIL(put_number(&trainer, 43, UINT64_MAX));
    LNG_TRY_OR_FAIL(put_bytes(&normalizer, 1, "identity", 8));
    if (charsmap)
        LNG_TRY_OR_FAIL(put_charsmap(&normalizer));
    LNG_TRY_OR_FAIL(put_bytes(&model, 2, trainer.data, trainer.length));
    LNG_TRY_OR_FAIL(put_bytes(&model, 3, normalizer.data, normalizer.length));
    if (model_type == 4) {
        LNG_TRY_OR_FAIL(put_bytes(&sample, 1, "the", 3));
        LNG_TRY_OR_FAIL(put_bytes(&sample, 2, "\xE2\x96\x81 t h e", 9));
        LNG_TRY_OR_FAIL(put_bytes(&test, 1, sample.data, sample.length));
        LNG_TRY_OR_FAIL(put_bytes(&model, 4, test.data, test.length));
    }
    status = lng_file_write(path_of(name), model.data, model.length);
fail:
    lng_buffer_release(&model);
    lng_buffer_release(&trainer);
    lng_buffer_release(&normalizer);
    lng_buffer_release(&sample);
    lng_buffer_release(&test);
    return status;
}

/* ---- files of ours ---- */

static enum lng_status write_checkpoint(const char *name, int sections)
{
    struct lng_checkpoint_writer writer;
    struct lng_hparams hparams = lng_hparams_default();
    static const float values[24] = {1, -2, 0.5f, 1e30f};
    enum lng_status status;
    LNG_TRY(lng_checkpoint_writer_open(&writer, path_of(name)));
    if (sections > 0)
        LNG_TRY_OR_FAIL(lng_checkpoint_writer_add_hparams(&writer, &hparams));
    if (sections > 1) {
        LNG_TRY_OR_FAIL(lng_checkpoint_writer_add(&writer, LNG_SECTION_OPTIONS,
                                                  LNG_CHECKPOINT_BYTES, "dim: 16\n", 8));
        LNG_TRY_OR_FAIL(lng_checkpoint_writer_add(&writer, LNG_SECTION_PARAMETERS,
                                                  LNG_CHECKPOINT_F32, values, sizeof values));
        LNG_TRY_OR_FAIL(
            lng_checkpoint_writer_add(&writer, LNG_SECTION_EMA, LNG_CHECKPOINT_F32, NULL, 0));
    }
    return lng_checkpoint_writer_commit(&writer);
fail:
    lng_checkpoint_writer_discard(&writer);
    return status;
}

static enum lng_status write_safetensors(const char *name, int tensors)
{
    struct lng_safetensors_writer writer;
    static const enum lng_safetensors_type types[] = {LNG_SAFETENSORS_F32, LNG_SAFETENSORS_BF16,
                                                      LNG_SAFETENSORS_F16, LNG_SAFETENSORS_F64,
                                                      LNG_SAFETENSORS_I64};
    static const int64_t shape[] = {2, 3};
    static const unsigned char raw[48] = {0, 0x3C, 0, 0xBC, 0, 0x7C, 1, 0, 0, 0, 0xF0, 0x3F};
    static const float values[6] = {1, -2, 3.5f, 1e-40f, 1e30f, 0};
    enum lng_status status;
    LNG_TRY(lng_safetensors_writer_open(&writer, path_of(name)));
    for (int i = 0; i < tensors; i++) {
        char tensor[16];
        snprintf(tensor, sizeof tensor, "layer.%d", i);
        LNG_TRY_OR_FAIL(
            lng_safetensors_writer_declare(&writer, tensor, types[i], shape, i == 1 ? 1 : 2));
    }
    for (int i = 0; i < tensors; i++) {
        if (i < 2)
            LNG_TRY_OR_FAIL(lng_safetensors_writer_add_f32(&writer, values, i == 1 ? 2 : 6));
        else
            LNG_TRY_OR_FAIL(lng_safetensors_writer_add_raw(&writer, raw, i == 2 ? 12 : 48));
    }
    return lng_safetensors_writer_commit(&writer, NULL, NULL);
fail:
    lng_safetensors_writer_discard(&writer);
    return status;
}

/* ---- models of CTranslate2 ---- */

/* One layer each, width 8, five words. old: not NULL for versions 1 to 3, which say the width of a number, not its type. */
static enum lng_status put_ct2_tensors(struct lng_ct2_put *put, struct lng_ct2_put *old,
                                       enum lng_ct2_type type, const struct lng_params *params)
{
    static float values[24 * 8];
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        values[i] = (float)((int)(i * 29 % 17) - 8) / 8;
    for (size_t i = 0; i < params->count; i++) {
        const struct lng_param *param = &params->list[i];
        char name[LNG_CT2_NAME_BYTES];
        int64_t rows = param->rows == 1 ? 0 : param->rows;
        if (!lng_ct2_param_name(param->id, param->layer, name))
            continue;
        if (!old)
            LNG_TRY(lng_ct2_put_tensor(put, name, rows ? type : LNG_CT2_F32, values, rows,
                                       param->cols));
        else if (!put->counting) {
            unsigned char rank = rows ? 2 : 1, width = 4;
            LNG_TRY(lng_ct2_put_string(put, name));
            LNG_TRY(lng_atomic_write(&put->file, &rank, 1));
            if (rows)
                LNG_TRY(lng_ct2_put_u32(put, (uint32_t)rows));
            LNG_TRY(lng_ct2_put_u32(put, (uint32_t)param->cols));
            LNG_TRY(lng_atomic_write(&put->file, &width, 1));
            uint32_t count = (uint32_t)((rows ? rows : 1) * param->cols);
            LNG_TRY(lng_ct2_put_u32(put, count));
            LNG_TRY(lng_atomic_write(&put->file, values, count * sizeof(float)));
        }
    }
    return LNG_OK;
}

static enum lng_status write_ct2(const char *name, uint32_t version, enum lng_ct2_type type)
{
    struct lng_ct2_put put = {.file.fd = -1, .counting = true, .name = name};
    struct lng_hparams h = lng_hparams_default();
    struct lng_params params = {0};
    enum lng_status status;
    h.source_vocab = h.target_vocab = 5;
    h.dim = h.encoder_ffn = h.decoder_ffn = 8;
    h.encoder_layers = h.decoder_layers = 1;
    h.pre_norm = true;
    h.tie = version == 6 ? LNG_TIE_TARGET : LNG_TIE_NONE;
    struct lng_ct2_put *old = version < 6 ? &put : NULL;
    LNG_TRY_OR_FAIL(lng_params_init(&params, &h));
    LNG_TRY_OR_FAIL(put_ct2_tensors(&put, old, type, &params));
    LNG_TRY_OR_FAIL(lng_atomic_open(&put.file, path_of(name)));
    put.counting = false;
    LNG_TRY_OR_FAIL(lng_ct2_put_u32(&put, version));
    if (version > 1) {
        LNG_TRY_OR_FAIL(lng_ct2_put_string(&put, LNG_CT2_SPEC));
        LNG_TRY_OR_FAIL(lng_ct2_put_u32(&put, LNG_CT2_REVISION));
    }
    LNG_TRY_OR_FAIL(lng_ct2_put_u32(&put, old ? (uint32_t)params.count : put.count + 1));
    LNG_TRY_OR_FAIL(put_ct2_tensors(&put, old, type, &params));
    if (!old) {
        LNG_TRY_OR_FAIL(lng_ct2_put_number(&put, "decoder/num_heads", LNG_CT2_I16, 4));
        LNG_TRY_OR_FAIL(lng_ct2_put_u32(&put, 1));
        LNG_TRY_OR_FAIL(lng_ct2_put_string(&put, "decoder/projection/weight"));
        LNG_TRY_OR_FAIL(lng_ct2_put_string(&put, "decoder/embeddings/weight"));
    }
    status = lng_atomic_commit(&put.file);
fail:
    lng_atomic_discard(&put.file);
    lng_params_release(&params);
    return status;
}

static enum lng_status write_ct2_texts(void)
{
    static const char config[] = "{\"unk_token\": \"<unk>\", \"decoder_start_token\": null, "
                                 "\"add_source_eos\": true, \"layer_norm_epsilon\": 1e-6}\n";
    static const char vocabulary[] = "[\"<s>\", \"</s>\", \"\\u00e9\", \"\\\"\"]\n",
                      lines[] = "<s>\r\n</s>\r\na\r\n";
    static const char none[] = "\6\0\0\0\20\0TransformerSpec\0\7\0\0\0\0\0\0\0\0\0\0\0";
    LNG_TRY(lng_file_write(path_of("ctranslate2/no-variables"), none, sizeof none - 1));
    LNG_TRY(lng_file_write(path_of("ctranslate2/config"), config, sizeof config - 1));
    LNG_TRY(lng_file_write(path_of("ctranslate2/vocabulary"), vocabulary, sizeof vocabulary - 1));
    return lng_file_write(path_of("ctranslate2/lines"), lines, sizeof lines - 1);
}

/* ---- arrays of NumPy ---- */

static enum lng_status write_npz(const char *name, int arrays)
{
    static const int64_t shape[] = {2, 3};
    static const unsigned char raw[48] = {0, 0x3C, 0, 0xBC, 0, 0x7C, 1, 0, 0, 0, 0xF0, 0x3F};
    static const enum lng_npy_type types[] = {LNG_NPY_F32, LNG_NPY_F16, LNG_NPY_F64, LNG_NPY_I8};
    struct lng_npz_writer writer;
    enum lng_status status;
    LNG_TRY(lng_npz_writer_open(&writer, path_of(name)));
    for (int i = 0; i < arrays; i++) {
        char array[16];
        snprintf(array, sizeof array, "array_%d", i);
        LNG_TRY_OR_FAIL(lng_npz_writer_add(&writer, array, types[i], shape, i == 3 ? 1 : 2, raw));
    }
    return lng_npz_writer_commit(&writer);
fail:
    lng_npz_writer_discard(&writer);
    return status;
}

/* As fuzz_npz takes them: whether it is deflated and to how much, then the array itself. */
static enum lng_status write_array(const char *name, bool deflated)
{
    static const int64_t shape[] = {3, 5};
    struct lng_buffer array = {0};
    unsigned char seed[512] = {deflated};
    enum lng_status status;
    LNG_TRY_OR_FAIL(lng_npy_format_header(LNG_NPY_F32, shape, 2, &array));
    for (int i = 0; i < 60; i++)
        LNG_TRY_OR_FAIL(lng_buffer_append_byte(&array, (char)(i % 4 * 21)));
    z_stream z = {.next_in = (unsigned char *)array.data,
                  .avail_in = (unsigned)array.length,
                  .next_out = seed + 3,
                  .avail_out = sizeof seed - 3};
    seed[1] = (unsigned char)array.length;
    if (!deflated)
        memcpy(seed + 1, array.data, array.length);
    int done = deflateInit2(&z, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY);
    if (deflated && done == Z_OK)
        done = deflate(&z, Z_FINISH) == Z_STREAM_END ? Z_OK : Z_DATA_ERROR;
    size_t size = deflated ? 3 + z.total_out : 1 + array.length;
    deflateEnd(&z);
    LNG_GOTO_FAIL_IF(done != Z_OK, LNG_ERR_INTERNAL, "zlib");
    status = lng_file_write(path_of(name), seed, size);
fail:
    lng_buffer_release(&array);
    return status;
}

/* ---- compressed text ---- */

static enum lng_status write_lines(void)
{
    static const char text[] = "one\r\n\ntwo\0three\nno newline at the end";
    unsigned char packed[256];
    size_t size = ZSTD_compress(packed, sizeof packed, text, sizeof text - 1, 3);
    LNG_FAIL_IF(ZSTD_isError(size), LNG_ERR_INTERNAL, "zstd");
    LNG_TRY(lng_file_write(path_of("lines/plain"), text, sizeof text - 1));
    LNG_TRY(lng_file_write(path_of("lines/zstd"), packed, size));
    z_stream stream = {.next_in = (unsigned char *)text,
                       .avail_in = sizeof text - 1,
                       .next_out = packed,
                       .avail_out = sizeof packed};
    int done = deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY);
    if (done == Z_OK)
        done = deflate(&stream, Z_FINISH);
    size = stream.total_out;
    deflateEnd(&stream);
    LNG_FAIL_IF(done != Z_STREAM_END, LNG_ERR_INTERNAL, "zlib");
    LNG_TRY(lng_file_write(path_of("lines/gzip"), packed, size));
    memcpy(packed + size, packed, size); /* two members */
    return lng_file_write(path_of("lines/gzip-twice"), packed, 2 * size);
}

/* 30 source words; word i has i % 4 targets. */
static enum lng_status write_shortlist(const char *name)
{
    enum { WORDS = 30, OFFSETS = WORDS + 1, HEADER = 48 };
    unsigned char bytes[HEADER + 8 * OFFSETS + 4 * 4 * WORDS] = {0};
    uint64_t ids = 0;
    for (uint64_t word = 0; word < WORDS; word++) {
        lng_store_u64(bytes + HEADER + 8 * word, ids);
        for (uint64_t i = 0; i < word % 4; i++, ids++)
            lng_store_u32(bytes + HEADER + 8 * OFFSETS + 4 * ids,
                          (uint32_t)((7 * word + 3 * i) % 40));
    }
    lng_store_u64(bytes + HEADER + 8 * WORDS, ids);
    const uint64_t header[] = {LNG_SHORTLIST_MAGIC, 0, 5, 4, OFFSETS, ids};
    for (size_t i = 0; i < 6; i++)
        lng_store_u64(bytes + 8 * i, header[i]);
    size_t size = HEADER + 8 * OFFSETS + 4 * (size_t)ids;
    lng_store_u64(bytes + 8, lng_shortlist_checksum(bytes + 16, (size - 16) / 8));
    return lng_file_write(path_of(name), bytes, size);
}

/* ---- journals ---- */

static enum lng_status write_journal(const char *name, int entries)
{
    struct lng_journal journal = {0};
    enum lng_status status = LNG_OK;
    int fd = open(path_of(name), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    LNG_FAIL_IF(fd < 0, LNG_ERR_IO, "cannot write %s", name);
    LNG_TRY_OR_FAIL(lng_journal_read(&journal, fd, name));
    LNG_TRY_OR_FAIL(lng_journal_begin(&journal, lng_slice_of("beam-size 4\njson false\n")));
    for (int i = 0; i < entries; i++) {
        uint64_t n = (uint64_t)i + 1;
        struct lng_journal_entry entry = {i == 2, 10 * n, 77 * n, 0, 1000 * n, 99 * n};
        LNG_TRY_OR_FAIL(lng_journal_append(&journal, &entry));
    }
fail:
    lng_journal_release(&journal);
    close(fd);
    return status;
}

static enum lng_status write_all(void)
{
    static const char *const folders[] = {"spm", "checkpoint", "safetensors", "ctranslate2",
                                          "npz", "lines",      "shortlist",   "journal"};
    for (int i = 0; i < 8; i++)
        LNG_TRY(lng_make_directories(path_of(folders[i])));
    LNG_TRY(write_lines());
    LNG_TRY(write_journal("journal/begun", 0));
    LNG_TRY(write_journal("journal/two", 2));
    LNG_TRY(write_journal("journal/finished", 3));
    LNG_TRY(write_spm("spm/unigram", 1, false, false));
    LNG_TRY(write_spm("spm/unigram-charsmap", 1, false, true));
    LNG_TRY(write_spm("spm/bpe", 2, false, false));
    LNG_TRY(write_spm("spm/bpe-bytes", 2, true, false));
    LNG_TRY(write_spm("spm/word", 3, false, false));
    LNG_TRY(write_spm("spm/char", 4, false, false));
    LNG_TRY(write_checkpoint("checkpoint/none", 0));
    LNG_TRY(write_checkpoint("checkpoint/hparams", 1));
    LNG_TRY(write_checkpoint("checkpoint/four", 4));
    LNG_TRY(write_ct2("ctranslate2/version-1", 1, LNG_CT2_F32));
    LNG_TRY(write_ct2("ctranslate2/version-2", 2, LNG_CT2_F32));
    LNG_TRY(write_ct2("ctranslate2/version-6-int8", 6, LNG_CT2_I8));
    LNG_TRY(write_ct2("ctranslate2/version-6-half", 6, LNG_CT2_F16));
    LNG_TRY(write_ct2_texts());
    LNG_TRY(write_shortlist("shortlist/thirty-words"));
    LNG_TRY(write_npz("npz/none", 0));
    LNG_TRY(write_npz("npz/four", 4));
    LNG_TRY(write_array("npz/stored-array", false));
    LNG_TRY(write_array("npz/deflated-array", true));
    LNG_TRY(write_safetensors("safetensors/none", 0));
    LNG_TRY(write_safetensors("safetensors/one", 1));
    return write_safetensors("safetensors/five", 5);
}

int main(int count, char **words)
{
    folder = count == 2 ? words[1] : "";
    if (count != 2 || write_all() != LNG_OK) {
        fprintf(stderr, "make_seeds: %s\n", count == 2 ? lng_error_message() : "which folder?");
        return 1;
    }
    return 0;
}
