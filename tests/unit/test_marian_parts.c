#include <math.h>
#include <stdio.h>
#include <string.h>

#include "host/base/file.h"
#include "host/base/mem.h"
#include "host/store/marian_internal.h"
#include "tests/support/check.h"
#include "tests/support/marian_fixture.h"
#include "tests/support/scratch.h"
#include "tests/support/spm_fixture.h"

/* ---- vocabularies ---- */

static void setup(void)
{
    scratch_make();
}

TestSuite(marian_vocab, .init = setup, .fini = scratch_remove);

enum { ROWS = 5 };
#define START "</s>: 0\n<unk>: 1\n"

/* The text of id 2 in a vocabulary of ROWS; the others are a, b where the case does not say them. */
static const struct {
    const char *lines, *expected;
} keys[] = {
    {"word: 2\n", "word"},
    {"word : 2\n", "word"},
    {"word:\t2   \n", "word"},
    {"word: 2 # comment: 7\n", "word"},
    {"word: 2\r\n", "word"},
    {"\"word\": 2\n", "word"},
    {"'word' : 2\n", "word"},
    {"? word\n: 2\n", "word"},
    {"? \"word\"   # why not\n: 2\n", "word"},
    {"? 'two words'\n: 2\n", "two words"},
    {"two words: 2\n", "two words"},
    /* what a YAML library would take for something else */
    {"null: 2\n", "null"},
    {"~: 2\n", "~"},
    {"yes: 2\n", "yes"},
    {"<<: 2\n", "<<"},
    {"=: 2\n", "="},
    {"1.5: 2\n", "1.5"},
    {"0x1F: 2\n", "0x1F"},
    {"2001-01-01: 2\n", "2001-01-01"},
    {"\"\": 2\n", ""},
    {"\" \": 2\n", " "},
    /* characters that have a meaning elsewhere */
    {"::: 2\n", "::"},
    {"a:b: 2\n", "a:b"},
    {"a#b: 2\n", "a#b"},
    {"-x: 2\n", "-x"},
    {"-: 2\n", "-"},
    {"?: 2\n", "?"},
    {"?x: 2\n", "?x"},
    {"---x: 2\n", "---x"},
    {"---: 2\n", "---"},
    {"a\"b'c: 2\n", "a\"b'c"},
    {"a[1]{2},: 2\n", "a[1]{2},"},
    {"$%^(): 2\n", "$%^()"},
    {"\"#\": 2\n", "#"},
    {"'it''s': 2\n", "it's"},
    {"'\"': 2\n", "\""},
    {"'\\n': 2\n", "\\n"},
    {"'': 2\n", ""},
    {"\"a: b\": 2\n", "a: b"},
    /* escapes, and what they are for */
    {"\"\\x85\": 2\n", "\xC2\x85"},
    {"\"\\N\\_\\L\\P\": 2\n", "\xC2\x85\xC2\xA0\xE2\x80\xA8\xE2\x80\xA9"},
    {"\"\\u2028\": 2\n", "\xE2\x80\xA8"},
    {"\"\\ud83d\\ude00\": 2\n", "\xF0\x9F\x98\x80"},
    {"\"\\U0001F600\": 2\n", "\xF0\x9F\x98\x80"},
    {"\"\\a\\b\\t\\n\\v\\f\\r\\e\": 2\n", "\a\b\t\n\v\f\r\x1B"},
    {"\"\\\"\\/\\\\\\ \": 2\n", "\"/\\ "},
    {"\"\\u00e9\\xE9\": 2\n", "\xC3\xA9\xC3\xA9"},
    /* raw: none of these ends a line here */
    {"\xC2\x85: 2\n", "\xC2\x85"},
    {"\"\xC2\x85\": 2\n", "\xC2\x85"},
    {"\"a\xE2\x80\xA8\": 2\n", "a\xE2\x80\xA8"},
    {"\xE2\x96\x81: 2\n", "\xE2\x96\x81"},
    {"\xEF\xBB\xBF: 2\n", "\xEF\xBB\xBF"},
    /* long keys, folded */
    {"? \"one\n  two\"\n: 2\n", "one two"},
    {"? \"one \\\n  \\ two\"\n: 2\n", "one  two"},
    {"? \"one\\\n  two\"\n: 2\n", "onetwo"},
    {"? \"one  \r\n\r\n\n  two\"\n: 2\n", "one\n\ntwo"},
    {"? 'one\n\n two'\n: 2\n", "one\ntwo"},
    {"\"\\t\\\n \": 2\n", "\t"},
    /* around them */
    {"# comment\n\n   # another\n\t\nword: 2\n...\n# the end\n", "word"},
};

