/* linear_fwd, norm_linear_fwd and linear_bwd: which product, and what around it. Operands have the weight's compute type;
 * activations of another type are converted in scratch. */
#include "kernels/cuda/cuda_device.h"
#include "kernels/cuda/cuda_gemm.h"
#include "kernels/cuda/cuda_weight.h"
#include "kernels/cuda/gpu_linear.h"

enum { ALIGNMENT = 256, INT8_STEP = 16 };

/* Pieces of one scratch block: sized first, then placed. */
struct pieces {
    unsigned char *memory;
    size_t bytes;
};

static void *piece(struct pieces *pieces, size_t bytes)
{
    size_t at = pieces->bytes;
    pieces->bytes += (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return pieces->memory == NULL ? NULL : pieces->memory + at;
}

static struct lng_view matrix_piece(struct pieces *pieces, enum lng_dtype dtype, int64_t rows,
                                    int64_t cols)
{
    /* rows 16-byte aligned, which the fastest products ask for */
    int64_t step = 16 / (int64_t)lng_dtype_size(dtype);
    int64_t stride = (cols + step - 1) / step * step;
    void *data = piece(pieces, (size_t)(rows * stride) * lng_dtype_size(dtype));
    return (struct lng_view){data, dtype, rows, cols, stride};
}

/* Runs `place` twice: without memory to size the scratch, then with it. */
#define PLACE_PIECES(device, pieces, place)                                    \
    do {                                                                       \
        void *memory_ = NULL;                                                  \
        place;                                                                 \
        LNG_TRY(cuda_scratch((device), (pieces).bytes + ALIGNMENT, &memory_)); \
        (pieces) = (struct pieces){.memory = memory_};                         \
        place;                                                                 \
    } while (0)

static enum lng_status convert(struct lng_device *device, struct lng_view x, struct lng_view y)
{
    return cuda_copy(device, &(struct lng_copy_args){.x = x, .y = y});
}

static enum cuda_epilogue epilogue_of(enum lng_activation activation, bool bias)
{
    if (activation == LNG_ACTIVATION_RELU)
        return bias ? CUDA_EPILOGUE_RELU_BIAS : CUDA_EPILOGUE_RELU;
    return bias ? CUDA_EPILOGUE_BIAS : CUDA_EPILOGUE_NONE;
}

/* The scratch of a forward product. data NULL: not needed. */
struct forward_room {
    struct lng_view x, bias, sum;
};

static void place_forward(const struct lng_linear_fwd_args *args, struct pieces *pieces,
                          struct forward_room *room)
{
    enum lng_dtype compute = args->weight->compute;
    int64_t rows = args->x.rows, out = args->y.cols;
    *room = (struct forward_room){0};
    if (args->x.dtype != compute)
        room->x = matrix_piece(pieces, compute, rows, args->x.cols);
    if (args->y.dtype != LNG_DTYPE_BF16)
        return;
    /* Rounding before a curved activation and again after it would cost a bit of bf16's few. */
    bool curved =
        args->activation != LNG_ACTIVATION_NONE && args->activation != LNG_ACTIVATION_RELU;
    if (args->bias.data != NULL)
        room->bias = matrix_piece(pieces, LNG_DTYPE_BF16, 1, out);
    if (compute == LNG_DTYPE_F32 || curved)
        room->sum = lng_view_make(piece(pieces, (size_t)(rows * out) * sizeof(float)),
                                  LNG_DTYPE_F32, rows, out);
}

static enum lng_status forward_int8(struct lng_device *device,
                                    const struct lng_linear_fwd_args *args)
{
    const struct cuda_weight *weight = cuda_weight_of(args->weight);
    int64_t rows = args->x.rows, cols = args->x.cols, depth = weight->values.cols;
    struct pieces pieces = {0};
    float *scales = NULL;
    void *values = NULL;
    PLACE_PIECES(device, pieces,
                 (scales = piece(&pieces, (size_t)rows * sizeof *scales),
                  values = piece(&pieces, (size_t)(rows * depth))));
    struct lng_view x = {values, LNG_DTYPE_I8, rows, cols, depth};
    if (depth != cols)
        CUDA_TRY(device, "linear_fwd",
                 cudaMemsetAsync(values, 0, (size_t)(rows * depth), cuda_stream(device)));
    LNG_TRY(cuda_quantize_rows(
        device, &(struct lng_quantize_rows_args){.x = args->x, .q = x, .scales = scales}));
    x.cols = depth;
    return gpu_linear_int8(device, args, x, scales,
                           lng_view_rows(weight->values, args->first, args->y.cols),
                           weight->scales + args->first);
}

/* The weight's copy, or where it has none `room`. */
static enum lng_status bias_in_bf16(struct lng_device *device,
                                    const struct lng_linear_fwd_args *args, struct lng_view room,
                                    const void **bias)
{
    struct lng_view copy = {0};
    if (args->first == 0)
        LNG_TRY(cuda_weight_bias(device, args->weight, args->bias, &copy));
    if (copy.data == NULL) {
        LNG_TRY(convert(device, args->bias, room));
        copy = room;
    }
    *bias = copy.data;
    return LNG_OK;
}

enum lng_status cuda_linear_fwd(struct lng_device *device, const struct lng_linear_fwd_args *args)
{
    if (args->weight->compute == LNG_DTYPE_I8)
        return forward_int8(device, args);
    struct pieces pieces = {0};
    struct forward_room room = {0};
    PLACE_PIECES(device, pieces, place_forward(args, &pieces, &room));
    if (room.x.data != NULL)
        LNG_TRY(convert(device, args->x, room.x));
    struct cuda_gemm_args product = {
        .a = room.x.data != NULL ? room.x : args->x,
        .b = lng_view_rows(cuda_weight_of(args->weight)->values, args->first, args->y.cols),
        .transpose_b = true,
        .c = room.sum.data != NULL ? room.sum : args->y,
    };
    if (room.sum.data != NULL) {
        LNG_TRY(cuda_gemm(device, "linear_fwd", &product));
        return gpu_linear_finish(device, args, room.sum.data);
    }
    product.accumulate = args->accumulate;
    product.epilogue = epilogue_of(args->activation, args->bias.data != NULL);
    product.bias = args->bias.data;
    if (room.bias.data != NULL)
        LNG_TRY(bias_in_bf16(device, args, room.bias, &product.bias));
    LNG_TRY(cuda_gemm(device, "linear_fwd", &product));
    if (args->activation == LNG_ACTIVATION_NONE || args->activation == LNG_ACTIVATION_RELU)
        return LNG_OK;
    return cuda_activation_fwd(device,
                               &(struct lng_activation_fwd_args){
                                   .x = args->y, .y = args->y, .activation = args->activation});
}

enum lng_status cuda_norm_linear_fwd(struct lng_device *device,
                                     const struct lng_norm_linear_fwd_args *args)
{
    const struct lng_linear_fwd_args *linear = &args->linear;
    bool done;
    LNG_TRY(gpu_norm_linear(
        device, args,
        lng_view_rows(cuda_weight_of(linear->weight)->values, linear->first, linear->y.cols),
        &done));
    if (done)
        return LNG_OK;
    LNG_TRY(cuda_norm_fwd(device, &args->norm));
    return cuda_linear_fwd(device, &args->linear);
}

/* The scratch of a backward pass. */
struct backward_room {
    struct lng_view d_pre, x, d_x;
    float *partial;
};

static void place_backward(const struct lng_linear_bwd_args *args, struct pieces *pieces,
                           struct backward_room *room)
{
    enum lng_dtype compute = args->weight->compute;
    int64_t rows = args->d_y.rows, out = args->d_y.cols, in = args->weight->master.cols;
    *room = (struct backward_room){0};
    if (args->d_y.dtype != compute)
        room->d_pre = matrix_piece(pieces, compute, rows, out);
    if (args->d_weight.data != NULL && args->x.dtype != compute)
        room->x = matrix_piece(pieces, compute, rows, in);
    if (args->d_x.data != NULL && compute == LNG_DTYPE_F32 && args->d_x.dtype == LNG_DTYPE_BF16)
        room->d_x = matrix_piece(pieces, LNG_DTYPE_F32, rows, in);
    if (args->d_bias.data != NULL)
        room->partial = piece(pieces, (size_t)(gpu_column_groups(rows) * out) * sizeof(float));
}

static enum lng_status input_gradient(struct lng_device *device,
                                      const struct lng_linear_bwd_args *args,
                                      const struct backward_room *room, struct lng_view d_pre)
{
    bool own = room->d_x.data != NULL;
    struct cuda_gemm_args product = {.a = d_pre,
                                     .b = cuda_weight_of(args->weight)->values,
                                     .c = own ? room->d_x : args->d_x,
                                     .accumulate = args->accumulate_d_x};
    if (own && args->accumulate_d_x)
        LNG_TRY(convert(device, args->d_x, room->d_x));
    LNG_TRY(cuda_gemm(device, "linear_bwd", &product));
    return own ? convert(device, room->d_x, args->d_x) : LNG_OK;
}

enum lng_status cuda_linear_bwd(struct lng_device *device, const struct lng_linear_bwd_args *args)
{
    struct pieces pieces = {0};
    struct backward_room room = {0};
    struct lng_view none = {0}, d_pre = args->d_y, x = args->x;
    bool relu = args->activation == LNG_ACTIVATION_RELU;
    PLACE_PIECES(device, pieces, place_backward(args, &pieces, &room));
    if (relu || args->d_bias.data != NULL)
        LNG_TRY(gpu_linear_bias_bwd(device, relu ? args->y : none, args->d_y, args->d_bias,
                                    room.partial));
    if (room.d_pre.data != NULL) {
        LNG_TRY(convert(device, args->d_y, room.d_pre));
        d_pre = room.d_pre;
    }
    if (room.x.data != NULL) {
        LNG_TRY(convert(device, args->x, room.x));
        x = room.x;
    }
    if (args->d_weight.data != NULL)
        LNG_TRY(cuda_gemm(
            device, "linear_bwd",
            &(struct cuda_gemm_args){
                .a = d_pre, .b = x, .c = args->d_weight, .transpose_a = true, .accumulate = true}));
    return args->d_x.data != NULL ? input_gradient(device, args, &room, d_pre) : LNG_OK;
}
