/* Finds the images and labels of an IDX data set by the names that such files usually have. */
#define _POSIX_C_SOURCE 200809L
#include "data/idx.h"

#include "base/str.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

/* "DIR:test" and "DIR:train": the folder's part of the text in *length. */
static const char *split_of(const char *path, size_t *length)
{
    const char *colon = strrchr(path, ':');
    *length = colon == NULL ? strlen(path) : (size_t)(colon - path);
    return colon == NULL ? "" : colon + 1;
}

bool mb_idx_names_several(const char *path)
{
    size_t length;
    const char *split = split_of(path, &length);
    return strchr(path, ',') != NULL || strcmp(split, "test") == 0 || strcmp(split, "train") == 0;
}

static mb_status_t copy(const char *text, size_t length, char **out)
{
    *out = strndup(text, length);
    return *out == NULL ? mb_error_memory("a file name", length) : MB_OK;
}

/* PATH with ".gz" added or taken away where only that exists; NULL if neither does. */
static char *existing(const char *path)
{
    size_t length = strlen(path);
    bool gzip = length > 3 && strcmp(path + length - 3, ".gz") == 0;
    mb_str_t other = {0};
    if (file_exists(path))
        return strdup(path);
    mb_str_addf(&other, "%.*s%s", (int)(gzip ? length - 3 : length), path, gzip ? "" : ".gz");
    if (other.text != NULL && file_exists(other.text))
        return other.text;
    mb_str_free(&other);
    return NULL;
}

/* The usual name of the labels: images -> labels, idx3 (or any rank) -> idx1, in the last part. */
static char *labels_beside(const char *images)
{
    const char *slash = strrchr(images, '/');
    const char *name = slash == NULL ? images : slash + 1;
    const char *word = strstr(name, "images");
    if (word == NULL)
        return NULL;
    mb_str_t guess = {0};
    mb_str_addf(&guess, "%.*slabels%s", (int)(word - images), images, word + strlen("images"));
    char *rank = guess.text == NULL ? NULL : strstr(guess.text + (word - images), "idx");
    if (rank != NULL && rank[3] >= '2' && rank[3] <= '9')
        rank[3] = '1';
    char *found = guess.text == NULL ? NULL : existing(guess.text);
    mb_str_free(&guess);
    return found;
}

static mb_status_t find_in_folder(const char *path, char **images)
{
    static const char *const endings[] = {"images-idx3-ubyte", "images.idx3-ubyte"};
    size_t length = strlen(path);
    const char *split = "train";
    if (!file_exists(path))
        split = split_of(path, &length);
    bool test = strcmp(split, "test") == 0;
    *images = NULL;
    for (size_t i = 0; i < 2 && *images == NULL; i++) {
        mb_str_t name = {0};
        mb_str_addf(&name, "%.*s/%s-%s", (int)length, path, test ? "t10k" : "train", endings[i]);
        *images = name.text == NULL ? NULL : existing(name.text);
        mb_str_free(&name);
    }
    if (*images != NULL)
        return MB_OK;
    return mb_error_set(MB_ERR_IO,
                        "%.*s: the folder holds no %s-images-idx3-ubyte[.gz]; name a data file, or "
                        "IMAGES,LABELS",
                        (int)length, path, test ? "t10k" : "train");
}

bool mb_idx_in_folder(const char *path)
{
    static const char *const names[] = {"train-images-idx3-ubyte", "train-images.idx3-ubyte",
                                        "t10k-images-idx3-ubyte", "t10k-images.idx3-ubyte"};
    bool found = false;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && !found; i++) {
        mb_str_t whole = {0};
        mb_str_addf(&whole, "%s/%s", path, names[i]);
        char *file = whole.text == NULL ? NULL : existing(whole.text);
        found = file != NULL;
        free(file);
        mb_str_free(&whole);
    }
    return found;
}

static bool is_folder_form(const char *path)
{
    size_t length;
    const char *split = split_of(path, &length);
    mb_str_t inside = {0};
    mb_str_addf(&inside, "%s/.", path);
    bool folder = inside.text != NULL && file_exists(inside.text);
    mb_str_free(&inside);
    return folder ||
           (!file_exists(path) && (strcmp(split, "test") == 0 || strcmp(split, "train") == 0));
}

mb_status_t mb_idx_find(const char *path, bool labels_wanted, char **images, char **labels)
{
    const char *comma = file_exists(path) ? NULL : strchr(path, ',');
    *images = NULL;
    *labels = NULL;
    if (comma != NULL) {
        MB_TRY(copy(path, (size_t)(comma - path), images));
        return copy(comma + 1, strlen(comma + 1), labels);
    }
    if (is_folder_form(path))
        MB_TRY(find_in_folder(path, images));
    else
        MB_TRY(copy(path, strlen(path), images));
    *labels = labels_beside(*images);
    if (*labels != NULL || !labels_wanted)
        return MB_OK;
    return mb_error_set(MB_ERR_IO,
                        "%s: no labels file is found beside it under the usual name "
                        "(images-idx3 -> labels-idx1); name both as IMAGES,LABELS",
                        *images);
}
