/* Keras 3 makes optimizer variables by slot, each for all parameters, but some slots together,
 * parameter by parameter (keras/src/optimizers: add_optimizer_variables, and build of Adafactor and
 * Muon):
 *
 *     <optimizer>/iteration, <optimizer>/learning_rate,
 *     <optimizer>/<weight path with _ for />_<slot> ...
 *
 * Keras reads them by order, so a name that two parameters would share is made unique. */
#include "store/keras_optimizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MOST_SLOTS 16

typedef struct {
    const char *slot; /* not terminated */
    size_t slot_length;
    const char *weight;
} moment_t;

typedef struct {
    const mb_checkpoint_layout_t *layout;
    mb_arena_t *arena;
    moment_t *moments;
    const moment_t *slots[MOST_SLOTS]; /* first moment of each slot */
    int n_slots;
    mb_keras_optimizer_t *out;
} namer_t;

static mb_status_t no_memory(void)
{
    return mb_error_set(MB_ERR_MEMORY, "out of memory while naming the optimizer's weights");
}

static bool same_slot(const moment_t *a, const moment_t *b)
{
    return a->slot_length == b->slot_length && memcmp(a->slot, b->slot, a->slot_length) == 0;
}

static bool slot_is(const moment_t *moment, const char *name)
{
    return strlen(name) == moment->slot_length &&
           memcmp(moment->slot, name, moment->slot_length) == 0;
}

static mb_status_t split_names(namer_t *n)
{
    for (int i = 0; i < n->layout->n_moments; i++) {
        const char *name = n->layout->tensors[n->layout->n_weights + i].name;
        const char *slash = strchr(name, '/');
        if (slash == NULL || slash == name)
            return mb_error_set(MB_ERR_INTERNAL, "moment '%s' is not called <slot>/<weight>", name);
        n->moments[i] = (moment_t){name, (size_t)(slash - name), slash + 1};
        bool known = false;
        for (int s = 0; s < n->n_slots && !known; s++)
            known = same_slot(n->slots[s], &n->moments[i]);
        if (known)
            continue;
        if (n->n_slots == MOST_SLOTS)
            return mb_error_set(MB_ERR_INTERNAL, "moments have more than %d slots", MOST_SLOTS);
        n->slots[n->n_slots++] = &n->moments[i];
    }
    return MB_OK;
}

static mb_status_t add(namer_t *n, const char *name, int tensor)
{
    if (name == NULL)
        return no_memory();
    n->out->names[n->out->count] = name;
    n->out->tensors[n->out->count] = tensor;
    n->out->count++;
    return MB_OK;
}

static mb_status_t add_moment(namer_t *n, const moment_t *moment)
{
    char *name = mb_arena_format(n->arena, "%s/%s_%.*s", n->layout->optimizer_name, moment->weight,
                                 (int)moment->slot_length, moment->slot);
    if (name == NULL)
        return no_memory();
    for (char *c = name + strlen(n->layout->optimizer_name) + 1; *c != '\0'; c++) {
        if (*c == '/')
            *c = '_';
    }
    return add(n, name, n->layout->n_weights + (int)(moment - n->moments));
}

enum { MOST_TOGETHER = 3 };
static const char *const together[][MOST_TOGETHER] = {{"momentum", "velocity"},
                                                      {"momentum", "norm"},
                                                      {"accumulator", "linear"},
                                                      {"accumulated_grad", "accumulated_delta_var"},
                                                      {"row", "column", "velocity"}};

/* How many slots from this one on go parameter by parameter. */
static int slots_together(const namer_t *n, int first)
{
    for (size_t i = 0; i < sizeof together / sizeof together[0]; i++) {
        int count = 0;
        while (count < MOST_TOGETHER && together[i][count] != NULL && first + count < n->n_slots &&
               slot_is(n->slots[first + count], together[i][count]))
            count++;
        if (count == MOST_TOGETHER || (count > 1 && together[i][count] == NULL))
            return count;
    }
    return 1;
}

