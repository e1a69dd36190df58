/* See reduce_link.h. */
#include "comm/reduce_link.h"

#include "device/lane.h"

#include <stdlib.h>

struct mb_reduce_link {
    mb_channel_t *channel; /* of the stage */
    mb_exec_t *exec;
    mb_lane_t lane;
};

static mb_status_t prepare(mb_reduce_link_t *reduce, mb_channel_t *channel, int stage)
{
    MB_TRY(mb_channel_split(channel, stage, &reduce->channel));
    mb_status_t status =
        stage < 0 ? MB_OK : mb_lane_share(reduce->exec, channel->stream, &reduce->lane);
    return mb_comm_agree(channel->comm, status);
}

mb_status_t mb_reduce_link_create(mb_channel_t *channel, mb_exec_t *exec, int stage,
                                  mb_reduce_link_t **out)
{
    mb_reduce_link_t *reduce = calloc(1, sizeof *reduce);
    mb_status_t status = reduce == NULL ? mb_error_memory("a reduction", sizeof *reduce) : MB_OK;
    MB_TRY(mb_comm_agree(channel->comm, status));
    reduce->exec = exec;
    status = prepare(reduce, channel, stage);
    if (status != MB_OK) {
        mb_reduce_link_destroy(reduce);
        return status;
    }
    *out = reduce;
    return MB_OK;
}

void mb_reduce_link_give_up(mb_reduce_link_t *reduce)
{
    if (reduce != NULL)
        mb_channel_give_up(reduce->channel);
}

void mb_reduce_link_destroy(mb_reduce_link_t *reduce)
{
    if (reduce == NULL)
        return;
    mb_channel_close(reduce->channel);
    mb_lane_destroy(&reduce->lane);
    free(reduce);
}

/* This rank's own roots, in their order. */
static mb_status_t add_own(mb_reduce_link_t *reduce, int n_roots, int64_t count, int64_t count64,
                           float *const *roots, double *const *roots64)
{
    for (int i = 1; i < n_roots; i++) {
        mb_add_args_t args = {.count = count, .a = roots[0], .b = roots[i], .y = roots[0]};
        mb_add_f64_args_t wide = {
            .count = count64, .a = roots64[0], .b = roots64[i], .y = roots64[0]};
        if (count > 0)
            MB_TRY(mb_run_add(reduce->exec, &args));
        if (count64 > 0)
            MB_TRY(mb_run_add_f64(reduce->exec, &wide));
    }
    return MB_OK;
}

static mb_status_t sum(mb_reduce_link_t *reduce, void *buffer, int64_t count, bool wide)
{
    mb_channel_t *channel = reduce->channel;
    if (count == 0)
        return MB_OK;
    MB_TRY(channel->link->class_->sum(channel->link, buffer, count, wide, reduce->lane.stream));
    return mb_channel_settle(channel, "handing a sum over replicas to the link");
}

mb_status_t mb_reduce_link_start(mb_reduce_link_t *reduce, int n_roots, int64_t count,
                                 int64_t count64, float *const *roots, double *const *roots64)
{
    MB_TRY(add_own(reduce, n_roots, count, count64, roots, roots64));
    if (reduce->exec->planning)
        return MB_OK;
    MB_TRY(mb_lane_follow(&reduce->lane));
    MB_TRY(sum(reduce, count == 0 ? NULL : roots[0], count, false));
    return sum(reduce, count64 == 0 ? NULL : roots64[0], count64, true);
}

mb_status_t mb_reduce_link_finish(mb_reduce_link_t *reduce)
{
    return reduce->exec->planning ? MB_OK : mb_lane_lead(&reduce->lane);
}
