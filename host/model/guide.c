/* Links of guided alignment on their way to the device. */
#include "host/model/workspace.h"

/* They rise within a row and stay inside the row's source sentence. */
static enum lng_status check_guide(const struct lng_guide *guide,
                                   const struct lng_sequences *source,
                                   const struct lng_sequences *target)
{
    LNG_FAIL_IF(guide->offsets[0] != 0, LNG_ERR_SHAPE, "guided alignment: offsets must start at 0");
    for (int64_t b = 0; b < target->count; b++) {
        int32_t words = source->offsets[b + 1] - source->offsets[b];
        for (int32_t n = target->offsets[b]; n < target->offsets[b + 1]; n++) {
            LNG_FAIL_IF(
                guide->offsets[n + 1] < guide->offsets[n], LNG_ERR_SHAPE,
                "guided alignment: offsets must rise, row %d ends at %d after starting at %d", n,
                guide->offsets[n + 1], guide->offsets[n]);
            int32_t low = 0;
            for (int32_t l = guide->offsets[n]; l < guide->offsets[n + 1]; l++) {
                LNG_FAIL_IF(guide->sources[l] < low || guide->sources[l] >= words, LNG_ERR_RANGE,
                            "guided alignment: row %d: expected a source token from %d to %d, "
                            "found %d",
                            n, low, words - 1, guide->sources[l]);
                low = guide->sources[l] + 1;
            }
        }
    }
    return LNG_OK;
}

enum lng_status lng_workspace_upload_guide(struct lng_workspace *ws, const struct lng_guide *guide,
                                           const struct lng_sequences *source,
                                           const struct lng_sequences *target, int copies)
{
    struct lng_device *device = ws->model->device;
    int32_t rows = target->count > 0 ? target->offsets[target->count] : 0;
    LNG_TRY(check_guide(guide, source, target));
    int32_t links = guide->offsets[rows], *offsets = ws->staging;
    for (int copy = 0; copy < copies; copy++) {
        for (int32_t n = 0; n <= rows; n++)
            offsets[copy * rows + n] = copy * links + guide->offsets[n];
        LNG_TRY(lng_device_write(device, ws->link_keys + copy * links, guide->sources,
                                 (size_t)links * sizeof(int32_t)));
    }
    return lng_device_write(device, ws->link_offsets, offsets,
                            (size_t)(copies * rows + 1) * sizeof(int32_t));
}
