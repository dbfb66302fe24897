#include "host/cli/compare_report.h"
#include "host/store/json.h"

static enum lng_status append_object(json_t *array, json_t **object)
{
    json_t *made = json_object();
    LNG_FAIL_IF(made == NULL || json_array_append_new(array, made) != 0, LNG_ERR_MEMORY,
                "out of memory for the report");
    *object = made;
    return LNG_OK;
}

static json_t *word(const char *text)
{
    json_t *value = json_string(text);
    return value != NULL ? value : json_string("(not UTF-8)");
}

static enum lng_status add_sides(const struct lng_compare *compare, json_t *root)
{
    static const char *const names[] = {"reference", "tested"};
    for (int side = LNG_COMPARE_SIDES - 1; side >= 0; side--) {
        json_t *object = json_object();
        LNG_TRY(lng_json_set(root, names[side], object));
        LNG_TRY(lng_json_set(object, "device", word(compare->devices[side])));
        LNG_TRY(lng_json_set(object, "dtype", word(lng_dtype_name(compare->dtypes[side]))));
    }
    return LNG_OK;
}

static enum lng_status add_input(const struct lng_compare *compare, json_t *root)
{
    const struct lng_options *o = compare->options;
    json_t *options = json_object(), *lines;
    LNG_TRY(lng_json_set(root, "options", options));
    LNG_TRY(lng_json_set(options, "beam_size", json_integer(o->beam_size)));
    LNG_TRY(lng_json_set(options, "train_steps", json_integer(o->train_steps)));
    LNG_TRY(lng_json_set(options, "seed", json_integer(o->seed)));
    lines = json_object();
    LNG_TRY(lng_json_set(root, "lines", lines));
    LNG_TRY(lng_json_set(lines, "read", json_integer((json_int_t)compare->lines)));
    LNG_TRY(lng_json_set(lines, "compared", json_integer((json_int_t)compare->source.count)));
    LNG_TRY(lng_json_set(lines, "blank", json_integer((json_int_t)compare->blank)));
    LNG_TRY(lng_json_set(lines, "cut", json_integer((json_int_t)compare->cut)));
    LNG_TRY(
        lng_json_set(lines, "source_tokens", json_integer((json_int_t)compare->source.ids.count)));
    return lng_json_set(
        lines, "target_tokens",
        json_integer((json_int_t)compare->targets[LNG_COMPARE_REFERENCE].ids.count));
}

static enum lng_status add_case(const struct lng_compare_case *c, json_t *object)
{
    json_t *figures = json_object();
    LNG_TRY(lng_json_set(object, "section", word(lng_compare_section_name(c->section))));
    LNG_TRY(lng_json_set(object, "name", word(c->name)));
    LNG_TRY(lng_json_set(object, "verdict",
                         word(lng_compare_verdict_name(lng_compare_case_verdict(c)))));
    LNG_TRY(lng_json_set(object, "count", json_integer(c->count)));
    LNG_TRY(lng_json_set(object, "counted", word(c->counted)));
    LNG_TRY(lng_json_set(object, "figures", figures));
    for (int i = 0; i < c->figure_count; i++) {
        json_t *figure = json_object();
        LNG_TRY(lng_json_set(figures, c->figures[i].name, figure));
        LNG_TRY(lng_json_set(figure, "value", lng_json_number(c->figures[i].value)));
        LNG_TRY(lng_json_set(figure, "warn", lng_json_number(c->figures[i].limit.warn)));
        LNG_TRY(lng_json_set(figure, "fail", lng_json_number(c->figures[i].limit.fail)));
    }
    return lng_json_set(object, "where", word(c->where));
}

static enum lng_status add_cases(const struct lng_compare *compare, json_t *root)
{
    json_t *cases = json_array();
    LNG_TRY(lng_json_set(root, "cases", cases));
    for (size_t i = 0; i < compare->cases.count; i++) {
        json_t *object;
        LNG_TRY(append_object(cases, &object));
        LNG_TRY(add_case(&compare->cases.list[i], object));
    }
    return LNG_OK;
}

