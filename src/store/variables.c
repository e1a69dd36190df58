/* See variables.h. */
#include "store/variables.h"

#include <stdlib.h>
#include <string.h>
#include "store/tensors.h"

/* Of groups inside groups, and of objects in all: hard links may lead in circles. */
enum { DEEPEST = 64, MOST_OBJECTS = 1 << 20, LONGEST_NUMBER = 9 };

/* What the group `vars` below GROUP calls its owner. */
typedef struct {
    const char *group, *name;
} owner_t;

typedef struct {
    const mb_h5_reader_t *reader;
    mb_model_file_t *file;
    int room;
    int objects; /* seen */
    int n_owners, owner_room;
    owner_t *owners;
} walk_t;

typedef struct {
    mb_arena_t *arena;
    int count, room;
    const char **items;
} names_t;

static mb_status_t no_memory(void)
{
    return mb_error_memory("a list of variables", 0);
}

static herr_t keep_name(hid_t group, const char *name, const H5L_info_t *info, void *user)
{
    (void)group, (void)info;
    names_t *names = user;
    if (names->count == names->room) {
        int room = names->room * 2 + 16;
        const char **items = MB_ARENA_ARRAY(names->arena, const char *, room);
        if (items == NULL)
            return -1;
        if (names->count > 0)
            memcpy(items, names->items, sizeof *items * (size_t)names->count);
        names->items = items;
        names->room = room;
    }
    names->items[names->count] = mb_arena_strdup(names->arena, name);
    return names->items[names->count++] == NULL ? -1 : 0;
}

static mb_status_t list_group(const walk_t *walk, hid_t group, const char *path, names_t *names)
{
    hsize_t at = 0;
    *names = (names_t){.arena = walk->reader->arena};
    if (H5Literate(group, H5_INDEX_NAME, H5_ITER_INC, &at, keep_name, names) < 0)
        return mb_h5_error(MB_ERR_FORMAT, walk->reader->path, "list", path);
    return MB_OK;
}

static mb_status_t add_owner(walk_t *walk, const char *group, const char *name)
{
    mb_arena_t *arena = walk->reader->arena;
    if (walk->n_owners == walk->owner_room) {
        int room = walk->owner_room * 2 + 32;
        owner_t *owners = MB_ARENA_ARRAY(arena, owner_t, room);
        if (owners == NULL)
            return no_memory();
        if (walk->n_owners > 0)
            memcpy(owners, walk->owners, sizeof *owners * (size_t)walk->n_owners);
        walk->owners = owners;
        walk->owner_room = room;
    }
    const char *above = mb_arena_format(arena, "%.*s", (int)(strrchr(group, '/') - group), group);
    if (above == NULL)
        return no_memory();
    walk->owners[walk->n_owners++] = (owner_t){above, name};
    return MB_OK;
}

static mb_status_t make_room(walk_t *walk)
{
    mb_model_file_t *file = walk->file;
    if (file->n_variables < walk->room)
        return MB_OK;
    int room = walk->room * 2 + 32;
    mb_stored_variable_t *variables =
        MB_ARENA_ARRAY(walk->reader->arena, mb_stored_variable_t, room);
    if (variables == NULL)
        return no_memory();
    if (file->n_variables > 0)
        memcpy(variables, file->variables, sizeof *variables * (size_t)file->n_variables);
    file->variables = variables;
    walk->room = room;
    return MB_OK;
}

static bool is_number(const char *name)
{
    size_t length = strlen(name);
    return length > 0 && length <= LONGEST_NUMBER && strspn(name, "0123456789") == length;
}

/* GROUP: the path of `vars`. */
static mb_status_t add_variable(walk_t *walk, const char *group, const char *number)
{
    mb_arena_t *arena = walk->reader->arena;
    MB_TRY(make_room(walk));
    mb_stored_variable_t *variable = &walk->file->variables[walk->file->n_variables];
    const char *path = mb_arena_format(arena, "%s/%s", group, number);
    const char *quantized = mb_arena_format(arena, "/quantized%s/%s", group, number);
    if (path == NULL || quantized == NULL)
        return no_memory();
    *variable = (mb_stored_variable_t){
        .path = path + 1, .group_length = (int)strlen(group) - 1, .number = atoi(number)};
    MB_TRY(mb_stored_tensor_locate(walk->reader, path + 1, path, quantized, &variable->tensor));
    walk->file->n_variables++;
    return MB_OK;
}

static mb_status_t read_vars(walk_t *walk, hid_t group, const char *path)
{
    names_t names;
    const char *owner = NULL;
    MB_TRY(mb_h5_read_text(walk->reader, group, path, "name", &owner));
    if (owner != NULL)
        MB_TRY(add_owner(walk, path, owner));
    MB_TRY(list_group(walk, group, path, &names));
    for (int i = 0; i < names.count; i++) {
        if (!is_number(names.items[i]))
            return mb_error_set(MB_ERR_UNSUPPORTED,
                                "'%s': variable '%s' of '%s' has a name where Keras' layers have "
                                "numbers; a layer of one's own saved it",
                                walk->reader->path, names.items[i], path + 1);
        MB_TRY(add_variable(walk, path, names.items[i]));
    }
    return MB_OK;
}

static mb_status_t read_group(walk_t *walk, const char *path, int depth);

