/* CRC-32C (Castagnoli), by the processor's instruction where there is one. */
#ifndef MB_BASE_CRC32C_H
#define MB_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Continues CRC (0 to start) over BYTES bytes. */
uint32_t mb_crc32c(uint32_t crc, const void *data, size_t bytes);
/* The CRC of A followed by B, from both CRCs and B's length. */
uint32_t mb_crc32c_combine(uint32_t crc_a, uint32_t crc_b, uint64_t bytes_b);

#endif
