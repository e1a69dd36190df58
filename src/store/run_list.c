/* See run_list.h. */
#include "store/run_list.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/io.h"
#include "store/run_dir.h"
#include "store/seal.h"

enum { MOST_NAMES = 65536 };

static mb_status_t no_memory(void)
{
    return mb_error_memory("a list of checkpoints", 0);
}

static bool is_checkpoint(const char *name)
{
    return mb_run_dir_step_of(name) >= 0 || strcmp(name, "final.h5") == 0 ||
           strcmp(name, "best.h5") == 0;
}

/* Steps by number; best and final behind them. */
static int64_t order_of(const char *name)
{
    int64_t step = mb_run_dir_step_of(name);
    return step >= 0 ? step : name[0] == 'b' ? INT64_MAX - 1 : INT64_MAX;
}

static int compare_names(const void *a, const void *b)
{
    int64_t x = order_of(*(const char *const *)a), y = order_of(*(const char *const *)b);
    return x < y ? -1 : x > y;
}

typedef struct {
    int n_files, n_leftovers;
    const char **files, **leftovers;
} names_t;

static mb_status_t sort_name(mb_run_list_t *list, const char *name, names_t *names)
{
    bool leftover = mb_io_is_temporary(name), file = is_checkpoint(name);
    if (!leftover && !file)
        return MB_OK;
    char *kept = mb_arena_strdup(list->arena, name);
    if (kept == NULL)
        return no_memory();
    if (leftover && names->n_leftovers < MOST_NAMES)
        names->leftovers[names->n_leftovers++] = kept;
    else if (file && names->n_files < MOST_NAMES)
        names->files[names->n_files++] = kept;
    return MB_OK;
}

static mb_status_t read_names(mb_run_list_t *list, const char *path, names_t *names)
{
    names->files = MB_ARENA_ARRAY(list->arena, const char *, MOST_NAMES);
    names->leftovers = MB_ARENA_ARRAY(list->arena, const char *, MOST_NAMES);
    if (names->files == NULL || names->leftovers == NULL)
        return no_memory();
    DIR *open = opendir(path);
    if (open == NULL)
        return mb_io_error("list the run directory", path);
    mb_status_t status = MB_OK;
    for (struct dirent *entry = readdir(open); entry != NULL && status == MB_OK;
         entry = readdir(open))
        status = sort_name(list, entry->d_name, names);
    closedir(open);
    qsort(names->files, (size_t)names->n_files, sizeof *names->files, compare_names);
    return status;
}

static const char *stored_as(mb_run_list_t *list, const mb_model_file_t *file)
{
    bool rounded = false;
    for (int i = 0; i < file->n_moments; i++)
        rounded = rounded || file->moments[i].encoding != NULL;
    if (file->quantized != NULL)
        return mb_arena_strdup(list->arena, file->quantized);
    if (file->state.averaged != 0)
        return "averaged";
    return rounded ? "exact, moments in 8 bits" : "exact";
}

static mb_status_t read_state(mb_run_list_t *list, const char *path, mb_run_entry_t *entry)
{
    mb_model_file_t *file = NULL;
    if (mb_model_file_open(path, false, false, &file) != MB_OK) {
        entry->why = mb_arena_strdup(list->arena, mb_error_get());
        return entry->why == NULL ? no_memory() : MB_OK;
    }
    entry->has_state = file->state.present;
    entry->epoch = file->state.epoch;
    entry->step_in_epoch = file->state.step_in_epoch;
    entry->stored = stored_as(list, file);
    mb_model_file_close(file);
    return entry->stored == NULL ? no_memory() : MB_OK;
}

