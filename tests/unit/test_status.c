#include "host/base/status.h"

#include <string.h>

#include <criterion/criterion.h>

static enum lng_status fail_if(int value)
{
    LNG_FAIL_IF(value < 0, LNG_ERR_RANGE, "expected 0 or more, found %d", value);
    return LNG_OK;
}

static enum lng_status with_release(int value, int *released)
{
    enum lng_status status = LNG_OK;
    LNG_TRY_OR_FAIL(fail_if(value));
    LNG_GOTO_FAIL_IF(value == 7, LNG_ERR_FORMAT, "seven");
fail:
    *released = 1;
    return status;
}

Test(status, ok_is_zero_and_kinds_have_words)
{
    cr_assert(LNG_OK == 0);
    cr_assert_str_eq(lng_status_text(LNG_ERR_MEMORY), "out of memory");
    cr_assert_str_eq(lng_status_text(LNG_ERR_INTERNAL), "internal error");
    cr_assert_str_eq(lng_status_text((enum lng_status)999), "unknown status");
}

Test(status, message_is_kept_and_starts_empty)
{
    cr_assert_str_eq(lng_error_message(), "");
    cr_assert(fail_if(-3) == LNG_ERR_RANGE);
    cr_assert_str_eq(lng_error_message(), "expected 0 or more, found -3");
    cr_assert(fail_if(3) == LNG_OK);
}

Test(status, fail_label_runs_and_keeps_the_code)
{
    int released = 0;
    cr_assert(with_release(-1, &released) == LNG_ERR_RANGE);
    cr_assert(released == 1);
    cr_assert(with_release(7, &released) == LNG_ERR_FORMAT);
    cr_assert_str_eq(lng_error_message(), "seven");
    cr_assert(with_release(1, &released) == LNG_OK);
}

Test(status, context_goes_in_front)
{
    (void)lng_fail(LNG_ERR_FORMAT, "bad byte");
    cr_assert(lng_fail_context(LNG_ERR_FORMAT, "%s:%d", "file", 12) == LNG_ERR_FORMAT);
    cr_assert_str_eq(lng_error_message(), "file:12: bad byte");
}

Test(status, message_may_quote_itself_and_long_ones_are_cut)
{
    (void)lng_fail(LNG_ERR_IO, "inner");
    (void)lng_fail(LNG_ERR_IO, "outer (%s)", lng_error_message());
    cr_assert_str_eq(lng_error_message(), "outer (inner)");
    (void)lng_fail(LNG_ERR_IO, "%05000d", 1);
    cr_assert(strlen(lng_error_message()) == 2047);
    (void)lng_fail_context(LNG_ERR_IO, "%05000d", 1);
    cr_assert(strlen(lng_error_message()) == 2047);
}
