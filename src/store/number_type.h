/* Number formats as HDF5 types: floats that any HDF5 reader decodes by itself. */
#ifndef MB_STORE_NUMBER_TYPE_H
#define MB_STORE_NUMBER_TYPE_H

#include <hdf5.h>
#include "base/number.h"

/* A new type, little-endian; BIAS is E3M4's. H5I_INVALID_HID when HDF5 fails. */
hid_t mb_number_type_create(mb_number_t number, int bias);
/* Whether TYPE is, bit for bit, that of F32, F16, BF16 or E3M4. */
bool mb_number_type_find(hid_t type, mb_number_t *number, int *bias);

#endif