static mb_status_t read_child(walk_t *walk, hid_t group, const char *path, const char *name,
                              int depth)
{
    H5O_info_t info;
    const char *below = mb_arena_format(walk->reader->arena, "%s/%s", path, name);
    if (below == NULL)
        return no_memory();
    if (++walk->objects > MOST_OBJECTS || depth == DEEPEST)
        return mb_error_set(MB_ERR_FORMAT,
                            "'%s': its groups go on for ever at '%s'; the file is damaged, copy it "
                            "again",
                            walk->reader->path, path);
    if (H5Oget_info_by_name(group, name, &info, H5P_DEFAULT) >= 0 && info.type != H5O_TYPE_GROUP)
        return MB_OK;
    return read_group(walk, below, depth + 1);
}

static mb_status_t read_members(walk_t *walk, hid_t group, const char *path, int depth)
{
    names_t names;
    const char *slash = strrchr(path, '/');
    if (strcmp(slash, "/vars") == 0)
        return read_vars(walk, group, path);
    MB_TRY(list_group(walk, group, path, &names));
    for (int i = 0; i < names.count; i++)
        MB_TRY(read_child(walk, group, path, names.items[i], depth));
    return MB_OK;
}

static mb_status_t read_group(walk_t *walk, const char *path, int depth)
{
    hid_t group = H5I_INVALID_HID;
    MB_TRY(mb_h5_open_object(walk->reader, path, H5I_GROUP, false, &group));
    mb_status_t status = read_members(walk, group, path, depth);
    mb_h5_close(&group);
    return status;
}

static int compare(const void *a, const void *b)
{
    const mb_stored_variable_t *x = a, *y = b;
    int shorter = x->group_length < y->group_length ? x->group_length : y->group_length;
    int order = memcmp(x->path, y->path, (size_t)shorter);
    if (order == 0)
        order = x->group_length - y->group_length;
    return order != 0 ? order : x->number - y->number;
}

static int compare_owners(const void *a, const void *b)
{
    const owner_t *x = a, *y = b;
    return strcmp(x->group, y->group);
}

static const char *owner_of(const walk_t *walk, const char *group)
{
    const owner_t key = {group, NULL};
    const owner_t *owner = walk->n_owners == 0 ? NULL
                                               : bsearch(&key, walk->owners, (size_t)walk->n_owners,
                                                         sizeof key, compare_owners);
    return owner == NULL ? NULL : owner->name;
}

/* The names of all that a variable lies below, joined; the innermost must be there. */
static mb_status_t name_owner(const walk_t *walk, mb_stored_variable_t *variable)
{
    mb_arena_t *arena = walk->reader->arena;
    char *group = mb_arena_format(arena, "/%.*s", variable->group_length, variable->path);
    const char *names = NULL, *last = NULL;
    if (group == NULL)
        return no_memory();
    for (char *slash = strchr(group + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        last = owner_of(walk, group);
        *slash = '/';
        if (last == NULL)
            continue;
        names = names == NULL ? last : mb_arena_format(arena, "%s/%s", names, last);
        if (names == NULL)
            return no_memory();
    }
    variable->owner = last == NULL ? NULL : names;
    return MB_OK;
}

static mb_status_t name_owners(walk_t *walk)
{
    if (walk->n_owners > 0)
        qsort(walk->owners, (size_t)walk->n_owners, sizeof *walk->owners, compare_owners);
    for (int i = 0; i < walk->file->n_variables; i++)
        MB_TRY(name_owner(walk, &walk->file->variables[i]));
    return MB_OK;
}

/* What the root itself owns belongs to no layer. */
static mb_status_t refuse_own(const walk_t *walk)
{
    for (int i = 0; i < walk->file->n_variables; i++) {
        if (strncmp(walk->file->variables[i].path, "vars/", 5) == 0)
            return mb_error_set(MB_ERR_UNSUPPORTED,
                                "'%s': the model itself owns a weight ('%s'), which no layer does; "
                                "put it into a layer",
                                walk->reader->path, walk->file->variables[i].path);
    }
    return MB_OK;
}

/* Keras up to 2.13 calls the layers of a model so. */
static const char *const roots[] = {"/layers", "/_layer_checkpoint_dependencies", "/optimizer",
                                    "/vars"};

mb_status_t mb_variables_read(const mb_h5_reader_t *reader, mb_model_file_t *file, bool *present)
{
    walk_t walk = {.reader = reader, .file = file};
    *present = false;
    for (size_t i = 0; i < sizeof roots / sizeof roots[0]; i++) {
        hid_t group = H5I_INVALID_HID;
        MB_TRY(mb_h5_open_object(reader, roots[i], H5I_GROUP, true, &group));
        if (group < 0)
            continue;
        *present = true;
        mb_status_t status = read_members(&walk, group, roots[i], 0);
        mb_h5_close(&group);
        MB_TRY(status);
    }
    if (file->n_variables > 0)
        qsort(file->variables, (size_t)file->n_variables, sizeof *file->variables, compare);
    MB_TRY(refuse_own(&walk));
    return name_owners(&walk);
}

const mb_stored_variable_t *mb_variables_find(const mb_model_file_t *file, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL || !is_number(slash + 1) || file->n_variables == 0)
        return NULL;
    const mb_stored_variable_t key = {
        .path = path, .group_length = (int)(slash - path), .number = atoi(slash + 1)};
    return bsearch(&key, file->variables, (size_t)file->n_variables, sizeof key, compare);
}