static enum lng_status parse(const char *text, struct lng_vocab **vocab,
                             struct lng_buffer *warnings)
{
    return lng_marian_vocab_parse("v.yml", LNG_MARIAN_VOCAB_YAML, text, strlen(text), ROWS, vocab,
                                  warnings);
}

Test(marian_vocab, keys_of_all_kinds)
{
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        char text[512];
        struct lng_vocab *vocab = NULL;
        struct lng_buffer warnings = {0};
        snprintf(text, sizeof text, START "x: 3\ny: 4\n%s", keys[i].lines);
        enum lng_status status = parse(text, &vocab, &warnings);
        cr_assert(status == LNG_OK, "case %zu: %s", i, lng_error_message());
        cr_assert_str_eq(lng_vocab_entry(vocab, 2).data, keys[i].expected, "case %zu: '%s'", i,
                         lng_vocab_entry(vocab, 2).data);
        cr_assert(lng_vocab_size(vocab) == ROWS && warnings.length == 0);
        /* what is written comes back */
        struct lng_buffer yaml = {0};
        struct lng_vocab *again = NULL;
        check_ok(lng_marian_vocab_format(vocab, ROWS, 0, 1, &yaml));
        check_ok(parse(yaml.data, &again, &warnings));
        cr_assert_str_eq(lng_vocab_entry(again, 2).data, keys[i].expected, "case %zu: %s", i,
                         yaml.data);
        lng_buffer_release(&yaml);
        lng_vocab_close(vocab);
        lng_vocab_close(again);
    }
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

static const struct {
    const char *text, *part;
} refused[] = {
    {"", "found no entry"},
    {"# nothing\n", "found no entry"},
    {"</s>: 0\nx: 1\n", "expected an entry <unk>"},
    {"<unk>: 1\nx: 0\n", "expected an entry </s>"},
    {"</s>: 0\n<unk>: 7\nx: 1\n", "expected an entry <unk>"}, /* past the model's ids */
    {START "a: 1\n", "'<unk>' and 'a' have the same id 1"},
    {START "a: 2\na: 3\n", "are both 'a'"},
    {START "\"a\": 2\na: 3\n", "are both 'a'"},
    {START "a 2\n", "v.yml:3: expected ': ' and an integer id"},
    {START "a:2\n", "expected ': ' and an integer id"},
    {START "a:\n  2\n", "expected ': ' and an integer id, found ':'"},
    {START "a: b\n", "an integer id, found 'b'"},
    {START "a: -2\n", "an integer id, found '-2'"},
    {START "a: 2.0\n", "nothing after the id, found '.0'"},
    {START "a: 0x2\n", "nothing after the id"},
    {START "a: 02\n", "an integer id, found '02'"},
    {START "a: \"2\"\n", "an integer id"},
    {START "a: 2#\n", "nothing after the id, found '#'"},
    {START "a: 99999999999\n", "nothing after the id"},
    {START "a: [2]\n", "an integer id, found '[2]'"},
    {START "a: *x\n", "an integer id, found '*x'"},
    {START "a: &x 2\n", "an integer id"},
    {START "a: !!int 2\n", "an integer id"},
    {START "&a b: 2\n", "must be quoted"},
    {START "*a : 2\n", "must be quoted"},
    {START "!a b: 2\n", "must be quoted"},
    {START "@a: 2\n", "must be quoted"},
    {START "%a: 2\n", "must be quoted"},
    {START "[a]: 2\n", "must be quoted"},
    {START "- a: 2\n", "must be quoted"},
    {START ": 2\n", "must be quoted"},
    {START "  a: 2\n", "keys at the start of their lines"},
    {START "? a: b\n: 2\n", "one scalar after '? '"},
    {START "? a\nb: 2\n", "': ' and an integer id, found 'b: 2'"},
    {START "? - a\n: 2\n", "must be quoted"},
    {START "? \"a\" b\n: 2\n", "nothing after the key"},
    {START "\"a\n", "the end of a key in double quotes"},
    {START "'a\n", "the end of a key in single quotes"},
    {START "\"\\q\": 2\n", "an escape that YAML has"},
    {START "\"\\x8\": 2\n", "hexadecimal digits"},
    {START "\"\\ud83d\": 2\n", "stands for no character"},
    {START "\"\\ud83d\\u0041\": 2\n", "stands for no character"},
    {START "\"\\udc00\": 2\n", "stands for no character"},
    {START "\"\\U00110000\": 2\n", "stands for no character"},
    {START "\"\\0\": 2\n", "NUL"},
    {START "\xFF: 2\n", "not UTF-8"},
    {"---\n" START "---\nb: 3\n", "one document"},
    {START "...\nb: 3\n", "one document"},
    {"a: &a {b: 1}\nc: [*a, *a, *a, *a]\n", "an integer id"},
    {"{\"a\": 1", "valid JSON"},
    {"{\"a\": \"1\"}", "expected an id, found \"1\""},
    {"{\"a\": 1.0}", "expected an id, found 1"},
    {"{\"a\": -1}", "expected an id, found -1"},
    {"{\"a\": 1, \"a\": 2}", "duplicate"},
    {"{\"a\": {\"b\": 1}}", "expected an id, found an object"},
    {"{a: 1, b: 2}", "valid JSON"},
};

