/* See chance.h. */
#include "train/chance.h"

#include "base/philox.h"

#include <stdlib.h>
#include <string.h>

typedef struct { /* RANK:VALUE or RANK@VALUE */
    int rank;
    double value;
} item_t;

typedef struct {
    const char *option, *form; /* "--lose", "RANK@STEP" */
    char between;
    double least, most;
    uint32_t purpose; /* of the ranks that are drawn */
    int ranks;
    uint64_t seed;
} kind_t;

static int draw_rank(const kind_t *kind, int place)
{
    mb_random_key_t key = {.seed = kind->seed,
                           .purpose = MB_RANDOM_SIMULATED,
                           .step = UINT32_MAX,
                           .node = kind->purpose};
    double unit = (double)mb_random_unit(mb_random_word(&key, 0, (uint32_t)place));
    return (int)(unit * kind->ranks);
}

static mb_status_t refuse(const kind_t *kind, const char *text)
{
    return mb_error_set(MB_ERR_ARGUMENT,
                        "%s '%s' is no list of %s with ranks below %d, or \"random\", and numbers "
                        "from %g on",
                        kind->option, text, kind->form, kind->ranks, kind->least);
}

/* Reads one item and moves *TEXT behind it and its comma. */
static bool read_item(const kind_t *kind, const char **text, int place, item_t *item)
{
    char *end;
    const char *at = *text;
    if (strncmp(at, "random", 6) == 0) {
        item->rank = draw_rank(kind, place);
        end = (char *)(uintptr_t)(at + 6);
    } else {
        long rank = strtol(at, &end, 10);
        if (end == at || rank < 0 || rank >= kind->ranks)
            return false;
        item->rank = (int)rank;
    }
    if (*end != kind->between)
        return false;
    at = end + 1;
    item->value = kind->between == '@' ? (double)strtol(at, &end, 10) : strtod(at, &end);
    if (end == at || !(item->value >= kind->least) || !(item->value <= kind->most))
        return false;
    *text = *end == ',' ? end + 1 : end;
    return *end == '\0' || (*end == ',' && end[1] != '\0');
}

static mb_status_t read_list(const kind_t *kind, const char *text, mb_arena_t *arena,
                             item_t **items, int *n)
{
    const char *at = text;
    *n = 0;
    *items = MB_ARENA_ARRAY(arena, item_t, text == NULL ? 1 : strlen(text) + 1);
    if (*items == NULL)
        return mb_error_memory("a list of ranks", sizeof(item_t));
    while (at != NULL && (*at != '\0' || *n == 0)) {
        if (!read_item(kind, &at, *n, &(*items)[*n]))
            return refuse(kind, text);
        ++*n;
    }
    return MB_OK;
}

mb_status_t mb_chance_stragglers(const char *text, int ranks, uint64_t seed, mb_arena_t *arena,
                                 mb_simulation_t *out)
{
    item_t *items;
    const kind_t kind = {"--straggler", "RANK:FACTOR", ':', 0.01, 1e6, 1, ranks, seed};
    MB_TRY(read_list(&kind, text, arena, &items, &out->n_stragglers));
    mb_straggler_t *list = MB_ARENA_ARRAY(arena, mb_straggler_t, out->n_stragglers + 1);
    if (list == NULL)
        return mb_error_memory("a list of ranks", sizeof *list);
    for (int i = 0; i < out->n_stragglers; i++)
        list[i] = (mb_straggler_t){items[i].rank, items[i].value};
    out->stragglers = list;
    return MB_OK;
}

mb_status_t mb_chance_losses(const char *text, int ranks, uint64_t seed, mb_arena_t *arena,
                             mb_simulation_t *out)
{
    item_t *items;
    const kind_t kind = {"--lose", "RANK@STEP", '@', 1, 1e9, 2, ranks, seed};
    MB_TRY(read_list(&kind, text, arena, &items, &out->n_losses));
    mb_loss_of_rank_t *list = MB_ARENA_ARRAY(arena, mb_loss_of_rank_t, out->n_losses + 1);
    if (list == NULL)
        return mb_error_memory("a list of ranks", sizeof *list);
    for (int i = 0; i < out->n_losses; i++)
        list[i] = (mb_loss_of_rank_t){items[i].rank, (int)items[i].value - 1};
    out->losses = list;
    return MB_OK;
}
