/* A layout within --memory. The planner's formulas choose; the memory of the one chosen is then
 * counted exactly, workspace and all, without being taken, and where it is more than was foreseen
 * the next choice is made for so much less. */
#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "pipeline/planner.h"
#include "pipeline/recompute.h"
#include "train/offload.h"
#include "train/pieces.h"
#include "train/trainer_private.h"

enum { MOST_TRIES = 8 };

/* "16G", or "60%" of what a rank has: a device's memory, or its share of the host's. */
static mb_status_t take_limit(const mb_training_t *trainer, double *limit)
{
    const char *text = mb_settings_text(trainer->settings, MB_SET_MEMORY);
    char *end;
    *limit = 0;
    if (text == NULL || (mb_str_parse_bytes(text, limit) && *limit > 0))
        return MB_OK;
    double percent = strtod(text, &end);
    *limit = (double)mb_machine_memory(trainer->machine) * percent / 100;
    if (end != text && strcmp(end, "%") == 0 && percent > 0 && percent <= 100)
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT,
                        "memory=%s is neither a size like 16G nor a part of a rank's memory like "
                        "60%%",
                        text);
}

static bool given(const mb_training_t *trainer, mb_setting_id_t id)
{
    return mb_layout_given(trainer->settings, id);
}

/* The layers' names, which plans are made from, outlive the choice. */
static mb_status_t keep_layers(mb_training_t *trainer, const mb_candidate_t *chosen)
{
    mb_schedule_choice_t *schedule = &trainer->layout.schedule;
    if (!schedule->recomputes || schedule->layers != NULL || chosen->layers == NULL)
        return MB_OK;
    schedule->layers = mb_recompute_text(trainer->model->graph, chosen->layers, trainer->arena);
    return schedule->layers != NULL ? MB_OK : mb_error_memory("the names of layers", 0);
}

static mb_status_t keep_cuts(mb_training_t *trainer, const mb_candidate_t *chosen)
{
    int chunks = mb_schedule_chunks(&chosen->schedule, chosen->stages);
    if (chosen->cuts == NULL)
        return MB_OK;
    int *cuts = MB_ARENA_ARRAY(trainer->arena, int, chunks);
    if (cuts == NULL)
        return mb_error_memory("a layout", (size_t)chunks * sizeof *cuts);
    memcpy(cuts, chosen->cuts, (size_t)(chunks - 1) * sizeof *cuts);
    trainer->layout.cuts = cuts;
    return MB_OK;
}

/* The fastest layout within LIMIT, of what the settings leave open; *FORESEEN: what it takes by the
 * planner's formula. */
static mb_status_t choose(mb_training_t *trainer, mb_arena_t *arena, double limit, double *foreseen)
{
    mb_device_t *device = trainer->machine->device;
    int n;
    double least;
    mb_candidate_t *all;
    const mb_comm_t *comm = trainer->comm;
    mb_offload_t offload;
    MB_TRY(mb_offload_read(trainer->settings, &offload));
    const mb_layout_wish_t wish = {.ranks = {mb_comm_size(comm), mb_comm_local_size(comm), limit},
                                   .batch = trainer->layout.batch,
                                   .moments = offload.moments ? 0 : trainer->optimizer->n_slots,
                                   .copies = mb_training_copies(trainer) &&
                                             device->class_->host_visible(device),
                                   .open_recompute = !mb_layout_says_recompute(trainer->settings),
                                   .fits_cut = true};
    MB_TRY(mb_layout_rank(trainer->model, trainer->settings, &wish, arena, &all, &n, &least));
    mb_layout_take(&trainer->layout, all);
    *foreseen = all->memory;
    MB_TRY(keep_cuts(trainer, all));
    return keep_layers(trainer, all);
}

/* ---- what it really takes */

mb_status_t mb_training_count(const mb_training_t *trainer, mb_footprint_t *out)
{
    mb_grid_t grid;
    mb_offload_t offload;
    const mb_layout_t *layout = &trainer->layout;
    mb_footprint_request_t request = {.model = trainer->model,
                                      .optimizer = trainer->optimizer,
                                      .evaluates = trainer->val == NULL ? NULL : layout};
    MB_TRY(mb_offload_read(trainer->settings, &offload));
    MB_TRY(mb_layout_engine(trainer->model, trainer->settings, layout, &request.engine));
    request.engine.machine = trainer->machine;
    request.engine.round_to = trainer->trains_rounded ? &trainer->round_to : NULL;
    request.engine.near = mb_comm_local_size(trainer->comm) == mb_comm_size(trainer->comm);
    request.offloads_moments = offload.moments;
    request.copies_state = mb_training_copies(trainer);
    request.moments_in_8_bits = trainer->moments_in_8_bits;
    mb_grid_set(&grid, mb_comm_size(trainer->comm), mb_comm_rank(trainer->comm), layout->stages,
                layout->replicas);
    request.engine.plan = trainer->engine == NULL ? NULL : trainer->engine->plan;
    return mb_footprint_count(&request, &grid, out);
}

/* The most that a rank takes. Collective. */
static mb_status_t measure(mb_training_t *trainer, double *bytes)
{
    int ranks = mb_comm_size(trainer->comm);
    mb_footprint_t taken = {0};
    double own = 0, *all = calloc((size_t)ranks, sizeof *all);
    mb_status_t status = all == NULL ? mb_error_memory("a layout", sizeof *all) : MB_OK;
    if (status == MB_OK)
        status = mb_training_count(trainer, &taken);
    own = (double)mb_footprint_bytes(&taken);
    MB_TRY_GOTO(mb_comm_agree(trainer->comm, status), status, out);
    MB_TRY_GOTO(mb_comm_allgather(trainer->comm, &own, sizeof own, all), status, out);
    *bytes = 0;
    for (int r = 0; r < ranks; r++)
        *bytes = all[r] > *bytes ? all[r] : *bytes;

out:
    free(all);
    return status;
}

