/* See trace.h. */
#include "pipeline/trace.h"

#include "pipeline/edges.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ACTIONS = 0, MESSAGES = 1 }; /* a rank's rows */

struct mb_trace {
    FILE *file;
    char *path;
    mb_grid_t grid;
    const mb_plan_t *const *plans;
    int *in_flight; /* [ranks] */
    bool later;     /* than the first event */
};

mb_trace_record_t mb_trace_record(int step, const mb_action_t *action, const mb_walk_times_t *times)
{
    return (mb_trace_record_t){.begin = times->begin,
                               .end = times->end,
                               .waited = times->waited,
                               .step = step,
                               .kind = (int32_t)action->kind,
                               .chunk = action->chunk,
                               .micro = action->micro,
                               .edge = action->edge,
                               .bucket = action->bucket};
}

static void next_event(mb_trace_t *trace)
{
    fputs(trace->later ? ",\n" : "\n", trace->file);
    trace->later = true;
}

static void name_row(mb_trace_t *trace, int rank, int row, const char *name)
{
    next_event(trace);
    fprintf(trace->file,
            "{\"ph\":\"M\",\"name\":\"thread_name\",\"pid\":%d,\"tid\":%d,"
            "\"args\":{\"name\":\"%s\"}}",
            rank, row, name);
}

static void name_rank(mb_trace_t *trace, int rank)
{
    int stages = trace->grid.stages;
    next_event(trace);
    fprintf(trace->file,
            "{\"ph\":\"M\",\"name\":\"process_name\",\"pid\":%d,"
            "\"args\":{\"name\":\"rank %d: stage %d, group %d\"}}",
            rank, rank, rank % stages, rank / stages);
    next_event(trace);
    fprintf(
        trace->file,
        "{\"ph\":\"M\",\"name\":\"process_sort_index\",\"pid\":%d,\"args\":{\"sort_index\":%d}}",
        rank, rank);
    name_row(trace, rank, ACTIONS, "actions");
    name_row(trace, rank, MESSAGES, "messages");
}

static void destroy(mb_trace_t *trace)
{
    if (trace->file != NULL)
        fclose(trace->file);
    free(trace->path);
    free(trace->in_flight);
    free(trace);
}

mb_status_t mb_trace_create(const char *path, const mb_grid_t *grid, const mb_plan_t *const *plans,
                            mb_trace_t **out)
{
    int ranks = grid->stages * grid->groups;
    mb_trace_t *trace = calloc(1, sizeof *trace);
    if (trace == NULL)
        return mb_error_memory("a trace", sizeof *trace);
    *trace = (mb_trace_t){.grid = *grid,
                          .plans = plans,
                          .path = strdup(path),
                          .in_flight = calloc((size_t)ranks, sizeof(int))};
    if (trace->path == NULL || trace->in_flight == NULL) {
        destroy(trace);
        return mb_error_memory("a trace", (size_t)ranks * sizeof(int));
    }
    trace->file = fopen(path, "we");
    if (trace->file == NULL) {
        destroy(trace);
        return mb_error_set(MB_ERR_IO, "%s: cannot be written: %s", path, strerror(errno));
    }
    fputs("{\"displayTimeUnit\":\"ms\",\"traceEvents\":[", trace->file);
    for (int r = 0; r < ranks; r++)
        name_rank(trace, r);
    *out = trace;
    return MB_OK;
}

/* Microseconds, to the nanosecond. */
static void add_time(mb_trace_t *trace, const char *key, double seconds)
{
    fprintf(trace->file, ",\"%s\":%.3f", key, seconds * 1e6);
}

static void begin_event(mb_trace_t *trace, const char *phase, int rank, int row, double at)
{
    next_event(trace);
    fprintf(trace->file, "{\"ph\":\"%s\",\"pid\":%d,\"tid\":%d", phase, rank, row);
    add_time(trace, "ts", at);
}

static bool is_message(const mb_trace_record_t *record)
{
    return record->kind >= MB_ACTION_SEND_ACT && record->kind <= MB_ACTION_RECV_GRAD;
}

