/* See models.h. */
#include "cli/models.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static size_t count_entries(const mb_args_t *args)
{
    size_t n = 0;
    for (int i = 0; i < args->n_repeated; i++) {
        n++;
        for (const char *at = args->repeated[i]; *at != '\0'; at++)
            n += *at == ',';
    }
    return n;
}

static size_t count_bytes(const mb_args_t *args)
{
    size_t bytes = 0;
    for (int i = 0; i < args->n_repeated; i++)
        bytes += strlen(args->repeated[i]) + 1;
    return bytes;
}

static size_t stem_length(const char *file)
{
    static const char *const ends[] = {".h5", ".hdf5", ".keras"};
    size_t length = strlen(file);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        size_t end = strlen(ends[i]);
        if (length > end && strcmp(file + length - end, ends[i]) == 0)
            return length - end;
    }
    return length;
}

/* NAME=FILE, unless a file is called so: hyperparameters stand in paths (runs/lr=0.1/final.h5). */
static char *find_name_end(char *entry)
{
    char *equals = strchr(entry, '=');
    bool named = equals != NULL && access(entry, F_OK) != 0 &&
                 memchr(entry, '/', (size_t)(equals - entry)) == NULL;
    return named ? equals : NULL;
}

/* Splits ENTRY in place, or copies its file's name to *TEXTS and moves that on. */
static void split(char *entry, const char **name, const char **path, char **texts)
{
    char *equals = find_name_end(entry);
    *path = entry;
    *name = entry;
    if (equals != NULL) {
        *equals = '\0';
        *path = equals + 1;
        return;
    }
    const char *slash = strrchr(entry, '/');
    const char *file = slash == NULL ? entry : slash + 1;
    size_t length = stem_length(file);
    memcpy(*texts, file, length);
    (*texts)[length] = '\0';
    *name = *texts;
    *texts += length + 1;
}

static mb_status_t check_entry(const mb_args_t *args, int at)
{
    const char *name = args->names[at], *path = args->words[at];
    if (path[0] == '\0')
        return mb_error_set(MB_ERR_ARGUMENT,
                            "--models: file %d of the list has no name: --models a.h5,b.h5",
                            at + 1);
    if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "--models: '%s' is no name for '%s': give one, --models a=%s", name,
                            path, path);
    return MB_OK;
}

static bool is_one_file(const char *a, const char *b)
{
    struct stat x, y;
    return strcmp(a, b) == 0 ||
           (stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino);
}

static mb_status_t check_pair(const mb_args_t *args, int a, int b)
{
    if (is_one_file(args->words[a], args->words[b]))
        return mb_error_set(MB_ERR_ARGUMENT,
                            "--models: '%s' is there twice; several seeds of one model are trained "
                            "by mbrun MODEL.h5 --ensemble K",
                            args->words[b]);
    if (strcmp(args->names[a], args->names[b]) == 0)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "--models: '%s' and '%s' would both be called %s: give them names, "
                            "--models a=%s,b=%s",
                            args->words[a], args->words[b], args->names[a], args->words[a],
                            args->words[b]);
    return MB_OK;
}

static mb_status_t check(const mb_args_t *args)
{
    for (int i = 0; i < args->n_words; i++)
        MB_TRY(check_entry(args, i));
    for (int b = 1; b < args->n_words; b++) {
        for (int a = 0; a < b; a++)
            MB_TRY(check_pair(args, a, b));
    }
    return MB_OK;
}

static void take_list(mb_args_t *args, const char *list, char **texts)
{
    size_t length = strlen(list);
    char *entry = memcpy(*texts, list, length + 1);
    *texts += length + 1;
    while (entry != NULL) {
        char *comma = strchr(entry, ',');
        if (comma != NULL)
            *comma = '\0';
        split(entry, &args->names[args->n_words], &args->words[args->n_words], texts);
        args->n_words++;
        entry = comma == NULL ? NULL : comma + 1;
    }
}

static mb_status_t take_models(mb_args_t *args)
{
    size_t n = count_entries(args), bytes = 2 * count_bytes(args) + n;
    if (args->n_words > 0)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "--models stands for the model: put '%s' into its list, or leave "
                            "--models away",
                            args->words[0]);
    free(args->words);
    args->words = calloc(n, sizeof *args->words);
    args->names = calloc(n, sizeof *args->names);
    args->models = malloc(bytes);
    if (args->words == NULL || args->names == NULL || args->models == NULL)
        return mb_error_memory("the command line", bytes);
    char *texts = args->models;
    for (int i = 0; i < args->n_repeated; i++)
        take_list(args, args->repeated[i], &texts);
    return check(args);
}

enum { MOST_SEEDS = 10000 };

static mb_status_t take_ensemble(mb_args_t *args, const char *text)
{
    char *end;
    errno = 0;
    long count = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || count < 1 || count > MOST_SEEDS)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "--ensemble: '%s' is not a whole number of at least 1 and at most %d",
                            text, MOST_SEEDS);
    if (mb_args_has(args, "models"))
        return mb_error_set(MB_ERR_ARGUMENT, "--ensemble is for one model, and --models names "
                                             "several: use one of them");
    args->ensemble = (int)count;
    return MB_OK;
}

mb_status_t mb_models_take(mb_args_t *args)
{
    const char *ensemble = mb_args_flag(args, "ensemble");
    if (ensemble != NULL)
        return take_ensemble(args, ensemble);
    return mb_args_has(args, "models") ? take_models(args) : MB_OK;
}
