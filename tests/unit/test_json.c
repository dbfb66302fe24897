#include "host/store/json.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "host/base/file.h"
#include "host/base/mem.h"
#include "tests/support/check.h"
#include "tests/support/scratch.h"

static void setup(void)
{
    scratch_make();
}

TestSuite(json, .init = setup, .fini = scratch_remove);

static json_t *parse(const char *text)
{
    json_t *root = NULL;
    check_ok(lng_json_parse("t.json", text, strlen(text), &root));
    return root;
}

Test(json, refuses_what_is_not_json_and_says_where)
{
    static const struct {
        const char *text, *part;
    } bad[] = {
        {"", "t.json:1:"},
        {"{\"a\": 1,\n \"b\": }", "t.json:2:"},
        {"{\"a\": 1} x", "t.json:1:10"},
        {"{\"a\": 1, \"a\": 2}", "duplicate"},
        {"{\"a\": NaN}", "t.json:1:"},
        {"{\"a\": Infinity}", "t.json:1:"},
        {"{\"a\": 'b'}", "t.json:1:"},
        {"{\"a\": \"\\u0000\"}", "t.json:1:"},
        {"{\"a\": \"\xff\"}", "decode byte 0xff"},
        {"{\"a\": 99999999999999999999}", "big"},
        {"{\"a\": 1e999}", "real number overflow"},
        {"[1, 2", "t.json:1:"},
        {"{\"a\": 1,}", "t.json:1:"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        json_t *root = (json_t *)1;
        enum lng_status status = lng_json_parse("t.json", bad[i].text, strlen(bad[i].text), &root);
        cr_assert(status == LNG_ERR_FORMAT, "case %zu", i);
        cr_assert(root == (json_t *)1, "case %zu touched the result", i);
        cr_assert(strstr(lng_error_message(), bad[i].part), "case %zu: '%s' lacks '%s'", i,
                  lng_error_message(), bad[i].part);
    }
}

Test(json, depth_is_bounded)
{
    enum { DEPTH = 100000 };
    char *text = lng_alloc(DEPTH, 1);
    memset(text, '[', DEPTH);
    json_t *root = NULL;
    check_fails(lng_json_parse("t.json", text, DEPTH, &root), LNG_ERR_FORMAT, "depth");
    lng_free(text);
}

Test(json, getters_name_file_key_expected_found)
{
    json_t *o =
        parse("{\"n\": 7, \"s\": \"abc\", \"r\": 1.5, \"t\": true, \"z\": null, \"o\": {}}");
    int64_t n = -1;
    double r = -1;
    bool t = false;
    const char *s = NULL;
    json_t *inner = NULL;
    check_ok(lng_json_get_int(o, "c.json", "n", 7, 7, &n));
    cr_assert(n == 7);
    check_ok(lng_json_get_double(o, "c.json", "n", 0, 10, &r));
    cr_assert(r == 7);
    check_ok(lng_json_get_bool(o, "c.json", "t", &t));
    cr_assert(t);
    check_ok(lng_json_get_string(o, "c.json", "s", &s));
    cr_assert_str_eq(s, "abc");
    check_ok(lng_json_get_object(o, "c.json", "o", &inner));
    check_fails(lng_json_get_int(o, "c.json", "x", 0, 9, &n), LNG_ERR_FORMAT,
                "c.json: key \"x\" is missing: expected an integer");
    check_fails(lng_json_get_int(o, "c.json", "r", 0, 9, &n), LNG_ERR_FORMAT,
                "c.json: key \"r\": expected an integer, found 1.5");
    check_fails(lng_json_get_int(o, "c.json", "n", 8, 9, &n), LNG_ERR_RANGE,
                "expected an integer from 8 to 9, found 7");
    check_fails(lng_json_get_double(o, "c.json", "r", 2, 3, &r), LNG_ERR_RANGE, "from 2 to 3");
    check_fails(lng_json_get_bool(o, "c.json", "n", &t), LNG_ERR_FORMAT, "true or false, found 7");
    check_fails(lng_json_get_string(o, "c.json", "z", &s), LNG_ERR_FORMAT, "a string, found null");
    check_fails(lng_json_get_object(o, "c.json", "s", &inner), LNG_ERR_FORMAT,
                "an object, found \"abc\"");
    cr_assert(n == 7 && lng_json_has(o, "n") && !lng_json_has(o, "z") && !lng_json_has(o, "x"));
    json_decref(o);
}

Test(json, numbers_come_back_as_they_were)
{
    static const double values[] = {0.1,     1e-5,
                                    1.0 / 3, DBL_MIN,
                                    DBL_MAX, 1e-9,
                                    -0.0,    123456789.123456789,
                                    5e-324,  0x1.fffffffffffffp-3};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct lng_buffer text = {0};
        json_t *o = json_object(), *again = NULL;
        check_ok(lng_json_set(o, "v", lng_json_number(values[i])));
        check_ok(lng_json_print(o, &text));
        check_ok(lng_json_parse("t", text.data, text.length, &again));
        double back = json_number_value(json_object_get(again, "v"));
        cr_assert(memcmp(&back, &values[i], sizeof back) == 0, "%a came back as %a", values[i],
                  back);
        lng_buffer_release(&text);
        json_decref(o);
        json_decref(again);
    }
    struct lng_buffer text = {0};
    json_t *o = json_object();
    check_ok(lng_json_set(o, "short", lng_json_number(0.1)));
    check_ok(lng_json_set(o, "nan", lng_json_number(NAN)));
    check_ok(lng_json_set(o, "inf", lng_json_number(-INFINITY)));
    check_ok(lng_json_print(o, &text));
    cr_assert_str_eq(text.data, "{\n  \"short\": 0.1,\n  \"nan\": null,\n  \"inf\": null\n}\n");
    lng_buffer_release(&text);
    json_decref(o);
}

Test(json, files)
{
    json_t *o = parse("{\"text\": \"h\xc3\xa9\"}"), *back = NULL;
    check_ok(lng_json_write(scratch_path("a.json"), o));
    check_ok(lng_json_read_object(scratch_path("a.json"), 1000, &back));
    cr_assert(json_equal(o, back));
    json_decref(back);
    json_decref(o);
    check_fails(lng_json_read_object(scratch_path("a.json"), 5, &back), LNG_ERR_RANGE, "a.json");
    check_fails(lng_json_read_object(scratch_path("none.json"), 5, &back), LNG_ERR_IO, "none.json");
    scratch_write("b.json", "[1]", 3);
    check_fails(lng_json_read_object(scratch_path("b.json"), 1000, &back), LNG_ERR_FORMAT,
                "expected a JSON object, found an array of 1");
    cr_assert(scratch_count() == 2);
}
