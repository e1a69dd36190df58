/* metrics.jsonl: lines are added as steps are done; when a run goes on from an earlier step, the
 * lines past it are dropped by writing the others to a new file that takes the old one's name. */
#include "store/run_dir.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "store/io.h"

/* Longer ones are none of ours. */
#define LONGEST_LINE ((size_t)1 << 20)

struct mb_metrics_log {
    char *path;
    FILE *file;
    int64_t lines;                   /* since it was opened */
    _Atomic int64_t flushed, synced; /* of them; one thread adds, another may sync */
};

/* Whether a line is whole and of no later step. */
static bool keeps(const char *line, size_t length, int64_t step)
{
    if (length == 0 || line[length - 1] != '\n')
        return false;
    json_t *object = json_loadb(line, length, 0, NULL);
    bool kept = json_is_object(object);
    const json_t *value = json_object_get(object, "step");
    if (kept && json_is_number(value))
        kept = json_number_value(value) <= (double)step;
    json_decref(object);
    return kept;
}

/* The next line into TEXT, LONGEST_LINE bytes; *length is 0 for one that does not fit. */
static bool next_line(FILE *from, char *text, size_t *length)
{
    bool fits = true;
    size_t n = 0;
    int c = getc_unlocked(from);
    if (c == EOF)
        return false;
    for (; c != EOF && c != '\n'; c = getc_unlocked(from)) {
        fits = fits && n < LONGEST_LINE - 1;
        if (fits)
            text[n++] = (char)c;
    }
    if (c == '\n')
        text[n++] = '\n';
    *length = fits ? n : 0;
    return true;
}

static mb_status_t copy_kept(FILE *from, FILE *to, const char *path, int64_t step, bool *dropped)
{
    size_t length = 0;
    char *line = malloc(LONGEST_LINE);
    mb_status_t status = line == NULL ? mb_error_memory("a line of metrics", LONGEST_LINE) : MB_OK;
    while (status == MB_OK && next_line(from, line, &length)) {
        if (!keeps(line, length, step))
            *dropped = true;
        else if (fwrite(line, 1, length, to) != length)
            status = mb_io_error("write", path);
    }
    if (status == MB_OK && ferror(from))
        status = mb_io_error("read", path);
    free(line);
    return status;
}

/* A stream over FD, which is closed when there is none. */
static FILE *stream_of(int fd, const char *mode)
{
    FILE *file = fdopen(fd, mode);
    if (file == NULL)
        close(fd);
    return file;
}

static mb_status_t rewrite(FILE *from, const char *path, const char *temporary, int64_t step)
{
    bool dropped = false;
    int fd = -1;
    MB_TRY(mb_io_open_beside(fileno(from), temporary, &fd));
    FILE *to = stream_of(fd, "w");
    if (to == NULL)
        return mb_io_error("create", temporary);
    mb_status_t status = copy_kept(from, to, path, step, &dropped);
    if (status == MB_OK && fflush(to) != 0)
        status = mb_io_error("write", temporary);
    if (status == MB_OK && dropped)
        status = mb_io_sync(fileno(to), temporary);
    if (fclose(to) != 0 && status == MB_OK)
        status = mb_io_error("write", temporary);
    if (status == MB_OK && dropped && rename(temporary, path) != 0)
        status = mb_io_error("replace", path);
    if (status == MB_OK)
        return dropped ? mb_io_sync_parent(path) : mb_io_remove(temporary);
    unlink(temporary);
    return status;
}

static mb_status_t drop_later(const char *path, int64_t step, bool *missing)
{
    int fd = -1;
    int64_t bytes = 0;
    errno = 0;
    mb_status_t opened = mb_io_open_own(path, &fd, &bytes);
    *missing = opened != MB_OK && errno == ENOENT;
    if (opened != MB_OK)
        return *missing ? MB_OK : opened;
    FILE *from = stream_of(fd, "r");
    if (from == NULL)
        return mb_io_error("read", path);
    char *temporary = mb_io_temporary_name(path);
    mb_status_t status = temporary == NULL ? mb_error_memory("a path", strlen(path))
                                           : rewrite(from, path, temporary, step);
    free(temporary);
    fclose(from);
    return status;
}

/* A new log's name lasts before the first checkpoint's does. */
static mb_status_t open_log(mb_metrics_log_t *log, int64_t step)
{
    int fd = -1;
    bool missing = false;
    MB_TRY(drop_later(log->path, step, &missing));
    MB_TRY(mb_io_open_append(log->path, &fd));
    log->file = stream_of(fd, "a");
    if (log->file == NULL)
        return mb_io_error("open", log->path);
    return missing ? mb_io_sync_parent(log->path) : MB_OK;
}

mb_status_t mb_metrics_log_open(mb_run_dir_t *dir, int64_t step, mb_metrics_log_t **out)
{
    mb_metrics_log_t *log = calloc(1, sizeof(*log));
    if (log == NULL)
        return mb_error_memory("the log of metrics", sizeof(*log));
    log->path = mb_run_dir_file(dir, "metrics.jsonl");
    mb_status_t status = log->path == NULL ? mb_error_memory("a path", 16) : open_log(log, step);
    if (status != MB_OK) {
        mb_metrics_log_close(log);
        return status;
    }
    *out = log;
    return MB_OK;
}

mb_status_t mb_metrics_log_line(mb_metrics_log_t *log, const char *json_line)
{
    size_t length = strlen(json_line);
    const char *end = length > 0 && json_line[length - 1] == '\n' ? "" : "\n";
    if (fprintf(log->file, "%s%s", json_line, end) < 0)
        return mb_io_error("write", log->path);
    log->lines++;
    return MB_OK;
}

mb_status_t mb_metrics_log_flush(mb_metrics_log_t *log)
{
    int64_t lines = log->lines;
    if (fflush(log->file) != 0)
        return mb_io_error("write", log->path);
    log->flushed = lines;
    return MB_OK;
}

mb_status_t mb_metrics_log_sync(mb_metrics_log_t *log)
{
    int64_t lines = log->flushed;
    if (lines == log->synced)
        return MB_OK;
    MB_TRY(mb_io_sync(fileno(log->file), log->path));
    log->synced = lines;
    return MB_OK;
}

void mb_metrics_log_close(mb_metrics_log_t *log)
{
    if (log == NULL)
        return;
    if (log->file != NULL)
        fclose(log->file);
    free(log->path);
    free(log);
}
