/* See recorder.h. */
#include "engine/recorder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/io.h"

enum { MOST_STEPS = 4 };
#define MOST_BYTES ((size_t)12 << 20)

struct mb_recorder {
    size_t room, n; /* records; n: that were ever added */
    double began;
    mb_trace_record_t records[];
};

mb_status_t mb_recorder_create(const mb_program_t *program, mb_recorder_t **out)
{
    size_t a_step = (size_t)program->n, steps = MOST_STEPS;
    while (steps > 1 && steps * a_step * sizeof(mb_trace_record_t) > MOST_BYTES)
        steps--;
    size_t bytes = sizeof(mb_recorder_t) + steps * a_step * sizeof(mb_trace_record_t);
    mb_recorder_t *recorder = calloc(1, bytes);
    if (recorder == NULL)
        return mb_error_memory("the records of a trace", bytes);
    recorder->room = steps * a_step;
    *out = recorder;
    return MB_OK;
}

void mb_recorder_destroy(mb_recorder_t *recorder)
{
    free(recorder);
}

void mb_recorder_add(mb_recorder_t *recorder, const mb_trace_record_t *record)
{
    recorder->records[recorder->n++ % recorder->room] = *record;
}

size_t mb_recorder_count(const mb_recorder_t *recorder)
{
    if (recorder == NULL)
        return 0;
    return recorder->n < recorder->room ? recorder->n : recorder->room;
}

const mb_trace_record_t *mb_recorder_at(const mb_recorder_t *recorder, size_t i)
{
    return &recorder->records[(recorder->n - mb_recorder_count(recorder) + i) % recorder->room];
}

double mb_recorder_elapsed(const mb_recorder_t *recorder, double now)
{
    return recorder == NULL ? 0 : now - recorder->began;
}

/* In the order of their time, counted from NOW. malloc'ed. */
static mb_trace_record_t *in_order(const mb_recorder_t *recorder, double now, size_t *n)
{
    *n = mb_recorder_count(recorder);
    mb_trace_record_t *records = calloc(*n + 1, sizeof *records);
    for (size_t i = 0; records != NULL && i < *n; i++) {
        records[i] = *mb_recorder_at(recorder, i);
        records[i].begin -= now;
        records[i].end -= now;
    }
    return records;
}

static double earliest(const mb_trace_record_t *records, size_t n)
{
    double least = 0;
    for (size_t i = 0; i < n; i++)
        least = records[i].begin < least ? records[i].begin : least;
    return least;
}

static mb_status_t write_at(const mb_grid_t *grid, const mb_plan_t *plan, const char *path,
                            mb_trace_record_t *records, const size_t *bytes_of)
{
    size_t n = 0;
    mb_trace_t *trace = NULL;
    int working = grid->stages * grid->groups;
    for (int r = 0; r < working; r++)
        n += bytes_of[r] / sizeof *records;
    double origin = earliest(records, n);
    const mb_plan_t **plans = calloc((size_t)grid->groups, sizeof *plans);
    if (plans == NULL)
        return mb_error_memory("a trace", (size_t)grid->groups * sizeof *plans);
    for (int g = 0; g < grid->groups; g++) /* they differ in their micro-batches alone */
        plans[g] = plan;
    mb_status_t status = mb_trace_create(path, grid, plans, &trace);
    for (int r = 0; status == MB_OK && r < working; r++) {
        for (size_t i = 0; i < bytes_of[r] / sizeof *records; i++, records++) {
            records->begin -= origin;
            records->end -= origin;
            mb_trace_add(trace, r, records);
        }
    }
    if (status == MB_OK)
        status = mb_trace_finish(trace);
    free(plans);
    return status;
}

/* Beside first, so that a link of that name is replaced and not written through. */
static mb_status_t write_all(const mb_grid_t *grid, const mb_plan_t *plan, const char *path,
                             mb_trace_record_t *records, const size_t *bytes_of)
{
    int fd = -1;
    char *beside = mb_io_temporary_name(path);
    if (beside == NULL)
        return mb_error_memory("a trace", strlen(path));
    mb_status_t status = mb_io_open_new(beside, &fd);
    bool created = status == MB_OK;
    if (created)
        status = mb_io_close(&fd, beside);
    if (status == MB_OK)
        status = write_at(grid, plan, beside, records, bytes_of);
    if (status == MB_OK && rename(beside, path) != 0)
        status = mb_io_error("replace", path);
    if (status != MB_OK && created)
        unlink(beside);
    free(beside);
    return status;
}

