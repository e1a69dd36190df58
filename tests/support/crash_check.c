/* See crash_check.h. */
#include "support/crash_check.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "store/run_dir.h"

static const char *find_fault(const char *format, ...) __attribute__((format(printf, 1, 2)));
static const char *find_fault(const char *format, ...)
{
    static char text[8192];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return text;
}

/* ---- what is demanded */

static bool was_removed(const crash_record_t *record, const char *path, int64_t from, size_t end)
{
    for (size_t i = (size_t)(from + 1); i < end; i++) {
        if (record->calls[i].kind == IO_UNLINK && strcmp(record->calls[i].path, path) == 0)
            return true;
    }
    return false;
}

/* Whether the run has saved anything by then: another run's files no longer count. */
static bool has_saved(const crash_record_t *record, size_t end)
{
    return record->n_promises > 0 && record->promises[0].call < (int64_t)end;
}

static bool counts(const crash_check_t *check, const crash_version_t *version, size_t end)
{
    bool other = version->call < 0 && check->other_run && has_saved(check->record, end);
    return version->call < (int64_t)end && !other;
}

static bool is_version(const crash_version_t *version, const crash_bytes_t *bytes)
{
    size_t length = version->content.length;
    return (version->grows ? bytes->length >= length : bytes->length == length) &&
           (length == 0 || memcmp(bytes->bytes, version->content.bytes, length) == 0);
}

/* Whether what PATH leads to is something that it was given at call FROM or later. */
static bool is_whole(const crash_check_t *check, const crash_state_t *state, const char *path,
                     int64_t from, size_t end)
{
    int at = crash_find_name(&state->names, path);
    const crash_record_t *record = check->record;
    for (size_t v = 0; v < record->n_versions && at >= 0; v++) {
        const crash_version_t *version = &record->versions[v];
        if (version->call >= from && counts(check, version, end) &&
            strcmp(version->path, path) == 0 &&
            is_version(version, &state->bytes[state->names.names[at].file]))
            return true;
    }
    return false;
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

/* A log of metrics that was not moved there: its lines are looked at instead. */
static bool is_new_log(const crash_record_t *record, const crash_name_t *name)
{
    for (size_t v = 0; v < record->n_versions; v++) {
        if (record->versions[v].file == name->file &&
            ends_with(name->path, record->versions[v].path))
            return false;
    }
    return ends_with(name->path, "/metrics.jsonl");
}

/* Whether a name must lead to whole contents: log.txt and temporary files need not. */
static bool is_final(const crash_record_t *record, const crash_name_t *name)
{
    return name->file != CRASH_DIRECTORY && !ends_with(name->path, "/log.txt") &&
           strstr(name->path, ".tmp") == NULL && !is_new_log(record, name);
}

static const char *check_names(const crash_check_t *check, const crash_state_t *state, size_t end)
{
    for (int i = 0; i < state->names.n; i++) {
        const crash_name_t *name = &state->names.names[i];
        if (!is_final(check->record, name))
            continue;
        bool whole = is_whole(check, state, name->path, -1, end);
        bool old = check->other_run && is_whole(check, state, name->path, -1, 0);
        if (!whole && !old)
            return find_fault("%s is incomplete", name->path);
    }
    return NULL;
}

/* The last version that PATH had been given at CALL. */
static int64_t given_by(const crash_record_t *record, const char *path, int64_t call)
{
    int64_t last = -1;
    for (size_t v = 0; v < record->n_versions; v++) {
        const crash_version_t *version = &record->versions[v];
        if (version->call <= call && strcmp(version->path, path) == 0)
            last = version->call;
    }
    return last;
}

static const char *check_promises(const crash_check_t *check, const crash_state_t *state,
                                  size_t end)
{
    const crash_record_t *record = check->record;
    for (size_t i = 0; i < record->n_promises && record->promises[i].call < (int64_t)end; i++) {
        const crash_promise_t *promise = &record->promises[i];
        int64_t given = given_by(record, promise->path, promise->call);
        if (!was_removed(record, promise->path, promise->call, end) &&
            !is_whole(check, state, promise->path, given, end))
            return find_fault("%s was saved and is lost", promise->path);
    }
    return NULL;
}

uint64_t crash_check_demand(const crash_check_t *check, size_t end)
{
    uint64_t demand = 0;
    const crash_record_t *record = check->record;
    for (size_t i = 0; i < record->n_promises && record->promises[i].call < (int64_t)end; i++) {
        const crash_promise_t *promise = &record->promises[i];
        demand = demand * 2 + 1 + was_removed(record, promise->path, promise->call, end);
    }
    return demand;
}

/* ---- what the program makes of it */

static int64_t step_in(const char *path)
{
    const char *name = strrchr(path, '/');
    long long step = -1;
    int length = 0;
    bool read = name != NULL && sscanf(name, "/step-%lld.h5%n", &step, &length) == 1;
    return read && length > 0 && name[length] == '\0' ? step : -1;
}

/* The newest checkpoint that must be there; those from before the record are promises, too. */
static int64_t newest_demanded(const crash_check_t *check, size_t end)
{
    int64_t newest = -1;
    const crash_record_t *record = check->record;
    for (int i = 0; i < record->first_names.n && !check->other_run; i++) {
        int64_t step = step_in(record->first_names.names[i].path);
        newest = step > newest ? step : newest;
    }
    for (size_t i = 0; i < record->n_promises && record->promises[i].call < (int64_t)end; i++) {
        int64_t step = step_in(record->promises[i].path);
        newest = step > newest ? step : newest;
    }
    return newest;
}

/* Another run that was to be replaced, and was not yet. */
static bool is_of_other_run(const crash_check_t *check, const crash_state_t *state,
                            const char *path)
{
    return check->other_run && is_whole(check, state, path, -1, 0);
}

static const char *check_chosen(const crash_check_t *check, const crash_state_t *state,
                                const char *newest, size_t end)
{
    int64_t demanded = newest_demanded(check, end);
    if (newest == NULL)
        return demanded < 0 ? NULL : find_fault("no checkpoint is found");
    const char *path = newest + strlen(check->folder) + 1;
    if (!is_whole(check, state, path, -1, end))
        return find_fault("%s is chosen and is not one that was written", path);
    if (step_in(path) >= 0 && step_in(path) < demanded)
        return find_fault("%s is chosen, and there was one of step %lld", path,
                          (long long)demanded);
    return NULL;
}

/* Each line of its own step, from 1 on. */
static const char *check_lines(const char *path, int64_t steps)
{
    char line[8192];
    int64_t lines = 0;
    FILE *file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        long long step = -1;
        const char *at = strstr(line, "\"step\": ");
        if (at == NULL || sscanf(at + 8, "%lld", &step) != 1 || step != ++lines) {
            fclose(file);
            return find_fault("metrics.jsonl: line %lld is of step %lld", (long long)lines, step);
        }
    }
    if (file != NULL)
        fclose(file);
    return lines == steps ? NULL
                          : find_fault("metrics.jsonl has %lld lines at step %lld",
                                       (long long)lines, (long long)steps);
}

