#include "host/cli/compare_report.h"

#include <stdio.h>

enum { MOST_DIFFERENCES = 10, MOST_NAMED = 3 };

struct lng_compare_tally lng_compare_count(const struct lng_compare *compare)
{
    struct lng_compare_tally tally = {.cases = compare->cases.count};
    for (size_t i = 0; i < compare->cases.count; i++) {
        enum lng_compare_verdict verdict = lng_compare_case_verdict(&compare->cases.list[i]);
        tally.warnings += verdict == LNG_COMPARE_WARN;
        tally.failures += verdict == LNG_COMPARE_FAIL;
    }
    return tally;
}

/* "nmse 1.2e-05 (limit 1e-06), y of call 3": the figures past a limit, and where. */
static enum lng_status append_excess(const struct lng_compare_case *c, struct lng_buffer *text)
{
    const char *between = "";
    for (int i = 0; i < c->figure_count; i++) {
        const struct lng_compare_figure *f = &c->figures[i];
        enum lng_compare_verdict verdict = lng_compare_judge(f->value, f->limit);
        if (verdict == LNG_COMPARE_OK)
            continue;
        LNG_TRY(
            lng_buffer_append_format(text, "%s%s %.3g (limit %.3g)", between, f->name, f->value,
                                     verdict == LNG_COMPARE_FAIL ? f->limit.fail : f->limit.warn));
        between = ", ";
    }
    return c->where[0] != '\0' ? lng_buffer_append_format(text, "; %s", c->where) : LNG_OK;
}

enum lng_status lng_compare_summarize(const struct lng_compare *compare, struct lng_buffer *text)
{
    struct lng_compare_tally tally = lng_compare_count(compare);
    if (tally.failures == 0)
        return lng_buffer_append_format(text, "all %zu comparisons are within their limits%s",
                                        tally.cases, tally.warnings > 0 ? ", some only just" : "");
    LNG_TRY(lng_buffer_append_format(text, "%zu of %zu comparisons are past their limits",
                                     tally.failures, tally.cases));
    size_t named = 0;
    for (size_t i = 0; i < compare->cases.count && named < MOST_NAMED; i++) {
        const struct lng_compare_case *c = &compare->cases.list[i];
        if (lng_compare_case_verdict(c) != LNG_COMPARE_FAIL)
            continue;
        LNG_TRY(lng_buffer_append_format(text, "%s%s, %s: ", named++ == 0 ? ": " : ". ",
                                         lng_compare_section_name(c->section), c->name));
        LNG_TRY(append_excess(c, text));
    }
    return tally.failures > named ? lng_buffer_append_text(text, ". ...") : LNG_OK;
}

/* ---- text --------------------------------------------------------------------------------------- */

static enum lng_status append_head(const struct lng_compare *compare, struct lng_buffer *text)
{
    const struct lng_options *o = compare->options;
    const int reference = LNG_COMPARE_REFERENCE, tested = LNG_COMPARE_TESTED;
    LNG_TRY(lng_buffer_append_format(
        text, "lingster %s: %s in %s, tested against %s in %s; limits of %s", LNG_VERSION,
        compare->devices[tested], lng_dtype_name(compare->dtypes[tested]),
        compare->devices[reference], lng_dtype_name(compare->dtypes[reference]),
        lng_compare_class_name(compare->class)));
    if (o->tolerance != 1)
        LNG_TRY(lng_buffer_append_format(text, " times %g", o->tolerance));
    LNG_TRY(lng_buffer_append_format(
        text, "\n%s: %llu lines, %llu of them blank; %zu source and %zu target tokens; beam %d\n",
        o->model, (unsigned long long)compare->lines, (unsigned long long)compare->blank,
        compare->source.ids.count, compare->targets[reference].ids.count, o->beam_size));
    if (compare->cut > 0)
        LNG_TRY(lng_buffer_append_format(text, "%llu lines were cut\n",
                                         (unsigned long long)compare->cut));
    return LNG_OK;
}

static const char *heading_of(enum lng_compare_section section)
{
    static const char *const headings[LNG_COMPARE_SECTIONS] = {
        "translations",
        "log-probabilities of the reference's translations",
        "operations, each on the reference's inputs",
        "operations of a training step, each on the reference's inputs",
        "training, each step from the reference's weights",
    };
    return headings[section];
}

