/* How long each rank's part of a step takes comes to rank 0 with its signs of life (comm/pulse.c),
 * so that looking for stragglers costs no message. */
#include <stdlib.h>

#include "train/trainer_private.h"

enum { SIGNS_A_WINDOW = 5 };

mb_status_t mb_training_take_pace(mb_training_t *trainer)
{
    int ranks = mb_comm_size(trainer->comm) - trainer->layout.idle;
    if (mb_comm_rank(trainer->comm) != 0 || ranks < 2 || mb_comm_is_virtual(trainer->comm))
        return MB_OK;
    trainer->loads = MB_ARENA_ARRAY(trainer->arena, mb_comm_load_t, ranks);
    if (trainer->loads == NULL)
        return mb_error_memory("the times of all ranks", (size_t)ranks * sizeof *trainer->loads);
    double window = SIGNS_A_WINDOW * mb_comm_sign_seconds(trainer->comm);
    return mb_stragglers_create(ranks, trainer->layout.stages, window, trainer->begun_step + 1,
                                &trainer->stragglers);
}

void mb_training_drop_pace(mb_training_t *trainer)
{
    mb_stragglers_destroy(trainer->stragglers);
}

void mb_training_count_pace(mb_training_t *trainer, double seconds, double waited)
{
    trainer->load.steps++;
    trainer->load.busy += seconds - waited;
    trainer->load.waited += waited;
    mb_comm_tell_load(trainer->comm, &trainer->load);
}

void mb_training_watch_pace(mb_training_t *trainer)
{
    mb_straggler_t found;
    const mb_events_t *events = &trainer->options.events;
    if (trainer->stragglers == NULL || events->straggles == NULL)
        return;
    for (int r = 0; r < mb_comm_size(trainer->comm) - trainer->layout.idle; r++)
        trainer->loads[r] = mb_comm_load(trainer->comm, r);
    if (!mb_stragglers_look(trainer->stragglers, trainer->loads, mb_time_seconds(), &found))
        return;
    mb_straggler_report_t report = {.rank = found.rank,
                                    .stage = found.stage,
                                    .host = mb_comm_host_of(trainer->comm, found.rank),
                                    .factor = found.factor,
                                    .by_replicas = found.by_replicas,
                                    .since_step = found.since_step,
                                    .seconds = found.seconds,
                                    .waited = found.waited};
    events->straggles(events->user, &report);
}
