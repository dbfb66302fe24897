#include "host/cli/gpu_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/log.h"

static const char PREFIX[] = "cuda:";

static enum lng_status refuse(const char *device, const char *why)
{
    return lng_fail(LNG_ERR_USAGE,
                    "--device %.100s: expected the numbers of different GPUs, as in cuda:0,1; %s",
                    device, why);
}

/* One number at *at, which is put behind it. */
static enum lng_status take(const char *device, const char **at, struct lng_gpu_list *list)
{
    const char *end = *at;
    while (*end >= '0' && *end <= '9')
        end++;
    const int digits = (int)(end - *at);
    if (digits < 1 || digits > 2 || (*end != ',' && *end != '\0'))
        return refuse(device, "found something else between the commas");
    if (list->count == LNG_MOST_GPUS)
        return refuse(device, "found more than 16");
    char *name = list->names[list->count];
    snprintf(name, sizeof list->names[0], "%s%d", PREFIX, atoi(*at));
    for (int32_t i = 0; i < list->count; i++)
        if (strcmp(list->names[i], name) == 0)
            return refuse(device, "found one twice");
    list->count++;
    *at = *end == ',' ? end + 1 : end;
    return *end == ',' && **at == '\0' ? refuse(device, "found nothing after a comma") : LNG_OK;
}

enum lng_status lng_gpu_list_parse(const char *device, struct lng_gpu_list *list)
{
    if (strchr(device, ',') == NULL) {
        snprintf(list->names[0], sizeof list->names[0], "%s", device);
        list->count = 1;
        return LNG_OK;
    }
    if (strncmp(device, PREFIX, sizeof PREFIX - 1) != 0)
        return refuse(device, "only GPUs are more than one");
    const char *at = device + sizeof PREFIX - 1;
    do
        LNG_TRY(take(device, &at, list));
    while (*at != '\0');
    return LNG_OK;
}

static enum lng_status open_one(struct lng_gpu_list *list, const char *name,
                                const struct lng_model *model)
{
    struct lng_device *device = NULL;
    LNG_TRY(lng_device_open(name, NULL, &device));
    const char *kind = lng_device_instructions(device);
    const char *first = lng_device_instructions(model->device);
    enum lng_status status = LNG_OK;
    LNG_GOTO_FAIL_IF(strcmp(kind, first) != 0, LNG_ERR_MISMATCH,
                     "%s is a %s, %s a %s: they round otherwise, so translations would depend on "
                     "which of them gets a line; name GPUs of one kind",
                     name, kind, lng_device_name(model->device), first);
    LNG_TRY_OR_FAIL(lng_model_copy(model, device, &list->models[list->opened]));
    list->devices[list->opened] = device;
    list->copies[list->opened] = &list->models[list->opened];
    list->opened++;
    return LNG_OK;
fail:
    lng_device_close(device);
    return status;
}

enum lng_status lng_gpu_list_open(struct lng_gpu_list *list, const struct lng_model *model)
{
    for (int32_t i = 1; i < list->count; i++) {
        LNG_TRY(open_one(list, list->names[i], model));
        lng_info("  and on %s", list->names[i]);
    }
    return LNG_OK;
}

void lng_gpu_list_close(struct lng_gpu_list *list)
{
    for (int32_t i = 0; i < list->opened; i++) {
        lng_model_release(&list->models[i]);
        lng_device_close(list->devices[i]);
    }
    *list = (struct lng_gpu_list){0};
}
