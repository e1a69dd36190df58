/* The seal: checksums of a whole file, kept inside it as the bytes of the dataset /mbrun/seal.
 *
 *     bytes    field
 *     16       magic
 *     8        version, number of extents (32 bits each)
 *     8        offset of the seal itself in the file
 *     8        length of the seal
 *     8        length of the file
 *     8        step
 *     8        bytes a block (64 MiB)
 *     8        number of blocks
 *     8        CRC-32C of all bytes outside the extents and the seal; CRC-32C of the seal
 *     16 each  extents: offset and length of each run of tensor data, by offset
 *     4 each   CRC-32C of each block of the extents' bytes, taken one after the other
 *
 * All numbers are little-endian. It is found by its magic near the start of the file, so checking
 * it needs no HDF5, which is not made to read damaged files. Any changed, missing or added byte of
 * the file breaks it. */
#ifndef MB_STORE_SEAL_H
#define MB_STORE_SEAL_H

#include "base/error.h"
#include "store/model_file.h"

#define MB_SEAL_BLOCK_BYTES ((int64_t)64 << 20)
/* The seal begins within this many bytes from the file's start. */
#define MB_SEAL_SEARCH_BYTES ((int64_t)1 << 20)

typedef struct {
    int64_t offset, bytes;
} mb_extent_t;

typedef struct {
    int64_t offset; /* of the seal in the file */
    int64_t file_bytes;
    int64_t step;
    int n_extents;
    mb_extent_t *extents; /* by offset, not overlapping */
    int64_t n_blocks;
    uint32_t *blocks;
    uint32_t rest;
} mb_seal_t;

/* Length of a seal for N_EXTENTS extents of DATA_BYTES bytes together. */
int64_t mb_seal_bytes(int n_extents, int64_t data_bytes);
int64_t mb_seal_blocks(int64_t data_bytes);
/* The bytes of the seal, malloc'ed. */
mb_status_t mb_seal_encode(const mb_seal_t *seal, unsigned char **bytes);
/* CRC of the file's bytes outside SEAL's extents and the seal itself. */
mb_status_t mb_seal_rest(int fd, const mb_seal_t *seal, const char *path, uint32_t *crc);
void mb_seal_free(mb_seal_t *seal);

/* What is found in a file, by reading all of it when DEEP; otherwise only the seal's own bytes and
 * the file's length are checked. *seal (may be NULL) is filled only when the state is
 * MB_SEAL_HOLDS. */
mb_status_t mb_seal_check(int fd, int64_t file_bytes, const char *path, bool deep,
                          mb_seal_state_t *state, mb_seal_t *seal);
/* The same by path, deep. Never enters HDF5. */
mb_status_t mb_seal_check_file(const char *path, mb_seal_state_t *state, int64_t *step);

#endif
