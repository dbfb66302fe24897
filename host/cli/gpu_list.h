/* Several GPUs in --device: cuda:0,1,... */
#ifndef LNG_HOST_CLI_GPU_LIST_H
#define LNG_HOST_CLI_GPU_LIST_H

#include "host/model/model.h"

enum { LNG_MOST_GPUS = 16 };

/* The model on each GPU but the first, which is the command's own device. */
struct lng_gpu_list {
    int32_t count; /* of names; 1 where --device names no list */
    char names[LNG_MOST_GPUS][64];
    int32_t opened;
    struct lng_device *devices[LNG_MOST_GPUS - 1];
    struct lng_model models[LNG_MOST_GPUS - 1];
    struct lng_model *copies[LNG_MOST_GPUS - 1]; /* [opened], those models */
};

/* Reads names from --device: that one, or those of a list. LNG_ERR_USAGE for a list that is none of different numbers. Zero
 * *list first. */
LNG_MUST_CHECK enum lng_status lng_gpu_list_parse(const char *device, struct lng_gpu_list *list);
/* Opens the devices but the first and gives each a copy of `model`, which is on the first. LNG_ERR_MISMATCH where they
 * are not all of one kind: they would round otherwise, and lines would depend on which of them got them. */
LNG_MUST_CHECK enum lng_status lng_gpu_list_open(struct lng_gpu_list *list,
                                                 const struct lng_model *model);
/* Fine on a zeroed one. */
void lng_gpu_list_close(struct lng_gpu_list *list);

#endif
