/* Training beside the program: steps that are submitted, gone on with, and waited for. */
#include <math.h>

#include "api/trainer_private.h"

static mb_status_t check_count(int64_t steps)
{
    if (steps > 0)
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT, "mb_trainer_submit: %lld steps; at least 1 is wanted",
                        (long long)steps);
}

mb_status_t mb_trainer_submit(mb_trainer_t *trainer, int64_t steps)
{
    MB_NEED(trainer);
    MB_TRY(mb_api_need_idle(trainer->context, __func__));
    MB_TRY(mb_api_trainer_start_if_needed(trainer));
    if (trainer->absent)
        return MB_OK;
    MB_TRY(mb_comm_agree(mb_api_trainer_comm(trainer), check_count(steps)));
    trainer->context->busy = true;
    mb_status_t status = mb_submitted_begin(trainer, steps, &trainer->submitted);
    if (status == MB_OK)
        return MB_OK;
    trainer->context->busy = false;
    return mb_comm_fail(mb_api_trainer_comm(trainer), status); /* the others have begun */
}

mb_status_t mb_trainer_test(mb_trainer_t *trainer, double seconds, int *done)
{
    bool ended = true;
    MB_NEED(trainer);
    MB_NEED(done);
    if (isnan(seconds) || seconds < 0)
        return mb_error_set(MB_ERR_ARGUMENT, "mb_trainer_test: %g seconds", seconds);
    if (trainer->submitted != NULL)
        mb_submitted_go_on(trainer->submitted, seconds, &ended);
    *done = ended;
    return MB_OK;
}

mb_status_t mb_trainer_wait(mb_trainer_t *trainer)
{
    MB_NEED(trainer);
    if (trainer->submitted == NULL)
        return MB_OK;
    mb_status_t status = mb_submitted_end(trainer->submitted);
    trainer->submitted = NULL;
    trainer->context->busy = false;
    trainer->stop = 0;
    return status;
}
