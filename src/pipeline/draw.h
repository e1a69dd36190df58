/* A schedule's times as a picture. */
#ifndef MB_PIPELINE_DRAW_H
#define MB_PIPELINE_DRAW_H

#include "pipeline/schedule.h"

/* SVG: a row a stage, a box an action as long as it takes, with the number of its micro-batch;
 * later chunks are darker. TITLE stands above. malloc'ed; NULL: out of memory. */
char *mb_schedule_draw(const mb_schedule_t *schedule, const mb_chunk_cost_t *costs,
                       const mb_schedule_times_t *times, const char *title);

#endif
