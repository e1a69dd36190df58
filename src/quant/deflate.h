/* float32 as HDF5's filters shuffle and deflate store it in one chunk. */
#ifndef MB_QUANT_DEFLATE_H
#define MB_QUANT_DEFLATE_H

#include "base/error.h"

/* A chunk of HDF5 ends below 4 GiB. */
#define MB_DEFLATE_MAX_COUNT (INT64_C(0xFFFFFFFF) / 4)
/* What deflate's level is in the file's filter. */
#define MB_DEFLATE_LEVEL 6

/* WHERE names the tensor in messages. PACKED is the caller's to free. */
mb_status_t mb_deflate(const float *values, int64_t count, const char *where, void **packed,
                       int64_t *bytes);
/* MB_ERR_FORMAT unless PACKED holds exactly COUNT numbers. */
mb_status_t mb_inflate(const void *packed, int64_t bytes, int64_t count, float *values);

#endif
