/* Types and views: also a part of the CUDA plugin. */
#include "kernels/device.h"

size_t lng_dtype_size(enum lng_dtype dtype)
{
    switch (dtype) {
    case LNG_DTYPE_F32:
    case LNG_DTYPE_I32:
        return 4;
    case LNG_DTYPE_BF16:
        return 2;
    case LNG_DTYPE_I8:
        return 1;
    case LNG_DTYPE_F64:
        return 8;
    }
    return 0;
}

const char *lng_dtype_name(enum lng_dtype dtype)
{
    switch (dtype) {
    case LNG_DTYPE_F32:
        return "f32";
    case LNG_DTYPE_BF16:
        return "bf16";
    case LNG_DTYPE_I8:
        return "int8";
    case LNG_DTYPE_I32:
        return "int32";
    case LNG_DTYPE_F64:
        return "f64";
    }
    return "unknown type";
}

struct lng_view lng_view_rows(struct lng_view view, int64_t first, int64_t count)
{
    if (view.data != NULL)
        view.data = (char *)view.data + first * view.stride * (int64_t)lng_dtype_size(view.dtype);
    view.rows = count;
    return view;
}

struct lng_view lng_view_cols(struct lng_view view, int64_t first, int64_t count)
{
    if (view.data != NULL)
        view.data = (char *)view.data + first * (int64_t)lng_dtype_size(view.dtype);
    view.cols = count;
    return view;
}
