/* mbrun trace: two traces side by side, and where they differ the most. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/command.h"
#include "cli/say.h"
#include "cli/traced.h"

enum { MOST_SHOWN = 8 };

typedef struct {
    mb_traced_t of[2];
    int n;
} traces_t;

typedef struct {
    int rank, kind;
    double seconds[2];
} difference_t;

typedef struct {
    difference_t list[MOST_SHOWN]; /* the largest first */
    int n;
} largest_t;

/* ---- what differs */

static double size_of(const difference_t *d)
{
    return fabs(d->seconds[0] - d->seconds[1]);
}

static void put_in(largest_t *largest, const difference_t *candidate)
{
    int at = largest->n < MOST_SHOWN ? largest->n++ : MOST_SHOWN;
    for (; at > 0 && size_of(candidate) > size_of(&largest->list[at - 1]); at--) {
        if (at < MOST_SHOWN)
            largest->list[at] = largest->list[at - 1];
    }
    if (at < MOST_SHOWN)
        largest->list[at] = *candidate;
}

static largest_t find_largest(const traces_t *t)
{
    largest_t largest = {.n = 0};
    for (int rank = 0; rank < t->of[0].n_ranks && rank < t->of[1].n_ranks; rank++) {
        for (int kind = 0; kind < MB_TRACED_KINDS; kind++) {
            difference_t d = {
                rank,
                kind,
                {t->of[0].ranks[rank].seconds[kind], t->of[1].ranks[rank].seconds[kind]}};
            if (size_of(&d) > 0)
                put_in(&largest, &d);
        }
    }
    return largest;
}

static bool is_same(const mb_traced_action_t *a, const mb_traced_action_t *b)
{
    return a->kind == b->kind && a->chunk == b->chunk && a->micro == b->micro && a->edge == b->edge;
}

typedef struct { /* the first action that differs; rank -1: none */
    int rank, at;
} parting_t;

static parting_t find_parting(const traces_t *t)
{
    for (int r = 0; r < t->of[0].n_ranks && r < t->of[1].n_ranks; r++) {
        const mb_traced_rank_t *a = &t->of[0].ranks[r], *b = &t->of[1].ranks[r];
        int at = 0;
        while (at < a->n && at < b->n && is_same(&a->actions[at], &b->actions[at]))
            at++;
        if (at < a->n || at < b->n)
            return (parting_t){r, at};
    }
    return (parting_t){-1, 0};
}

/* ---- what is said */

static const char *name_action(const mb_traced_rank_t *rank, int at, char buffer[64])
{
    if (at >= rank->n)
        return "nothing more";
    const mb_traced_action_t *action = &rank->actions[at];
    if (action->micro < 0)
        return mb_traced_kind((int)action->kind);
    snprintf(buffer, 64, "%s%d.%d", mb_traced_kind((int)action->kind), action->chunk,
             action->micro);
    return buffer;
}

static void print_order(const traces_t *t)
{
    char a[64], b[64];
    parting_t parting = find_parting(t);
    if (t->of[0].n_ranks != t->of[1].n_ranks)
        printf("ranks      %d and %d\n", t->of[0].n_ranks, t->of[1].n_ranks);
    if (parting.rank < 0)
        printf("order      the same actions in the same order on all ranks\n");
    else
        printf("order      rank %d, action %d: %s and %s\n", parting.rank, parting.at,
               name_action(&t->of[0].ranks[parting.rank], parting.at, a),
               name_action(&t->of[1].ranks[parting.rank], parting.at, b));
}

static double mean_of(const mb_traced_t *traced, int kind)
{
    double sum = 0;
    for (int rank = 0; rank < traced->n_ranks; rank++)
        sum += traced->ranks[rank].seconds[kind];
    return sum / traced->n_ranks;
}

static void print_numbers(const traces_t *t, const double *seconds)
{
    for (int i = 0; i < t->n; i++)
        printf("%14.6f", seconds[i]);
    if (t->n == 2 && seconds[0] > 0)
        printf("%+11.1f%%", 100 * (seconds[1] / seconds[0] - 1));
    printf("\n");
}

