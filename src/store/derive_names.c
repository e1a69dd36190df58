/* The names of a derived file: patterns that choose tensors, and renamings of whole components. */
#include <fnmatch.h>
#include <string.h>

#include "store/derive.h"

static bool matches(int n, const char *const *patterns, const char *label, const char *part,
                    bool *used)
{
    bool found = false;
    for (int i = 0; i < n; i++) {
        bool here = fnmatch(patterns[i], label, 0) == 0 || fnmatch(patterns[i], part, 0) == 0;
        used[i] = used[i] || here;
        found = found || here;
    }
    return found;
}

bool mb_derive_takes(const mb_derivation_t *how, const char *label, const char *part, bool *used)
{
    bool in = matches(how->n_only, how->only, label, part, used);
    bool out = matches(how->n_except, how->except, label, part, used + how->n_only);
    return (how->n_only == 0 || in) && !out;
}

/* Where FROM stands in NAME as whole components; NULL: nowhere. Keras 2's names end in ":0". */
static const char *find(const char *name, const char *from)
{
    size_t length = strlen(from);
    for (const char *at = name; at != NULL; at = strchr(at, '/')) {
        at += *at == '/' ? 1 : 0;
        char behind = strncmp(at, from, length) == 0 ? at[length] : 'x';
        if (behind == '/' || behind == ':' || behind == '\0')
            return at;
    }
    return NULL;
}

const char *mb_derive_name(const mb_derivation_t *how, mb_arena_t *arena, const char *name,
                           bool *used)
{
    for (int i = 0; i < how->n_renamings && name != NULL; i++) {
        const mb_renaming_t *renaming = &how->renamings[i];
        const char *at = find(name, renaming->from);
        if (at == NULL)
            continue;
        used[how->n_only + how->n_except + i] = true;
        name = mb_arena_format(arena, "%.*s%s%s", (int)(at - name), name, renaming->to,
                               at + strlen(renaming->from));
    }
    return name;
}
