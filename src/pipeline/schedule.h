/* What a schedule's generator is given and gives. Inside src/pipeline only. */
#ifndef MB_PIPELINE_SCHEDULE_H
#define MB_PIPELINE_SCHEDULE_H

#include "pipeline/plan.h"

typedef struct {
    bool training;
    int stages, stage, micros;
} mb_schedule_place_t;

/* Appends to program->actions, which has room for every micro-batch's F, B and W; sets slots. */
void mb_schedule_gpipe(const mb_schedule_place_t *place, mb_program_t *program);
void mb_schedule_1f1b(const mb_schedule_place_t *place, mb_program_t *program);

void mb_program_add(mb_program_t *program, mb_action_kind_t kind, int micro);

#endif