/* The slot's first moment from *AT on, which *AT then is the place of; NULL: there is none. */
static const moment_t *next_of(const namer_t *n, int slot, int *at)
{
    for (; *at < n->layout->n_moments; (*at)++) {
        if (same_slot(&n->moments[*at], n->slots[slot]))
            return &n->moments[*at];
    }
    return NULL;
}

/* In whichever order the moments came, those of one slot are in the order of parameters. A slot
 * behind the first may lack some parameters (Muon's velocity). */
static mb_status_t add_together(namer_t *n, int first, int count)
{
    int at[MOST_TOGETHER] = {0};
    const moment_t *lead;
    while ((lead = next_of(n, first, &at[0])) != NULL) {
        MB_TRY(add_moment(n, lead));
        at[0]++;
        for (int k = 1; k < count; k++) {
            const moment_t *own = next_of(n, first + k, &at[k]);
            if (own == NULL || strcmp(own->weight, lead->weight) != 0)
                continue;
            MB_TRY(add_moment(n, own));
            at[k]++;
        }
    }
    for (int k = 1; k < count; k++) {
        const moment_t *left = next_of(n, first + k, &at[k]);
        if (left != NULL)
            return mb_error_set(MB_ERR_INTERNAL, "moment '%s' has none of the slot in front of it",
                                left->slot);
    }
    return MB_OK;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(**(const char **const *)a, **(const char **const *)b);
}

/* Equal names get a number; as qsort is not stable, which of them gets which is settled by place.
 */
static mb_status_t make_unique(namer_t *n)
{
    int count = n->out->count;
    const char ***sorted = MB_ARENA_ARRAY(n->arena, const char **, count);
    if (sorted == NULL)
        return no_memory();
    for (int i = 0; i < count; i++)
        sorted[i] = &n->out->names[i];
    qsort(sorted, (size_t)count, sizeof(*sorted), compare_names);
    for (int i = 1; i < count; i++) {
        if (strcmp(*sorted[i], *sorted[i - 1]) != 0)
            continue;
        const char *name = *sorted[i];
        for (; i < count && strcmp(*sorted[i], name) == 0; i++) {
            const char *numbered =
                mb_arena_format(n->arena, "%s_%d", name, (int)(sorted[i] - n->out->names));
            if (numbered == NULL)
                return no_memory();
            *sorted[i] = numbered;
        }
    }
    return MB_OK;
}

static mb_status_t name_all(namer_t *n)
{
    const char *optimizer = n->layout->optimizer_name;
    MB_TRY(split_names(n));
    MB_TRY(add(n, mb_arena_format(n->arena, "%s/iteration", optimizer), -1));
    if (!isnan(n->layout->learning_rate))
        MB_TRY(add(n, mb_arena_format(n->arena, "%s/learning_rate", optimizer), -1));
    for (int slot = 0, count; slot < n->n_slots; slot += count) {
        count = slots_together(n, slot);
        MB_TRY(add_together(n, slot, count));
    }
    if (n->layout->keras_scalar != NULL)
        MB_TRY(add(n, mb_arena_format(n->arena, "%s/%s", optimizer, n->layout->keras_scalar), -1));
    return make_unique(n);
}

mb_status_t mb_keras_optimizer_name(const mb_checkpoint_layout_t *layout, mb_arena_t *arena,
                                    mb_keras_optimizer_t *out)
{
    if (layout->optimizer_name == NULL)
        return mb_error_set(MB_ERR_INTERNAL, "the optimizer has no name to save its weights under");
    int most = layout->n_moments + 3;
    *out = (mb_keras_optimizer_t){
        .names = MB_ARENA_ARRAY(arena, const char *, most),
        .tensors = MB_ARENA_ARRAY(arena, int, most),
    };
    namer_t namer = {
        .layout = layout,
        .arena = arena,
        .moments = MB_ARENA_ARRAY(arena, moment_t, layout->n_moments),
        .out = out,
    };
    if (out->names == NULL || out->tensors == NULL || namer.moments == NULL)
        return no_memory();
    return name_all(&namer);
}
