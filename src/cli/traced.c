/* See traced.h: two passes over the events, one that counts and one that takes. */
#include "cli/traced.h"

#include "base/config.h"
#include "pipeline/walk.h"
#include "store/io.h"

#include <float.h>
#include <stdlib.h>
#include <string.h>

#define LARGEST_FILE ((size_t)2 << 30)
enum { MOST_RANKS = 1 << 20 };

typedef struct { /* a slice */
    int rank, kind, step;
    double begin, seconds;
    mb_traced_action_t action;
} slice_t;

typedef struct {
    const json_t *events;
    const char *path;
    int *first_step; /* [ranks] */
    int least_step, most_step;
    double begin, end;
} reading_t;

const char *mb_traced_kind(int kind)
{
    return kind == MB_TRACED_WAIT ? "wait" : mb_action_name((mb_action_kind_t)kind);
}

static int kind_named(const char *name)
{
    int kind = 0;
    while (kind < MB_TRACED_KINDS && strcmp(mb_traced_kind(kind), name) != 0)
        kind++;
    return kind;
}

static bool take_int(const json_t *object, const char *key, int *out)
{
    const json_t *value = json_object_get(object, key);
    json_int_t n = json_integer_value(value);
    *out = (int)n;
    return json_is_integer(value) && n >= -1 && n < INT32_MAX;
}

static bool take_seconds(const json_t *object, const char *key, double *out)
{
    const json_t *value = json_object_get(object, key);
    *out = json_number_value(value) * 1e-6;
    return json_is_number(value);
}

static bool take_action(const json_t *args, slice_t *slice)
{
    const char *name = json_string_value(json_object_get(args, "kind"));
    slice->kind = name == NULL ? MB_TRACED_KINDS : kind_named(name);
    slice->action.kind = (mb_action_kind_t)slice->kind;
    return slice->kind < MB_ACTION_COUNT && take_int(args, "step", &slice->step) &&
           take_int(args, "chunk", &slice->action.chunk) &&
           take_int(args, "micro", &slice->action.micro) &&
           take_int(args, "edge", &slice->action.edge);
}

/* *IS: the event is a slice of a rank. */
static mb_status_t take_slice(const reading_t *r, size_t index, slice_t *slice, bool *is)
{
    const json_t *event = json_array_get(r->events, index);
    const char *phase = json_string_value(json_object_get(event, "ph"));
    const char *category = json_string_value(json_object_get(event, "cat"));
    *is = phase != NULL && strcmp(phase, "X") == 0;
    if (!*is)
        return MB_OK;
    *slice = (slice_t){.kind = MB_TRACED_WAIT, .step = -1};
    bool waits = category != NULL && strcmp(category, "wait") == 0;
    if (take_int(event, "pid", &slice->rank) && slice->rank >= 0 && slice->rank < MOST_RANKS &&
        take_seconds(event, "ts", &slice->begin) && take_seconds(event, "dur", &slice->seconds) &&
        (waits || take_action(json_object_get(event, "args"), slice)))
        return MB_OK;
    return mb_error_set(MB_ERR_FORMAT,
                        "%s: event %zu is no action of a rank; is the file one that --trace wrote?",
                        r->path, index);
}

/* A rank that is named and does nothing was silent when the run failed. -1: the event names none.
 */
static int rank_named(const reading_t *r, size_t index)
{
    int rank;
    const json_t *event = json_array_get(r->events, index);
    const char *name = json_string_value(json_object_get(event, "name"));
    bool names = name != NULL && strcmp(name, "process_name") == 0;
    return names && take_int(event, "pid", &rank) && rank < MOST_RANKS ? rank : -1;
}

static mb_status_t count_ranks(const reading_t *r, mb_traced_t *out)
{
    slice_t slice;
    bool is, any = false;
    for (size_t i = 0; i < json_array_size(r->events); i++) {
        MB_TRY(take_slice(r, i, &slice, &is));
        int rank = is ? slice.rank : rank_named(r, i);
        out->n_ranks = rank >= out->n_ranks ? rank + 1 : out->n_ranks;
        any = any || is;
    }
    if (!any)
        return mb_error_set(MB_ERR_FORMAT, "%s: no rank does anything in it", r->path);
    /* Each is named by an event of its own, so that few bytes cannot ask for a million. */
    if ((size_t)out->n_ranks > json_array_size(r->events))
        return mb_error_set(MB_ERR_FORMAT,
                            "%s: rank %d is in it, but not all below; is the file one that --trace "
                            "wrote?",
                            r->path, out->n_ranks - 1);
    return MB_OK;
}

