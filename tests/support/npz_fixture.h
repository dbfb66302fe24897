/* .npz files written without host/store, byte by byte. Asserts on failure. */
#ifndef LNG_TESTS_SUPPORT_NPZ_FIXTURE_H
#define LNG_TESTS_SUPPORT_NPZ_FIXTURE_H

#include "host/base/text.h"

enum {
    NPZ_MARIAN = 0,     /* stored, as Marian does */
    NPZ_DEFLATED = 1,   /* numpy.savez_compressed */
    NPZ_ZIP64 = 2,      /* 64-bit sizes in the member's own header, as numpy writes them */
    NPZ_DESCRIPTOR = 4, /* CRC and sizes behind the data, as written to a pipe */
};

/* Zero it first. */
struct npz_fixture {
    struct lng_buffer file, directory;
    unsigned count;
};

/* Any member. */
void npz_fixture_member(struct npz_fixture *npz, const char *file_name, const void *bytes,
                        size_t size, unsigned kind);
/* NAME.npy with its header. descr is "<f4", shape a tuple as Python prints it. */
void npz_fixture_array(struct npz_fixture *npz, const char *name, const char *descr,
                       const char *shape, const void *data, size_t size, unsigned kind);
/* The directory and the end record: npz->file is the whole file. */
void npz_fixture_end(struct npz_fixture *npz);
void npz_fixture_release(struct npz_fixture *npz);

#endif
