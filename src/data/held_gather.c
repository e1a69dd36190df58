/* Samples of all that this rank has, its own or adopted. */
#include "data/held_private.h"

const mb_held_t *mb_held_find(const mb_held_source_t *source, int field, int64_t sample,
                              int64_t *at)
{
    const mb_held_run_t *run = mb_held_runs_find(&source->runs, sample);
    *at = sample - run->first + (run->adopted ? run->at : run->index);
    return run->adopted ? &source->adopted[field] : &source->fields[field];
}

static void count(mb_held_source_t *source, const mb_held_t *held, int64_t bytes)
{
    if (held->on_device || !mb_held_is_packed(held))
        source->copied += bytes;
}

mb_status_t mb_held_bring(mb_held_source_t *source, int field, const int64_t *samples, int64_t n,
                          void *to)
{
    char *end = to;
    bool on_device = false;
    for (int64_t i = 0; i < n; i++) {
        int64_t at;
        const mb_held_t *held = mb_held_find(source, field, samples[i], &at);
        MB_TRY(mb_held_fetch(held, &source->way, at, end));
        count(source, held, mb_held_bytes(held));
        on_device = on_device || held->on_device;
        end += mb_held_bytes(held);
    }
    return on_device ? mb_exec_sync(&source->way.exec) : MB_OK;
}
