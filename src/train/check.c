/* See check.h. */
#include "train/check.h"

#include <stdlib.h>
#include <string.h>

#include "comm/among.h"
#include "engine/feed.h"
#include "train/check_private.h"

#define SALT UINT64_C(0x636865636b) /* the order is not the samples' */

static const mb_graph_t *graph_of(const mb_check_t *check)
{
    return check->options.engine->plan->graph;
}

static bool is_due(const mb_check_t *check, const mb_step_info_t *info)
{
    return check != NULL && (info->step + 1) % check->options.every == 0;
}

/* ---- which micro-batch, and who computes it */

static int group_of(const mb_grid_t *grid, int replica, int *first)
{
    int count, group = 0;
    for (;; group++) {
        mb_grid_replicas(grid, group, first, &count);
        if (replica < *first + count)
            return group;
    }
}

/* Rows of layers that keep states are the group's own. */
static void choose_groups(const mb_check_t *check, int64_t turn, mb_checked_t *out)
{
    int groups = check->options.engine->grid.groups;
    out->partner = out->third = out->owner;
    if (groups == 1 || graph_of(check)->keeps_states)
        return;
    out->partner = (out->owner + 1 + (int)(turn % (groups - 1))) % groups;
    for (int g = 0; g < groups && out->third == out->owner; g++)
        out->third = g == out->partner ? out->owner : g;
}

/* All of a step's micro-batches have their turn before one comes again, in an order by the seed. */
static void choose(mb_check_t *check, const mb_step_info_t *info)
{
    const mb_engine_t *engine = check->options.engine;
    const mb_plan_t *plan = engine->plan;
    int64_t turn = (info->step + 1) / check->options.every - 1;
    int64_t micros = (info->batch + plan->micro_batch - 1) / plan->micro_batch;
    int first;
    mb_checked_t *out = &check->checked;
    out->number = mb_permute(info->seed ^ SALT, (uint64_t)(turn / micros), micros, turn % micros);
    out->position = out->number * plan->micro_batch;
    int64_t replica = out->number / plan->micros_per_replica;
    int64_t of_replica = out->number % plan->micros_per_replica;
    out->owner = group_of(&engine->grid, (int)replica, &first);
    out->index = (int)((replica - first) * plan->micros_per_replica + of_replica);
    out->adds = of_replica > 0;
    choose_groups(check, turn, out);
}

/* ---- computing it beside the step */

static mb_status_t feed_micro(void *feed, const mb_micro_t *micro, int index)
{
    return mb_feed_micro(feed, micro, index);
}

static mb_status_t run_again(mb_check_t *check, const mb_step_info_t *info, mb_feed_t *feed)
{
    bool own_rows = graph_of(check)->keeps_states;
    const mb_again_t again = {.info = *info,
                              .only = own_rows ? check->checked.index : 0,
                              .position = check->checked.position,
                              .look = &check->look,
                              .user = feed,
                              .feed = feed_micro};
    MB_TRY(mb_update_keep_states(check->options.update));
    MB_TRY(mb_executor_run_again(check->options.engine->executor, &again));
    return mb_update_take_states_back(check->options.update);
}

/* This rank's part of the micro-batch, its digests to INTO. */
static mb_status_t compute(mb_check_t *check, const mb_step_info_t *info, uint64_t *into,
                           bool weights_alone)
{
    mb_feed_t *feed;
    const mb_check_options_t *o = &check->options;
    const mb_feed_span_t span = {.sampler = o->sampler,
                                 .first_step = info->step,
                                 .end_step = info->step + 1,
                                 .alone = true,
                                 .position = check->checked.position};
    check->digester.into = into;
    check->digester.index = -1;
    check->digester.of_weights = true;
    check->digester.of_others = !weights_alone;
    MB_TRY(mb_feed_create(o->engine, o->model, o->source, &span, &feed));
    mb_status_t status = run_again(check, info, feed);
    mb_feed_destroy(feed);
    return status;
}

/* From here on the step itself is looked at. */
static void watch(mb_check_t *check)
{
    check->digester.into = check->own.first;
    check->digester.index = check->checked.index;
    check->digester.of_weights = !check->checked.adds;
    check->digester.of_others = true;
    check->options.engine->stage->look = &check->look;
}

mb_status_t mb_check_begin(mb_check_t *check, const mb_step_info_t *info)
{
    if (!is_due(check, info))
        return MB_OK;
    int group = check->options.engine->grid.group;
    memset(check->own.message + MB_DIGESTS_HOST, 0, check->own.bytes - MB_DIGESTS_HOST);
    choose(check, info);
    if (group == check->checked.partner)
        MB_TRY(compute(check, info, check->own.second, false));
    if (group != check->checked.owner)
        return MB_OK;
    if (check->checked.adds)
        MB_TRY(compute(check, info, check->own.first, true));
    watch(check);
    return MB_OK;
}

/* ---- comparing */

static mb_status_t send(mb_check_t *check, const void *data, size_t bytes, int group, int tag)
{
    mb_comm_request_t request;
    const mb_engine_t *engine = check->options.engine;
    int peer = mb_grid_rank(&engine->grid, engine->grid.stage, group);
    mb_comm_note_t note = {"sending digests", engine->grid.stage, -1, peer, tag, false};
    MB_TRY(mb_comm_isend(engine->machine->comm, data, bytes, peer, tag, &request));
    return mb_comm_wait_requests(engine->machine->comm, &request, 1, &note);
}