static const char *check_metrics(const crash_check_t *check, const crash_state_t *state,
                                 mb_run_dir_t *dir, const char *newest)
{
    mb_metrics_log_t *log = NULL;
    int64_t step = newest == NULL ? 0 : step_in(newest);
    if (step < 0)
        return NULL; /* final.h5: a step's file was removed by hand */
    if (mb_metrics_log_open(dir, step, &log) != MB_OK)
        return find_fault("%s", mb_error_get());
    mb_metrics_log_close(log);
    if (newest != NULL && is_of_other_run(check, state, newest + strlen(check->folder) + 1))
        return NULL;
    char *path = mb_run_dir_file(dir, "metrics.jsonl");
    const char *fault = check_lines(path, step);
    free(path);
    return fault;
}

static const char *check_opened(const crash_check_t *check, const crash_state_t *state,
                                mb_run_dir_t *dir, size_t end)
{
    char *newest = NULL;
    bool finished = false;
    if (mb_run_dir_newest(dir, &newest, &finished) != MB_OK)
        return find_fault("%s", mb_error_get());
    const char *fault = check_chosen(check, state, newest, end);
    if (fault == NULL)
        fault = check_metrics(check, state, dir, newest);
    free(newest);
    return fault;
}

static const char *check_left(const char *folder)
{
    const char *fault = NULL;
    DIR *open = opendir(folder);
    for (struct dirent *entry = readdir(open); entry != NULL; entry = readdir(open)) {
        if (strstr(entry->d_name, ".tmp") != NULL || strcmp(entry->d_name, "lease") == 0)
            fault = find_fault("%s is left", entry->d_name);
    }
    closedir(open);
    return fault;
}

static void empty(const char *folder)
{
    char path[4096];
    DIR *open = opendir(folder);
    if (open == NULL)
        return;
    for (struct dirent *entry = readdir(open); entry != NULL; entry = readdir(open)) {
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            (void)!remove(path);
    }
    closedir(open);
}

static const char *check_by_program(const crash_check_t *check, const crash_state_t *state,
                                    size_t end)
{
    char path[4096];
    mb_run_dir_t *dir = NULL;
    snprintf(path, sizeof path, "%s/%s", check->folder, check->run);
    empty(path);
    empty(check->folder);
    crash_state_lay(state, check->folder);
    if (mb_run_dir_open(NULL, path, &dir) != MB_OK)
        return find_fault("%s", mb_error_get());
    const char *fault = check_opened(check, state, dir, end);
    mb_run_dir_close(dir);
    return fault == NULL ? check_left(path) : fault;
}

const char *crash_check(const crash_check_t *check, const crash_state_t *state, size_t end)
{
    const char *fault = check_names(check, state, end);
    if (fault == NULL)
        fault = check_promises(check, state, end);
    return fault == NULL ? check_by_program(check, state, end) : fault;
}