static void note_time(reading_t *r, const slice_t *slice)
{
    double end = slice->begin + slice->seconds;
    r->begin = slice->begin < r->begin ? slice->begin : r->begin;
    r->end = end > r->end ? end : r->end;
    if (slice->step < 0)
        return;
    r->least_step = slice->step < r->least_step ? slice->step : r->least_step;
    r->most_step = slice->step > r->most_step ? slice->step : r->most_step;
}

/* Counts the actions of each rank's first step, and adds up all. */
static mb_status_t add_up(reading_t *r, mb_traced_t *out)
{
    slice_t slice;
    bool is;
    for (size_t i = 0; i < json_array_size(r->events); i++) {
        MB_TRY(take_slice(r, i, &slice, &is));
        if (!is)
            continue;
        mb_traced_rank_t *rank = &out->ranks[slice.rank];
        rank->seconds[slice.kind] += slice.seconds;
        note_time(r, &slice);
        if (slice.kind == MB_TRACED_WAIT)
            continue;
        if (r->first_step[slice.rank] < 0)
            r->first_step[slice.rank] = slice.step;
        rank->n += slice.step == r->first_step[slice.rank] ? 1 : 0;
    }
    return MB_OK;
}

static mb_status_t take_actions(const reading_t *r, mb_arena_t *arena, mb_traced_t *out)
{
    slice_t slice;
    bool is;
    for (int rank = 0; rank < out->n_ranks; rank++) {
        mb_traced_rank_t *of = &out->ranks[rank];
        of->actions = MB_ARENA_ARRAY(arena, mb_traced_action_t, of->n + 1);
        if (of->actions == NULL)
            return mb_error_memory("a trace", (size_t)of->n * sizeof *of->actions);
        of->n = 0;
    }
    for (size_t i = 0; i < json_array_size(r->events); i++) {
        MB_TRY(take_slice(r, i, &slice, &is));
        mb_traced_rank_t *of = &out->ranks[is ? slice.rank : 0];
        if (is && slice.kind != MB_TRACED_WAIT && slice.step == r->first_step[slice.rank])
            of->actions[of->n++] = slice.action;
    }
    return MB_OK;
}

static mb_status_t take_all(reading_t *r, mb_arena_t *arena, mb_traced_t *out)
{
    MB_TRY(count_ranks(r, out));
    out->ranks = MB_ARENA_ARRAY(arena, mb_traced_rank_t, out->n_ranks);
    r->first_step = MB_ARENA_ARRAY(arena, int, out->n_ranks);
    if (out->ranks == NULL || r->first_step == NULL)
        return mb_error_memory("a trace", (size_t)out->n_ranks * sizeof *out->ranks);
    for (int rank = 0; rank < out->n_ranks; rank++)
        r->first_step[rank] = -1;
    MB_TRY(add_up(r, out));
    MB_TRY(take_actions(r, arena, out));
    out->steps = r->most_step < r->least_step ? 1 : r->most_step - r->least_step + 1;
    out->step_seconds = (r->end - r->begin) / out->steps;
    for (int rank = 0; rank < out->n_ranks; rank++) {
        for (int kind = 0; kind < MB_TRACED_KINDS; kind++)
            out->ranks[rank].seconds[kind] /= out->steps;
    }
    return MB_OK;
}

static mb_status_t read_json(const char *path, json_t **out)
{
    char *text = NULL;
    MB_TRY(mb_io_read_text(path, LARGEST_FILE, &text));
    if (text == NULL)
        return mb_error_set(MB_ERR_IO, "%s: there is no such file", path);
    mb_status_t status = mb_json_parse(text, strlen(text), path, out);
    free(text);
    return status;
}

mb_status_t mb_traced_read(const char *path, mb_arena_t *arena, mb_traced_t *out)
{
    json_t *whole = NULL;
    *out = (mb_traced_t){.path = path};
    MB_TRY(read_json(path, &whole));
    reading_t r = {.events = json_object_get(whole, "traceEvents"),
                   .path = path,
                   .least_step = INT32_MAX,
                   .most_step = -1,
                   .begin = DBL_MAX,
                   .end = -DBL_MAX};
    mb_status_t status =
        json_is_array(r.events)
            ? take_all(&r, arena, out)
            : mb_error_set(MB_ERR_FORMAT, "%s: not a trace: it has no list traceEvents", path);
    json_decref(whole);
    return status;
}
