/* Bad input, through the whole program: each row is a model folder, a text or a command line that is wrong in one way,
 * and what must come of it: the exit status and words of the message (file, expected, found, what to do), within
 * seconds and 1 GiB, and one line out for each line in. What these rows do not repeat, because it is tested where it
 * is read, entry by entry:
 *
 *   safetensors: lengths, keys, types, shapes, offsets, holes, overlaps, files that shrink    unit/test_safetensors.c
 *   .npz, .npy: ZIP records that lie, checksums, bombs, names, array headers, 64-bit forms    unit/test_npz.c
 *   SentencePiece: pieces, scores, types, byte pieces, charsmap tables, ids, cuts             unit/test_spm_check.c
 *   CTranslate2: versions, types, names, scales of 0 or NaN, settings, cuts, flips            unit/test_ctranslate2.c
 *   Marian: configurations, vocabularies (gaps, ids twice), paths that lead out               unit/test_marian_parts.c
 *   OPUS-MT packages: names that lead out, encryption, sizes, bombs                           unit/test_opus_package.c
 *   config.json key by key, tensors missing and of other shapes, ties, position tables        unit/test_hf.c
 *   shortlists: checksum, order, ends, ids, every bit                                         unit/test_shortlist.c
 *   checkpoints: every cut, every flipped bit, newer ones, two trainers, kill -9              unit/test_checkpoint.c,
 *                                                                                             unit/test_run_dir.c
 *   another architecture, vocabulary or number of lines for a run; signals                    e2e/test_train.c
 *   YAML: depth, aliases, types, NUL, limits                                                  unit/test_yaml.c
 *   full disks, closed outputs; memory that runs out at each allocation                       e2e/test_full_disk.c,
 *                                                                                             e2e/test_out_of_memory.c
 *   interrupted and changed translations, their journals, two processes                       e2e/test_translate_jobs.c
 *   a GPU out of memory, missing, of another kind                                             e2e/test_cuda_double.c
 *   documents: entities, places, structure that stays                                         unit/test_document_readers.c,
 *                                                                                             unit/test_documents.c */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <criterion/criterion.h>

#include "host/base/file.h"
#include "host/base/mem.h"
#include "host/store/json.h"
#include "tests/support/check.h"
#include "tests/support/program.h"
#include "tests/support/random_data.h"
#include "tests/support/scratch.h"

#ifndef __has_feature
#define __has_feature(feature) 0
#endif

/* What is done to a file of the model folder "m", or to one beside it. */
enum edit {
    PUT,    /* the text is the whole file */
    SWAP,   /* the text (before '|') becomes what stands after it */
    CUT,    /* only so many bytes are left; below 0: so many fewer */
    ADD,    /* the text at its end */
    FLIP,   /* a bit of this byte, from the end when below 0 */
    REMOVE, /* the file */
    FOLDER, /* in its place */
    PIPE,
    LOOP, /* a link to itself */
    MADE, /* by `make` */
};

struct row {
    const char *what;
    enum edit edit;
    const char *file;
    struct lng_slice text;
    long number;
    void (*make)(struct lng_buffer *to);
    const char *words; /* of the command; @ is the scratch folder */
    int status;
    const char *parts[3]; /* of the message */
};
/* clang-format off */
#define TEXT(literal) {literal, sizeof literal - 1}
#define TRANSLATE "translate -q -m @/m"
/* clang-format on */

/* As models are that lingster did not write: what is wrong is seen by the readers themselves. */
static void forget_checksums(const char *config)
{
    json_t *root;
    check_ok(lng_json_read_object(config, 1 << 20, &root));
    cr_assert(json_object_del(json_object_get(root, "lingster"), "files") == 0);
    check_ok(lng_json_write(config, root));
    json_decref(root);
}

static void setup(void)
{
    /* Nothing that is wrong may take memory or time. AddressSanitizer needs all addresses. */
    struct rlimit memory = {1u << 30, 1u << 30}, seconds = {10, 10};
    scratch_make();
    save_words_model(scratch_path("whole"));
    save_words_model(scratch_path("m"));
    forget_checksums(scratch_path("m/config.json"));
    cr_assert(setrlimit(RLIMIT_CPU, &seconds) == 0);
#if !defined(__SANITIZE_ADDRESS__) && !__has_feature(address_sanitizer)
    cr_assert(setrlimit(RLIMIT_DATA, &memory) == 0);
#else
    (void)memory;
#endif
}
TestSuite(bad_input, .init = setup, .fini = scratch_remove, .timeout = 300);

static void swap(struct lng_buffer *content, const struct row *row)
{
    const char *bar = memchr(row->text.data, '|', row->text.length);
    cr_assert(bar != NULL && content->length > 0, "%s", row->what);
    size_t old = (size_t)(bar - row->text.data), new = row->text.length - old - 1;
    char *at = memmem(content->data, content->length, row->text.data, old);
    cr_assert(at != NULL, "%s: %s lacks '%.*s'", row->what, row->file, (int)old, row->text.data);
    size_t before = (size_t)(at - content->data);
    struct lng_buffer made = {0};
    check_ok(lng_buffer_append(&made, content->data, before));
    check_ok(lng_buffer_append(&made, bar + 1, new));
    check_ok(lng_buffer_append(&made, at + old, content->length - before - old));
    lng_buffer_release(content);
    *content = made;
}