static void print_kinds(const traces_t *t)
{
    printf("\n%-12s%14s%14s%12s\n", "a rank", "seconds", t->n == 2 ? "seconds" : "",
           t->n == 2 ? "difference" : "");
    for (int kind = 0; kind < MB_TRACED_KINDS; kind++) {
        double seconds[2] = {mean_of(&t->of[0], kind), t->n == 2 ? mean_of(&t->of[1], kind) : 0};
        if (!(seconds[0] > 0) && !(seconds[1] > 0))
            continue;
        printf("%-12s", mb_traced_kind(kind));
        print_numbers(t, seconds);
    }
}

static void print_largest(const traces_t *t)
{
    largest_t largest = find_largest(t);
    if (largest.n > 0)
        printf("\nthey differ the most in\n");
    for (int i = 0; i < largest.n; i++) {
        char name[32];
        const difference_t *d = &largest.list[i];
        snprintf(name, sizeof name, "rank %d %s", d->rank, mb_traced_kind(d->kind));
        printf("%-18s", name);
        print_numbers(t, d->seconds);
    }
}

static mb_status_t say(const traces_t *t)
{
    for (int i = 0; i < t->n; i++)
        printf("trace      %s: %d rank%s, %d step%s of %.6g s\n", t->of[i].path, t->of[i].n_ranks,
               t->of[i].n_ranks == 1 ? "" : "s", t->of[i].steps, t->of[i].steps == 1 ? "" : "s",
               t->of[i].step_seconds);
    if (t->n == 2)
        print_order(t);
    print_kinds(t);
    if (t->n == 2)
        print_largest(t);
    return MB_OK;
}

static json_t *rank_json(const mb_traced_rank_t *rank)
{
    json_t *object = json_object();
    for (int kind = 0; object != NULL && kind < MB_TRACED_KINDS; kind++)
        json_object_set_new(object, mb_traced_kind(kind), mb_json_number(rank->seconds[kind]));
    return object;
}

static json_t *trace_json(const mb_traced_t *traced)
{
    json_t *ranks = json_array();
    for (int rank = 0; ranks != NULL && rank < traced->n_ranks; rank++)
        json_array_append_new(ranks, rank_json(&traced->ranks[rank]));
    return json_pack("{s:s, s:i, s:o, s:o}", "file", traced->path, "steps", traced->steps,
                     "step_seconds", mb_json_number(traced->step_seconds), "ranks", ranks);
}

static mb_status_t say_json(const traces_t *t)
{
    json_t *traces = json_array();
    for (int i = 0; traces != NULL && i < t->n; i++)
        json_array_append_new(traces, trace_json(&t->of[i]));
    bool same = t->n == 1 || (find_parting(t).rank < 0 && t->of[0].n_ranks == t->of[1].n_ranks);
    return mb_say_json(json_pack("{s:o, s:b}", "traces", traces, "same_order", same ? 1 : 0));
}

static mb_status_t trace(const mb_args_t *args, mb_arena_t *arena)
{
    traces_t t = {.n = args->n_words};
    if (arena == NULL)
        return mb_error_memory("a trace", sizeof t);
    for (int i = 0; i < t.n; i++)
        MB_TRY(mb_traced_read(args->words[i], arena, &t.of[i]));
    return mb_args_has(args, "json") ? say_json(&t) : say(&t);
}

static int run_trace(const mb_args_t *args)
{
    mb_arena_t *arena = mb_arena_create();
    int code = mb_say_end(trace(args, arena));
    mb_arena_destroy(arena);
    return code;
}

static const mb_flag_t flags[] = {{"json", '\0', NULL, "one JSON object instead of text"},
                                  {.name = NULL}};

const mb_command_t mb_command_trace = {
    .name = "trace",
    .usage = "A.json [B.json] [--json]",
    .title = "Show what ranks did in a trace, or where two traces differ",
    .detail =
        "Of files that --trace wrote, in a run or a simulation. Seconds are of a step, a rank:\n"
        "what each kind of action took, and what stood waiting in front of them. Of two, whether\n"
        "all ranks did the same in the same order, and the ranks and kinds that differ the most.\n",
    .flags = flags,
    .least_words = 1,
    .most_words = 2,
    .words = "one or two trace files",
    .run = run_trace};
