/* What digests of a stage's ranks say: who has other bits than the others, and where. Numbers of a
 * message go by their place in it. What is held comes first: it makes computed bits differ, too. */
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "train/check_private.h"

static const mb_grid_t *grid_of(const mb_check_t *check)
{
    return &check->options.engine->grid;
}

static const mb_graph_t *graph_of(const mb_check_t *check)
{
    return check->options.engine->plan->graph;
}

static mb_digests_t of_group(const mb_check_t *check, int group)
{
    return mb_digests_of(graph_of(check), check->messages + (size_t)group * check->own.bytes);
}

static uint64_t number(const mb_check_t *check, int group, size_t place)
{
    return of_group(check, group).first[place];
}

/* ---- words */

static void say(char *text, const char *format, ...) MB_PRINTF(2, 3);
static void say(char *text, const char *format, ...)
{
    size_t length = strlen(text);
    va_list args;
    va_start(args, format);
    vsnprintf(text + length, MB_CHECK_TEXT - length, format, args);
    va_end(args);
}

static void say_rank(const mb_check_t *check, int group, char *text)
{
    say(text, "rank %d (%s)", mb_grid_rank(grid_of(check), grid_of(check)->stage, group),
        of_group(check, group).message);
}

static void say_since(const mb_check_t *check, char *text)
{
    long long steps = check->options.every;
    say(text,
        ". Leave out the host that errs, and go on from a checkpoint that is %lld step%s older or "
        "more: what was written since the check before may hold the error",
        steps, steps == 1 ? "" : "s");
}

/* ---- what all groups hold alike */

enum { MOST_NAMED = 8 };

/* Ranks that have COMMON, or that have not. */
static void say_ranks(const mb_check_t *check, size_t place, uint64_t common, bool having,
                      char *text)
{
    int named = 0;
    for (int g = 0; g < grid_of(check)->groups; g++) {
        if ((number(check, g, place) == common) != having)
            continue;
        if (named == MOST_NAMED) {
            say(text, " and others");
            return;
        }
        say(text, named++ == 0 ? "" : ", ");
        say_rank(check, g, text);
    }
}

static int count(const mb_check_t *check, size_t place, uint64_t digest)
{
    int n = 0;
    for (int g = 0; g < grid_of(check)->groups; g++)
        n += number(check, g, place) == digest;
    return n;
}

/* *COMMON: what the most groups have. Returns how many. */
static int find_common(const mb_check_t *check, size_t place, uint64_t *common)
{
    int most = 0;
    for (int g = 0; g < grid_of(check)->groups; g++) {
        int having = count(check, place, number(check, g, place));
        if (having > most)
            *common = number(check, g, place);
        most = having > most ? having : most;
    }
    return most;
}

static void compare_held(const mb_check_t *check, size_t place, const char *what, const char *name,
                         int64_t key, mb_verdict_t *out)
{
    uint64_t common = 0;
    int groups = grid_of(check)->groups, most = find_common(check, place, &common);
    if (most == groups || key >= out->key)
        return;
    *out = (mb_verdict_t){.key = key, .stage = grid_of(check)->stage};
    say(out->text, "%s '%s' of stage %d ", what, name, out->stage);
    if (2 * most > groups) {
        say(out->text, "has other bits on ");
        say_ranks(check, place, common, false, out->text);
        say(out->text, " than on ");
        say_ranks(check, place, common, true, out->text);
    } else {
        say(out->text, "differs between ");
        say_ranks(check, place, common, true, out->text);
        say(out->text, " and ");
        say_ranks(check, place, common, false, out->text);
        say(out->text, ", and which of them errs cannot be told by so many");
    }
    say_since(check, out->text);
}

static const char *path_of(const mb_check_t *check, int node)
{
    const mb_graph_t *graph = graph_of(check);
    return graph->layers[graph->nodes[node].layer]->path;
}

/* ---- what two groups computed */

/* Outputs in their order, losses, then from the last call back. */
static int64_t key_of(int n_nodes, int part, int node)
{
    switch (part) {
    case MB_LOOK_OUTPUT:
        return node;
    case MB_LOOK_LOSS:
        return n_nodes + node;
    default:
        return 2 * (int64_t)n_nodes + 2 * (int64_t)(n_nodes - node) + (part == MB_LOOK_WEIGHTS);
    }
}

