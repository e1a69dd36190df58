/* Bytes as an NPY file: its header. */
#include "data/npy.h"

#include "fuzz/fuzz.h"

#include <string.h>

void mb_fuzz_npy(const uint8_t *data, size_t size);

static mb_status_t give(void *user, size_t bytes, void *to)
{
    mb_fuzz_input_t *in = user;
    if (bytes > in->left)
        return mb_error_set(MB_ERR_IO, "it ends");
    memcpy(to, in->at, bytes);
    in->at += bytes;
    in->left -= bytes;
    return MB_OK;
}

void mb_fuzz_npy(const uint8_t *data, size_t size)
{
    mb_fuzz_input_t in = {data, size};
    mb_npy_header_t header;
    (void)mb_npy_read_header("fuzz", give, &in, &header);
}
