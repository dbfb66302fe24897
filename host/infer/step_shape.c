#include "host/infer/step_shape.h"

enum {
    FEWEST_ROWS = 8,      /* products of fewer take as long */
    SHORTEST_STRIDE = 32, /* most sentences are shorter */
    CPU_ENCODE_ROWS = 256,
};

/* Four values an octave above 32: as many graphs as are kept serve several hundred rows. */
int64_t lng_step_rows(const struct lng_device *device, int64_t rows)
{
    int64_t step = FEWEST_ROWS;
    if (!lng_device_repeats(device))
        return rows;
    while (8 * step < rows)
        step *= 2;
    return (rows + step - 1) / step * step;
}

/* Powers of two: the table's width changes with every step, and what is uploaded too much is little. */
int64_t lng_step_stride(const struct lng_device *device, int64_t length)
{
    int64_t stride = SHORTEST_STRIDE;
    if (!lng_device_repeats(device))
        return length;
    while (stride < length)
        stride *= 2;
    return stride;
}

/* (r + r / 4 + 8) (2 t + 32), where r t <= positions. */
int64_t lng_step_ancestors(const struct lng_device *device, int64_t rows, int64_t time,
                           int64_t positions)
{
    if (!lng_device_repeats(device))
        return positions;
    return 5 * positions / 2 + 40 * rows + 16 * time + 256;
}

int64_t lng_encode_rows(const struct lng_device *device, int64_t rows, int64_t longest)
{
    int64_t most = longest > CPU_ENCODE_ROWS ? longest : CPU_ENCODE_ROWS;
    return lng_device_repeats(device) || rows < most ? rows : most;
}
