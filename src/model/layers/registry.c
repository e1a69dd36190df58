/* Layer classes by Keras' class name: the built-in ones, and what plugins add. */
#include "model/layers/layers.h"

#include <string.h>

#include "model/known.h"

#define LAYER_ADDRESS(name, keras) &mb_layer_##name,
#define LAYER_NAME(name, keras) keras,
static const mb_layer_class_t *const classes[] = {MB_LAYER_LIST(LAYER_ADDRESS) NULL};
static const char *const names[] = {MB_LAYER_LIST(LAYER_NAME) NULL};
#undef LAYER_ADDRESS
#undef LAYER_NAME

enum { MOST_ADDED = 128 };
static const mb_layer_class_t *added[MOST_ADDED + 1]; /* NULL ends them */
static int n_added;

static const mb_layer_class_t *find(const mb_layer_class_t *const *list, const char *name)
{
    for (; *list != NULL; list++) {
        if (strcmp((*list)->name, name) == 0)
            return *list;
    }
    return NULL;
}

const mb_layer_class_t *mb_layer_class_find(const char *name)
{
    const mb_layer_class_t *class_ = find(classes, name);
    return class_ != NULL ? class_ : find(added, name);
}

mb_status_t mb_layer_class_add(const mb_layer_class_t *class_)
{
    if (mb_layer_class_find(class_->name) != NULL)
        return mb_error_set(MB_ERR_ARGUMENT, "layer '%s': there is a class of this name already",
                            class_->name);
    if (n_added == MOST_ADDED)
        return mb_error_set(MB_ERR_ARGUMENT, "layer '%s': %d classes were added, which is the most",
                            class_->name, MOST_ADDED);
    added[n_added++] = class_;
    return MB_OK;
}

mb_status_t mb_layer_class_parse(const mb_layer_class_t *class_, mb_config_t *config,
                                 mb_arena_t *arena, void **out)
{
    if (class_->parse_kind != NULL)
        return class_->parse_kind(class_->kind, config, arena, out);
    return class_->parse == NULL ? MB_OK : class_->parse(config, arena, out);
}

static const char *class_name(size_t index)
{
    return names[index]; /* the last is NULL */
}

const mb_known_t mb_known_layers = {"class", "layers", class_name};
