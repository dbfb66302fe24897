#include "host/config/options.h"

#include <string.h>

#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include "host/base/mem.h"
#include "host/config/option_table.h"
#include "tests/support/check.h"

static const struct lng_command train = {"train", LNG_FOR_TRAIN, "CONFIG.yml...", 0,
                                         -1,      true,          "Train a model."};
static const struct lng_command translate = {"translate", LNG_FOR_TRANSLATE, "", 0, 0,
                                             false,       "Translate text."};
static const struct lng_command average = {"average", LNG_FOR_AVERAGE, "CHECKPOINT...",       1,
                                           -1,        false,           "Average checkpoints."};
static const struct lng_command eval = {"eval", LNG_FOR_EVAL,         "", 0, 0,
                                        false,  "Judge translations."};

enum { MAX_WORDS = 32 };

/* Parses "lingster <command> words...", words separated by single spaces. */
static enum lng_status parse_with(struct lng_options *options, const struct lng_command *command,
                                  const char *words, char *const *environment)
{
    static char copy[2048];
    char *argv[MAX_WORDS] = {(char *)command->name};
    int argc = 1;
    snprintf(copy, sizeof copy, "%s", words);
    for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " "))
        argv[argc++] = word;
    check_ok(lng_options_init(options, command));
    return lng_options_parse(options, argc, argv, environment);
}

static enum lng_status parse(struct lng_options *options, const struct lng_command *command,
                             const char *words)
{
    return parse_with(options, command, words, NULL);
}

/* ---- the table ---- */

Test(options, rows_are_sound)
{
    for (int i = 0; i < LNG_OPTION_COUNT; i++) {
        const struct lng_option_row *row = &lng_option_rows[i];
        cr_assert(row->commands != 0 && (row->commands & ~(unsigned)LNG_FOR_ALL) == 0, "%s",
                  row->name);
        cr_assert(row->help[0] != '\0');
        bool is_switch = row->type == LNG_OPTION_TYPE_BOOL;
        cr_assert(is_switch == (row->metavar == NULL), "%s: a metavar, unless it is a switch",
                  row->name);
        cr_assert(row->type != LNG_OPTION_TYPE_CHOICE || row->choices != LNG_CHOICES_none, "%s",
                  row->name);
        bool number = row->type >= LNG_OPTION_TYPE_INT && row->type <= LNG_OPTION_TYPE_DOUBLE;
        cr_assert(!number || row->min < row->max, "%s", row->name);
        cr_assert(row->type != LNG_OPTION_TYPE_INT || row->max <= 2147483647.0, "%s", row->name);
        for (int k = 0; k < i; k++) {
            const struct lng_option_row *other = &lng_option_rows[k];
            if (!(other->commands & row->commands))
                continue;
            cr_assert(strcmp(other->name, row->name) != 0, "two options '%s'", row->name);
            cr_assert(row->short_name == 0 || row->short_name != other->short_name, "two -%c",
                      row->short_name);
        }
    }
}

/* ---- values ---- */

