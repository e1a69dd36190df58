/* Spans of time as people and batch systems write them. */
#ifndef MB_BASE_DURATION_H
#define MB_BASE_DURATION_H

#include <stdbool.h>
#include <stddef.h>

/* Seconds of a unit: s, sec, m, min, h, d; 0: there is none of that name. */
double mb_duration_unit(const char *name);

/* 90s, 30min, 1h30min, 2d, and Slurm's minutes:seconds, hours:minutes:seconds, days-hours,
 * days-hours:minutes and days-hours:minutes:seconds. A number without a unit is none: in Slurm it
 * means minutes, elsewhere seconds. False: not such a text, or not more than no time. */
bool mb_duration_parse(const char *text, double *seconds);

/* The same for Slurm, "1-02:30:00", rounded up to whole seconds, in BUFFER, which it returns. */
char *mb_duration_slurm(double seconds, char *buffer, size_t capacity);
#define MB_DURATION_TEXT 40

#endif
