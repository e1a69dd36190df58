/* See layouts_text.h. */
#include "cli/layouts_text.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"

static double percent(double part, const mb_candidate_t *c)
{
    return c->seconds > 0 ? 100 * part / c->seconds : 0;
}

static void print_row(const mb_candidate_t *c)
{
    char name[MB_LAYOUTS_NAME], memory[33] = "~", time[32];
    mb_str_bytes(mb_layouts_memory(c), memory + (c->counted > 0 ? 0 : 1), sizeof memory - 1);
    printf("%9s%8d x %-8d%6d x %-7lld%-16s%7.1f%%%8.1f%%%9.1f%%%12s%8.0f%%\n",
           mb_str_seconds(c->seconds, time, sizeof time), c->stages, c->replicas, c->micros,
           (long long)c->micro_batch, mb_layouts_name(c, name), percent(c->bubble, c),
           percent(c->reduce, c), percent(c->messages, c), memory, 100 * c->efficiency);
}

static void explain(const mb_layouts_t *l)
{
    const char *part = NULL;
    mb_candidate_part_t own[MB_CANDIDATE_PARTS];
    const mb_candidate_t *best = &l->all[0], *other = mb_planner_rival(l->all, l->n, &part);
    int most = 1;
    mb_planner_split(best, own);
    for (int i = 2; i < MB_CANDIDATE_PARTS; i++)
        most = own[i].seconds > own[most].seconds ? i : most;
    if (other != NULL)
        printf(
            "The first is %.1f%% faster than the best with other stages (%d x %d): less of %s.\n",
            100 * (other->seconds / best->seconds - 1), other->stages, other->replicas, part);
    most = own[most].seconds < 0.03 * best->seconds ? 0 : most;
    printf("Faster: %s (%s takes %.1f%% of a step).\n", own[most].remedy, own[most].name,
           percent(own[most].seconds, best));
}

/* What the memory is of that is not counted. */
static void say_counted(const mb_layouts_t *l)
{
    bool all = true;
    for (int i = 0; i < l->n && i < MB_LAYOUTS_ROWS; i++)
        all = all && l->all[i].counted > 0;
    if (!all)
        printf("~: of a formula, not counted%s%s\n", l->why[0] == '\0' ? "" : ": ", l->why);
}

void mb_layouts_print(const mb_layouts_t *l)
{
    printf("\nLayouts of %d ranks on %s, %lld samples a step, predicted; %d fit\n",
           l->options.ranks, l->options.hardware->name, (long long)l->options.batch, l->n);
    printf("%9s%20s%17s%-13s%8s%9s%10s%12s%9s\n", "step", "stages x replicas", "micro-batches  ",
           "schedule", "bubble", "reduce", "messages", "memory", "busy");
    for (int i = 0; i < l->n && i < MB_LAYOUTS_ROWS; i++)
        print_row(&l->all[i]);
    say_counted(l);
    explain(l);
}

/* ---- what is asked */

static mb_status_t ranks_of(const char *text, int *out)
{
    char *end;
    if (text == NULL)
        return MB_OK;
    long n = strtol(text, &end, 10);
    if (end == text || *end != '\0' || n < 1 || n > MB_PLANNING_MOST_RANKS)
        return mb_error_set(MB_ERR_ARGUMENT, "--ranks '%s' is not a number from 1 to %d", text,
                            MB_PLANNING_MOST_RANKS);
    *out = (int)n;
    return MB_OK;
}

mb_status_t mb_planning_asked(const mb_args_t *args, mb_planning_request_t *out)
{
    *out = (mb_planning_request_t){.model = args->words[0],
                                   .settings = args->settings,
                                   .memory = mb_args_flag(args, "memory"),
                                   .hardware = mb_args_flag(args, "hardware"),
                                   .profile = mb_args_flag(args, "profile")};
    return ranks_of(mb_args_flag(args, "ranks"), &out->ranks);
}
