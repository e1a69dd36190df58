/* Bytes as the seal of a file, which begins behind the first of them. The checksum of the seal
 * itself and the place it gives are put right first: no mutation would get past them. */
#include "store/seal.h"

#include "base/crc32c.h"
#include "fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FRONT = 64, HEAD_BYTES = 80, AT_OFFSET = 24, AT_BYTES = 32, AT_FILE = 40, AT_SELF = 76 };

void mb_fuzz_seal(const uint8_t *data, size_t size);

static void put64(uint8_t *to, int64_t value)
{
    memcpy(to, &value, sizeof value);
}

/* The first byte chooses what is left as it is. */
static void mend(uint8_t *seal, size_t bytes, unsigned choice)
{
    if ((choice & 1) == 0)
        put64(seal + AT_OFFSET, FRONT);
    if ((choice & 2) == 0)
        put64(seal + AT_BYTES, (int64_t)bytes);
    if ((choice & 4) == 0)
        put64(seal + AT_FILE, (int64_t)bytes + FRONT);
    memset(seal + AT_SELF, 0, 4);
    uint32_t crc = mb_crc32c(0, seal, bytes);
    memcpy(seal + AT_SELF, &crc, sizeof crc);
}

void mb_fuzz_seal(const uint8_t *data, size_t size)
{
    char path[MB_FUZZ_PATH];
    mb_seal_t seal;
    mb_seal_state_t state = MB_SEAL_NONE;
    if (size < 1 + HEAD_BYTES)
        return;
    size_t bytes = size - 1;
    uint8_t *whole = calloc(1, FRONT + bytes);
    if (whole == NULL)
        abort();
    memcpy(whole + FRONT, data + 1, bytes);
    mend(whole + FRONT, bytes, data[0]);
    int file = mb_fuzz_file(whole, FRONT + bytes, path);
    if (mb_seal_check(file, (int64_t)(FRONT + bytes), path, true, &state, &seal) == MB_OK &&
        state == MB_SEAL_HOLDS)
        mb_seal_free(&seal);
    close(file);
    free(whole);
}
