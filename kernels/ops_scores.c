/* Checks of the operations on scores of tokens (ops.h). */
#include <float.h>

#include "kernels/ops_check.h"
#include "kernels/ops_run.h"

enum lng_status lng_select_logits(struct lng_device *device,
                                  const struct lng_select_logits_args *args)
{
    struct lng_check check = lng_check_begin(device, "select_logits");
    const int64_t rows = args->x.rows;
    CHECK_ACTIVATION(x, -1, -1);
    const int64_t words = args->weight ? args->weight->master.rows : args->table.rows;
    if (args->weight != NULL) {
        LNG_FAIL_IF(!args->weight->rows, LNG_ERR_UNSUPPORTED,
                    "select_logits: weight: expected one whose rows are kept "
                    "(lng_weight_keep_rows), found one for whole products only");
        CHECK_ACTIVATION(x, -1, args->weight->master.cols);
        LNG_FAIL_IF(args->table.data != NULL, LNG_ERR_SHAPE,
                    "select_logits: table: expected none beside a weight");
    } else {
        CHECK_REAL(table, -1, args->x.cols);
    }
    IF_PRESENT(bias, CHECK_REAL(bias, 1, words));
    CHECK_ACTIVATION(y, rows, -1);
    CHECK_APART(x, y);
    CHECK_INTEGER(token_count, 0, INT32_MAX - 1);
    LNG_FAIL_IF(words > INT32_MAX || args->y.cols > INT32_MAX - 1, LNG_ERR_SHAPE,
                "select_logits: table: expected ids of 31 bits, found %lld rows", (long long)words);
    CHECK_ARRAY(tokens, args->token_count);
    CHECK_ARRAY(first, rows);
    CHECK_ARRAY(count, rows);
    return rows == 0 ? LNG_OK : lng_run_select_logits(device, args);
}

enum lng_status lng_log_probs(struct lng_device *device, const struct lng_log_probs_args *args)
{
    struct lng_check check = lng_check_begin(device, "log_probs");
    CHECK_ACTIVATION(logits, -1, -1);
    LNG_FAIL_IF(args->logits.cols < 1 || args->logits.cols >= INT32_MAX, LNG_ERR_SHAPE,
                "log_probs: logits: expected 1 to 2147483646 columns, found %lld",
                (long long)args->logits.cols);
    CHECK_REAL(y, args->logits.rows, args->logits.cols);
    CHECK_APART(logits, y);
    CHECK_NUMBER(factor, 0, DBL_MAX);
    CHECK_NUMBER(offset, -DBL_MAX, DBL_MAX);
    CHECK_INTEGER(combine, LNG_COMBINE_WRITE, LNG_COMBINE_LOG_ADD);
    return args->logits.rows == 0 ? LNG_OK : lng_run_log_probs(device, args);
}

enum lng_status lng_edit_scores(struct lng_device *device, const struct lng_edit_scores_args *args)
{
    struct lng_check check = lng_check_begin(device, "edit_scores");
    CHECK_REAL(y, -1, -1);
    CHECK_INTEGER(edit_count, 0, INT64_MAX);
    CHECK_ARRAY(edits, args->edit_count);
    return args->edit_count == 0 ? LNG_OK : lng_run_edit_scores(device, args);
}
