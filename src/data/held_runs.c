/* See held_runs.h. */
#include "data/held_runs.h"

#include <stdlib.h>

/* What is shared out: sample I of TOTAL goes to owner I * OWNERS / TOTAL. */
typedef struct {
    int64_t total, next;
    int owners;
    int64_t at; /* in what the owner of NEXT has adopted so far */
} sharing_t;

/* How many samples from NEXT on have one owner. */
static int64_t same_owner(const sharing_t *s, int *owner)
{
    int64_t each = s->total / s->owners, more = s->total % s->owners;
    int64_t larger = more * (each + 1); /* samples of the owners that get one more */
    if (s->next < larger) {
        *owner = (int)(s->next / (each + 1));
        return each + 1 - s->next % (each + 1);
    }
    *owner = (int)(more + (s->next - larger) / each);
    return each - (s->next - larger) % each;
}

static void add(mb_held_runs_t *out, mb_held_run_t run)
{
    run.first = out->samples;
    out->runs[out->n++] = run;
    out->samples += run.count;
}

static void share_out(mb_held_runs_t *out, sharing_t *s, int rank, int64_t count)
{
    for (int64_t done = 0; done < count;) {
        int owner;
        int64_t left = same_owner(s, &owner);
        int64_t n = left < count - done ? left : count - done;
        add(out, (mb_held_run_t){.count = n,
                                 .rank = rank,
                                 .index = done,
                                 .owner = owner,
                                 .adopted = true,
                                 .at = s->at});
        s->at = n == left ? 0 : s->at + n;
        s->next += n;
        done += n;
    }
}

mb_status_t mb_held_runs_make(const int64_t *counts, const bool *computes, int ranks,
                              mb_held_runs_t *out)
{
    sharing_t sharing = {0};
    int owner = 0;
    for (int r = 0; r < ranks; r++) {
        sharing.owners += computes[r];
        sharing.total += computes[r] ? 0 : counts[r];
    }
    /* Each owner's end cuts a run in two at most. */
    size_t most = (size_t)ranks + (size_t)sharing.owners + 1;
    *out = (mb_held_runs_t){.runs = calloc(most, sizeof *out->runs)};
    if (out->runs == NULL)
        return mb_error_memory("the places of samples", most * sizeof *out->runs);
    for (int r = 0; r < ranks; r++) {
        if (!computes[r])
            share_out(out, &sharing, r, counts[r]);
        else if (counts[r] > 0)
            add(out, (mb_held_run_t){.count = counts[r], .rank = r, .owner = owner});
        owner += computes[r];
    }
    return MB_OK;
}

void mb_held_runs_free(mb_held_runs_t *runs)
{
    free(runs->runs);
    *runs = (mb_held_runs_t){0};
}

const mb_held_run_t *mb_held_runs_find(const mb_held_runs_t *runs, int64_t sample)
{
    int low = 0, high = runs->n - 1;
    while (low < high) {
        int middle = low + (high - low + 1) / 2;
        if (runs->runs[middle].first <= sample)
            low = middle;
        else
            high = middle - 1;
    }
    return &runs->runs[low];
}

int64_t mb_held_runs_adopted(const mb_held_runs_t *runs, int owner)
{
    int64_t count = 0;
    for (int i = 0; i < runs->n; i++) {
        if (runs->runs[i].adopted && runs->runs[i].owner == owner)
            count += runs->runs[i].count;
    }
    return count;
}
