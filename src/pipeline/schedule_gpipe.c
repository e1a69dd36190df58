/* GPipe (Huang et al.: "GPipe: Efficient training of giant neural networks using pipeline
 * parallelism", 2019): all forwards, then all backwards. The backwards go in ascending order, not
 * the paper's descending one, because micro-batches accumulate in index order. */
#include "pipeline/schedule.h"

/* Without a backward two slots keep messages and computation apart; a stage alone has no messages.
 */
static int forward_only_slots(const mb_schedule_place_t *place)
{
    return place->stages > 1 ? 2 : 1;
}

void mb_schedule_gpipe(const mb_schedule_place_t *place, mb_program_t *program)
{
    for (int m = 0; m < place->micros; m++)
        mb_program_add(program, MB_ACTION_F, m);
    program->slots = place->micros;
    if (!place->training && program->slots > forward_only_slots(place))
        program->slots = forward_only_slots(place);
    for (int m = 0; m < place->micros && place->training; m++)
        mb_program_add(program, MB_ACTION_BW, m);
}
