/* 1F1B, also called PipeDream-Flush (Narayanan et al.: "Memory-efficient pipeline-parallel DNN
 * training", 2021): as many forwards ahead as there are stages behind, then one forward, one
 * backward. A stage holds at most stages - stage micro-batches. */
#include "pipeline/schedule.h"

void mb_schedule_1f1b(const mb_schedule_place_t *place, mb_program_t *program)
{
    int ahead = place->stages - place->stage - 1;
    if (!place->training) {
        mb_schedule_gpipe(place, program);
        return;
    }
    if (ahead > place->micros)
        ahead = place->micros;
    for (int m = 0; m < ahead; m++)
        mb_program_add(program, MB_ACTION_F, m);
    for (int m = 0; m < place->micros; m++) {
        if (m + ahead < place->micros)
            mb_program_add(program, MB_ACTION_F, m + ahead);
        mb_program_add(program, MB_ACTION_BW, m);
    }
    program->slots = ahead < place->micros ? ahead + 1 : place->micros;
}
