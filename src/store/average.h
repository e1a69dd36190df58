/* The mean of several files' weights. */
#ifndef MB_STORE_AVERAGE_H
#define MB_STORE_AVERAGE_H

#include "store/derive.h"

/* Files of one architecture (MB_ERR_SHAPE, MB_ERR_FORMAT name the file and the weight that is not);
 * texts and names are the last one's. Each element is summed in double, in the order of the files,
 * and rounded once. Batch normalization's moving statistics are weights as well. N at least 1. Not
 * collective. */
mb_status_t mb_average(const mb_model_file_t *const *files, int n, const char *to,
                       mb_derived_t *derived);

#endif
