/* A step's sums: micro-batches of a replica have been added where they were computed; here replicas
 * join the tree (comm/tree.h), and the groups' roots are summed (stage_reduce.h). */
#include "engine/executor_private.h"

mb_subtree_t *mb_executor_subtree(const mb_executor_t *executor, int chunk)
{
    const mb_stage_t *stage = executor->stage;
    return &executor->subtrees[stage->chunk_of[chunk] - stage->chunks];
}

/* The chunk's sums of two replicas. */
static mb_status_t add_sums(mb_executor_t *executor, const mb_stage_chunk_t *chunk, int into,
                            int from)
{
    const mb_subtree_t *subtree = mb_executor_subtree(executor, chunk->chunk);
    mb_add_f64_args_t sums = {.count = chunk->sum_count,
                              .a = subtree->sums[into] + chunk->first_sum,
                              .b = subtree->sums[from] + chunk->first_sum,
                              .y = subtree->sums[into] + chunk->first_sum};
    return sums.count == 0 ? MB_OK : mb_run_add_f64(executor->stage->exec, &sums);
}

/* A stretch of two gradient blocks. */
static mb_status_t add_blocks(mb_executor_t *executor, mb_stretch_t stretch, int into, int from)
{
    mb_stage_t *stage = executor->stage;
    if (!stage->training || stretch.count == 0)
        return MB_OK;
    mb_add_args_t args = {.count = stretch.count,
                          .a = stage->gradients[into] + stretch.first,
                          .b = stage->gradients[from] + stretch.first,
                          .y = stage->gradients[into] + stretch.first};
    return mb_run_add(stage->exec, &args);
}

mb_status_t mb_executor_join(mb_executor_t *executor, int chunk, int bucket, int replica)
{
    mb_subtree_t *subtree = mb_executor_subtree(executor, chunk);
    const mb_stage_chunk_t *own = executor->stage->chunk_of[chunk];
    mb_stretch_t stretch =
        mb_stage_stretch(executor->stage, (int)(own - executor->stage->chunks), bucket);
    bool ends = bucket == 0 || bucket == mb_plan_buckets(executor->plan, chunk);
    mb_tree_stack_t stack = subtree->stack;
    int top = stack.depth;
    subtree->sums[top] = executor->stage->sums[replica];
    for (int merges = mb_tree_push(&stack); merges > 0; merges--, top--) {
        MB_TRY(add_blocks(executor, stretch, top - 1, top));
        if (ends)
            MB_TRY(add_sums(executor, own, top - 1, top));
    }
    if (ends)
        subtree->stack = stack;
    return MB_OK;
}

/* The last replica, where it joins others, does so bucket by bucket, in additions of other lengths.
 */
static mb_status_t plan_buckets(mb_executor_t *executor, int index)
{
    int chunk = executor->stage->chunks[index].chunk;
    for (int b = 1; b <= mb_plan_buckets(executor->plan, chunk) && executor->stage->n_blocks > 1;
         b++)
        MB_TRY(add_blocks(executor, mb_stage_stretch(executor->stage, index, b), 0, 0));
    return MB_OK;
}

static mb_status_t join_all(mb_executor_t *executor)
{
    for (int i = 0; i < executor->stage->n_chunks; i++) {
        for (int r = 0; r < executor->n_replicas; r++)
            MB_TRY(mb_executor_join(executor, executor->stage->chunks[i].chunk, 0, r));
        if (executor->stage->exec->planning)
            MB_TRY(plan_buckets(executor, i));
    }
    return MB_OK;
}

mb_status_t mb_executor_reduce(mb_executor_t *executor, int index, int bucket)
{
    mb_stage_reduce_t *reduction = executor->options.reduction;
    if (reduction == NULL)
        return MB_OK;
    executor->walk.costs[MB_ACTION_REDUCE].bytes +=
        mb_stage_reduce_bucket_bytes(reduction, index, bucket);
    return mb_stage_reduce_start(reduction, index, bucket, executor->subtrees[index].sums);
}

mb_status_t mb_executor_make_room(mb_executor_t *executor, int chunk, int bucket)
{
    const mb_stage_t *stage = executor->stage;
    if (executor->options.reduction == NULL)
        return MB_OK;
    int before = mb_account_enter(executor->options.account, MB_ACTION_REDUCE);
    MB_TRY(mb_stage_reduce_make_room(executor->options.reduction,
                                     (int)(stage->chunk_of[chunk] - stage->chunks), bucket));
    mb_account_enter(executor->options.account, before);
    return MB_OK;
}

mb_status_t mb_executor_go_on_reducing(void *user)
{
    mb_executor_t *executor = user;
    mb_stage_reduce_t *reduction = executor->options.reduction;
    if (reduction == NULL)
        return MB_OK;
    int before = mb_account_enter(executor->options.account, MB_ACTION_REDUCE);
    MB_TRY(mb_stage_reduce_go_on(reduction));
    mb_account_enter(executor->options.account, before);
    return MB_OK;
}

mb_status_t mb_executor_reduce_all(mb_executor_t *executor)
{
    MB_TRY(join_all(executor));
    for (int i = 0; i < executor->stage->n_chunks; i++)
        MB_TRY(mb_executor_reduce(executor, i, 0));
    return mb_stage_reduce_finish(executor->options.reduction);
}