/* The file as the row has it, in place of what was there. */
static void spoil(const struct row *row, struct lng_buffer *content)
{
    const char *path = scratch_path(row->file);
    long size = (long)content->length;
    switch (row->edit) {
    case PUT:
    case MADE:
        content->length = 0;
        if (row->edit == MADE)
            row->make(content);
        else
            check_ok(lng_buffer_append(content, row->text.data, row->text.length));
        break;
    case SWAP:
        swap(content, row);
        break;
    case CUT:
        content->length = (size_t)(row->number < 0 ? size + row->number : row->number);
        break;
    case ADD:
        check_ok(lng_buffer_append(content, row->text.data, row->text.length));
        break;
    case FLIP:
        content->data[row->number < 0 ? size + row->number : row->number] ^= 4;
        break;
    default:
        unlink(path);
        cr_assert(row->edit == REMOVE || (row->edit == FOLDER && mkdir(path, 0777) == 0) ||
                  (row->edit == PIPE && mkfifo(path, 0666) == 0) ||
                  (row->edit == LOOP && symlink(path, path) == 0));
        return;
    }
    scratch_write(row->file, content->data ? content->data : "", content->length);
}

static void run(const struct row *row, struct program *program)
{
    char words[4096];
    size_t used = 0;
    for (const char *at = row->words; *at; at++)
        used += (size_t)snprintf(words + used, sizeof words - used, "%.*s", *at == '@' ? 4000 : 1,
                                 *at == '@' ? scratch_path(".") : at);
    program_run(program, words, "a b\n\nc\n", 7, NULL);
}

static void check_row(const struct row *row)
{
    struct lng_buffer before = {0}, content = {0};
    struct program program;
    bool there = lng_file_exists(scratch_path(row->file));
    if (there) {
        check_ok(lng_file_read(scratch_path(row->file), 1 << 24, &before));
        check_ok(lng_buffer_append(&content, before.data ? before.data : "", before.length));
    }
    spoil(row, &content);
    run(row, &program);
    if (getenv("LNG_TEST_SHOW"))
        fprintf(stderr, "%-34s %d %s\n", row->what, program.status, program.err);
    cr_expect(program.status == row->status, "%s: status %d: %s", row->what, program.status,
              program.err);
    for (int i = 0; i < 3 && row->parts[i]; i++)
        cr_expect(strstr(program.err, row->parts[i]), "%s: '%s' lacks '%s'", row->what, program.err,
                  row->parts[i]);
    cr_expect(row->status == 0 || program.out_length == 0, "%s: something came out", row->what);
    program_release(&program);
    check_ok(lng_remove_tree(scratch_path(row->file)));
    if (there)
        scratch_write(row->file, before.data ? before.data : "", before.length);
    lng_buffer_release(&before);
    lng_buffer_release(&content);
}

#define CHECK_ROWS(rows)                                          \
    do {                                                          \
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) \
            check_row(&rows[i]);                                  \
    } while (0)

/* ---- files that are not what their name says ---- */

/* The last number of the last tensor. */
static void make_nan(struct lng_buffer *to)
{
    const float nan = NAN;
    check_ok(lng_file_read(scratch_path("m/model.safetensors"), 1 << 24, to));
    memcpy(to->data + to->length - sizeof nan, &nan, sizeof nan);
}

