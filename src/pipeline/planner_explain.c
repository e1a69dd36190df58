/* Why one layout is faster than others, in the planner's own parts of a step. */
#include "pipeline/planner.h"

#include <stddef.h>

void mb_planner_split(const mb_candidate_t *c, mb_candidate_part_t parts[MB_CANDIDATE_PARTS])
{
    double even = c->imbalance > 0 ? c->compute / c->imbalance : c->compute;
    parts[0] = (mb_candidate_part_t){"computing", "more or faster devices", even};
    parts[1] = (mb_candidate_part_t){
        "uneven stages", "other stages: no cut of this model is more even", c->compute - even};
    parts[2] = (mb_candidate_part_t){"filling and emptying the pipeline",
                                     "a larger batch, which has more micro-batches", c->bubble};
    parts[3] =
        (mb_candidate_part_t){"messages between stages",
                              "faster links between stages, or larger micro-batches", c->messages};
    parts[4] = (mb_candidate_part_t){"summing gradients over replicas",
                                     "faster links between nodes, or a larger batch", c->reduce};
    parts[5] = (mb_candidate_part_t){"the optimizer's pass",
                                     "a larger batch, which has fewer of them", c->update};
}

const mb_candidate_t *mb_planner_rival(const mb_candidate_t *all, int n, const char **part)
{
    mb_candidate_part_t own[MB_CANDIDATE_PARTS], its[MB_CANDIDATE_PARTS];
    const mb_candidate_t *other = NULL;
    int saved = 0;
    for (int i = 1; i < n && other == NULL; i++)
        other = all[i].stages != all[0].stages ? &all[i] : NULL;
    if (other == NULL)
        return NULL;
    mb_planner_split(&all[0], own);
    mb_planner_split(other, its);
    for (int i = 1; i < MB_CANDIDATE_PARTS; i++) {
        if (its[i].seconds - own[i].seconds > its[saved].seconds - own[saved].seconds)
            saved = i;
    }
    *part = own[saved].name;
    return other;
}
