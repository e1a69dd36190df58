/* See labels.h. */
#include "store/labels.h"

#include <string.h>

/* NAME from where the whole components LAYER begin in it; NULL: they do not occur. */
static const char *inside(const char *layer, const char *name)
{
    size_t length = strlen(layer);
    for (const char *at = name; at != NULL; at = strchr(at, '/')) {
        at += *at == '/' ? 1 : 0;
        if (strncmp(at, layer, length) == 0 && at[length] == '/')
            return at;
    }
    return NULL;
}

const char *mb_tensor_label(mb_arena_t *arena, const char *layer, const char *name)
{
    const char *own = layer[0] == '\0' ? name : inside(layer, name);
    const char *shown = own == NULL ? name : own;
    size_t end = strlen(shown);
    if (end > 2 && strcmp(shown + end - 2, ":0") == 0)
        end -= 2;
    if (own != NULL)
        return mb_arena_format(arena, "%.*s", (int)end, shown);
    return mb_arena_format(arena, "%s/%.*s", layer, (int)end, shown);
}
