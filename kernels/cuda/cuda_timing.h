/* Points of time on the device's stream, and what the GPU is (kernels/backend.h). */
#ifndef LNG_KERNELS_CUDA_CUDA_TIMING_H
#define LNG_KERNELS_CUDA_CUDA_TIMING_H

#include "kernels/backend.h"

LNG_MUST_CHECK enum lng_status cuda_mark(struct lng_device *device, void **marks, size_t number);
LNG_MUST_CHECK enum lng_status cuda_between(struct lng_device *device, void *marks, size_t from,
                                            size_t to, double *seconds);
void cuda_marks_release(struct lng_device *device, void *marks);
bool cuda_hardware(struct lng_device *device, struct lng_hardware *hardware);

#endif
