/* Work that recurs as CUDA graphs: its launches are captured once and then started by one call.
 *
 * A key's first time is plain, which warms everything up (scratch memory, plans of products, code that CUDA loads
 * late); its second is captured, instantiated and launched; from the third on the graph is launched. Where CUDA
 * refuses any of it the work is simply done, and so is the same key's from then on.
 *
 * A graph holds addresses: when any block of the device's memory was given back since it was made, it goes. There
 * are never more than a fixed number; the one not used for longest makes room. LNG_CUDA_GRAPHS=0 switches graphs off,
 * LNG_CUDA_SYNC=1 too. */
#ifndef LNG_KERNELS_CUDA_CUDA_GRAPH_H
#define LNG_KERNELS_CUDA_CUDA_GRAPH_H

#include "kernels/backend.h"

LNG_MUST_CHECK enum lng_status cuda_graphs_open(struct lng_device *device);
void cuda_graphs_close(struct lng_device *device);
/* lng_device_repeat. */
LNG_MUST_CHECK enum lng_status cuda_repeat(struct lng_device *device, const void *key, size_t bytes,
                                           lng_device_work work, void *context);

#endif