static enum lng_status append_case(const struct lng_compare_case *c, struct lng_buffer *text)
{
    char column[96];
    enum lng_compare_verdict verdict = lng_compare_case_verdict(c);
    LNG_TRY(lng_buffer_append_format(text, "  %-14s %8lld %-7s", c->name, (long long)c->count,
                                     c->counted));
    for (int i = 0; i < c->figure_count; i++) {
        const struct lng_compare_figure *f = &c->figures[i];
        snprintf(column, sizeof column, "%s %.3g (%.3g)", f->name, f->value, f->limit.fail);
        LNG_TRY(lng_buffer_append_format(text, "  %-27s", column));
    }
    LNG_TRY(lng_buffer_append_format(text, "%s\n",
                                     verdict == LNG_COMPARE_FAIL   ? "FAIL"
                                     : verdict == LNG_COMPARE_WARN ? "warn"
                                                                   : "ok"));
    if (verdict == LNG_COMPARE_OK)
        return LNG_OK;
    LNG_TRY(lng_buffer_append_text(text, "      "));
    LNG_TRY(append_excess(c, text));
    return lng_buffer_append_byte(text, '\n');
}

static const char *token_text(const struct lng_compare *compare, int32_t token)
{
    const struct lng_vocab *vocab = lng_tokenizer_vocab(compare->tokenizer, LNG_SIDE_TARGET);
    struct lng_slice entry = lng_vocab_entry(vocab, token);
    return entry.data != NULL ? entry.data : "(none)";
}

static enum lng_status append_difference(const struct lng_compare *compare,
                                         const struct lng_compare_difference *d,
                                         struct lng_buffer *text)
{
    const int t = LNG_COMPARE_TESTED, r = LNG_COMPARE_REFERENCE;
    return lng_buffer_append_format(
        text,
        "      line %llu, token %d, %s: \"%s\" (%.5f), reference \"%s\" (%.5f); whole %.5f, %.5f\n",
        (unsigned long long)compare->numbers[d->text], d->place + 1,
        d->near_tie ? "near tie" : "DIFFERENT", token_text(compare, d->tokens[t]), d->logprobs[t],
        token_text(compare, d->tokens[r]), d->logprobs[r], d->scores[t], d->scores[r]);
}

/* Those that are no near ties first. */
static enum lng_status append_differences(const struct lng_compare *compare,
                                          struct lng_buffer *text)
{
    size_t shown = 0;
    if (compare->difference_count > 0)
        LNG_TRY(lng_buffer_append_text(text, "      the first tokens that differ (log-probability) "
                                             "and ranking scores of the whole, by the "
                                             "reference:\n"));
    for (int near_tie = 0; near_tie <= 1; near_tie++)
        for (size_t i = 0; i < compare->difference_count && shown < MOST_DIFFERENCES; i++)
            if (compare->differences[i].near_tie == near_tie) {
                LNG_TRY(append_difference(compare, &compare->differences[i], text));
                shown++;
            }
    if (compare->difference_count > shown)
        return lng_buffer_append_format(text, "      and %zu more\n",
                                        compare->difference_count - shown);
    return LNG_OK;
}

enum lng_status lng_compare_report_text(const struct lng_compare *compare, struct lng_buffer *text)
{
    LNG_TRY(append_head(compare, text));
    for (int section = 0, begun; section < LNG_COMPARE_SECTIONS; section++) {
        begun = 0;
        for (size_t i = 0; i < compare->cases.count; i++) {
            const struct lng_compare_case *c = &compare->cases.list[i];
            if (c->section != (enum lng_compare_section)section)
                continue;
            if (!begun++)
                LNG_TRY(lng_buffer_append_format(text, "%s\n", heading_of(c->section)));
            LNG_TRY(append_case(c, text));
        }
        if (section == LNG_COMPARE_TRANSLATIONS)
            LNG_TRY(append_differences(compare, text));
    }
    bool failed = lng_compare_count(compare).failures > 0;
    LNG_TRY(lng_buffer_append_text(text, failed ? "FAIL: " : "PASS: "));
    LNG_TRY(lng_compare_summarize(compare, text));
    return lng_buffer_append_byte(text, '\n');
}

/* ---- JUnit -------------------------------------------------------------------------------------- */

