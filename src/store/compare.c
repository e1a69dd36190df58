/* See compare.h: the lists, settings and counters. */
#include "store/compare.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "store/callback_numbers.h"

enum { STATE_NAME = 64 };

static mb_status_t no_memory(void)
{
    return mb_error_memory("a comparison", 0);
}

static mb_status_t grow(mb_comparison_t *comparison, mb_text_differences_t *texts)
{
    int capacity = 2 * texts->capacity + 16;
    mb_text_difference_t *list = MB_ARENA_ARRAY(comparison->arena, mb_text_difference_t, capacity);
    if (list == NULL)
        return no_memory();
    if (texts->n > 0)
        memcpy(list, texts->list, (size_t)texts->n * sizeof *list);
    texts->list = list;
    texts->capacity = capacity;
    return MB_OK;
}

static mb_status_t keep(mb_comparison_t *comparison, const char *text, const char **kept)
{
    *kept = text == NULL ? NULL : mb_arena_strdup(comparison->arena, text);
    return text != NULL && *kept == NULL ? no_memory() : MB_OK;
}

mb_status_t mb_compare_note(mb_comparison_t *comparison, mb_compared_text_t kind, const char *place,
                            const char *a, const char *b)
{
    mb_text_differences_t *texts = &comparison->texts[kind];
    if (texts->n == texts->capacity)
        MB_TRY(grow(comparison, texts));
    mb_text_difference_t *at = &texts->list[texts->n];
    MB_TRY(keep(comparison, place, &at->place));
    MB_TRY(keep(comparison, a, &at->a));
    MB_TRY(keep(comparison, b, &at->b));
    texts->n++;
    return MB_OK;
}

/* Where either is NULL, or they are not the same. */
static mb_status_t note_unlike(mb_comparison_t *comparison, mb_compared_text_t kind,
                               const char *place, const char *a, const char *b)
{
    bool same = a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
    return same ? MB_OK : mb_compare_note(comparison, kind, place, a, b);
}

static mb_status_t compare_settings(mb_comparison_t *comparison, const mb_model_file_t *a,
                                    const mb_model_file_t *b)
{
    for (int i = 0; i < a->n_settings; i++)
        MB_TRY(note_unlike(comparison, MB_COMPARED_SETTINGS, a->settings[i].key,
                           a->settings[i].value, mb_model_file_setting(b, a->settings[i].key)));
    for (int i = 0; i < b->n_settings; i++) {
        if (mb_model_file_setting(a, b->settings[i].key) == NULL)
            MB_TRY(mb_compare_note(comparison, MB_COMPARED_SETTINGS, b->settings[i].key, NULL,
                                   b->settings[i].value));
    }
    return MB_OK;
}

static mb_status_t compare_counts(mb_comparison_t *comparison, const char *name, int64_t a,
                                  int64_t b)
{
    char text_a[32], text_b[32];
    snprintf(text_a, sizeof text_a, "%" PRId64, a);
    snprintf(text_b, sizeof text_b, "%" PRId64, b);
    return note_unlike(comparison, MB_COMPARED_STATE, name, text_a, text_b);
}

static mb_status_t compare_reals(mb_comparison_t *comparison, const char *name, double a, double b)
{
    char text_a[32], text_b[32];
    snprintf(text_a, sizeof text_a, "%.17g", a);
    snprintf(text_b, sizeof text_b, "%.17g", b);
    if (isnan(a) && isnan(b))
        return MB_OK;
    return note_unlike(comparison, MB_COMPARED_STATE, name, text_a, text_b);
}

static mb_status_t compare_callbacks(mb_comparison_t *comparison, mb_callback_state_t a,
                                     mb_callback_state_t b)
{
    mb_callback_numbers_t x = mb_callback_numbers(&a), y = mb_callback_numbers(&b);
    for (int i = 0; i < x.n_integers; i++)
        MB_TRY(compare_counts(comparison, x.integers[i].name, *x.integers[i].value,
                              *y.integers[i].value));
    for (int i = 0; i < x.n_reals; i++)
        MB_TRY(compare_reals(comparison, x.reals[i].name, *x.reals[i].value, *y.reals[i].value));
    return MB_OK;
}

static mb_status_t compare_metrics(mb_comparison_t *comparison, const mb_run_state_t *a,
                                   const mb_run_state_t *b)
{
    MB_TRY(compare_counts(comparison, "metrics", a->n_metrics, b->n_metrics));
    for (int64_t i = 0; i < a->n_metrics && a->n_metrics == b->n_metrics; i++) {
        char name[STATE_NAME];
        snprintf(name, sizeof name, "metrics[%" PRId64 "]", i);
        MB_TRY(compare_reals(comparison, name, a->metrics[i], b->metrics[i]));
    }
    return MB_OK;
}

static mb_status_t compare_counters(mb_comparison_t *comparison, const mb_run_state_t *a,
                                    const mb_run_state_t *b)
{
    const struct {
        const char *name;
        int64_t a, b;
    } counts[] = {{"step", a->step, b->step},
                  {"epoch", a->epoch, b->epoch},
                  {"step_in_epoch", a->step_in_epoch, b->step_in_epoch},
                  {"best_step", a->best_step, b->best_step},
                  {"iterations", a->iterations, b->iterations},
                  {"loss_scale_steps", a->loss_scale_steps, b->loss_scale_steps},
                  {"skipped_steps", a->skipped_steps, b->skipped_steps},
                  {"averaged", a->averaged, b->averaged}};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        MB_TRY(compare_counts(comparison, counts[i].name, counts[i].a, counts[i].b));
    MB_TRY(compare_reals(comparison, "best_metric", a->best_metric, b->best_metric));
    return compare_reals(comparison, "loss_scale", a->loss_scale, b->loss_scale);
}

static mb_status_t compare_states(mb_comparison_t *comparison, const mb_run_state_t *a,
                                  const mb_run_state_t *b)
{
    if (!a->present && !b->present)
        return MB_OK;
    if (a->present != b->present)
        return mb_compare_note(comparison, MB_COMPARED_STATE, "state of a run",
                               a->present ? "there" : NULL, b->present ? "there" : NULL);
    MB_TRY(compare_counters(comparison, a, b));
    MB_TRY(compare_metrics(comparison, a, b));
    if (!a->callbacks.present && !b->callbacks.present)
        return MB_OK;
    return compare_callbacks(comparison, a->callbacks, b->callbacks);
}

mb_status_t mb_compare(const mb_model_file_t *a, const mb_model_file_t *b, double tolerance,
                       mb_comparison_t *out)
{
    *out = (mb_comparison_t){.arena = mb_arena_create(), .tolerance = tolerance};
    if (out->arena == NULL)
        return no_memory();
    MB_TRY(mb_compare_configs(out, a, b));
    MB_TRY(compare_settings(out, a, b));
    MB_TRY(compare_states(out, &a->state, &b->state));
    return mb_compare_tensors(out, a, b);
}

void mb_comparison_free(mb_comparison_t *comparison)
{
    if (comparison->arena != NULL)
        mb_arena_destroy(comparison->arena);
    *comparison = (mb_comparison_t){0};
}

bool mb_comparison_equal(const mb_comparison_t *comparison)
{
    int differences = 0;
    for (int k = 0; k < MB_COMPARED_TEXTS; k++)
        differences += comparison->texts[k].n;
    for (int k = 0; k < MB_COMPARED_TENSORS; k++)
        differences += comparison->tensors[k].n;
    return differences == 0;
}