Test(options, defaults)
{
    struct lng_options o;
    check_ok(parse(&o, &train, "--output run"));
    cr_assert(o.dim == 512 && o.heads == 8 && o.enc_depth == 6);
    cr_assert(o.dec_ffn_dim == 2048, "as ffn-dim");
    cr_assert(o.embedding_dropout == o.dropout && o.dropout == 0.1);
    cr_assert(o.positions == LNG_OPT_POSITIONS_B && o.output_bias, "post-norm");
    cr_assert(o.warmup.value == 4000 && o.warmup.unit == LNG_UNIT_UPDATES);
    cr_assert(o.window_memory == 0);
    cr_assert(o.train_source.count == 0 && o.vocab == NULL);
    cr_assert(o.early_stopping_metrics.count == 1);
    cr_assert_str_eq(o.early_stopping_metrics.items[0], "loss");
    cr_assert(o.action == LNG_ACTION_RUN);
    cr_assert(!LNG_OPTION_IS_SET(&o, dim) && !LNG_OPTION_IS_SET(&o, positions));
    cr_assert(LNG_OPTION_IS_SET(&o, output));
    lng_options_release(&o);
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

Test(options, command_line_forms)
{
    struct lng_options o;
    check_ok(parse(&o, &translate,
                   "-m model --input=in.txt -oout.txt --beam-size 6 --n-best=3 --json "
                   "--word-penalty -0.5 --length-penalty wu --batch-tokens 32K -q --no-allow-unk "
                   "--max-length-factor 1e1"));
    cr_assert_str_eq(o.model, "model");
    cr_assert(o.inputs.count == 1);
    cr_assert_str_eq(o.inputs.items[0], "in.txt");
    cr_assert_str_eq(o.output, "out.txt");
    cr_assert(o.beam_size == 6 && o.n_best == 3 && o.json && o.quiet && !o.allow_unk);
    cr_assert(o.word_penalty == -0.5);
    cr_assert(o.length_penalty == LNG_OPT_LENGTH_PENALTY_WU);
    cr_assert(o.batch_tokens == 32000);
    cr_assert(o.max_length_factor == 10);
    lng_options_release(&o);
    check_ok(parse(&o, &translate, "--model=m --json=false --allow-unk=yes --beam 2"));
    cr_assert(!o.json && o.allow_unk && o.beam_size == 2);
    lng_options_release(&o);
}

Test(options, units_and_suffixes)
{
    struct lng_options o;
    check_ok(parse(&o, &train,
                   "--output r --warmup 100Mt --valid-every 10e --save-every 4000u "
                   "--log-every 2K --window-memory 2G --max-updates 3M"));
    cr_assert(o.warmup.value == 100000000 && o.warmup.unit == LNG_UNIT_TARGETS);
    cr_assert(o.valid_every.value == 10 && o.valid_every.unit == LNG_UNIT_EPOCHS);
    cr_assert(o.save_every.value == 4000 && o.save_every.unit == LNG_UNIT_UPDATES);
    cr_assert(o.log_every.value == 2000 && o.log_every.unit == LNG_UNIT_UPDATES);
    cr_assert(o.window_memory == (int64_t)2 << 30);
    cr_assert(o.max_updates == 3000000);
    lng_options_release(&o);
}

Test(options, lists)
{
    struct lng_options o;
    check_ok(parse(&o, &eval, "--hypothesis h --reference a --reference b,c --metrics chrf,bleu"));
    cr_assert(o.references.count == 2);
    cr_assert_str_eq(o.references.items[0], "a");
    cr_assert_str_eq(o.references.items[1], "b,c");
    cr_assert(o.metrics.count == 2);
    cr_assert_str_eq(o.metrics.items[0], "chrf");
    cr_assert(lng_choice_value(LNG_CHOICES_metric, o.metrics.items[1]) == LNG_OPT_METRIC_BLEU);
    lng_options_release(&o);
    check_ok(parse(&o, &average, "one --output m two -- --three"));
    cr_assert(o.arguments.count == 3);
    cr_assert_str_eq(o.arguments.items[0], "one");
    cr_assert_str_eq(o.arguments.items[2], "--three");
    lng_options_release(&o);
}

static const struct {
    const struct lng_command *command;
    const char *words, *part;
} bad[] = {
    {&translate, "--model m --baem-size 3",
     "unknown option '--baem-size'; did you mean '--beam-size'?"},
    {&translate, "--model m --enc-depth 3", "'--enc-depth' is an option of other commands"},
    {&translate, "--model m --zzzzzz", "unknown option '--zzzzzz'; 'lingster translate --help'"},
    {&translate, "--model m --zzzzzz=5", "unknown option '--zzzzzz'"},
    {&translate, "--model m -x", "unknown option '-x'"},
    {&translate, "--model m -qx", "unknown option '-x'"},
    {&translate, "--model", "--model needs a value: --model DIR"},
    {&translate, "-m", "--model needs a value"},
    {&translate, "--model m --max 3", "'--max' may be"},
    {&translate, "--model m --help=5", "'--help=5': --help takes no value"},
    {&translate, "--model m --no-json=5", "--no-json takes no value"},
    {&translate, "--model m --beam-size x",
     "--beam-size: expected a whole number from 1 to 1000, found 'x'"},
    {&translate, "--model m --beam-size 0", "found '0'"},
    {&translate, "--model m --beam-size 1001", "found '1001'"},
    {&translate, "--model m --beam-size 99999999999999999999", "found '99999999999999999999'"},
    {&translate, "--model m --beam-size 9999999999999G", "found '9999999999999G'"},
    {&translate, "--model m --beam-size 4.0", "found '4.0'"},
    {&translate, "--model m --beam-size 4m", "found '4m'"},
    {&translate, "--model m --beam-size K", "found 'K'"},
    {&translate, "--model m --beam-size=", "found ''"},
    {&translate, "--model m --word-penalty nan",
     "--word-penalty: expected a number from -1000 to 1000, found 'nan'"},
    {&translate, "--model m --word-penalty inf", "found 'inf'"},
    {&translate, "--model m --word-penalty 0x10", "found '0x10'"},
    {&translate, "--model m --word-penalty 1e999", "found '1e999'"},
    {&translate, "--model m --json=maybe", "--json: expected true or false, found 'maybe'"},
    {&translate, "--model m --dtype f23",
     "--dtype: expected one of f32, bf16, int8, found 'f23'; did you mean 'f32'?"},
    {&translate, "--model=", "--model: expected a list without empty items"},
    {&translate, "--output= --model m", "--output: expected a path, found an empty text"},
    {&translate, "--model m file", "unexpected argument 'file'"},
    {&translate, "--model m --json true",
     "unexpected argument 'true'; a switch takes its value as in --name=false"},
    {&translate, "--beam-size 3", "--model DIR is required"},
    {&translate, "--model m --sample --alternatives --n-best 2", "choose one"},
    {&translate, "--model m --sample --beam-size 4",
     "beam-size (from the command line) is for beam search, not for sample"},
    {&translate, "--model m --alternatives --n-best 2 --search-stop exact", "search-stop"},
    {&translate, "--model m --alternatives", "needs --n-best 2 or more"},
    {&translate, "--model m --sampling-top-k 5", "does nothing without --sample"},
    {&translate, "--model m --sample --sampling-top-p 0", "--sampling-top-p: expected a number"},
    {&translate, "--model m --sample --sampling-top-p 1.5", "found '1.5'"},
    {&translate, "--model m --sample --sampling-temperature 0", "--sampling-temperature"},
    {&translate, "--model m --sample --sampling-temperature nan", "found 'nan'"},
    {&translate, "--model m --sample --sampling-top-k -1", "--sampling-top-k"},
    {&translate, "--model m --sample --min-alternative-probability 0.1", "without --alternatives"},
    {&translate, "--model m --repetition-penalty 0", "--repetition-penalty"},
    {&translate, "--model m --coverage-penalty -1", "--coverage-penalty"},
    {&translate, "--model m --no-repeat-ngram -2", "--no-repeat-ngram"},
    {&translate, "--model m --ensemble mean", "does nothing without several --model"},
    {&translate, "--model m --model n --ensemble median", "expected one of log-linear, mean"},
    {&translate, "--model m --model n --ensemble-weights 1", "has 1 weights for 2 models"},
    {&translate, "--model m --shortlist-best 7", "does nothing without --shortlist"},
    {&translate, "--model m --n-best 5",
     "n-best (5, from the command line) is more than beam-size (4, from default)"},
    {&translate, "--model m --min-length 9 --max-length 8", "min-length (9"},
    {&translate, "--model m --preset base", "'--preset' is an option of other commands"},
    {&average, "--output m", "expected CHECKPOINT..."},
    {&eval, "--hypothesis h --reference r --metrics bleu,blue", "expected one of bleu, chrf"},
    {&eval, "--hypothesis h --reference r --metrics bleu,", "without empty items"},
    {&eval, "--hypothesis h", "--reference FILE is required"},
    {&train, "--output r --warmup 5x", "expected a number with unit u, e or t"},
    {&train, "--output r --warmup u", "found 'u'"},
    {&train, "--output r --warmup -1u", "found '-1u'"},
    {&train, "--output r --dim 500",
     "dim (500, from the command line) must be a multiple of heads (8, from default)"},
    {&train, "--output r --dim 9 --heads 3", "must be even"},
    {&train, "--output r --train-source a --train-target b --train-target c",
     "train-source has 1 files and train-target 2"},
    {&train, "--output r --valid-source a", "valid-target is missing"},
    {&train, "--output r --vocab a --source-vocab b --target-vocab c", "not both"},
    {&train, "--output r --source-vocab b", "target-vocab is missing"},
    {&train, "--output r --source-vocab b --target-vocab c", "needs one shared vocabulary"},
    {&train, "--output r --schedule cosine", "needs decay-until"},
    {&train, "--output r --weight-decay 0.1", "needs optimizer: adamw"},
    {&train, "--output r --min-lr 1", "is above lr"},
    {&train, "--output r --average-last 9", "needs keep-last"},
    {&train, "--output r --preset bsae", "no preset 'bsae'"},
    {&train, "--output r --preset ../base", "expected the name of a preset"},
    {&train, "", "--output PATH is required"},
};
ParameterizedTestParameters(options, refused)
{
    static int index[sizeof bad / sizeof bad[0]];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        index[i] = (int)i;
    return cr_make_param_array(int, index, sizeof bad / sizeof bad[0]);
}
ParameterizedTest(int *index, options, refused)
{
    struct lng_options o;
    check_fails(parse(&o, bad[*index].command, bad[*index].words), LNG_ERR_USAGE, bad[*index].part);
    lng_options_release(&o);
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

Test(options, actions_come_before_complaints)
{
    struct lng_options o;
    check_ok(parse(&o, &average, "--help --beam-size"));
    cr_assert(o.action == LNG_ACTION_HELP);
    lng_options_release(&o);
    check_ok(parse(&o, &average, "-V"));
    cr_assert(o.action == LNG_ACTION_VERSION);
    lng_options_release(&o);
    check_ok(parse(&o, &train, "--dump-config --dim 64"));
    cr_assert(o.action == LNG_ACTION_DUMP_CONFIG && o.dim == 64);
    lng_options_release(&o);
}

/* ---- files ---- */

static enum lng_status read_text(struct lng_options *options, const char *text)
{
    check_ok(lng_options_init(options, &train));
    return lng_options_read_text(options, "run.yml", text, strlen(text));
}

Test(options, a_file_sets_every_type)
{
    struct lng_options o;
    check_ok(read_text(&o, "dim: 64\nheads: '4'\nlr: 1e-3\nembedding-scale: no\npositions: c\n"
                           "warmup: 2e\nvocab: a b.spm\ntrain-source: [a, \"b\"]\n"
                           "train-target: c.de\nearly-stopping-metrics: bleu,loss\n"
                           "max-updates: 20K\nwindow-memory: 64M\npreset:\n"));
    cr_assert(o.dim == 64 && o.heads == 4 && o.lr == 1e-3 && !o.embedding_scale);
    cr_assert(o.positions == LNG_OPT_POSITIONS_C && o.warmup.unit == LNG_UNIT_EPOCHS);
    cr_assert_str_eq(o.vocab, "a b.spm");
    cr_assert(o.train_source.count == 2 && o.train_target.count == 1);
    cr_assert(o.early_stopping_metrics.count == 2 && o.max_updates == 20000);
    cr_assert(o.window_memory == 64 << 20);
    cr_assert(o.origin[LNG_OPTION_heads].source == LNG_SOURCE_FILE);
    cr_assert_str_eq(o.origin[LNG_OPTION_heads].where, "run.yml:2:1");
    lng_options_release(&o);
}

Test(options, null_is_the_default_again)
{
    struct lng_options o;
    check_ok(read_text(&o, "dim: 64\n"));
    check_ok(lng_options_read_text(&o, "b.yml", "dim: ~\n", 7));
    cr_assert(o.dim == 512 && !LNG_OPTION_IS_SET(&o, dim));
    lng_options_release(&o);
}

static const struct {
    const char *text, *part;
} bad_files[] = {
    {"dmi: 64\n", "run.yml:1:1: unknown option 'dmi'; did you mean 'dim'?"},
    {"beam-size: 64\n", "run.yml:1:1: 'beam-size' is an option of other commands, not of train"},
    {"dim: 64\nheads: many\n",
     "run.yml:2:8: heads: expected a whole number from 1 to 256, found 'many'"},
    {"dim: 1000000\n",
     "run.yml:1:6: dim: expected a whole number from 2 to 16384, found '1000000'"},
    {"lr: .nan\n", "run.yml:1:5: lr: expected a number"},
    {"lr: nan\n", "found 'nan'"},
    {"lr: .inf\n", "run.yml:1:5"},
    {"dim: [64]\n", "run.yml:1:6: dim: expected one value, found a list"},
    {"dim: 0x40\n", "found '0x40'"},
    {"embedding-scale: 2\n", "expected true or false"},
    {"activation: rleu\n", "run.yml:1:13: activation: expected one of relu, gelu, gelu-tanh, "
                           "swish, found 'rleu'; did you mean 'relu'?"},
    {"early-stopping-metrics: [loss, bluh]\n", "did you mean 'bleu'?"},
    {"train-source: [a, '']\n", "without empty items"},
    {"help: true\n", "unknown option 'help'"},
    {"config: other.yml\n", "unknown option 'config'"},
    {"dim: 64\ndim: 32\n", "run.yml:2:1: duplicate key"},
    {"dim:\n  x: 1\n", "run.yml:2:3"},
    {"preset: nowhere\n", "run.yml:1:9: no preset 'nowhere'"},
    {"preset: [a]\n", "expected one value, found a list"},
    {"dim: \xFF\n", "run.yml:1:6"},
};
ParameterizedTestParameters(options, refused_files)
{
    static int index[sizeof bad_files / sizeof bad_files[0]];
    for (size_t i = 0; i < sizeof bad_files / sizeof bad_files[0]; i++)
        index[i] = (int)i;
    return cr_make_param_array(int, index, sizeof bad_files / sizeof bad_files[0]);
}
ParameterizedTest(int *index, options, refused_files)
{
    struct lng_options o;
    check_fails(read_text(&o, bad_files[*index].text), LNG_ERR_USAGE, bad_files[*index].part);
    lng_options_release(&o);
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}