/* Text of an attribute or element: escaped, without what XML 1.0 cannot hold. */
static enum lng_status append_xml(struct lng_buffer *out, const char *text)
{
    struct lng_buffer clean = {0};
    enum lng_status status =
        lng_buffer_append_repaired(&clean, text, lng_slice_of(text).length, NULL);
    for (size_t i = 0; status == LNG_OK && i < clean.length; i++) {
        char c = clean.data[i];
        const char *name = c == '&'   ? "&amp;"
                           : c == '<' ? "&lt;"
                           : c == '>' ? "&gt;"
                           : c == '"' ? "&quot;"
                                      : NULL;
        bool control = (unsigned char)c < 0x20 || c == 0x7F;
        status = name ? lng_buffer_append_text(out, name)
                      : lng_buffer_append_byte(out, control ? ' ' : c);
    }
    lng_buffer_release(&clean);
    return status;
}

static enum lng_status append_attribute(struct lng_buffer *out, const char *name,
                                        const char *before, const char *value)
{
    LNG_TRY(lng_buffer_append_format(out, " %s=\"%s", name, before));
    LNG_TRY(append_xml(out, value));
    return lng_buffer_append_byte(out, '"');
}

/* All figures, whatever the verdict. */
static enum lng_status append_figures(struct lng_buffer *out, const struct lng_compare_case *c)
{
    LNG_TRY(lng_buffer_append_format(out, "%lld %s", (long long)c->count, c->counted));
    for (int i = 0; i < c->figure_count; i++)
        LNG_TRY(lng_buffer_append_format(out, ", %s %.6g (warn %.3g, fail %.3g)",
                                         c->figures[i].name, c->figures[i].value,
                                         c->figures[i].limit.warn, c->figures[i].limit.fail));
    if (c->where[0] == '\0')
        return LNG_OK;
    LNG_TRY(lng_buffer_append_text(out, "; worst: "));
    return append_xml(out, c->where);
}

static enum lng_status append_junit_case(struct lng_buffer *out, const struct lng_compare_case *c)
{
    bool failed = lng_compare_case_verdict(c) == LNG_COMPARE_FAIL;
    struct lng_buffer excess = {0};
    LNG_TRY(lng_buffer_append_text(out, "  <testcase"));
    LNG_TRY(append_attribute(out, "classname", "lingster.compare.",
                             lng_compare_section_name(c->section)));
    LNG_TRY(append_attribute(out, "name", "", c->name));
    LNG_TRY(lng_buffer_append_text(out, " time=\"0\">"));
    if (failed) {
        enum lng_status status = append_excess(c, &excess);
        LNG_TRY(lng_buffer_append_text(out, "<failure type=\"limit\""));
        if (status == LNG_OK)
            status = append_attribute(out, "message", "", excess.data ? excess.data : "");
        lng_buffer_release(&excess);
        LNG_TRY(status);
        LNG_TRY(lng_buffer_append_byte(out, '>'));
    } else {
        LNG_TRY(lng_buffer_append_text(out, "<system-out>"));
    }
    LNG_TRY(append_figures(out, c));
    LNG_TRY(lng_buffer_append_text(out, failed ? "</failure>" : "</system-out>"));
    return lng_buffer_append_text(out, "</testcase>\n");
}

enum lng_status lng_compare_report_junit(const struct lng_compare *compare, struct lng_buffer *out)
{
    struct lng_compare_tally tally = lng_compare_count(compare);
    char name[160];
    snprintf(name, sizeof name, "lingster compare: %s %s against %s %s",
             compare->devices[LNG_COMPARE_TESTED],
             lng_dtype_name(compare->dtypes[LNG_COMPARE_TESTED]),
             compare->devices[LNG_COMPARE_REFERENCE],
             lng_dtype_name(compare->dtypes[LNG_COMPARE_REFERENCE]));
    LNG_TRY(lng_buffer_append_text(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                                        "<testsuites>\n <testsuite"));
    LNG_TRY(append_attribute(out, "name", "", name));
    LNG_TRY(lng_buffer_append_format(
        out, " tests=\"%zu\" failures=\"%zu\" errors=\"0\" skipped=\"0\" time=\"%.3f\">\n",
        tally.cases, tally.failures, compare->seconds));
    LNG_TRY(lng_buffer_append_text(out, "  <properties>"));
    LNG_TRY(lng_buffer_append_text(out, "<property name=\"lingster\" value=\"" LNG_VERSION "\"/>"));
    LNG_TRY(lng_buffer_append_text(out, "<property name=\"model\""));
    LNG_TRY(append_attribute(out, "value", "", compare->options->model));
    LNG_TRY(lng_buffer_append_text(out, "/></properties>\n"));
    for (size_t i = 0; i < compare->cases.count; i++)
        LNG_TRY(append_junit_case(out, &compare->cases.list[i]));
    return lng_buffer_append_text(out, " </testsuite>\n</testsuites>\n");
}
