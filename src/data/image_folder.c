/* Names alone are read, no file: a folder of a million images is listed in seconds. */
#define _DEFAULT_SOURCE
#include "data/image_folder.h"

#include "base/str.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { DEEPEST = 32 };

/* FOLLOW: so is a link to a folder. */
static bool is_folder(const char *path, const struct dirent *entry, bool follow)
{
    struct stat info;
    mb_str_t whole = {0};
    if (entry->d_type != DT_UNKNOWN && (entry->d_type != DT_LNK || !follow))
        return entry->d_type == DT_DIR;
    mb_str_addf(&whole, "%s/%s", path, entry->d_name);
    bool folder = whole.text != NULL &&
                  (follow ? stat(whole.text, &info) : lstat(whole.text, &info)) == 0 &&
                  S_ISDIR(info.st_mode);
    mb_str_free(&whole);
    return folder;
}

bool mb_image_folder_looks_like(const char *path)
{
    DIR *folder = opendir(path);
    bool found = false;
    if (folder == NULL)
        return false;
    for (struct dirent *entry = readdir(folder); entry != NULL && !found; entry = readdir(folder))
        found = entry->d_name[0] != '.' && is_folder(path, entry, true);
    closedir(folder);
    return found;
}

static bool ends_in(const char *name, const char *const *endings)
{
    size_t length = strlen(name);
    for (; *endings != NULL; endings++) {
        size_t tail = strlen(*endings);
        if (length > tail && strcasecmp(name + length - tail, *endings) == 0)
            return true;
    }
    return false;
}

typedef struct {
    char **names;
    size_t n, capacity;
} names_t;

static void free_names(names_t *names)
{
    for (size_t i = 0; i < names->n; i++)
        free(names->names[i]);
    free(names->names);
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static mb_status_t add_name(names_t *names, const char *name)
{
    if (names->n == names->capacity) {
        size_t capacity = names->capacity == 0 ? 64 : 2 * names->capacity;
        char **grown = realloc(names->names, capacity * sizeof(*grown));
        if (grown == NULL)
            return mb_error_memory("a folder's names", names->n);
        names->names = grown;
        names->capacity = capacity;
    }
    names->names[names->n] = strdup(name);
    if (names->names[names->n] == NULL)
        return mb_error_memory("a file's name", strlen(name));
    names->n++;
    return MB_OK;
}

/* A class may be a link to a folder; inside one, links to folders are not followed, as Keras does
 * by default: they may lead in circles. */
typedef enum { CLASSES, INNER_FOLDERS, FILES } part_t;

static bool belongs(const char *path, const struct dirent *entry, part_t part)
{
    if (entry->d_name[0] == '.')
        return false;
    if (part == FILES)
        return !is_folder(path, entry, true);
    return is_folder(path, entry, part == CLASSES);
}

/* One part of what a folder holds, sorted. */
static mb_status_t read_names(const char *path, part_t part, names_t *out)
{
    DIR *folder = opendir(path);
    mb_status_t status = MB_OK;
    *out = (names_t){NULL, 0, 0};
    if (folder == NULL)
        return mb_error_set(MB_ERR_IO, "%s: the folder cannot be read: %s", path, strerror(errno));
    for (struct dirent *entry = readdir(folder); entry != NULL && status == MB_OK;
         entry = readdir(folder)) {
        if (belongs(path, entry, part))
            status = add_name(out, entry->d_name);
    }
    closedir(folder);
    if (status != MB_OK)
        free_names(out);
    else if (out->n > 0)
        qsort(out->names, out->n, sizeof(char *), by_bytes);
    return status;
}

static mb_status_t add_file(mb_image_folder_t *f, char *path, int32_t class_)
{
    if (path == NULL)
        return mb_error_memory("an image's name", 0);
    if (f->n == f->capacity) {
        int64_t capacity = f->capacity == 0 ? 256 : 2 * f->capacity;
        mb_image_file_t *files = realloc(f->files, (size_t)capacity * sizeof(*files));
        if (files == NULL) {
            free(path);
            return mb_error_memory("a list of images", (size_t)capacity * sizeof(*files));
        }
        f->files = files;
        f->capacity = capacity;
    }
    f->files[f->n++] = (mb_image_file_t){path, class_};
    return MB_OK;
}

static mb_status_t take_name(mb_image_folder_t *f, const char *path, const char *name,
                             int32_t class_)
{
    static const char *const read[] = {".png", ".jpg", ".jpeg", NULL};
    static const char *const refused[] = {".bmp", ".gif", ".webp", ".tif", ".tiff", NULL};
    mb_str_t whole = {0};
    if (ends_in(name, refused))
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "%s/%s: only PNG and JPEG images are read; convert it or take it out "
                            "of the folder",
                            path, name);
    if (!ends_in(name, read))
        return MB_OK;
    mb_str_addf(&whole, "%s/%s", path, name);
    return add_file(f, whole.failed ? NULL : whole.text, class_);
}