mb_status_t mb_recorder_write(mb_recorder_t *recorder, mb_comm_t *comm, const mb_grid_t *grid,
                              const mb_plan_t *plan, const char *path)
{
    size_t n = 0, *bytes_of = NULL;
    void *all = NULL;
    mb_comm_doing(comm, "writing the trace");
    MB_TRY(mb_comm_barrier(comm));
    mb_trace_record_t *own = in_order(recorder, mb_comm_clock(comm), &n);
    mb_status_t status =
        mb_comm_agree(comm, own == NULL ? mb_error_memory("a trace", n * sizeof *own) : MB_OK);
    if (status == MB_OK)
        status = mb_comm_gather(comm, own, n * sizeof *own, 0, &all, &bytes_of);
    if (status == MB_OK && mb_comm_rank(comm) == 0)
        status = write_all(grid, plan, path, all, bytes_of);
    free(own);
    free(all);
    free(bytes_of);
    return mb_comm_agree(comm, status);
}

void mb_recorder_begin(mb_recorder_t *recorder, double clock)
{
    if (recorder != NULL)
        recorder->began = clock;
}

static bool write_records(const mb_trace_record_t *records, size_t n, const char *path)
{
    int fd = -1;
    if (mb_io_open_new(path, &fd) != MB_OK)
        return false;
    FILE *file = fdopen(fd, "wb");
    if (file == NULL) {
        close(fd);
        return false;
    }
    bool good = fwrite(records, sizeof *records, n, file) == n;
    return fclose(file) == 0 && good;
}

mb_status_t mb_recorder_leave(const mb_recorder_t *recorder, const char *path)
{
    size_t n = 0;
    mb_status_t status = MB_OK;
    mb_trace_record_t *records = in_order(recorder, recorder == NULL ? 0 : recorder->began, &n);
    char *beside = mb_io_temporary_name(path);
    if (records == NULL || beside == NULL)
        status = mb_error_memory("a trace", n * sizeof *records);
    else if (!write_records(records, n, beside) || rename(beside, path) != 0)
        status = mb_error_set(MB_ERR_IO, "%s: cannot be written: %s", path, strerror(errno));
    if (status != MB_OK && beside != NULL)
        remove(beside);
    free(records);
    free(beside);
    return status;
}

/* Whether the plan has what a record names: it comes from a file. */
static bool fits(const mb_trace_record_t *r, const mb_plan_t *plan)
{
    return r->kind >= 0 && r->kind < MB_ACTION_COUNT && r->chunk >= -1 && r->chunk < plan->chunks &&
           (r->chunk >= 0 || r->kind > MB_ACTION_BW);
}

/* Behind those that have been read, up to the first that does not fit. *BYTES: of all of them. */
static mb_status_t read_records(int fd, const char *path, const mb_plan_t *plan,
                                mb_trace_record_t **all, size_t total, size_t *bytes)
{
    size_t n = *bytes / sizeof **all, good = 0;
    mb_trace_record_t *more = realloc(*all, (total + n + 1) * sizeof *more);
    if (more == NULL)
        return mb_error_memory("a trace", (total + n) * sizeof *more);
    *all = more;
    MB_TRY(mb_io_read(fd, more + total, n * sizeof *more, 0, path));
    while (good < n && fits(&more[total + good], plan))
        good++;
    *bytes = good * sizeof *more;
    return MB_OK;
}

/* That of a rank that fell silent is not there. */
static mb_status_t read_part(const char *path, const mb_plan_t *plan, mb_trace_record_t **all,
                             size_t *total, size_t *bytes)
{
    int fd = -1;
    int64_t length = 0;
    *bytes = 0;
    errno = 0;
    mb_status_t status = mb_io_open_own(path, &fd, &length);
    if (status != MB_OK)
        return errno == ENOENT ? MB_OK : status;
    *bytes = length < (int64_t)MOST_BYTES ? (size_t)length : MOST_BYTES;
    status = read_records(fd, path, plan, all, *total, bytes);
    *total += status == MB_OK ? *bytes / sizeof **all : 0;
    close(fd);
    return status;
}

mb_status_t mb_recorder_join(char *const *paths, int n, const mb_grid_t *grid,
                             const mb_plan_t *plan, const char *path)
{
    size_t total = 0, *bytes_of = calloc((size_t)n + 1, sizeof *bytes_of);
    mb_trace_record_t *all = NULL;
    mb_status_t status = bytes_of == NULL ? mb_error_memory("a trace", (size_t)n) : MB_OK;
    for (int r = 0; r < n && status == MB_OK; r++)
        status = read_part(paths[r], plan, &all, &total, &bytes_of[r]);
    if (status == MB_OK)
        status = write_all(grid, plan, path, all, bytes_of);
    for (int r = 0; r < n; r++)
        remove(paths[r]);
    free(all);
    free(bytes_of);
    return status;
}
