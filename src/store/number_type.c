/* A float type of HDF5 is a layout of bits: sign, exponent and mantissa with an implied leading
 * one, and the exponent's bias. What is not laid out exactly so is left to HDF5's own reading. */
#include "store/number_type.h"

typedef struct {
    size_t bytes, exponent_bits, mantissa_bits;
    size_t bias;
} float_layout_t;

static const float_layout_t layouts[] = {
    [MB_NUMBER_F16] = {2, 5, 10, 15},
    [MB_NUMBER_BF16] = {2, 8, 7, 127},
    [MB_NUMBER_E3M4] = {1, 3, 4, 0},
};

/* Fields first: they must fit the type at every moment. */
static hid_t create_float(const float_layout_t *layout, size_t bias)
{
    hid_t type = H5Tcopy(H5T_IEEE_F32LE);
    size_t sign = layout->bytes * 8 - 1;
    if (type >= 0 &&
        H5Tset_fields(type, sign, layout->mantissa_bits, layout->exponent_bits, 0,
                      layout->mantissa_bits) >= 0 &&
        H5Tset_size(type, layout->bytes) >= 0 && H5Tset_ebias(type, bias) >= 0)
        return type;
    if (type >= 0)
        H5Tclose(type);
    return H5I_INVALID_HID;
}

hid_t mb_number_type_create(mb_number_t number, int bias)
{
    switch (number) {
    case MB_NUMBER_F32:
        return H5Tcopy(H5T_IEEE_F32LE);
    case MB_NUMBER_F16:
    case MB_NUMBER_BF16:
        return create_float(&layouts[number], layouts[number].bias);
    case MB_NUMBER_E3M4:
        return create_float(&layouts[number], (size_t)bias);
    case MB_NUMBER_I8:
        return H5Tcopy(H5T_STD_I8LE);
    default:
        return H5Tcopy(H5T_STD_U8LE);
    }
}

static bool is_type(hid_t type, mb_number_t number, int bias)
{
    hid_t made = mb_number_type_create(number, bias);
    if (made < 0)
        return false;
    bool same = H5Tequal(type, made) > 0;
    H5Tclose(made);
    return same;
}

bool mb_number_type_find(hid_t type, mb_number_t *number, int *bias)
{
    static const mb_number_t known[] = {MB_NUMBER_F32, MB_NUMBER_F16, MB_NUMBER_BF16};
    *bias = 0;
    if (H5Tget_class(type) != H5T_FLOAT)
        return false;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        *number = known[i];
        if (is_type(type, known[i], 0))
            return true;
    }
    size_t found = H5Tget_size(type) == 1 ? H5Tget_ebias(type) : 0;
    if (found < 1 || found > MB_E3M4_MAX_BIAS)
        return false;
    *number = MB_NUMBER_E3M4;
    *bias = (int)found;
    return is_type(type, MB_NUMBER_E3M4, *bias);
}
