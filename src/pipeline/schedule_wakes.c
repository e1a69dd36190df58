/* See schedule_wakes.h. */
#include "pipeline/schedule_wakes.h"

mb_status_t mb_wakes_create(int stages, mb_arena_t *arena, mb_wakes_t *out)
{
    *out = (mb_wakes_t){.stages = stages,
                        .at = MB_ARENA_ARRAY(arena, double, stages),
                        .heap = MB_ARENA_ARRAY(arena, int, stages),
                        .place = MB_ARENA_ARRAY(arena, int, stages)};
    if (out->at == NULL || out->heap == NULL || out->place == NULL)
        return mb_error_memory("a schedule", (size_t)stages * sizeof(double));
    return MB_OK;
}

void mb_wakes_reset(mb_wakes_t *wakes)
{
    for (int s = 0; s < wakes->stages; s++) {
        wakes->at[s] = 0;
        wakes->heap[s] = wakes->place[s] = s;
    }
}

static bool earlier(const mb_wakes_t *w, int a, int b)
{
    return w->at[a] < w->at[b] || (w->at[a] == w->at[b] && a < b);
}

static void put(mb_wakes_t *w, int place, int stage)
{
    w->heap[place] = stage;
    w->place[stage] = place;
}

static int sift_up(mb_wakes_t *w, int place, int stage)
{
    while (place > 0 && earlier(w, stage, w->heap[(place - 1) / 2])) {
        put(w, place, w->heap[(place - 1) / 2]);
        place = (place - 1) / 2;
    }
    return place;
}

static int sift_down(mb_wakes_t *w, int place, int stage)
{
    for (int child; (child = 2 * place + 1) < w->stages; place = child) {
        if (child + 1 < w->stages && earlier(w, w->heap[child + 1], w->heap[child]))
            child++;
        if (!earlier(w, w->heap[child], stage))
            break;
        put(w, place, w->heap[child]);
    }
    return place;
}

void mb_wakes_set(mb_wakes_t *wakes, int stage, double at)
{
    bool sooner = at < wakes->at[stage];
    int place = wakes->place[stage];
    wakes->at[stage] = at;
    put(wakes, sooner ? sift_up(wakes, place, stage) : sift_down(wakes, place, stage), stage);
}