/* Folders come in the order of their whole paths, which is not that of a walk: "a b" stands between
 * "a" and "a/b". */
static mb_status_t gather(const char *path, int depth, names_t *folders)
{
    names_t inside;
    MB_TRY(add_name(folders, path));
    if (depth == DEEPEST)
        return mb_error_set(MB_ERR_IO, "%s: folders lie more than %d deep", path, DEEPEST);
    MB_TRY(read_names(path, INNER_FOLDERS, &inside));
    mb_status_t status = MB_OK;
    for (size_t i = 0; i < inside.n && status == MB_OK; i++) {
        mb_str_t whole = {0};
        mb_str_addf(&whole, "%s/%s", path, inside.names[i]);
        status = whole.failed ? mb_error_memory(path, 0) : gather(whole.text, depth + 1, folders);
        mb_str_free(&whole);
    }
    free_names(&inside);
    return status;
}

static mb_status_t list_files(mb_image_folder_t *f, const char *path, int32_t class_)
{
    names_t names;
    MB_TRY(read_names(path, FILES, &names));
    mb_status_t status = MB_OK;
    for (size_t i = 0; i < names.n && status == MB_OK; i++)
        status = take_name(f, path, names.names[i], class_);
    free_names(&names);
    return status;
}

static mb_status_t list_class(mb_image_folder_t *f, const char *path, const char *name)
{
    mb_str_t whole = {0};
    names_t folders = {NULL, 0, 0};
    int64_t class_ = mb_vocabulary_find(f->classes, name, strlen(name));
    if (class_ < 0)
        return mb_error_set(MB_ERR_DATA, "%s/%s: the data that this goes with has no class '%s'",
                            path, name, name);
    mb_str_addf(&whole, "%s/%s", path, name);
    mb_status_t status = whole.failed ? mb_error_memory(path, 0) : gather(whole.text, 0, &folders);
    if (folders.n > 0)
        qsort(folders.names, folders.n, sizeof(char *), by_bytes);
    for (size_t i = 0; i < folders.n && status == MB_OK; i++)
        status = list_files(f, folders.names[i], (int32_t)class_);
    free_names(&folders);
    mb_str_free(&whole);
    return status;
}

static mb_status_t name_classes(mb_image_folder_t *f, const names_t *names,
                                const mb_vocabulary_t *known)
{
    if (known != NULL)
        return mb_vocabulary_copy(known, &f->classes);
    MB_TRY(mb_vocabulary_create("y", &f->classes));
    for (size_t i = 0; i < names->n; i++)
        MB_TRY(mb_vocabulary_add(f->classes, names->names[i], strlen(names->names[i])));
    mb_vocabulary_sort(f->classes);
    return MB_OK;
}

mb_status_t mb_image_folder_list(const char *path, const mb_vocabulary_t *known,
                                 mb_image_folder_t *out)
{
    names_t names;
    *out = (mb_image_folder_t){.classes = NULL};
    MB_TRY(read_names(path, CLASSES, &names));
    mb_status_t status = name_classes(out, &names, known);
    for (size_t i = 0; i < names.n && status == MB_OK; i++)
        status = list_class(out, path, names.names[i]);
    free_names(&names);
    if (status == MB_OK && out->n == 0)
        status = mb_error_set(MB_ERR_DATA,
                              "%s: its folders hold no images (.png, .jpg, .jpeg): wanted is a "
                              "folder a class with its images",
                              path);
    if (status != MB_OK)
        mb_image_folder_free(out);
    return status;
}

void mb_image_folder_free(mb_image_folder_t *folder)
{
    for (int64_t i = 0; i < folder->n; i++)
        free(folder->files[i].path);
    free(folder->files);
    mb_vocabulary_destroy(folder->classes);
    *folder = (mb_image_folder_t){.classes = NULL};
}
