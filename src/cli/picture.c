/* See picture.h. A program draws letters and boxes into a PNG, and no library: that would have to
 * be loaded by each rank of each run for what is done once beside a desk. */
#include "cli/picture.h"

#include <errno.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/str.h"
#include "store/io.h"

extern char **environ;

static mb_status_t not_written(const char *path, int error)
{
    return mb_error_set(MB_ERR_IO, "%s: cannot be written: %s", path, strerror(error));
}

static mb_status_t write_text(const char *path, FILE *file, const char *text)
{
    if (fputs(text, file) >= 0 && fflush(file) == 0)
        return MB_OK;
    return not_written(path, errno);
}

static mb_status_t write_svg(const char *path, const char *svg)
{
    FILE *file = fopen(path, "we");
    if (file == NULL)
        return not_written(path, errno);
    mb_status_t status = write_text(path, file, svg);
    if (fclose(file) != 0 && status == MB_OK)
        status = not_written(path, errno);
    if (status != MB_OK)
        remove(path);
    return status;
}

/* ---- a PNG */

/* 127: the child did not find the program, as shells say it where posix_spawnp cannot. */
static mb_status_t run_converter(const char *path, int part, FILE *svg)
{
    char *const words[] = {"rsvg-convert", "-f", "png", NULL};
    posix_spawn_file_actions_t actions;
    pid_t child;
    int ended = 0;
    int error = posix_spawn_file_actions_init(&actions);
    if (error != 0)
        return mb_error_memory("a drawing", sizeof actions);
    error = posix_spawn_file_actions_adddup2(&actions, fileno(svg), STDIN_FILENO);
    if (error == 0)
        error = posix_spawn_file_actions_adddup2(&actions, part, STDOUT_FILENO);
    if (error == 0)
        error = posix_spawnp(&child, words[0], &actions, NULL, words, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error == 0) {
        while (waitpid(child, &ended, 0) < 0 && errno == EINTR)
            continue;
    }
    if (error == ENOENT || (WIFEXITED(ended) && WEXITSTATUS(ended) == 127))
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "%s: PNGs are drawn by rsvg-convert, which is not installed (package "
                            "librsvg2-bin): install it, or name a file .svg",
                            path);
    if (error != 0 || ended != 0)
        return mb_error_set(MB_ERR_IO, "%s: rsvg-convert cannot draw it%s%s", path,
                            error != 0 ? ": " : "", error != 0 ? strerror(error) : "");
    return MB_OK;
}

static mb_status_t convert(const char *path, int part, const char *text)
{
    FILE *svg = tmpfile();
    if (svg == NULL)
        return not_written(path, errno);
    mb_status_t status = write_text(path, svg, text);
    if (status == MB_OK) {
        rewind(svg);
        status = run_converter(path, part, svg);
    }
    fclose(svg);
    return status;
}

static mb_status_t write_png(const char *path, const char *svg)
{
    int fd = -1;
    char *part = mb_io_temporary_name(path);
    if (part == NULL)
        return mb_error_memory("a drawing", strlen(path));
    mb_status_t status = mb_io_open_new(part, &fd);
    bool created = status == MB_OK;
    if (created)
        status = convert(path, fd, svg);
    mb_status_t closed = mb_io_close(&fd, part);
    status = status == MB_OK ? closed : status;
    if (status == MB_OK && rename(part, path) != 0)
        status = not_written(path, errno);
    if (status != MB_OK && created)
        remove(part);
    free(part);
    return status;
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), n = strlen(end);
    return length >= n && strcmp(text + length - n, end) == 0;
}

mb_status_t mb_picture_write(const char *path, const char *svg)
{
    return ends_with(path, ".png") ? write_png(path, svg) : write_svg(path, svg);
}