static mb_status_t no_layout(double limit, double bytes)
{
    char wanted[32], taken[32];
    return mb_error_set(MB_ERR_MEMORY,
                        "no layout was found that keeps each rank within %s; the smallest that was "
                        "tried takes %s. Use more ranks, or leave more open (stages, micro-batch, "
                        "schedule, recompute)",
                        mb_str_bytes(limit, wanted, sizeof wanted),
                        mb_str_bytes(bytes, taken, sizeof taken));
}

/* What the run says of itself; nobody asked for it, and the next start may choose another. */
static mb_status_t name_choice(mb_training_t *trainer)
{
    const mb_schedule_choice_t *schedule = &trainer->layout.schedule;
    char full[32];
    const char *how = !schedule->recomputes ? "none"
                      : schedule->layers == NULL
                          ? mb_recompute_full(schedule->segments, full, sizeof full)
                          : schedule->layers;
    MB_TRY(mb_layout_name_schedule(&trainer->layout, trainer->settings));
    return given(trainer, MB_SET_RECOMPUTE)
               ? MB_OK
               : mb_settings_set(trainer->settings, "recompute", how, MB_FROM_DEFAULT);
}

static const char *again_of(const mb_schedule_choice_t *schedule, char *buffer, size_t size)
{
    if (!schedule->recomputes)
        return "";
    if (schedule->layers != NULL)
        return ", some layers computed again";
    if (schedule->segments < 2)
        return ", forwards computed again";
    snprintf(buffer, size, ", forwards computed again in %d segments", schedule->segments);
    return buffer;
}

static const char *plural(int count)
{
    return count == 1 ? "" : "s";
}

static void tell(mb_training_t *trainer, double limit, double bytes)
{
    char wanted[32], taken[32], again[64];
    const mb_layout_t *l = &trainer->layout;
    mb_training_note(trainer,
                     "within %s a rank: %d stage%s x %d replica%s, %d micro-batch%s of %lld, "
                     "%s%s%s; the most that one takes is %s",
                     mb_str_bytes(limit, wanted, sizeof wanted), l->stages, plural(l->stages),
                     l->replicas, plural(l->replicas), l->micros, l->micros == 1 ? "" : "es",
                     (long long)l->micro_batch, mb_schedule_name(l->schedule.kind),
                     again_of(&l->schedule, again, sizeof again),
                     l->by_memory ? ", stages cut by their memory" : "",
                     mb_str_bytes(bytes, taken, sizeof taken));
}

static mb_status_t note_open(mb_training_t *trainer)
{
    if (mb_recompute_is_open(mb_settings_text(trainer->settings, MB_SET_RECOMPUTE)))
        mb_training_note(trainer, "recompute=auto: nothing is computed again without a limit to "
                                  "keep to; give one by --memory");
    return MB_OK;
}

/* The copy that checkpoints are written from is taken unasked where it stays within LIMIT; *BYTES
 * without it. Collective. */
static mb_status_t fit_copy(mb_training_t *trainer, double limit, double *bytes)
{
    double with_copy;
    char wanted[32], taken[32];
    if (mb_training_copies(trainer))
        return MB_OK;
    mb_training_allow_copy(trainer, true);
    if (!mb_training_copies(trainer))
        return MB_OK;
    MB_TRY(measure(trainer, &with_copy));
    if (with_copy <= limit) {
        *bytes = with_copy;
        return MB_OK;
    }
    mb_training_allow_copy(trainer, false);
    mb_training_note(trainer,
                     "the steps wait for checkpoints (checkpoint-mode=sync): with a copy to write "
                     "them from a rank would take %s, and memory=%s",
                     mb_str_bytes(with_copy, taken, sizeof taken),
                     mb_str_bytes(limit, wanted, sizeof wanted));
    return MB_OK;
}

mb_status_t mb_training_fit_layout(mb_training_t *trainer)
{
    double limit, bytes = 0, least = DBL_MAX;
    MB_TRY(mb_comm_agree(trainer->comm, take_limit(trainer, &limit)));
    if (limit == 0) {
        MB_TRY(note_open(trainer));
        return mb_comm_agree(trainer->comm, name_choice(trainer));
    }
    double aim = limit, foreseen = 0;
    for (int i = 0; i < MOST_TRIES; i++) {
        mb_arena_t *arena = mb_arena_create();
        mb_status_t status =
            arena == NULL ? mb_error_memory("a layout", 0) : choose(trainer, arena, aim, &foreseen);
        mb_arena_destroy(arena);
        if (status == MB_ERR_MEMORY && i > 0)
            status = no_layout(limit, least);
        MB_TRY(mb_comm_agree(trainer->comm, status));
        MB_TRY(measure(trainer, &bytes));
        least = bytes < least ? bytes : least;
        if (bytes <= limit) {
            MB_TRY(fit_copy(trainer, limit, &bytes));
            tell(trainer, limit, bytes);
            return mb_comm_agree(trainer->comm, name_choice(trainer));
        }
        aim = foreseen - (bytes - limit); /* workspace, which all have about as much of */
    }
    return mb_comm_agree(trainer->comm, no_layout(limit, least));
}