static mb_status_t receive(mb_check_t *check, void *data, size_t bytes, int group, int tag)
{
    mb_comm_request_t request;
    const mb_engine_t *engine = check->options.engine;
    int peer = mb_grid_rank(&engine->grid, engine->grid.stage, group);
    mb_comm_note_t note = {"receiving digests", engine->grid.stage, -1, peer, tag, false};
    MB_TRY(mb_comm_irecv(engine->machine->comm, data, bytes, peer, tag, &request));
    return mb_comm_wait_requests(engine->machine->comm, &request, 1, &note);
}

/* To the stage's rank of group 0. */
static mb_status_t bring_together(mb_check_t *check)
{
    size_t bytes = check->own.bytes;
    if (check->messages == NULL)
        return send(check, check->own.message, bytes, 0, MB_TAG_CHECK);
    memcpy(check->messages, check->own.message, bytes);
    for (int g = 1; g < check->options.engine->grid.groups; g++)
        MB_TRY(receive(check, check->messages + (size_t)g * bytes, bytes, g, MB_TAG_CHECK));
    return MB_OK;
}

static void keep_lower(void *into, const void *from)
{
    if (((const mb_verdict_t *)from)->key < ((mb_verdict_t *)into)->key)
        memcpy(into, from, sizeof(mb_verdict_t));
}

static mb_status_t agree(mb_check_t *check, mb_verdict_t *verdict)
{
    mb_verdict_t arriving;
    const mb_engine_t *engine = check->options.engine;
    const mb_comm_among_t among = {.ranks = engine->grid.stages * engine->grid.groups,
                                   .token = verdict,
                                   .arriving = &arriving,
                                   .bytes = sizeof arriving,
                                   .merge = keep_lower,
                                   .tag = MB_TAG_CHECK + 1,
                                   .action = "comparing digests"};
    return mb_comm_among(engine->machine->comm, &among);
}

/* The third group computes it; its rank of the stage that differs shows what it has come to. */
static mb_status_t decide(mb_check_t *check, const mb_step_info_t *info, mb_verdict_t *verdict)
{
    const mb_grid_t *grid = &check->options.engine->grid;
    size_t count = MB_LOOK_PARTS * (size_t)check->own.n_nodes;
    int third = check->checked.third;
    bool there = grid->stage == verdict->stage;
    uint64_t *digests = check->own.second;
    if (grid->group == third) {
        memset(digests, 0, count * sizeof *digests);
        MB_TRY(compute(check, info, digests, false));
        if (there && grid->group > 0)
            MB_TRY(send(check, digests, count * sizeof *digests, 0, MB_TAG_CHECK + 2));
    }
    bool judges = there && check->messages != NULL;
    if (judges && third > 0)
        MB_TRY(receive(check, digests, count * sizeof *digests, third, MB_TAG_CHECK + 2));
    if (judges)
        mb_check_blame(check, digests, verdict);
    verdict->key = judges ? 0 : INT64_MAX;
    return agree(check, verdict);
}

mb_status_t mb_check_end(mb_check_t *check, const mb_step_info_t *info)
{
    mb_verdict_t verdict = {.key = INT64_MAX};
    if (!is_due(check, info))
        return MB_OK;
    check->options.engine->stage->look = NULL;
    mb_comm_doing(check->options.engine->machine->comm, "comparing digests with other ranks");
    MB_TRY(mb_digests_hold(&check->own, &check->digester, check->options.update));
    MB_TRY(bring_together(check));
    if (check->messages != NULL)
        mb_check_compare(check, &verdict);
    MB_TRY(agree(check, &verdict));
    if (verdict.key == INT64_MAX)
        return MB_OK;
    if (verdict.of_micro)
        MB_TRY(decide(check, info, &verdict));
    MB_TRY(mb_comm_leave_first(check->options.engine->machine->comm));
    return mb_error_set(MB_ERR_DEVICE, "step %lld: %s", (long long)info->step + 1, verdict.text);
}

/* ---- beginning and end */

static mb_status_t take_messages(mb_check_t *check)
{
    const mb_grid_t *grid = &check->options.engine->grid;
    size_t bytes = mb_digests_bytes(graph_of(check));
    char *own = calloc(1, bytes);
    check->own.message = own;
    if (own != NULL && grid->group == 0)
        check->messages = calloc((size_t)grid->groups, bytes);
    if (own == NULL || (grid->group == 0 && check->messages == NULL))
        return mb_error_memory("digests", bytes);
    strncpy(own, mb_comm_host(check->options.engine->machine->comm), MB_DIGESTS_HOST - 1);
    check->own = mb_digests_of(graph_of(check), own);
    return MB_OK;
}

mb_status_t mb_check_create(const mb_check_options_t *options, mb_check_t **out)
{
    mb_check_t *check = calloc(1, sizeof *check);
    if (check == NULL)
        return mb_error_memory("a check", sizeof *check);
    check->options = *options;
    mb_status_t status = take_messages(check);
    if (status != MB_OK) {
        mb_check_destroy(check);
        return status;
    }
    check->digester =
        (mb_digester_t){.exec = &options->engine->exec, .n_nodes = check->own.n_nodes};
    check->look = (mb_look_t){.user = &check->digester, .see = mb_digester_see};
    *out = check;
    return MB_OK;
}

void mb_check_destroy(mb_check_t *check)
{
    if (check == NULL)
        return;
    free(check->own.message);
    free(check->messages);
    free(check->digester.host);
    free(check);
}
