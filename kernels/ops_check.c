#include "kernels/ops_check.h"

#include <float.h>
#include <math.h>
#include <stdio.h>

struct lng_check lng_check_begin(const struct lng_device *device, const char *op)
{
    unsigned real = LNG_SET(device->backend->real);
    bool wide = device->backend->real == LNG_DTYPE_F64;
    return (struct lng_check){op, real, wide ? real : real | LNG_SET(LNG_DTYPE_BF16)};
}

/* "f32 or bf16" */
static const char *set_text(unsigned set, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (int dtype = LNG_DTYPE_F32; dtype <= LNG_DTYPE_F64 && used < size; dtype++)
        if (set & LNG_SET(dtype))
            used += (size_t)snprintf(text + used, size - used, "%s%s", used > 0 ? " or " : "",
                                     lng_dtype_name((enum lng_dtype)dtype));
    return text;
}

static const char *count_text(int64_t count, char *text, size_t size)
{
    if (count < 0)
        snprintf(text, size, "any");
    else
        snprintf(text, size, "%lld", (long long)count);
    return text;
}

enum lng_status lng_check_view(const struct lng_check *check, const char *name,
                               const struct lng_view *view, int64_t rows, int64_t cols,
                               unsigned set)
{
    char text[64], row_text[24], col_text[24];
    bool empty = view->rows == 0 || view->cols == 0;
    LNG_FAIL_IF(view->rows < 0 || view->cols < 0 || (rows >= 0 && view->rows != rows) ||
                    (cols >= 0 && view->cols != cols),
                LNG_ERR_SHAPE, "%s: %s: expected [%s, %s], found [%lld, %lld]", check->op, name,
                count_text(rows, row_text, sizeof row_text),
                count_text(cols, col_text, sizeof col_text), (long long)view->rows,
                (long long)view->cols);
    LNG_FAIL_IF(view->stride < view->cols, LNG_ERR_SHAPE,
                "%s: %s: expected a stride of at least %lld, found %lld", check->op, name,
                (long long)view->cols, (long long)view->stride);
    LNG_FAIL_IF(view->data == NULL && !empty, LNG_ERR_SHAPE,
                "%s: %s: expected data [%lld, %lld], found none", check->op, name,
                (long long)view->rows, (long long)view->cols);
    LNG_FAIL_IF((unsigned)view->dtype > LNG_DTYPE_F64 || (LNG_SET(view->dtype) & set) == 0,
                LNG_ERR_DTYPE, "%s: %s: expected %s, found %s", check->op, name,
                set_text(set, text, sizeof text), lng_dtype_name(view->dtype));
    return LNG_OK;
}

enum lng_status lng_check_byte_cache(const struct lng_device *device, const struct lng_check *check,
                                     const char *name, const struct lng_view *view, int64_t heads)
{
    LNG_FAIL_IF(!device->backend->byte_caches, LNG_ERR_UNSUPPORTED,
                "%s: %s: device %s keeps no caches in int8", check->op, name,
                lng_device_name(device));
    LNG_FAIL_IF(heads < 1 || view->cols % heads != 0, LNG_ERR_SHAPE,
                "%s: %s: expected a width that %lld heads divide, found %lld", check->op, name,
                (long long)heads, (long long)view->cols);
    LNG_FAIL_IF(view->cols % 4 != 0 || view->stride % 4 != 0 ||
                    view->stride - view->cols < 4 * heads || (uintptr_t)view->data % 4 != 0,
                LNG_ERR_SHAPE,
                "%s: %s: expected room for %lld scales behind each row, at multiples of 4, found "
                "width %lld and stride %lld",
                check->op, name, (long long)heads, (long long)view->cols, (long long)view->stride);
    return LNG_OK;
}

enum lng_status lng_check_table(const struct lng_check *check, const struct lng_view *table,
                                const struct lng_weight *rows, int64_t cols)
{
    if (table->data != NULL || rows == NULL)
        return lng_check_view(check, "table", table, -1, cols, check->real);
    const struct lng_view *shape = &rows->master;
    LNG_FAIL_IF(rows->compute != LNG_DTYPE_I8 || shape->data != NULL, LNG_ERR_UNSUPPORTED,
                "%s: rows: expected an int8 weight without a master, found one in %s%s", check->op,
                lng_dtype_name(rows->compute), shape->data != NULL ? " with a master" : "");
    LNG_FAIL_IF(shape->cols != cols || shape->rows != table->rows, LNG_ERR_SHAPE,
                "%s: rows: expected [%lld, %lld], found [%lld, %lld]", check->op,
                (long long)table->rows, (long long)cols, (long long)shape->rows,
                (long long)shape->cols);
    return LNG_OK;
}

