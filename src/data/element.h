/* Elements as a file stores them, turned into float32 or int32. */
#ifndef MB_DATA_ELEMENT_H
#define MB_DATA_ELEMENT_H

#include "base/types.h"

typedef struct {
    mb_dtype_t stored;
    bool swap;   /* stored in the other byte order */
    bool scaled; /* value = stored * scale + offset, in double */
    double scale, offset;
    bool has_table; /* of_byte is filled */
    float of_byte[256];
} mb_element_t;

typedef enum {
    MB_ELEMENT_FINE = 0,
    MB_ELEMENT_NOT_FINITE, /* NaN, or beyond float32 */
    MB_ELEMENT_FRACTION,   /* an integer is wanted */
    MB_ELEMENT_RANGE       /* beyond int32 */
} mb_element_fault_t;

/* Fills the table that bytes are looked up in; call it when the rest is set. Without it conversion
 * is slower and gives the same. */
void mb_element_tabulate(mb_element_t *element);

/* Converts COUNT elements to float32, or to int32 when as_int. Returns -1, or the index of the
 * first element that cannot be converted, with its fault. FROM may be TO where nothing changes. */
int64_t mb_element_convert(const mb_element_t *element, const void *from, int64_t count,
                           bool as_int, void *to, mb_element_fault_t *fault);
/* What a fault means, for messages. */
const char *mb_element_fault_text(mb_element_fault_t fault);

bool mb_little_endian(void);

/* IDX images hold bytes for [0, 1]. (float)(byte * this) equals numpy's float32 byte / 255 for
 * every byte. */
#define MB_BYTE_SCALE (1.0 / 255.0)

#endif
