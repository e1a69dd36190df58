/* See replay.h. */
#include "engine/replay.h"

#include "engine/stage_offload.h"

#include <stdlib.h>

/* A step has as many places as micro-batches times actions; past this many what is rare (an epoch's
 * last step) is simply run. */
enum { MOST = 1024 };

typedef struct {
    mb_stage_action_t action;
    mb_micro_t place;          /* without what only random numbers depend on */
    mb_recording_t *recording; /* NULL: it has come here once */
} entry_t;

struct mb_replays {
    mb_stage_t *stage;
    bool possible;
    float loss_scale; /* of all entries */
    int n, last;      /* last: where the search begins */
    entry_t *entries;
};

static const mb_device_class_t *class_of(const mb_replays_t *replays)
{
    return replays->stage->exec->device->class_;
}

mb_status_t mb_replays_create(mb_stage_t *stage, mb_replays_t **out)
{
    mb_replays_t *replays = calloc(1, sizeof *replays);
    if (replays == NULL)
        return mb_error_memory("the recordings of a stage", sizeof *replays);
    replays->stage = stage;
    if (class_of(replays)->record_begin != NULL) {
        replays->entries = calloc(MOST, sizeof *replays->entries);
        if (replays->entries == NULL) {
            free(replays);
            return mb_error_memory("the recordings of a stage", MOST * sizeof(entry_t));
        }
    }
    *out = replays;
    return MB_OK;
}

void mb_replays_forget(mb_replays_t *replays, bool draws)
{
    for (int i = 0; i < replays->n; i++) {
        if (replays->entries[i].recording != NULL)
            class_of(replays)->recording_destroy(replays->entries[i].recording);
    }
    replays->n = replays->last = 0;
    replays->possible = replays->entries != NULL && !draws && replays->stage->exec->account == NULL;
}

void mb_replays_restart(mb_replays_t *replays)
{
    mb_replays_forget(replays, !replays->possible);
}

void mb_replays_destroy(mb_replays_t *replays)
{
    if (replays == NULL)
        return;
    mb_replays_forget(replays, true);
    free(replays->entries);
    free(replays);
}

/* Where layers keep states, each micro-batch has rows of its own. */
static bool is_same_place(const mb_replays_t *replays, const mb_micro_t *a, const mb_micro_t *b)
{
    bool same_rows = replays->stage->state_bytes == 0 || a->index == b->index;
    const mb_stage_t *stage = replays->stage;
    for (int i = 0; i < stage->n_chunks; i++) {
        int slots = stage->chunks[i].n_slots;
        same_rows = same_rows && a->index % slots == b->index % slots;
    }
    return same_rows && a->chunk == b->chunk && a->bucket == b->bucket && a->block == b->block &&
           a->replica == b->replica && a->accumulate == b->accumulate && a->valid == b->valid &&
           a->batch == b->batch;
}

/* Steps repeat, so that the next one is most often the one behind the last. */
static entry_t *find(mb_replays_t *replays, mb_stage_action_t action, const mb_micro_t *micro)
{
    for (int i = 0; i < replays->n; i++) {
        int at = (replays->last + 1 + i) % replays->n;
        entry_t *entry = &replays->entries[at];
        if (entry->action == action && is_same_place(replays, &entry->place, micro)) {
            replays->last = at;
            return entry;
        }
    }
    return NULL;
}

static mb_status_t record(mb_replays_t *replays, mb_stage_action_t action, const mb_micro_t *micro,
                          mb_recording_t **out)
{
    mb_error_message_t kept;
    mb_stream_t *stream = replays->stage->exec->stream;
    MB_TRY(class_of(replays)->record_begin(stream));
    mb_status_t status = action(replays->stage, micro);
    mb_error_keep(&kept);
    mb_status_t ended = class_of(replays)->record_end(stream, out);
    if (status == MB_OK)
        return ended;
    if (*out != NULL)
        class_of(replays)->recording_destroy(*out);
    *out = NULL;
    mb_error_restore(&kept);
    return status;
}

static void add(mb_replays_t *replays, mb_stage_action_t action, const mb_micro_t *micro)
{
    replays->last = replays->n++;
    replays->entries[replays->last] = (entry_t){.action = action, .place = *micro};
}

/* The first time is for what a device does at its first launch of a kernel, which has no place in a
 * graph. */
static mb_status_t run(mb_replays_t *replays, mb_stage_action_t action, const mb_micro_t *micro)
{
    mb_stage_t *stage = replays->stage;
    if (!replays->possible || stage->observer != NULL || stage->look != NULL ||
        stage->exec->planning)
        return action(stage, micro);
    if (replays->loss_scale != stage->loss_scale)
        mb_replays_forget(replays, false);
    replays->loss_scale = stage->loss_scale;
    entry_t *entry = find(replays, action, micro);
    if (entry == NULL) {
        if (replays->n < MOST)
            add(replays, action, micro);
        return action(stage, micro);
    }
    if (entry->recording == NULL)
        MB_TRY(record(replays, action, micro, &entry->recording));
    return class_of(replays)->replay(entry->recording, stage->exec->stream);
}

/* Copies of what is offloaded are on a stream of their own, and no part of a recording. */
mb_status_t mb_replays_run(mb_replays_t *replays, mb_stage_action_t action, const mb_micro_t *micro)
{
    bool forward = action == mb_stage_forward;
    MB_TRY(mb_stage_offload_begin(replays->stage, micro, forward));
    MB_TRY(run(replays, action, micro));
    return mb_stage_offload_end(replays->stage, micro, forward);
}
