/* Which of several named arrays serve a model. */
#include "data/internal.h"

#include "base/str.h"

#include <string.h>

typedef struct {
    const char *path;
    const char *const *names;
    int n;
    const mb_source_wants_t *wants;
    bool *chosen;
} choice_t;

static int name_index(const choice_t *c, const char *name)
{
    for (int i = 0; i < c->n; i++) {
        if (strcmp(c->names[i], name) == 0)
            return i;
    }
    return -1;
}

static mb_status_t no_name(const choice_t *c, const char *role, const char *name,
                           const char *otherwise)
{
    mb_str_t has = {0};
    for (int i = 0; i < c->n; i++)
        mb_str_addf(&has, "%s'%s'", i == 0 ? "" : ", ", c->names[i]);
    mb_status_t status = mb_error_set(
        MB_ERR_DATA,
        "%s: no data for the model's %s '%s': wanted is an array of that name%s; found %s", c->path,
        role, name, otherwise, has.text == NULL ? "none" : has.text);
    mb_str_free(&has);
    return status;
}

static mb_status_t choose_input(const choice_t *c, int input)
{
    const char *name = c->wants->input_names[input];
    bool only = mb_source_only_input(c->wants) == input;
    int at = name_index(c, name);
    at = at < 0 && only ? name_index(c, "x") : at;
    if (at < 0)
        return mb_source_is_positions(c->wants, input)
                   ? MB_OK
                   : no_name(c, "input", name, only ? " or 'x'" : "");
    c->chosen[at] = true;
    return MB_OK;
}

static mb_status_t choose_output(const choice_t *c, int output)
{
    const char *name = c->wants->output_names[output];
    bool only = c->wants->n_outputs == 1;
    int at = name_index(c, name);
    at = at < 0 && only ? name_index(c, "y") : at;
    if (at < 0)
        return no_name(c, "output", name, only ? " or 'y'" : "");
    c->chosen[at] = true;
    return MB_OK;
}

mb_status_t mb_source_choose(const char *path, const char *const *names, int n,
                             const mb_source_wants_t *wants, bool *chosen)
{
    const choice_t c = {path, names, n, wants, chosen};
    if (n == 0)
        return mb_error_set(MB_ERR_DATA, "%s: it holds no arrays", path);
    for (int i = 0; wants->n_inputs == 0 && i < n; i++)
        chosen[i] = true;
    for (int i = 0; i < wants->n_inputs; i++)
        MB_TRY(choose_input(&c, i));
    for (int i = 0; i < wants->n_outputs; i++)
        MB_TRY(choose_output(&c, i));
    return MB_OK;
}