static void add_slice(mb_trace_t *trace, int rank, const mb_trace_record_t *r)
{
    const char *kind = mb_action_name((mb_action_kind_t)r->kind);
    double begin = r->begin + r->waited;
    if (r->waited > 0) {
        begin_event(trace, "X", rank, ACTIONS, r->begin);
        add_time(trace, "dur", r->waited);
        fputs(",\"name\":\"wait\",\"cat\":\"wait\"}", trace->file);
    }
    begin_event(trace, "X", rank, is_message(r) ? MESSAGES : ACTIONS, begin);
    add_time(trace, "dur", r->end - begin);
    fprintf(trace->file, ",\"name\":\"%s", kind);
    if (r->micro >= 0)
        fprintf(trace->file, "%d.%d", r->chunk, r->micro);
    else if (r->chunk >= 0)
        fprintf(trace->file, "%d", r->chunk);
    if (r->bucket > 0)
        fprintf(trace->file, ":%d", r->bucket);
    fprintf(trace->file,
            "\",\"cat\":\"%s\",\"args\":{\"kind\":\"%s\",\"chunk\":%d,\"micro\":%d,\"edge\":%d,"
            "\"step\":%d}}",
            is_message(r) ? "message" : "action", kind, r->chunk, r->micro, r->edge, r->step);
}

/* An arrow has a number of its own: (step, group, edge, micro-batch). */
static void add_arrows(mb_trace_t *trace, int rank, const mb_trace_record_t *r, bool out,
                       const mb_edge_list_t *list, char direction)
{
    double nanosecond = r->end - r->begin - r->waited > 4e-9 ? 1e-9 : 0;
    for (int i = 0; i < list->n; i++) {
        begin_event(trace, out ? "s" : "f", rank, ACTIONS,
                    out ? r->end - nanosecond : r->begin + r->waited + nanosecond);
        fprintf(trace->file,
                ",\"name\":\"transfer\",\"cat\":\"transfer\",\"id\":\"%d.%d.%c%d.%d\"%s}", r->step,
                rank / trace->grid.stages, direction, list->edges[i], r->micro,
                out ? "" : ",\"bp\":\"e\"");
    }
}

/* Whether a micro-batch's backward through the chunk begins, or ends, with it. */
static bool begins(const mb_trace_record_t *r)
{
    return r->bucket <= 1;
}

static bool ends(const mb_trace_t *trace, int rank, const mb_trace_record_t *r)
{
    const mb_plan_t *plan = trace->plans[rank / trace->grid.stages];
    return r->bucket == 0 || r->bucket == mb_plan_buckets(plan, r->chunk);
}

static void add_transfers(mb_trace_t *trace, int rank, const mb_trace_record_t *r)
{
    const mb_plan_t *plan = trace->plans[rank / trace->grid.stages];
    if (r->kind == MB_ACTION_F) {
        add_arrows(trace, rank, r, false, &plan->crossing[r->chunk].forward_in, 'a');
        add_arrows(trace, rank, r, true, &plan->crossing[r->chunk].forward_out, 'a');
    }
    if (r->kind == MB_ACTION_B || r->kind == MB_ACTION_BW) {
        if (begins(r))
            add_arrows(trace, rank, r, false, &plan->crossing[r->chunk].backward_in, 'g');
        if (ends(trace, rank, r))
            add_arrows(trace, rank, r, true, &plan->crossing[r->chunk].backward_out, 'g');
    }
}

static void count_slots(mb_trace_t *trace, int rank, const mb_trace_record_t *r)
{
    bool opens = r->kind == MB_ACTION_F;
    if (!opens && r->kind != MB_ACTION_W && r->kind != MB_ACTION_BW)
        return;
    if (!opens && !ends(trace, rank, r))
        return;
    trace->in_flight[rank] += opens ? 1 : -1;
    begin_event(trace, "C", rank, ACTIONS, opens ? r->begin + r->waited : r->end);
    fprintf(trace->file, ",\"name\":\"micro-batches in flight\",\"args\":{\"held\":%d}}",
            trace->in_flight[rank]);
}

void mb_trace_add(mb_trace_t *trace, int rank, const mb_trace_record_t *record)
{
    add_slice(trace, rank, record);
    add_transfers(trace, rank, record);
    count_slots(trace, rank, record);
}

mb_status_t mb_trace_finish(mb_trace_t *trace)
{
    fputs("\n]}\n", trace->file);
    bool bad = ferror(trace->file) != 0;
    bad = fclose(trace->file) != 0 || bad;
    int error = errno;
    trace->file = NULL;
    mb_status_t status = MB_OK;
    if (bad) {
        remove(trace->path);
        status = mb_error_set(MB_ERR_IO, "%s: cannot be written: %s", trace->path, strerror(error));
    }
    destroy(trace);
    return status;
}