#define WEIGHTS .file = "m/model.safetensors", .words = TRANSLATE, .status = 1
static const struct row weights[] = {
    {"empty", PUT, WEIGHTS, .parts = {"model.safetensors"}},
    {"one byte", PUT, WEIGHTS, .text = TEXT("\x01"), .parts = {"model.safetensors"}},
    {"no such format", PUT, WEIGHTS,
     .text = TEXT("\xDE\xAD\xBE\xEF\xDE\xAD\xBE\xEF and more of it"),
     .parts = {"model.safetensors"}},
    {"text", PUT, WEIGHTS, .text = TEXT("These are not the weights.\n"),
     .parts = {"model.safetensors"}},
    {"an HTML page", PUT, WEIGHTS, .text = TEXT("<!DOCTYPE html><html><body>404</body></html>"),
     .parts = {"model.safetensors", "HTML page"}},
    {"a git-lfs pointer", PUT, WEIGHTS,
     .text = TEXT("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 798293\n"),
     .parts = {"model.safetensors", "git lfs pull"}},
    {"a ZIP file", PUT, WEIGHTS, .text = TEXT("PK\3\4\x14\0\0\0\0\0"),
     .parts = {"model.safetensors", "zip archive"}},
    {"other byte order", PUT, WEIGHTS, .text = TEXT("\0\0\0\0\0\0\0\2{}"),
     .parts = {"model.safetensors"}},
    {"header length 0", PUT, WEIGHTS, .text = TEXT("\0\0\0\0\0\0\0\0{}"),
     .parts = {"model.safetensors"}},
    {"header length 2^63", PUT, WEIGHTS, .text = TEXT("\0\0\0\0\0\0\0\x80{}"),
     .parts = {"model.safetensors"}},
    {"header length 2^64-1", PUT, WEIGHTS, .text = TEXT("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF{}"),
     .parts = {"model.safetensors"}},
    {"header length 2^64-5", PUT, WEIGHTS, .text = TEXT("\xFB\xFF\xFF\xFF\xFF\xFF\xFF\xFF{}"),
     .parts = {"model.safetensors"}},
    {"header of 200 MB", PUT, WEIGHTS, .text = TEXT("\0\0\0\x0C\0\0\0\0{}"),
     .parts = {"model.safetensors"}},
    {"header longer than the file", PUT, WEIGHTS, .text = TEXT("\x09\0\0\0\0\0\0\0{}"),
     .parts = {"model.safetensors", "fetch it again"}},
    {"cut in the length", CUT, WEIGHTS, .number = 5, .parts = {"model.safetensors"}},
    {"cut in the header", CUT, WEIGHTS, .number = 100, .parts = {"model.safetensors"}},
    {"cut by half", CUT, WEIGHTS, .number = 9000, .parts = {"model.safetensors"}},
    {"cut by one", CUT, WEIGHTS, .number = -1, .parts = {"model.safetensors"}},
    {"one byte more", ADD, WEIGHTS, .text = TEXT("\0"), .parts = {"model.safetensors"}},
    {"a bit of the header", FLIP, WEIGHTS, .number = 20, .parts = {"model.safetensors"}},
    {"missing", REMOVE, WEIGHTS, .parts = {"model.safetensors"}},
    {"a folder", FOLDER, WEIGHTS, .parts = {"model.safetensors", "folder"}},
    {"a pipe", PIPE, WEIGHTS, .parts = {"model.safetensors", "pipe"}},
    {"a link to itself", LOOP, WEIGHTS, .parts = {"model.safetensors"}},
    {"a tensor of another name", SWAP, WEIGHTS, .text = TEXT("layers.0.fc1.bias|layers.0.fc1.bIas"),
     .parts = {"model.safetensors", "fc1"}},
    {"a tensor of another shape", SWAP, WEIGHTS, .text = TEXT("\"shape\":[16]|\"shape\":[61]"),
     .parts = {"model.safetensors"}},
    {"a type for which there is none", SWAP, WEIGHTS, .text = TEXT("\"F32\"|\"X32\""),
     .parts = {"model.safetensors", "X32"}},
    {"a type that holds no weights", SWAP, WEIGHTS, .text = TEXT("\"F32\"|\"I32\""),
     .parts = {"model.safetensors", "I32"}},
    {"a bit of the data", FLIP, "whole/model.safetensors", .number = -9,
     .words = "translate -q -m @/whole", .status = 1,
     .parts = {"model.safetensors", "expected checksum", "damaged"}},
    {"a NaN", MADE, WEIGHTS, .make = make_nan, .parts = {"model.safetensors", "nan"}},
};

Test(bad_input, weights)
{
    CHECK_ROWS(weights);
}

/* ---- a model that cannot be ---- */