static enum lng_status add_difference(const struct lng_compare *compare,
                                      const struct lng_compare_difference *d, json_t *object)
{
    static const char *const names[] = {"reference", "tested"};
    const struct lng_vocab *vocab = lng_tokenizer_vocab(compare->tokenizer, LNG_SIDE_TARGET);
    LNG_TRY(lng_json_set(object, "line", json_integer((json_int_t)compare->numbers[d->text])));
    LNG_TRY(lng_json_set(object, "place", json_integer(d->place + 1)));
    LNG_TRY(lng_json_set(object, "near_tie", json_boolean(d->near_tie)));
    for (int side = LNG_COMPARE_SIDES - 1; side >= 0; side--) {
        json_t *token = json_object();
        struct lng_slice entry = lng_vocab_entry(vocab, d->tokens[side]);
        LNG_TRY(lng_json_set(object, names[side], token));
        LNG_TRY(lng_json_set(token, "token", entry.data != NULL ? word(entry.data) : json_null()));
        LNG_TRY(lng_json_set(token, "id", json_integer(d->tokens[side])));
        LNG_TRY(lng_json_set(token, "logprob", lng_json_number(d->logprobs[side])));
        LNG_TRY(lng_json_set(token, "score", lng_json_number(d->scores[side])));
    }
    return LNG_OK;
}

static enum lng_status add_differences(const struct lng_compare *compare, json_t *root)
{
    json_t *differences = json_array();
    LNG_TRY(lng_json_set(root, "differences", differences));
    for (size_t i = 0; i < compare->difference_count; i++) {
        json_t *object;
        LNG_TRY(append_object(differences, &object));
        LNG_TRY(add_difference(compare, &compare->differences[i], object));
    }
    return LNG_OK;
}

static enum lng_status add_gradients(const struct lng_compare *compare, json_t *root)
{
    json_t *gradients = json_array();
    LNG_TRY(lng_json_set(root, "gradients", gradients));
    for (size_t i = 0; i < compare->gradient_count; i++) {
        const struct lng_compare_gradient *gradient = &compare->gradients[i];
        json_t *object;
        LNG_TRY(append_object(gradients, &object));
        LNG_TRY(lng_json_set(object, "name", word(gradient->name)));
        LNG_TRY(lng_json_set(object, "nmse", lng_json_number(gradient->nmse)));
        LNG_TRY(lng_json_set(object, "max", lng_json_number(gradient->max_error)));
        LNG_TRY(lng_json_set(object, "step", json_integer(gradient->step)));
    }
    return LNG_OK;
}

static enum lng_status fill(const struct lng_compare *compare, json_t *root)
{
    const struct lng_options *o = compare->options;
    struct lng_compare_tally tally = lng_compare_count(compare);
    const char *verdict = lng_compare_verdict_name(tally.failures > 0   ? LNG_COMPARE_FAIL
                                                   : tally.warnings > 0 ? LNG_COMPARE_WARN
                                                                        : LNG_COMPARE_OK);
    LNG_TRY(lng_json_set(root, "lingster", word(LNG_VERSION)));
    LNG_TRY(lng_json_set(root, "verdict", word(verdict)));
    LNG_TRY(lng_json_set(root, "model", word(o->model)));
    LNG_TRY(lng_json_set(root, "input", word(o->input ? o->input : "-")));
    LNG_TRY(add_sides(compare, root));
    LNG_TRY(lng_json_set(root, "limits", word(lng_compare_class_name(compare->class))));
    LNG_TRY(lng_json_set(root, "tolerance", lng_json_number(o->tolerance)));
    LNG_TRY(add_input(compare, root));
    LNG_TRY(lng_json_set(root, "seconds", lng_json_number(compare->seconds)));
    LNG_TRY(add_cases(compare, root));
    LNG_TRY(add_differences(compare, root));
    return add_gradients(compare, root);
}

enum lng_status lng_compare_report_json(const struct lng_compare *compare, struct lng_buffer *text)
{
    json_t *root = json_object();
    if (root == NULL)
        return lng_fail(LNG_ERR_MEMORY, "out of memory for the report");
    enum lng_status status = fill(compare, root);
    if (status == LNG_OK)
        status = lng_json_print(root, text);
    json_decref(root);
    return status;
}