enum lng_status lng_check_activation(struct lng_check *check, const char *name,
                                     const struct lng_view *view, int64_t rows, int64_t cols)
{
    LNG_TRY(lng_check_view(check, name, view, rows, cols, check->activation));
    check->activation = LNG_SET(view->dtype);
    return LNG_OK;
}

enum lng_status lng_check_array(const struct lng_check *check, const char *name, const void *array,
                                int64_t count)
{
    LNG_FAIL_IF(count < 0, LNG_ERR_SHAPE, "%s: %s: expected a count of 0 or more, found %lld",
                check->op, name, (long long)count);
    LNG_FAIL_IF(array == NULL && count > 0, LNG_ERR_SHAPE,
                "%s: %s: expected an array of %lld, found none", check->op, name, (long long)count);
    return LNG_OK;
}

enum lng_status lng_check_probability(const struct lng_check *check, const char *name,
                                      double probability, struct lng_rng_site rng)
{
    LNG_FAIL_IF(!(probability >= 0 && probability < 1), LNG_ERR_RANGE,
                "%s: %s: expected a probability from 0 to below 1, found %g", check->op, name,
                probability);
    LNG_FAIL_IF(probability > 0 && rng.site >= 65536, LNG_ERR_RANGE,
                "%s: %s: expected a random site below 65536, found %u", check->op, name,
                (unsigned)rng.site);
    return LNG_OK;
}

enum lng_status lng_check_dropout(const struct lng_check *check, const char *name,
                                  const struct lng_dropout *dropout, int64_t rows)
{
    LNG_TRY(lng_check_probability(check, name, dropout->probability, dropout->rng));
    if (dropout->probability == 0)
        return LNG_OK;
    LNG_FAIL_IF(rows > 0 && dropout->sentence == NULL, LNG_ERR_SHAPE,
                "%s: %s.sentence: expected an array of %lld, found none", check->op, name,
                (long long)rows);
    LNG_FAIL_IF(rows > 0 && dropout->position == NULL, LNG_ERR_SHAPE,
                "%s: %s.position: expected an array of %lld, found none", check->op, name,
                (long long)rows);
    return LNG_OK;
}

enum lng_status lng_check_integer(const struct lng_check *check, const char *name, int64_t value,
                                  int64_t lowest, int64_t highest)
{
    LNG_FAIL_IF(value < lowest || value > highest, LNG_ERR_RANGE,
                "%s: %s: expected %lld to %lld, found %lld", check->op, name, (long long)lowest,
                (long long)highest, (long long)value);
    return LNG_OK;
}

enum lng_status lng_check_number(const struct lng_check *check, const char *name, double value,
                                 double lowest, double highest)
{
    LNG_FAIL_IF(!(value >= lowest && value <= highest), LNG_ERR_RANGE,
                "%s: %s: expected a number from %g to %g, found %g", check->op, name, lowest,
                highest, value);
    return LNG_OK;
}

/* Two views of one matrix (equal strides) may lie side by side in its columns. */
static bool overlap(const struct lng_view *a, const struct lng_view *b)
{
    if (a->rows <= 0 || a->cols <= 0 || b->rows <= 0 || b->cols <= 0)
        return false;
    if ((uintptr_t)b->data < (uintptr_t)a->data) {
        const struct lng_view *other = a;
        a = b;
        b = other;
    }
    uintptr_t size = lng_dtype_size(a->dtype);
    uintptr_t distance = (uintptr_t)b->data - (uintptr_t)a->data;
    uintptr_t span = ((uintptr_t)(a->rows - 1) * (uintptr_t)a->stride + (uintptr_t)a->cols) * size;
    if (distance >= span)
        return false;
    bool comparable =
        a->dtype == b->dtype && distance % size == 0 && (a->stride == b->stride || b->rows == 1);
    if (!comparable)
        return true;
    int64_t column = (int64_t)(distance / size) % a->stride;
    return column < a->cols || column + b->cols > a->stride;
}

enum lng_status lng_check_apart(const struct lng_check *check, const char *name_a,
                                const struct lng_view *a, const char *name_b,
                                const struct lng_view *b)
{
    LNG_FAIL_IF(overlap(a, b), LNG_ERR_SHAPE,
                "%s: %s: expected memory apart from %s, found an overlap", check->op, name_a,
                name_b);
    return LNG_OK;
}
