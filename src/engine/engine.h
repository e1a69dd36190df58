/* One rank's machinery for one purpose: device, stage, transport, reduction, executor, put
 * together.
 *
 *     machine   the rank's device and threads; lives as long as the run
 *     engine    plan + stage + executor for training, evaluation or prediction on that machine
 */
#ifndef MB_ENGINE_ENGINE_H
#define MB_ENGINE_ENGINE_H

#include "engine/machine.h"
#include "engine/executor.h"
#include "engine/profile.h"

typedef struct mb_engine {
    mb_machine_t *machine;
    mb_grid_t grid;
    bool absent; /* of a rank that is only counted */
    mb_plan_t *plan;
    bool borrows_plan;
    const mb_loss_t *losses;
    mb_exec_t exec;
    bool has_exec;
    mb_stage_t *stage; /* NULL on an idle rank, and so are the rest */
    mb_transport_t *transport;
    bool windowed;              /* gradients are summed over ranks of this node in their memory */
    mb_reduce_window_t *window; /* for that; NULL: there is none, or nobody computes */
    mb_stage_reduce_t *reduction;
    mb_reduce_link_t *reduce_link; /* where the link sums over replicas; on an idle rank, too */
    mb_executor_t *executor;
    mb_recorder_t *recorder; /* NULL: nothing is recorded */
} mb_engine_t;

typedef struct mb_engine_options {
    mb_machine_t *machine;
    const mb_graph_t *graph;
    const mb_loss_t *losses; /* NULL: prediction */
    int stages, replicas;
    int64_t micro_batch;
    int micros_per_replica;
    mb_schedule_choice_t schedule;
    const int *cuts; /* see mb_plan_options_t; NULL: by what layers take */
    bool training;
    size_t bucket_bytes; /* of gradients summed over groups together; 0: a chunk's */
    int zero;            /* ZeRO's stage: groups share the optimizer's state out (1), and the
                            summed gradients (2; then each computes one micro-batch a step,
                            and no layer that is trained is called twice) */
    bool offloads;       /* what is kept of micro-batches stands in host memory */
    const mb_profile_t *profile;  /* the partition is by these costs; NULL: by predicted ones */
    const mb_engine_t *values_of; /* share this engine's parameters, and so its partition */
    bool integer;                 /* activations may be quantized where weights are int8 (ops.h) */
    const mb_format_t *round_to;  /* QAT: compute with weights rounded to this; NULL: as they are */
    mb_hooks_t hooks;
    bool records;          /* what is done in the last steps */
    mb_account_t *account; /* of the rank's time; NULL: nobody asks where it goes */
    /* An engine of this rank, which is not this process, to see what it takes: on a machine whose
     * device counts (device/dry.h). Planned like any other, but never run; creating and preparing
     * it concern no other rank. NULL: of this process. */
    const mb_grid_t *absent;
    bool near;       /* all ranks of its run are on one node */
    mb_plan_t *plan; /* made of these options already, and kept by the caller; NULL: it is made */
} mb_engine_options_t;

/* What the plan of a rank's group is made from. */
mb_plan_options_t mb_engine_plan_options(const mb_engine_options_t *options, const mb_grid_t *grid);
/* Collective. Takes all memory; mb_engine_prepare ends planning. */
mb_status_t mb_engine_create(const mb_engine_options_t *options, mb_engine_t **out);
/* Collective: one step in planning mode, then the workspace. Afterwards steps may run. Again after
 * mb_stage_use_matrix, whose operations are others: what is prepared already costs nothing, and the
 * workspace only grows. */
mb_status_t mb_engine_prepare(mb_engine_t *engine);
/* Before anything that the stream may use is freed: waits for its end; after a failure by giving up
 * the messages that it hangs in, which other ranks may never answer. NULL: nothing. */
void mb_engine_quiet(mb_engine_t *engine);
void mb_engine_destroy(mb_engine_t *engine);
/* Device memory that it has taken. */
int64_t mb_engine_bytes(const mb_engine_t *engine);
static inline bool mb_engine_idle(const mb_engine_t *engine)
{
    return engine->stage == NULL;
}

#endif
