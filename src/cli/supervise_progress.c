/* See supervise_progress.h. Only names and the last line of the metrics are looked at: what of the
 * checkpoints holds is the next start's to say. */
#define _GNU_SOURCE
#include "cli/supervise_progress.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/command.h"
#include "cli/recorded.h"
#include "train/trainer.h"

enum { TAIL_BYTES = 16384 };

static mb_status_t directory_of(mb_args_t *args, char **out)
{
    static const mb_setting_id_t recorded[] = {MB_SET_RUN};
    if (!mb_settings_has(args->settings, MB_SET_RUN) && args->n_words == 1)
        MB_TRY(mb_recorded_take(args->words[0], args->settings, recorded, 1));
    if (mb_settings_has(args->settings, MB_SET_RUN))
        *out = strdup(mb_settings_text(args->settings, MB_SET_RUN));
    else if (args->n_words == 1)
        *out = mb_training_default_directory(args->words[0]);
    return MB_OK;
}

mb_status_t mb_run_progress_find(char *const *words, int n, int at, char **out)
{
    mb_args_t args;
    int first = at + 1;
    *out = NULL;
    if (at < 0 || first >= n)
        return MB_OK;
    const mb_command_t *command = mb_command_find(words[first]);
    if (command != NULL && command != &mb_command_train)
        return MB_OK;
    first += command != NULL;
    /* What is wrong with it mbrun will say when it is started. */
    if (mb_args_read(&mb_command_train, n - first, words + first, &args) == MB_OK && !args.help)
        directory_of(&args, out);
    mb_args_free(&args);
    return MB_OK;
}

static int64_t last_step(const char *path, int64_t *changed)
{
    char tail[TAIL_BYTES + 1];
    struct stat about;
    FILE *file = fopen(path, "r");
    int64_t step = -1;
    if (file == NULL)
        return step;
    if (fstat(fileno(file), &about) == 0) {
        *changed += about.st_size + about.st_mtim.tv_nsec + about.st_mtim.tv_sec;
        fseek(file, about.st_size > TAIL_BYTES ? about.st_size - TAIL_BYTES : 0, SEEK_SET);
    }
    tail[fread(tail, 1, TAIL_BYTES, file)] = '\0';
    for (const char *at = tail; (at = strstr(at, "\"step\": ")) != NULL; at += strlen("\"step\": "))
        step = strtoll(at + strlen("\"step\": "), NULL, 10);
    fclose(file);
    return step;
}

static void add(int64_t *sum, int64_t step)
{
    if (step >= 0)
        *sum = (*sum < 0 ? 0 : *sum) + step;
}

static void look_at(const char *directory, bool inside, mb_run_progress_t *progress)
{
    char path[4096];
    long long step;
    int64_t newest = -1;
    DIR *entries = opendir(directory);
    for (struct dirent *entry; entries != NULL && (entry = readdir(entries)) != NULL;) {
        if (entry->d_name[0] == '.' ||
            snprintf(path, sizeof path, "%s/%s", directory, entry->d_name) >= (int)sizeof path)
            continue;
        int end = 0;
        if (sscanf(entry->d_name, "step-%lld.h5%n", &step, &end) == 1 && end > 0 &&
            entry->d_name[end] == '\0')
            newest = step > newest ? step : newest;
        else if (strcmp(entry->d_name, "metrics.jsonl") == 0)
            add(&progress->step, last_step(path, &progress->changed));
        else if (!inside && entry->d_type == DT_DIR)
            look_at(path, true, progress);
    }
    if (entries != NULL)
        closedir(entries);
    add(&progress->checkpoint, newest);
}

mb_run_progress_t mb_run_progress_read(const char *directory)
{
    mb_run_progress_t progress = {-1, -1, 0};
    if (directory != NULL)
        look_at(directory, false, &progress);
    return progress;
}
