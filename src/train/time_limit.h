/* When a run stops so that its last checkpoint is complete before a moment that is set from
 * outside: --max-time, or the end of a batch job. Rank 0 decides, by the longest that steps,
 * validations and saves have taken so far; its word goes into the vote of a step boundary. */
#ifndef MB_TRAIN_TIME_LIMIT_H
#define MB_TRAIN_TIME_LIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The moment. */
typedef struct {
    double at;        /* by mb_time_seconds; 0: there is none */
    const char *what; /* "the job's end": a text that lasts */
    double behind;    /* seconds wanted between the checkpoint and the moment */
    int saving;       /* models that save at once; 0: one */
} mb_time_end_t;

typedef struct {
    mb_time_end_t end;
    bool stops;                    /* decided, and voted for */
    double step, validation, save; /* seconds, the longest so far; 0: none was seen */
    int64_t steps;                 /* that were seen */
    double guess;                  /* of a save before there was one */
    double val_steps;              /* of a validation before there was one: so many steps' time */
} mb_time_limit_t;

/* What stands between this step boundary and the one at which a stop that is voted for now, or at
 * the next boundary, is obeyed. */
typedef struct {
    int validations, saves; /* besides the last save */
} mb_time_ahead_t;

/* Of a state of so many bytes. */
void mb_time_limit_begin(mb_time_limit_t *limit, const mb_time_end_t *end, double state_bytes);
/* What one has taken. The first step makes what later ones have, and counts only until the second.
 */
void mb_time_limit_step(mb_time_limit_t *limit, double seconds);
void mb_time_limit_validation(mb_time_limit_t *limit, double seconds);
void mb_time_limit_save(mb_time_limit_t *limit, double seconds);
/* Seconds that are to be left at a boundary, or the run stops at the next one. */
double mb_time_limit_need(const mb_time_limit_t *limit, const mb_time_ahead_t *ahead);
/* Decides; true also later. */
bool mb_time_limit_is_near(mb_time_limit_t *limit, double now, const mb_time_ahead_t *ahead);
/* "stopped 95 s before the job's end", in BUFFER, which it returns. */
char *mb_time_limit_say(const mb_time_limit_t *limit, double now, char *buffer, size_t capacity);

#endif