/* A file whose seal does not hold is not given to HDF5. */
static mb_status_t check_seal(mb_run_list_t *list, const char *path, mb_run_entry_t *entry)
{
    mb_seal_state_t state = MB_SEAL_NONE;
    entry->step = -1;
    if (mb_seal_check_file(path, &state, &entry->step) != MB_OK)
        entry->why = mb_arena_strdup(list->arena, mb_error_get());
    else if (state == MB_SEAL_NONE)
        entry->why = "it has no seal: cut off, or of another program";
    else if (state == MB_SEAL_BROKEN)
        entry->why = "its seal is broken: damaged, cut off or changed";
    entry->holds = state == MB_SEAL_HOLDS;
    if (!entry->holds)
        return entry->why == NULL ? no_memory() : MB_OK;
    int64_t named = mb_run_dir_step_of(entry->name);
    if (named >= 0 && named != entry->step) {
        entry->holds = false;
        entry->why = mb_arena_format(
            list->arena, "it holds step %" PRId64 ", not what its name says", entry->step);
        return entry->why == NULL ? no_memory() : MB_OK;
    }
    return read_state(list, path, entry);
}

static mb_status_t fill_entry(mb_run_list_t *list, const char *path, const char *name,
                              mb_run_entry_t *entry)
{
    struct stat about;
    const char *file = mb_arena_format(list->arena, "%s/%s", path, name);
    *entry = (mb_run_entry_t){.name = name, .stored = "?"};
    if (file == NULL)
        return no_memory();
    if (stat(file, &about) != 0)
        return mb_io_error("look at", file);
    entry->bytes = (int64_t)about.st_size;
    entry->modified = (int64_t)about.st_mtim.tv_sec;
    return check_seal(list, file, entry);
}

static mb_status_t fill_entries(mb_run_list_t *list, const char *path, const names_t *names)
{
    list->entries = MB_ARENA_ARRAY(list->arena, mb_run_entry_t, names->n_files + 1);
    if (list->entries == NULL)
        return no_memory();
    for (int i = 0; i < names->n_files; i++)
        MB_TRY(fill_entry(list, path, names->files[i], &list->entries[list->n_entries++]));
    list->n_leftovers = names->n_leftovers;
    list->leftovers = names->leftovers;
    return MB_OK;
}

/* Whether a newer file than the one that is taken is passed over. */
static bool skips(const mb_run_list_t *list)
{
    for (int i = 0; i < list->n_entries; i++) {
        if (!list->entries[i].holds && order_of(list->entries[i].name) > order_of(list->next))
            return true;
    }
    return false;
}

static mb_status_t find_next(mb_run_list_t *list, const char *path)
{
    char name[64];
    MB_TRY(mb_run_dir_look(path, NULL, name, &list->finished));
    if (name[0] == '\0') {
        list->why = list->n_entries == 0 ? "there is no checkpoint: it begins anew"
                                         : "no checkpoint's seal holds: it begins anew";
        return MB_OK;
    }
    list->next = mb_arena_strdup(list->arena, name);
    if (list->next == NULL)
        return no_memory();
    if (list->finished)
        list->why = "final.h5 holds and is as new as any checkpoint: the run is finished, unless "
                    "more steps or epochs are asked for";
    else
        list->why = skips(list) ? "the newest whose seal holds; newer files are passed over"
                                : "the newest, and its seal holds";
    return MB_OK;
}

static mb_status_t look(mb_run_list_t *list, const char *path)
{
    struct stat about;
    names_t names = {0};
    if (stat(path, &about) != 0)
        return mb_io_error("look at the run directory", path);
    if (!S_ISDIR(about.st_mode))
        return mb_error_set(MB_ERR_IO,
                            "'%s' is a file, not a run directory; mbrun inspect shows what a file "
                            "holds",
                            path);
    const char *lease = mb_arena_format(list->arena, "%s/lease", path);
    if (lease == NULL)
        return no_memory();
    MB_TRY(mb_lease_view(lease, &list->lease));
    MB_TRY(read_names(list, path, &names));
    MB_TRY(fill_entries(list, path, &names));
    return find_next(list, path);
}

mb_status_t mb_run_list(const char *path, mb_run_list_t *out)
{
    *out = (mb_run_list_t){.arena = mb_arena_create()};
    return out->arena == NULL ? no_memory() : look(out, path);
}

void mb_run_list_free(mb_run_list_t *list)
{
    if (list->arena != NULL)
        mb_arena_destroy(list->arena);
    *list = (mb_run_list_t){0};
}