Test(marian_vocab, what_is_refused)
{
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct lng_vocab *vocab = NULL;
        struct lng_buffer warnings = {0};
        enum lng_status status = parse(refused[i].text, &vocab, &warnings);
        cr_assert(status == LNG_ERR_FORMAT, "case %zu (%s): %s", i, refused[i].text,
                  lng_error_message());
        cr_assert(strstr(lng_error_message(), refused[i].part) &&
                      strncmp(lng_error_message(), "v.yml", 5) == 0,
                  "case %zu: '%s' lacks '%s'", i, lng_error_message(), refused[i].part);
        lng_buffer_release(&warnings);
    }
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

/* Each text of `expected`, separated by spaces. */
static void check_entries(const struct lng_vocab *vocab, const char *expected)
{
    struct lng_slice rest = lng_slice_of(expected), word;
    int32_t id = 0;
    for (; lng_text_next_word(&rest, &word); id++) {
        struct lng_slice entry = lng_vocab_entry(vocab, id);
        cr_assert(entry.length == word.length && memcmp(entry.data, word.data, word.length) == 0,
                  "id %d is '%s', expected %s", id, entry.data, expected);
    }
    cr_assert(lng_vocab_size(vocab) == id);
}

Test(marian_vocab, gaps_surplus_and_nematus)
{
    static const struct {
        const char *text, *expected, *warning;
    } cases[] = {
        {"eos: 0\nUNK: 1\na: 2\nb: 3\nc: 4\n", "</s> <unk> a b c", NULL},
        {"a: 2\nb: 3\nc: 4\n", "</s> <unk> a b c", NULL},
        {"{\"eos\": 0, \"UNK\": 1, \"c\": 4, \"a\": 2, \"b\": 3}\n", "</s> <unk> a b c", NULL},
        {"  \n{\"b\": 3, \"<unk>\": 4, \"c\": 0, \"</s>\": 2, \"a\": 1}", "c a </s> b <unk>", NULL},
        {START "c: 4\n", "</s> <unk> <unused:2> <unused:3> c",
         "2 of the model's 5 ids have no entry"},
        {START "c: 4\nd: 5\ne: 4294967295\na: 2\nb: 3\n", "</s> <unk> a b c",
         "2 entries are past the model's 5 ids"},
        {"\xEF\xBB\xBF---\n" START "a: 2\nb: 3\nc: 4", "</s> <unk> a b c", NULL},
        {"c: 4\nb: 3\na: 2\n<unk>: 0\n</s>: 1\n", "<unk> </s> a b c", NULL},
        {"eos: 2\n" START "b: 3\nUNK: 4", "</s> <unk> eos b UNK", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct lng_vocab *vocab = NULL;
        struct lng_buffer warnings = {0};
        enum lng_status status = parse(cases[i].text, &vocab, &warnings);
        cr_assert(status == LNG_OK, "case %zu: %s", i, lng_error_message());
        check_entries(vocab, cases[i].expected);
        cr_assert(cases[i].warning ? strstr(warnings.data, cases[i].warning) != NULL
                                   : warnings.length == 0,
                  "case %zu: %s", i, warnings.data);
        lng_buffer_release(&warnings);
        lng_vocab_close(vocab);
    }
}

Test(marian_vocab, files_of_all_kinds)
{
    struct lng_vocab *vocab = NULL;
    struct lng_buffer warnings = {0};
    static const char lines[] = "</s>\r\n<unk>\na\nnull\n\"b\"";
    check_ok(
        lng_marian_vocab_read(scratch_write("v.txt", lines, strlen(lines)), 5, &vocab, &warnings));
    check_entries(vocab, "</s> <unk> a null \"b\"");
    lng_vocab_close(vocab);
    check_fails(
        lng_marian_vocab_read(scratch_write("v", "</s>\n\n<unk>\n", 12), 5, &vocab, &warnings),
        LNG_ERR_FORMAT, "v:2: expected a vocabulary entry, found an empty line");
    check_fails(
        lng_marian_vocab_read(scratch_write("v.txt", "eos\nUNK\na\n", 10), 3, &vocab, &warnings),
        LNG_ERR_FORMAT, "expected an entry </s>");
    check_fails(lng_marian_vocab_read(scratch_write("v.fsv", "x", 1), 3, &vocab, &warnings),
                LNG_ERR_UNSUPPORTED, "factored");
    check_fails(lng_marian_vocab_read(scratch_path("none.yml"), 3, &vocab, &warnings), LNG_ERR_IO,
                "none.yml");
    check_fails(lng_marian_vocab_read(scratch_write("v.spm", "x", 1), 3, &vocab, &warnings),
                LNG_ERR_FORMAT, "v.spm");
    struct lng_spm_train_options options = fixture_options();
    struct lng_buffer model = fixture_train(&options, false);
    check_ok(lng_marian_vocab_read(scratch_write("v.spm", model.data, model.length), 152, &vocab,
                                   &warnings));
    cr_assert(lng_vocab_size(vocab) == 152 && lng_vocab_find(vocab, "</s>", 4) == 0 &&
              lng_vocab_find(vocab, "<unk>", 5) == 1);
    cr_assert(strstr(warnings.data, "of the model's 152 ids have no entry"));
    lng_vocab_close(vocab);
    lng_buffer_release(&model);
    lng_buffer_release(&warnings);
}

/* ---- configuration ---- */

Test(marian_config, everything_unsupported_at_once)
{
    static const char yaml[] =
        "type: multi-transformer\ndim-vocabs: [5, 6, 7]\ndim-emb: 0\nenc-depth: 2\n"
        "dec-depth: many\ntransformer-heads: 2\ntransformer-decoder-autoreg: rnn\ndec-cell: ssru\n"
        "transformer-ffn-depth: 3\ntransformer-decoder-ffn-depth: 1\nright-left: true\n"
        "transformer-tied-layers: [1, 1]\ntransformer-no-projection: yes\nulr: true\n"
        "lemma-dim-emb: 64\nfactors-dim-emb: 8\ninput-types: [class, sequence]\n"
        "transformer-preprocess: n\ntransformer-postprocess: dan\n"
        "transformer-postprocess-emb: n\ntransformer-ffn-activation: tanh\n"
        "transformer-attention-mask: alibi\ntransformer-disable-position-embeddings: true\n"
        "transformer-no-bias: true\ntransformer-no-affine: true\ntransformer-pool: true\n"
        "output-omit-bias: perhaps\nunheard-of: 7\n";
    static const char *const parts[] = {
        "c: not supported: ",
        "type: expected 'transformer', found 'multi-transformer'",
        "dim-vocabs: expected two sizes (one source and the target), found 3",
        "dim-emb: expected an integer from 2 to 65536, found '0'",
        "dec-depth: expected an integer from 1 to 1000, found 'many'",
        "transformer-decoder-autoreg: expected self-attention, found 'rnn' (dec-cell ssru)",
        "transformer-ffn-depth: expected '2', found '3'",
        "transformer-decoder-ffn-depth: expected 0 or 2, found 1",
        "right-left",
        "transformer-tied-layers: expected an empty list, found '1' and more",
        "transformer-no-projection: expected 'false', found 'yes'",
        "ulr: ",
        "lemma-dim-emb: expected '0', found '64'",
        "factors-dim-emb",
        "input-types: expected sequence, alignment or weight, found 'class'",
        "found 'n', 'dan', ''",
        "transformer-postprocess-emb: expected 'd' or nothing, found 'n'",
        "transformer-ffn-activation: expected relu, swish or gelu, found 'tanh'",
        "transformer-attention-mask: expected 'default', found 'alibi'",
        "transformer-disable-position-embeddings",
        "transformer-no-bias",
        "transformer-no-affine",
        "transformer-pool",
        "output-omit-bias: expected true or false, found 'perhaps'",
    };
    struct lng_marian_config config;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        check_fails(lng_marian_config_parse("c", yaml, strlen(yaml), &config), LNG_ERR_UNSUPPORTED,
                    parts[i]);
    cr_assert(!strstr(lng_error_message(), "unheard-of"));
    check_fails(lng_marian_config_parse("c", "a: 1", 4, &config), LNG_ERR_UNSUPPORTED,
                "c: not supported: dec-depth: is missing; dim-emb: is missing; dim-vocabs: is "
                "missing; enc-depth: is missing; type: is missing");
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

/* Each line replaces the one of its key in a configuration that is fine. */
Test(marian_config, one_change_at_a_time)
{
    static const struct {
        const char *line;
        enum lng_status status;
        const char *part;
    } cases[] = {
        {"dim-emb: 8", LNG_OK, NULL},
        {"dim-emb: 9", LNG_ERR_RANGE, "c: model width (dim) must be even"},
        {"dim-emb: 12345678901234567890", LNG_ERR_UNSUPPORTED, "dim-emb"},
        {"dim-emb: [8]", LNG_ERR_UNSUPPORTED, "found 'a list'"},
        {"transformer-heads: 3", LNG_ERR_RANGE, "heads must divide"},
        {"enc-depth: 1001", LNG_ERR_UNSUPPORTED, "from 1 to 1000, found '1001'"},
        {"dec-depth: 0", LNG_ERR_UNSUPPORTED, "dec-depth"},
        {"transformer-dim-ffn: -1", LNG_ERR_UNSUPPORTED, "transformer-dim-ffn"},
        {"type: s2s", LNG_ERR_UNSUPPORTED, "found 's2s'"},
        {"type: ~", LNG_ERR_UNSUPPORTED, "type"},
        {"dim-vocabs: 7", LNG_ERR_UNSUPPORTED, "found 1"},
        {"dim-vocabs: [7, 1]", LNG_ERR_UNSUPPORTED, "found '1'"},
        {"dim-vocabs: [7, 99999999999]", LNG_ERR_UNSUPPORTED, "found '99999999999'"},
        {"dim-vocabs: [7, 9]", LNG_ERR_UNSUPPORTED,
         "expected dim-vocabs to be equal, found 7 and 9"},
        {"tied-embeddings-all: 3", LNG_ERR_UNSUPPORTED, "true or false"},
        {"tied-embeddings-all: on", LNG_OK, NULL},
        {"transformer-postprocess: nda", LNG_ERR_UNSUPPORTED, "found '', 'nda', ''"},
        {"transformer-postprocess: adn", LNG_OK, NULL},
        {"transformer-postprocess: dhn", LNG_ERR_UNSUPPORTED, "'dhn'"},
        {"transformer-postprocess: da", LNG_ERR_UNSUPPORTED, "found '', 'da', ''"},
        {"transformer-postprocess-top: n", LNG_ERR_UNSUPPORTED, "'n'"},
        {"transformer-decoder-dim-ffn: 99", LNG_OK, NULL},
    };
    struct marian_fixture f = marian_small();
    struct lng_marian_config config;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct lng_buffer text = {0};
        struct lng_slice rest = lng_slice_of(marian_yaml(&f)), line;
        size_t key = strcspn(cases[i].line, ":") + 1;
        bool dropped = false;
        while (lng_text_split(&rest, '\n', &line)) {
            dropped = line.data[0] == ' ' ? dropped : strncmp(line.data, cases[i].line, key) == 0;
            if (!dropped)
                check_ok(lng_buffer_append_format(&text, "%.*s\n", (int)line.length, line.data));
        }
        check_ok(lng_buffer_append_text(&text, cases[i].line));
        enum lng_status status = lng_marian_config_parse("c", text.data, text.length, &config);
        cr_assert(status == cases[i].status, "case %zu: %s", i, lng_error_message());
        cr_assert(status == LNG_OK || strstr(lng_error_message(), cases[i].part), "case %zu: %s", i,
                  lng_error_message());
        lng_buffer_release(&text);
    }
    cr_assert(config.hparams.decoder_ffn == 99 && config.hparams.encoder_ffn == 12);
}

/* Marian's own text of a model of the version that was read, key for key. */
Test(marian_config, writes_what_marian_writes)
{
    struct lng_marian_config config = {.hparams = marian_small().hparams, .version = "v1.12.43 x"};
    struct lng_marian_config again;
    struct lng_buffer text = {0};
    config.hparams.tie = LNG_TIE_TARGET;
    check_ok(lng_marian_config_format(&config, &text));
    static const char *const parts[] = {
        "bert-train-type-embeddings: true\nbert-type-vocab-size: 2\n",
        "\ndim-vocabs:\n  - 11\n  - 11\nenc-cell: gru\n",
        "\ninput-types:\n  []\n",
        "\nlemma-dependency: \"\"\nlemma-dim-emb: 0\n",
        "\nseparator-symbol: \"[eos]\"\nskip: false\ntied-embeddings: true\n",
        ("\ntransformer-postprocess: dan\ntransformer-postprocess-emb: d\n"
         "transformer-postprocess-top: \"\"\ntransformer-preprocess: \"\"\n"),
        "\ntransformer-tied-layers:\n  []\n",
        "\nversion: v1.12.43 x",
    };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        cr_assert(strstr(text.data, parts[i]), "%s lacks %s", text.data, parts[i]);
    cr_assert(text.data[text.length - 1] == 'x');
    check_ok(lng_marian_config_parse("c", text.data, text.length, &again));
    cr_assert(again.hparams.tie == LNG_TIE_TARGET && !again.omit_bias && !again.same_embedding);
    cr_assert_str_eq(again.version, "v1.12.43 x");
    lng_buffer_release(&text);
}

Test(marian_config, versions)
{
    static const struct {
        const char *version;
        bool after;
    } cases[] = {
        {"v1.12.0 65bf82f 2023-02-21 09:56:29 -0800", false},
        {"v1.12.1", true},
        {"v1.13.0", true},
        {"v2.0.0", true},
        {"v1.9.56", false},
        {"v0.99.99", false},
        {"", false},
        {"unknown", false},
        {"1.13.0", false},
        {"lingster 0.1.0 for v1.12.43", true},
        {"very v1.12", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct lng_marian_config config = {0};
        snprintf(config.version, sizeof config.version, "%s", cases[i].version);
        cr_assert(lng_marian_version_after(&config, 1, 12, 0) == cases[i].after, "%s",
                  cases[i].version);
    }
}

/* ---- files ---- */

static void files_setup(void)
{
    scratch_make();
    check_ok(lng_make_directories(scratch_path("m/sub")));
}

TestSuite(marian_files, .init = files_setup, .fini = scratch_remove);

static void touch(const char *name)
{
    scratch_write(name, "x", 1);
}

static void settings(const char *name, const char *text)
{
    scratch_write(name, text, strlen(text));
}

static void check_found(const char *path, const struct lng_marian_import_args *args,
                        const char *model, const char *source, const char *target)
{
    struct lng_marian_files files;
    check_ok(lng_marian_files_find(&files, scratch_path(path), args));
    cr_assert_str_eq(files.model, scratch_path(model));
    cr_assert_str_eq(files.source_vocab, scratch_path(source));
    cr_assert_str_eq(files.target_vocab, scratch_path(target));
    lng_marian_files_release(&files);
}

Test(marian_files, where_vocabularies_are_looked_for)
{
    struct lng_marian_files files;
    touch("m/model.npz");
    touch("m/model.npz.optimizer.npz");
    check_fails(lng_marian_files_find(&files, scratch_path("m"), NULL), LNG_ERR_IO,
                "expected vocabularies in decoder.yml or beside the model");
    touch("m/src.yml");
    touch("m/trg.yml");
    check_found("m", NULL, "m/model.npz", "m/src.yml", "m/trg.yml");
    check_found("m/model.npz", NULL, "m/model.npz", "m/src.yml", "m/trg.yml");
    touch("m/vocab.yml");
    check_found("m", NULL, "m/model.npz", "m/vocab.yml", "m/vocab.yml");
    /* decoder.yml has the word */
    touch("m/sub/opus.vocab.yml");
    settings("m/decoder.yml",
             "models: [/train/here/model.npz]\nvocabs:\n  - sub/opus.vocab.yml\n"
             "  - /far/away/trg.yml\nbeam-size: 12\nnormalize: true\nword-penalty: 0.5\n");
    check_found("m", NULL, "m/model.npz", "m/sub/opus.vocab.yml", "m/trg.yml");
    check_found("m/model.npz", NULL, "m/model.npz", "m/sub/opus.vocab.yml", "m/trg.yml");
    check_ok(lng_marian_files_find(&files, scratch_path("m"), NULL));
    cr_assert(files.generation.beams == 12 && files.generation.length_penalty == 1);
    cr_assert(strstr(files.warnings.data, "word-penalty 0.5"));
    lng_marian_files_release(&files);
    /* another model's decoder.yml does not count, its own does */
    touch("m/other.npz");
    check_found("m/other.npz", NULL, "m/other.npz", "m/vocab.yml", "m/vocab.yml");
    settings("m/other.npz.decoder.yml", "vocabs: [src.yml, src.yml]\n");
    check_found("m/other.npz", NULL, "m/other.npz", "m/src.yml", "m/src.yml");
    /* and what is given has the last */
    char source[512], target[512];
    snprintf(source, sizeof source, "%s", scratch_path("m/trg.yml"));
    snprintf(target, sizeof target, "%s", scratch_path("m/src.yml"));
    check_found("m", &(struct lng_marian_import_args){.source_vocab = source}, "m/model.npz",
                "m/trg.yml", "m/trg.yml");
    check_found("m", &(struct lng_marian_import_args){source, target}, "m/model.npz", "m/trg.yml",
                "m/src.yml");
    check_fails(lng_marian_files_find(&files, scratch_path("m"),
                                      &(struct lng_marian_import_args){.target_vocab = target}),
                LNG_ERR_USAGE, "without a source vocabulary");
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

Test(marian_files, sentencepiece)
{
    struct lng_marian_files files;
    touch("m/model.npz");
    touch("m/vocab.yml");
    touch("m/source.spm");
    check_ok(lng_marian_files_find(&files, scratch_path("m"), NULL));
    cr_assert(!files.source_spm && !files.target_spm);
    lng_marian_files_release(&files);
    touch("m/target.spm");
    check_ok(lng_marian_files_find(&files, scratch_path("m"), NULL));
    cr_assert_str_eq(files.source_spm, scratch_path("m/source.spm"));
    cr_assert_str_eq(files.target_spm, scratch_path("m/target.spm"));
    lng_marian_files_release(&files);
    touch("m/v.spm");
    settings("m/decoder.yml", "models: model.npz\nvocabs: [v.spm, v.spm]\n");
    check_ok(lng_marian_files_find(&files, scratch_path("m"), NULL));
    cr_assert_str_eq(files.source_spm, scratch_path("m/v.spm"));
    cr_assert_str_eq(files.target_spm, scratch_path("m/v.spm"));
    lng_marian_files_release(&files);
    settings("m/decoder.yml", "models: model.npz\nvocabs: [v.spm, vocab.yml]\n");
    check_fails(lng_marian_files_find(&files, scratch_path("m"), NULL), LNG_ERR_UNSUPPORTED,
                "or neither, found v.spm and vocab.yml");
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

Test(marian_files, settings_that_do_not_do)
{
    static const struct {
        const char *text;
        enum lng_status status;
        const char *part;
    } cases[] = {
        {"models: [a.npz, b.npz]\n", LNG_ERR_UNSUPPORTED, "of an ensemble, give one"},
        {"models: []\n", LNG_ERR_UNSUPPORTED, "models: expected one, found 0"},
        {"vocabs: [v.yml, v.yml]\n", LNG_ERR_UNSUPPORTED, "models: expected one, found 0"},
        {"models: [model.bin]\n", LNG_ERR_UNSUPPORTED, "packed for one kind"},
        {"models: [none.npz]\n", LNG_ERR_IO, "names 'none.npz', which is not in"},
        {"models: [model.npz]\nvocabs: [v.yml]\n", LNG_ERR_UNSUPPORTED, "vocabs: expected two"},
        {"models: [model.npz]\nvocabs: [v.yml, v.yml, v.yml]\n", LNG_ERR_UNSUPPORTED, "found 3"},
        {"models: [model.npz]\nvocabs: [../secret, ../secret]\n", LNG_ERR_IO, "'../secret', which"},
        {"models: [model.npz]\nvocabs: [sub/../../secret, v]\n", LNG_ERR_IO, "which is not in"},
        {"models: [model.npz]\nvocabs: [/etc/passwd, v]\n", LNG_ERR_IO, "'/etc/passwd', which"},
        {"models: [model.npz]\nvocabs: ['', '']\n", LNG_ERR_IO, "names ''"},
        {"models: [model.npz]\nvocabs: ['sub/', '']\n", LNG_ERR_IO, "names 'sub/'"},
        {"models: [model.npz]\nnormalize: [1]\n", LNG_ERR_FORMAT,
         "expected a number, found 'a list'"},
        {"models: [model.npz]\nnormalize: lots\n", LNG_ERR_FORMAT, "decoder.yml:2: normalize"},
        {"models: [model.npz]\nbeam-size: 1e9\n", LNG_ERR_FORMAT, "beam-size"},
        {"models: {a: b}\n", LNG_ERR_FORMAT, "nested"},
        {"- models\n", LNG_ERR_FORMAT, "decoder.yml"},
    };
    struct lng_marian_files files;
    touch("secret");
    touch("m/model.npz");
    touch("m/v.yml");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        settings("m/decoder.yml", cases[i].text);
        enum lng_status status = lng_marian_files_find(&files, scratch_path("m"), NULL);
        cr_assert(status == cases[i].status && strstr(lng_error_message(), cases[i].part),
                  "case %zu: %s: %s", i, lng_status_text(status), lng_error_message());
    }
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

Test(marian_files, which_paths_are_models)
{
    struct lng_marian_files files;
    cr_assert(!lng_marian_is_model(scratch_path("none")));
    cr_assert(!lng_marian_is_model(scratch_path("none.npz")));
    cr_assert(!lng_marian_is_model(scratch_path("m")));
    touch("m/a.npz");
    touch("m/.hidden.npz");
    touch("m/a.npz.optimizer.npz");
    cr_assert(lng_marian_is_model(scratch_path("m")));
    cr_assert(lng_marian_is_model(scratch_path("m/a.npz")));
    touch("m/b.npz");
    cr_assert(!lng_marian_is_model(scratch_path("m")));
    check_fails(lng_marian_files_find(&files, scratch_path("m"), NULL), LNG_ERR_IO,
                "found 2 models");
    touch("m/decoder.yml");
    cr_assert(lng_marian_is_model(scratch_path("m")));
    touch("m/other.txt");
    cr_assert(!lng_marian_is_model(scratch_path("m/other.txt")));
    check_ok(lng_make_directories(scratch_path("m/d.npz")));
    cr_assert(!lng_marian_is_model(scratch_path("m/d.npz")));
}
