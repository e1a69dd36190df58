/* The middle of what was measured. */
#ifndef MB_BASE_MEDIAN_H
#define MB_BASE_MEDIAN_H

/* Of N values, N > 0, which are in ascending order afterwards; of an even number the upper one. */
double mb_median(double *values, int n);

#endif
