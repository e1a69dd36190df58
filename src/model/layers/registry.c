/* The built-in layer classes by Keras' class name. */
#include "model/layers/layers.h"

#include <string.h>

#include "model/known.h"

#define LAYER_ADDRESS(name, keras) &mb_layer_##name,
#define LAYER_NAME(name, keras) keras,
static const mb_layer_class_t *const classes[] = {MB_LAYER_LIST(LAYER_ADDRESS) NULL};
static const char *const names[] = {MB_LAYER_LIST(LAYER_NAME) NULL};
#undef LAYER_ADDRESS
#undef LAYER_NAME

const mb_layer_class_t *mb_layer_class_find(const char *name)
{
    for (size_t i = 0; classes[i] != NULL; i++) {
        if (strcmp(classes[i]->name, name) == 0)
            return classes[i];
    }
    return NULL;
}

static const char *class_name(size_t index)
{
    return names[index]; /* the last is NULL */
}

const mb_known_t mb_known_layers = {"class", "layers", class_name};
