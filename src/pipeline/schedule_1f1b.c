/* 1F1B, also called PipeDream-Flush (Narayanan et al.: "Memory-efficient pipeline-parallel DNN
 * training", 2021): as many forwards ahead as there are stages behind, then one forward, one
 * backward. A stage holds at most stages - stage micro-batches. */
#include "pipeline/schedule_private.h"

static void one_stage(const mb_schedule_t *schedule, int stage)
{
    mb_program_t *program = &schedule->programs[stage];
    int micros = schedule->micros, behind = schedule->stages - stage - 1;
    int ahead = behind < micros ? behind : micros;
    for (int m = 0; m < ahead; m++)
        mb_program_add(program, MB_ACTION_F, stage, m);
    for (int m = 0; m < micros; m++) {
        if (m + ahead < micros)
            mb_program_add(program, MB_ACTION_F, stage, m + ahead);
        mb_program_add(program, MB_ACTION_BW, stage, m);
    }
}

void mb_schedule_1f1b(mb_schedule_t *schedule)
{
    for (int s = 0; s < schedule->stages; s++)
        one_stage(schedule, s);
}