static const char *part_name(int part)
{
    static const char *const names[MB_LOOK_PARTS] = {"the output of", "the gradient of the loss by",
                                                     "the gradient that is given to the input of",
                                                     "the gradient of the weights of"};
    return names[part];
}

static void say_micro(const mb_check_t *check, mb_verdict_t *out)
{
    const mb_checked_t *c = &check->checked;
    say(out->text, "micro-batch %lld gave other bits ", (long long)c->number);
    if (c->owner == c->partner) {
        say(out->text, "the second time on ");
        say_rank(check, c->owner, out->text);
    } else {
        say(out->text, "on ");
        say_rank(check, c->owner, out->text);
        say(out->text, ", whose it is, than on ");
        say_rank(check, c->partner, out->text);
    }
    say(out->text, ", first in %s layer '%s' of stage %d", part_name(out->part),
        path_of(check, out->node), out->stage);
}

static bool is_unlike(uint64_t a, uint64_t b)
{
    return a != b && a != 0 && b != 0;
}

static void compare_micro(const mb_check_t *check, int64_t base, mb_verdict_t *out)
{
    const mb_digests_t owner = of_group(check, check->checked.owner);
    const mb_digests_t partner = of_group(check, check->checked.partner);
    for (int part = 0; part < MB_LOOK_PARTS; part++) {
        for (int n = 0; n < owner.n_nodes; n++) {
            int place = part * owner.n_nodes + n;
            int64_t key = base + key_of(owner.n_nodes, part, n);
            if (!is_unlike(owner.first[place], partner.second[place]) || key >= out->key)
                continue;
            *out = (mb_verdict_t){.key = key,
                                  .of_micro = true,
                                  .stage = grid_of(check)->stage,
                                  .part = part,
                                  .node = n};
        }
    }
    if (out->of_micro)
        say_micro(check, out);
}

void mb_check_compare(const mb_check_t *check, mb_verdict_t *out)
{
    const mb_digests_t *own = &check->own;
    const mb_graph_t *graph = graph_of(check);
    size_t weights = (size_t)(own->weights - own->first);
    size_t moments = (size_t)(own->moments - own->first);
    size_t sums = (size_t)(own->sums - own->first);
    int64_t params = own->n_params;
    for (int p = 0; p < own->n_params; p++) {
        const char *path = graph->params[p].path;
        compare_held(check, weights + (size_t)p, "weight", path, p, out);
        compare_held(check, moments + (size_t)p, "the state of the optimizer for", path, params + p,
                     out);
    }
    compare_micro(check, 2 * params, out);
    for (int n = 0; n < own->n_nodes; n++)
        compare_held(check, sums + (size_t)n, "the sum of the gradients of layer",
                     path_of(check, n), 2 * params + 4 * (int64_t)own->n_nodes + 4 + n, out);
}

/* ---- a third time */

static void blame_again(const mb_check_t *check, bool first, bool second, char *text)
{
    const mb_checked_t *c = &check->checked;
    say(text, ". Computed once more there it is as %s time",
        first    ? "the first"
        : second ? "the second"
                 : "neither");
    if (c->owner == c->partner || !first) {
        say(text,
            first || second ? ", so that it erred once" : ", so that it errs again and again");
        return;
    }
    say(text, ": each stands by its bits, and a third group of ranks would have to tell");
}

static void blame_third(const mb_check_t *check, bool first, bool second, char *text)
{
    const mb_checked_t *c = &check->checked;
    say(text, ". A third, ");
    say_rank(check, c->third, text);
    if (!first && !second) {
        say(text, ", has other bits than either");
        return;
    }
    say(text, ", agrees with ");
    say_rank(check, first ? c->owner : c->partner, text);
    say(text, ", so that the error is on ");
    say_rank(check, first ? c->partner : c->owner, text);
}

void mb_check_blame(const mb_check_t *check, const uint64_t *third, mb_verdict_t *verdict)
{
    const mb_checked_t *c = &check->checked;
    int place = verdict->part * check->own.n_nodes + verdict->node;
    bool first = of_group(check, c->owner).first[place] == third[place];
    bool second = of_group(check, c->partner).second[place] == third[place];
    if (c->third == c->owner)
        blame_again(check, first, second, verdict->text);
    else
        blame_third(check, first, second, verdict->text);
    say_since(check, verdict->text);
}
