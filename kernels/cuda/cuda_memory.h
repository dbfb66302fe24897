/* The backend's functions about memory and the device as a whole (kernels/backend.h). */
#ifndef LNG_KERNELS_CUDA_CUDA_MEMORY_H
#define LNG_KERNELS_CUDA_CUDA_MEMORY_H

#include "kernels/backend.h"

enum lng_status cuda_open(struct lng_device *device, const struct lng_device_options *options);
void cuda_close(struct lng_device *device);
enum lng_status cuda_alloc(struct lng_device *device, size_t bytes, void **memory);
void cuda_free(struct lng_device *device, void *memory);
enum lng_status cuda_write(struct lng_device *device, void *to, const void *from, size_t bytes);
enum lng_status cuda_read(struct lng_device *device, void *to, const void *from, size_t bytes);
enum lng_status cuda_sync(struct lng_device *device);
enum lng_dtype cuda_activation(const struct lng_device *device, enum lng_dtype compute);
enum lng_status cuda_supports(const struct lng_device *device, enum lng_dtype compute);
int64_t cuda_logit_rows(const struct lng_device *device, int64_t vocabulary);
const char *cuda_instructions(const struct lng_device *device);
size_t cuda_free_memory(struct lng_device *device);
void cuda_trim(struct lng_device *device);
enum lng_status cuda_landing_open(struct lng_device *device, size_t bytes,
                                  struct lng_landing **landing);
void cuda_landing_close(struct lng_device *device, struct lng_landing *landing);
enum lng_status cuda_landing_copy(struct lng_device *device, struct lng_landing *landing, size_t at,
                                  const void *from, size_t bytes);
enum lng_status cuda_landing_wait(struct lng_device *device, struct lng_landing *landing);

/* Copies through pinned memory: slots used in turn, each free again once its copy is done. */
LNG_MUST_CHECK enum lng_status cuda_staging_open(struct lng_device *device);
void cuda_staging_close(struct lng_device *device);
LNG_MUST_CHECK enum lng_status cuda_staging_write(struct lng_device *device, void *to,
                                                  const void *from, size_t bytes);
LNG_MUST_CHECK enum lng_status cuda_staging_read(struct lng_device *device, void *to,
                                                 const void *from, size_t bytes);

enum lng_status cuda_weight_prepare(struct lng_device *device, struct lng_view master,
                                    enum lng_dtype compute, int flags, struct lng_weight **weight);
enum lng_status cuda_weight_refresh(struct lng_device *device, struct lng_weight *weight);
enum lng_status cuda_weights_refresh(struct lng_device *device, struct lng_weight *const *weights,
                                     size_t count);
void cuda_weight_release(struct lng_device *device, struct lng_weight *weight);
enum lng_status cuda_weight_share(struct lng_device *device, const struct lng_weight *weight,
                                  struct lng_weight **shared);

#endif