#define CONFIG .edit = SWAP, .file = "m/config.json", .words = TRANSLATE, .status = 1
static const struct row shapes[] = {
    {"config.json empty", PUT, "m/config.json", .words = TRANSLATE, .status = 1,
     .parts = {"config.json"}},
    {"config.json missing", REMOVE, "m/config.json", .words = TRANSLATE, .status = 1,
     .parts = {"config.json"}},
    {"config.json an array", PUT, "m/config.json", .text = TEXT("[1]"), .words = TRANSLATE,
     .status = 1, .parts = {"config.json", "object"}},
    {"config.json a folder", FOLDER, "m/config.json", .words = TRANSLATE, .status = 1,
     .parts = {"config.json"}},
    {"config.json cut", CUT, "m/config.json", .number = 60, .words = TRANSLATE, .status = 1,
     .parts = {"config.json"}},
    {"heads that do not divide the width", CONFIG,
     .text = TEXT("\"encoder_attention_heads\": 2|\"encoder_attention_heads\": 3"),
     .parts = {"config.json", "3"}},
    {"0 layers", CONFIG, .text = TEXT("\"encoder_layers\": 2|\"encoder_layers\": 0"),
     .parts = {"config.json", "encoder_layers", "found 0"}},
    {"-1 layers", CONFIG, .text = TEXT("\"encoder_layers\": 2|\"encoder_layers\": -1"),
     .parts = {"config.json", "encoder_layers", "-1"}},
    {"10^9 layers", CONFIG, .text = TEXT("\"encoder_layers\": 2|\"encoder_layers\": 1000000000"),
     .parts = {"config.json", "encoder_layers", "1000000000"}},
    {"1000 layers", CONFIG, .text = TEXT("\"encoder_layers\": 2|\"encoder_layers\": 1000"),
     .parts = {"model.safetensors"}},
    {"a width of 10^9", CONFIG, .text = TEXT("\"d_model\": 16|\"d_model\": 1000000000"),
     .parts = {"config.json", "d_model"}},
    {"heads of 32768", CONFIG, .text = TEXT("\"d_model\": 16|\"d_model\": 65536"),
     .parts = {"config.json", "at most 256 wide", "use more heads"}},
    {"a width that the weights have not", CONFIG, .text = TEXT("\"d_model\": 16|\"d_model\": 32"),
     .parts = {"model.safetensors"}},
    {"a width for each side", CONFIG, .text = TEXT("\"d_model\": 16|\"d_model\": [16, 8]"),
     .parts = {"config.json", "d_model"}},
    {"more words than rows", CONFIG, .text = TEXT("\"vocab_size\": 19|\"vocab_size\": 20"),
     .parts = {"20"}},
    {"2^31 words", CONFIG, .text = TEXT("\"vocab_size\": 19|\"vocab_size\": 2147483648"),
     .parts = {"config.json", "vocab_size"}},
    {"eos that is no word", CONFIG, .text = TEXT("\"eos_token_id\": 0|\"eos_token_id\": 19"),
     .parts = {"config.json", "eos_token_id", "19"}},
    {"pad below 0", CONFIG, .text = TEXT("\"pad_token_id\": 18|\"pad_token_id\": -1"),
     .parts = {"config.json", "pad_token_id", "-1"}},
    {"0 positions", CONFIG,
     .text = TEXT("\"max_position_embeddings\": 512|\"max_position_embeddings\": 0"),
     .parts = {"config.json", "max_position_embeddings"}},
    {"10^9 positions", CONFIG,
     .text = TEXT("\"max_position_embeddings\": 512|\"max_position_embeddings\": 1000000000"),
     .parts = {"config.json", "max_position_embeddings"}},
    {"another architecture", CONFIG,
     .text = TEXT("\"model_type\": \"marian\"|\"model_type\": \"gpt2\""),
     .parts = {"config.json", "gpt2"}},
    {"an unknown activation", CONFIG,
     .text = TEXT("\"activation_function\": \"relu\"|\"activation_function\": \"lu\""),
     .parts = {"config.json", "activation_function", "lu"}},
    {"a key twice", CONFIG, .text = TEXT("{|{\"d_model\": 16, "),
     .parts = {"config.json", "duplicate"}},
    {"a number out of range", CONFIG, .text = TEXT("\"d_model\": 16|\"d_model\": 1e999"),
     .parts = {"config.json"}},
};

Test(bad_input, shapes)
{
    CHECK_ROWS(shapes);
}

#define WORDS .file = "m/vocab.json", .words = TRANSLATE, .status = 1
static const struct row words[] = {
    {"vocab.json missing", REMOVE, WORDS, .parts = {"vocab.json"}},
    {"vocab.json empty", PUT, WORDS, .parts = {"vocab.json"}},
    {"a list", PUT, WORDS, .text = TEXT("[\"</s>\"]"), .parts = {"vocab.json"}},
    {"a gap", SWAP, WORDS, .text = TEXT("\"p\": 17|\"p\": 27"), .parts = {"vocab.json", "27"}},
    {"an id twice", SWAP, WORDS, .text = TEXT("\"p\": 17|\"p\": 16"),
     .parts = {"vocab.json", "16"}},
    {"an id below 0", SWAP, WORDS, .text = TEXT("\"p\": 17|\"p\": -1"),
     .parts = {"vocab.json", "-1"}},
    {"an id of 2^40", SWAP, WORDS, .text = TEXT("\"p\": 17|\"p\": 1099511627776"),
     .parts = {"vocab.json", "1099511627776"}},
    {"an id that is no integer", SWAP, WORDS, .text = TEXT("\"p\": 17|\"p\": 17.0"),
     .parts = {"vocab.json"}},
    {"a word twice", SWAP, WORDS, .text = TEXT("\"p\": 17|\"o\": 17"),
     .parts = {"vocab.json", "duplicate"}},
    {"no end of sentence", SWAP, WORDS, .text = TEXT("</s>|</S>"), .parts = {"</s>"}},
    {"no unknown word", SWAP, WORDS, .text = TEXT("<unk>|<UNK>"), .parts = {"<unk>"}},
    {"not UTF-8", SWAP, WORDS, .text = TEXT("\"p\"|\"\xFF\""), .parts = {"vocab.json"}},
    {"a NUL", SWAP, WORDS, .text = TEXT("\"p\"|\"\\u0000\""), .parts = {"vocab.json"}},
    {"too few words", SWAP, WORDS, .text = TEXT(",\n  \"<pad>\": 18|"),
     .parts = {"18 entries", "<pad>"}},
    {"tokenizer_config.json is no JSON", PUT, "m/tokenizer_config.json", .text = TEXT("{"),
     .words = TRANSLATE, .status = 1, .parts = {"tokenizer_config.json", "line 1"}},
    {"a tokenizer of tomorrow", SWAP, "m/tokenizer_config.json",
     .text = TEXT("\"symbols\"|\"neural\""), .words = TRANSLATE, .status = 1,
     .parts = {"tokenizer_config.json", "neural", "newer"}},
    {"generation_config.json is no JSON", PUT, "m/generation_config.json",
     .text = TEXT("{\"num_beams\": }"), .words = TRANSLATE, .status = 1,
     .parts = {"generation_config.json"}},
};

Test(bad_input, vocabularies)
{
    CHECK_ROWS(words);
}

/* ---- models of other toolkits ---- */

static const struct row others[] = {
    {"npz empty", PUT, "x.npz", .words = "convert @/x.npz @/o", .status = 1, .parts = {"x.npz"}},
    {"npz text", PUT, "x.npz", .text = TEXT("not a model\n"), .words = "convert @/x.npz @/o",
     .status = 1, .parts = {"x.npz"}},
    {"npz HTML", PUT, "x.npz",
     .text = TEXT("<!DOCTYPE html><html></html> and some more bytes than an end record has"),
     .words = "convert @/x.npz @/o", .status = 1, .parts = {"x.npz", "HTML page"}},
    {"npz a folder", FOLDER, "x.npz", .words = "convert @/x.npz @/o", .status = 1,
     .parts = {"x.npz"}},
    {"npz missing", REMOVE, "x.npz", .words = "convert @/x.npz @/o", .status = 1,
     .parts = {"x.npz"}},
    {"Marian's binary form", PUT, "x.bin",
     .text = TEXT("\1\0\0\0\0\0\0\0\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"),
     .words = "convert @/x.bin @/o", .status = 1, .parts = {"x.bin", ".npz"}},
    {"Marian's binary form, encrypted", PUT, "x.bin",
     .text = TEXT("\2\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0"), .words = "convert @/x.bin @/o", .status = 1,
     .parts = {"x.bin", ".npz"}},
    {"zip empty", PUT, "x.zip", .words = "convert @/x.zip @/o", .status = 1, .parts = {"x.zip"}},
    {"zip text", PUT, "x.zip", .text = TEXT("not a package\n"), .words = "convert @/x.zip @/o",
     .status = 1, .parts = {"x.zip", "ZIP"}},
    {"zip without files", PUT, "x.zip", .text = TEXT("PK\5\6\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
     .words = "convert @/x.zip @/o", .status = 1, .parts = {"x.zip"}},
    {"CTranslate2 empty", PUT, "c/model.bin", .words = "convert @/c @/o", .status = 1,
     .parts = {"model.bin"}},
    {"CTranslate2 version 0", PUT, "c/model.bin", .text = TEXT("\0\0\0\0\2\0x\0\1\0\0\0\0\0\0\0"),
     .words = "convert @/c @/o", .status = 1, .parts = {"model.bin", "CTranslate2"}},
    {"CTranslate2 of tomorrow", PUT, "c/model.bin",
     .text = TEXT("\x63\0\0\0\2\0x\0\1\0\0\0\0\0\0\0"), .words = "convert @/c @/o", .status = 1,
     .parts = {"model.bin", "99"}},
    {"CTranslate2 text", PUT, "c/model.bin", .text = TEXT("not a model at all\n"),
     .words = "convert @/c @/o", .status = 1, .parts = {"model.bin"}},
    {"a checkpoint that is text", PUT, "x.ckpt", .text = TEXT("text\n"), .words = "info @/x.ckpt",
     .status = 1, .parts = {"x.ckpt"}},
    {"a checkpoint that is empty", PUT, "x.ckpt", .words = "info @/x.ckpt", .status = 1,
     .parts = {"x.ckpt"}},
    {"shortlist empty", PUT, "lex", .words = TRANSLATE " --shortlist @/lex", .status = 1,
     .parts = {"lex"}},
    {"shortlist not three columns", PUT, "lex", .text = TEXT("a b\n"),
     .words = TRANSLATE " --shortlist @/lex", .status = 1, .parts = {"lex", "1"}},
    {"shortlist NaN", PUT, "lex", .text = TEXT("a b nan\n"),
     .words = TRANSLATE " --shortlist @/lex", .status = 1, .parts = {"lex"}},
    {"shortlist in binary, cut", PUT, "lex", .text = TEXT("\xF5\x17\x34\x01\xD5\x48\x1A\xF1\0\0"),
     .words = TRANSLATE " --shortlist @/lex", .status = 1, .parts = {"lex"}},
    {"terms without a tab", PUT, "terms", .text = TEXT("a b\n"),
     .words = TRANSLATE " --terminology @/terms", .status = 1, .parts = {"terms", "line 1", "tab"}},
    {"terms in UTF-16", PUT, "terms",
     .text = TEXT("\xFF\xFE"
                  "a\0\t\0b\0\n\0"),
     .words = TRANSLATE " --terminology @/terms", .status = 1, .parts = {"terms", "line 1"}},
};

Test(bad_input, of_other_toolkits)
{
    check_ok(lng_make_directories(scratch_path("c")));
    CHECK_ROWS(others);
}

/* ---- configurations and command lines ---- */

static void repeat(struct lng_buffer *to, const char *text, size_t times)
{
    for (size_t i = 0; i < times; i++)
        check_ok(lng_buffer_append(to, text, strlen(text)));
}

static void make_brackets(struct lng_buffer *to)
{
    repeat(to, "beam-size: ", 1);
    repeat(to, "[", 100000);
}

static void make_scalar(struct lng_buffer *to)
{
    repeat(to, "device: ", 1);
    repeat(to, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 17 << 15);
}

#define OPTIONS .edit = PUT, .file = "o.yml", .words = TRANSLATE " -c @/o.yml"
static const struct row options[] = {
    {"not UTF-8", OPTIONS, .text = TEXT("beam-size: \xFF\n"), .status = 2, .parts = {"o.yml"}},
    {"a tab", OPTIONS, .text = TEXT("\tbeam-size: 4\n"), .status = 2, .parts = {"o.yml"}},
    {"an alias of itself", OPTIONS, .text = TEXT("a: &a [*a, *a]\n"), .status = 2,
     .parts = {"o.yml"}},
    {"a key twice", OPTIONS, .text = TEXT("beam-size: 4\nbeam-size: 5\n"), .status = 2,
     .parts = {"o.yml", "beam-size"}},
    {"a list for a number", OPTIONS, .text = TEXT("beam-size: [4]\n"), .status = 2,
     .parts = {"o.yml", "beam-size"}},
    {"a number out of range", OPTIONS, .text = TEXT("beam-size: 99999999999999999999\n"),
     .status = 2, .parts = {"o.yml", "beam-size"}},
    {"NaN", OPTIONS, .text = TEXT("length-penalty: .nan\n"), .status = 2,
     .parts = {"o.yml", "length-penalty"}},
    {"an unknown key", OPTIONS, .text = TEXT("beam-sise: 4\n"), .status = 2,
     .parts = {"o.yml", "beam-sise"}},
    {"not a mapping", OPTIONS, .text = TEXT("- 1\n"), .status = 2, .parts = {"o.yml"}},
    {"10^5 brackets", MADE, "o.yml", .make = make_brackets, .words = TRANSLATE " -c @/o.yml",
     .status = 2, .parts = {"o.yml"}},
    {"a scalar of 17 MB", MADE, "o.yml", .make = make_scalar, .words = TRANSLATE " -c @/o.yml",
     .status = 1, .parts = {"o.yml", "accepted"}},
    {"a file that is not there", REMOVE, "o.yml", .words = TRANSLATE " -c @/o.yml", .status = 1,
     .parts = {"o.yml", "No such file"}},
    {"the output is the input", PUT, "same", .text = TEXT("a\n"),
     .words = TRANSLATE " -i @/same -o @/same", .status = 2, .parts = {"same"}},
    {"the output lies nowhere", REMOVE, "none", .words = TRANSLATE " -o @/none/out", .status = 1,
     .parts = {"none"}},
    {"the output is a folder", FOLDER, "out", .words = TRANSLATE " -o @/out", .status = 2,
     .parts = {"out"}},
    {"the input is a folder", FOLDER, "in", .words = TRANSLATE " -i @/in", .status = 1,
     .parts = {"in", "directory"}},
    {"an unknown option", REMOVE, "none", .words = TRANSLATE " --beam-sise 4", .status = 2,
     .parts = {"--beam-sise"}},
    {"recomputing without training", REMOVE, "none", .words = TRANSLATE " --recompute", .status = 2,
     .parts = {"--recompute"}},
    {"a value is missing", REMOVE, "none", .words = TRANSLATE " --beam-size", .status = 2,
     .parts = {"--beam-size"}},
    {"a number that overflows", REMOVE, "none",
     .words = TRANSLATE " --beam-size 99999999999999999999", .status = 2,
     .parts = {"beam-size", "99999999999999999999"}},
    {"a GPU that is not there", REMOVE, "none", .words = TRANSLATE " --device cuda:7", .status = 1,
     .parts = {"cuda"}},
    {"no such model", REMOVE, "none", .words = "translate -m @/none", .status = 1,
     .parts = {"none"}},
    {"unequal numbers of lines", PUT, "t", .text = TEXT("a\n"),
     .words = "score -q -m @/m --source @/m/vocab.json --target @/t -o @/scores", .status = 1,
     .parts = {"vocab.json", "/t: ", "differ in length"}},
};

Test(bad_input, options)
{
    CHECK_ROWS(options);
}

/* ---- packed texts and documents ---- */

static void make_gzip(struct lng_buffer *to)
{
    unsigned char packed[256];
    char text[64];
    z_stream z = {.next_in = (unsigned char *)text, .next_out = packed, .avail_out = sizeof packed};
    memset(text, 'a', sizeof text);
    text[10] = '\n';
    z.avail_in = sizeof text;
    cr_assert(deflateInit2(&z, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY) == Z_OK &&
              deflate(&z, Z_FINISH) == Z_STREAM_END);
    check_ok(lng_buffer_append(to, (char *)packed, z.total_out));
    deflateEnd(&z);
}

static void make_cut_gzip(struct lng_buffer *to)
{
    make_gzip(to);
    to->length -= 9;
}

static void make_wrong_gzip(struct lng_buffer *to)
{
    make_gzip(to);
    to->data[to->length - 6] ^= 1;
}

/* One line that unpacks to 64 MB. */
static void make_bomb(struct lng_buffer *to)
{
    enum { PIECE = 1 << 20 };
    unsigned char *zeros = lng_alloc(PIECE, 1), packed[4096];
    z_stream z = {0};
    cr_assert(zeros != NULL && deflateInit2(&z, 1, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    for (int i = 0; i <= 64; i++) {
        z.next_in = zeros;
        z.avail_in = i < 64 ? PIECE : 0;
        do {
            z.next_out = packed;
            z.avail_out = sizeof packed;
            (void)deflate(&z, i < 64 ? Z_NO_FLUSH : Z_FINISH);
            check_ok(lng_buffer_append(to, (char *)packed, sizeof packed - z.avail_out));
        } while (z.avail_out == 0);
    }
    deflateEnd(&z);
    lng_free(zeros);
}

static void make_cut_zstd(struct lng_buffer *to)
{
    static const char text[] = "a b\nc d\n";
    char packed[256];
    size_t size = ZSTD_compress(packed, sizeof packed, text, sizeof text - 1, 3);
    cr_assert(!ZSTD_isError(size));
    check_ok(lng_buffer_append(to, packed, size - 3));
}

static void make_deep(struct lng_buffer *to)
{
    repeat(to, "<div>", 200000);
    repeat(to, "a", 1);
}

static void make_attributes(struct lng_buffer *to)
{
    repeat(to, "<p", 1);
    repeat(to, " title='a b'", 100000);
    repeat(to, ">a b</p>", 1);
}

static const struct row documents[] = {
    {"gzip, cut", MADE, "in.gz", .make = make_cut_gzip, .words = TRANSLATE " -i @/in.gz",
     .status = 1, .parts = {"in.gz"}},
    {"gzip, another checksum", MADE, "in.gz", .make = make_wrong_gzip,
     .words = TRANSLATE " -i @/in.gz", .status = 1, .parts = {"in.gz"}},
    {"gzip of a line of 64 MB", MADE, "in.gz", .make = make_bomb, .words = TRANSLATE " -i @/in.gz",
     .status = 1, .parts = {"in.gz"}},
    {"zstd, cut", MADE, "in.zst", .make = make_cut_zstd, .words = TRANSLATE " -i @/in.zst",
     .status = 1, .parts = {"in.zst"}},
    {"HTML 200000 deep", MADE, "in.html", .make = make_deep,
     .words = TRANSLATE " -i @/in.html -o @/out.html", .status = 0},
    {"HTML that is never closed", PUT, "in.html",
     .text = TEXT("<p><b>a<i>b</b><table><td>c<a href='"),
     .words = TRANSLATE " -i @/in.html -o @/out.html", .status = 0},
    {"a tag of 10^5 attributes", MADE, "in.html", .make = make_attributes,
     .words = TRANSLATE " -i @/in.html -o @/out.html", .status = 0},
    {"PO with a sixth plural of two", PUT, "in.po",
     .text = TEXT("msgid \"a\"\nmsgid_plural \"b\"\nmsgstr[0] \"\"\nmsgstr[5] \"\"\n"),
     .words = TRANSLATE " -i @/in.po -o @/out.po", .status = 1, .parts = {"in.po"}},
    {"SRT with times out of order", PUT, "in.srt",
     .text = TEXT("2\n00:00:09,000 --> 00:00:01,000\na b\n\n1\n00:00:01,000 --> 00:00:02,000\nc\n"),
     .words = TRANSLATE " -i @/in.srt -o @/out.srt", .status = 0},
    {"XLIFF whose tags cross", PUT, "in.xlf",
     .text = TEXT("<xliff version=\"1.2\"><file source-language=\"en\" "
                  "target-language=\"de\"><body><trans-unit id=\"1\"><source>a <g id=\"1\">b <x "
                  "id=\"2\"></g></x></source></trans-unit></body></file></xliff>"),
     .words = TRANSLATE " -i @/in.xlf -o @/out.xlf", .status = 1, .parts = {"in.xlf", "line 1"}},
    {"HTML in UTF-16", PUT, "in.html", .text = TEXT("\xFF\xFE<\0p\0>\0a\0"),
     .words = TRANSLATE " -i @/in.html -o @/out.html", .status = 1, .parts = {"in.html", "UTF-8"}},
    {"XLIFF that laughs", PUT, "in.xlf",
     .text = TEXT("<!DOCTYPE x [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;&a;\"><!ENTITY c "
                  "\"&b;&b;&b;&b;\">]><xliff version=\"1.2\">&c;</xliff>"),
     .words = TRANSLATE " -i @/in.xlf -o @/out.xlf", .status = 1, .parts = {"in.xlf"}},
    {"XLIFF that asks for a file", PUT, "in.xlf",
     .text = TEXT("<!DOCTYPE x [<!ENTITY a SYSTEM \"file:///etc/passwd\">]><xliff "
                  "version=\"1.2\">&a;</xliff>"),
     .words = TRANSLATE " -i @/in.xlf -o @/out.xlf", .status = 1, .parts = {"in.xlf"}},
    {"XLIFF that is not closed", PUT, "in.xlf", .text = TEXT("<xliff version=\"1.2\"><file>"),
     .words = TRANSLATE " -i @/in.xlf -o @/out.xlf", .status = 1, .parts = {"in.xlf"}},
    {"TMX that crosses", PUT, "in.tmx", .text = TEXT("<tmx version=\"1.4\"><body></tmx></body>"),
     .words = TRANSLATE " -i @/in.tmx -o @/out.tmx", .status = 1, .parts = {"in.tmx", "line 1"}},
    {"PO that is text", PUT, "in.po", .text = TEXT("no catalog\n"),
     .words = TRANSLATE " -i @/in.po -o @/out.po", .status = 1, .parts = {"in.po"}},
    {"PO with an open string", PUT, "in.po", .text = TEXT("msgid \"a\nmsgstr \"\"\n"),
     .words = TRANSLATE " -i @/in.po -o @/out.po", .status = 1, .parts = {"in.po"}},
    {"SRT without times", PUT, "in.srt", .text = TEXT("1\nno time\na\n"),
     .words = TRANSLATE " -i @/in.srt -o @/out.srt", .status = 1, .parts = {"in.srt"}},
};

Test(bad_input, documents)
{
    CHECK_ROWS(documents);
}

/* ---- texts: any bytes are text, and each line comes out as one ---- */

static const struct {
    const char *what;
    struct lng_slice text; /* repeated `times`; then a newline */
    size_t times, lines;
} texts[] = {
    {"nothing", TEXT(""), 0, 0},
    {"blank lines", TEXT("\n \n\t"), 1, 3},
    {"carriage returns", TEXT("a\r\nb\r\n\r"), 1, 3},
    {"a byte order mark",
     TEXT("\xEF\xBB\xBF"
          "a"),
     1, 1},
    {"NUL", TEXT("a\0b\n\0"), 1, 2},
    {"overlong, surrogates, cut", TEXT("\xC0\xAF\n\xED\xA0\x80\n\xE2\x82\n\xF4\x90\x80\x80\n\xFF"),
     1, 5},
    {"UTF-16",
     TEXT("\xFF\xFE"
          "a\0\n\0b\0"),
     1, 2},
    {"1 MB", TEXT("a b c "), 175000, 1},
    {"10^6 spaces", TEXT(" "), 1000000, 1},
    {"one word of 1 MB", TEXT("z"), 1000000, 1},
    {"unknown characters alone", TEXT("\xF0\x9F\x98\x80\xF0\x9F\x98\x81"), 1, 1},
    {"control characters", TEXT("\x1B[31ma\x1B[0m\x07\x08\x7F\xC2\x9B"), 1, 1},
    {"other ends of lines",
     TEXT("a\xE2\x80\xA8"
          "b\xC2\x85"
          "c\v\f"),
     1, 1},
    {"joiners and marks", TEXT("a\xE2\x80\x8D\xCC\x81"), 10000, 1},
    {"right to left",
     TEXT("\xE2\x80\xAE"
          "a b\xE2\x80\xAC"),
     1, 1},
    {"tabs", TEXT("a\tb\t\tc"), 1, 1},
};

Test(bad_input, texts)
{
    char command[600];
    snprintf(command, sizeof command, "translate -q -m %s", scratch_path("m"));
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct lng_buffer input = {0};
        struct program program;
        size_t lines = 0;
        for (size_t j = 0; j < texts[i].times; j++)
            check_ok(lng_buffer_append(&input, texts[i].text.data, texts[i].text.length));
        if (texts[i].times > 0)
            check_ok(lng_buffer_append_byte(&input, '\n'));
        program_run(&program, command, input.data ? input.data : "", input.length, NULL);
        for (size_t j = 0; j < program.out_length; j++)
            lines += program.out[j] == '\n';
        cr_expect(program.status == 0 && lines == texts[i].lines, "%s: status %d, %zu lines: %s",
                  texts[i].what, program.status, lines, program.err);
        program_release(&program);
        lng_buffer_release(&input);
    }
}

/* ---- names ---- */

Test(bad_input, names)
{
    static const char *const environment[] = {"LC_ALL=C", NULL};
    static const char odd[] = "a\nb \xFF\x1B[31m.txt";
    struct program program;
    const char *model = scratch_path("m");
    char path[512];
    snprintf(path, sizeof path, "%s", scratch_write(odd, "a b\n\xC3\xA4\n", 7));
    const char *there[] = {"translate", "-q", "-m", model, "-i", path, NULL};
    program_run_arguments(&program, there, NULL, 0, environment);
    cr_assert(program.status == 0 && program.out_length > 2, "%s", program.err);
    program_release(&program);
    cr_assert(unlink(path) == 0);
    program_run_arguments(&program, there, NULL, 0, environment);
    cr_assert(program.status == 1 && strstr(program.err, "No such file") != NULL, "%s",
              program.err);
    cr_assert(strchr(program.err, 0x1B) == NULL && strstr(program.err, "\xFF") == NULL &&
                  strchr(program.err, '\n') == program.err + program.err_length - 1,
              "%s", program.err);
    program_release(&program);
}
