/* See flows.h. Every flow stands in a heap once, by the time at which its bytes are through, and
 * then by that at which they arrive. What ways give is told to their flows when time goes on, so
 * that of many that begin or end at one time it is once. */
#include "base/flows.h"

#include <math.h>
#include <string.h>

enum {
    OUT,
    IN,
    MOST_CHANGED = 4 /* ways at one time: of a flow that ends, and of one that takes its place */
};

struct mb_flow {
    mb_flow_way_t *way[2];
    int next[2], before[2]; /* of its ways' lists */
    int at;                 /* in the heap */
    bool arrives;           /* its bytes are through */
    double left, rate;      /* bytes at SINCE, and of them a second from then on */
    double since;
    double began, bytes;
    double time, latency;
    uint64_t order, what;
};

/* ---- room */

static void *grown(mb_arena_t *arena, const void *old, size_t used, size_t bytes)
{
    void *memory = mb_arena_alloc(arena, bytes);
    if (memory != NULL && used > 0)
        memcpy(memory, old, used);
    return memory;
}

static mb_status_t make_room(mb_flows_t *f)
{
    if (f->free != 0 || f->n + 1 < f->room)
        return MB_OK;
    size_t old = (size_t)f->room, room = old == 0 ? 256 : 2 * old;
    mb_flow_t *flows = grown(f->arena, f->flows, old * sizeof *flows, room * sizeof *flows);
    int *heap = grown(f->arena, f->heap, old * sizeof *heap, room * sizeof *heap);
    mb_flow_way_t **changed = grown(f->arena, f->changed, MOST_CHANGED * old * sizeof *changed,
                                    MOST_CHANGED * room * sizeof *changed);
    if (flows == NULL || heap == NULL || changed == NULL)
        return mb_error_memory("the messages under way", room * sizeof *flows);
    f->flows = flows;
    f->heap = heap;
    f->changed = changed;
    f->room = (int)room;
    return MB_OK;
}

static int take_flow(mb_flows_t *f)
{
    int number = f->free;
    if (number == 0)
        return ++f->n;
    f->free = f->flows[number].next[OUT];
    return number;
}

/* ---- the heap */

static bool comes_before(const mb_flows_t *f, int a, int b)
{
    const mb_flow_t *x = &f->flows[a], *y = &f->flows[b];
    return x->time < y->time || (x->time <= y->time && x->order < y->order);
}

static void put_at(mb_flows_t *f, int at, int number)
{
    f->heap[at] = number;
    f->flows[number].at = at;
}

static void sift_up(mb_flows_t *f, int number)
{
    int at = f->flows[number].at;
    for (; at > 0 && comes_before(f, number, f->heap[(at - 1) / 2]); at = (at - 1) / 2)
        put_at(f, at, f->heap[(at - 1) / 2]);
    put_at(f, at, number);
}

static void sift_down(mb_flows_t *f, int number)
{
    int at = f->flows[number].at;
    for (int child = 2 * at + 1; child < f->n_heap; child = 2 * at + 1) {
        if (child + 1 < f->n_heap && comes_before(f, f->heap[child + 1], f->heap[child]))
            child++;
        if (!comes_before(f, f->heap[child], number))
            break;
        put_at(f, at, f->heap[child]);
        at = child;
    }
    put_at(f, at, number);
}

static void set_time(mb_flows_t *f, int number, double time)
{
    bool earlier = time < f->flows[number].time;
    f->flows[number].time = time;
    if (earlier)
        sift_up(f, number);
    else
        sift_down(f, number);
}

static void add_to_heap(mb_flows_t *f, int number)
{
    f->flows[number].at = f->n_heap++;
    sift_up(f, number);
}

static void drop_first(mb_flows_t *f)
{
    int last = f->heap[--f->n_heap];
    if (f->n_heap == 0)
        return;
    put_at(f, 0, last);
    sift_down(f, last);
}

/* ---- ways */

static void note_change(mb_flows_t *f, mb_flow_way_t *way)
{
    if (way->changed)
        return;
    way->changed = true;
    f->changed[f->n_changed++] = way;
}

static void put_on(mb_flows_t *f, int number, int side)
{
    mb_flow_t *flow = &f->flows[number];
    mb_flow_way_t *way = flow->way[side];
    flow->before[side] = 0;
    flow->next[side] = way->first;
    if (way->first != 0)
        f->flows[way->first].before[side] = number;
    way->first = number;
    way->n++;
    note_change(f, way);
}

static void take_off(mb_flows_t *f, int number, int side)
{
    mb_flow_t *flow = &f->flows[number];
    mb_flow_way_t *way = flow->way[side];
    if (flow->before[side] != 0)
        f->flows[flow->before[side]].next[side] = flow->next[side];
    else
        way->first = flow->next[side];
    if (flow->next[side] != 0)
        f->flows[flow->next[side]].before[side] = flow->before[side];
    way->n--;
    note_change(f, way);
}

static void count(const mb_flow_t *flow, int side, double now)
{
    mb_flow_way_t *way = flow->way[side];
    double alone = flow->bytes / way->bandwidth, took = now - flow->began;
    way->busy += alone;
    way->held_up += took > alone ? took - alone : 0;
}

/* ---- what each gets */

static double part_of(const mb_flow_way_t *way)
{
    return way->bandwidth / way->n;
}

static void tell(mb_flows_t *f, int number)
{
    mb_flow_t *flow = &f->flows[number];
    double out = part_of(flow->way[OUT]), in = part_of(flow->way[IN]);
    double rate = out < in ? out : in, left;
    if (!(rate < flow->rate) && !(rate > flow->rate))
        return;
    left = flow->left - flow->rate * (f->now - flow->since);
    flow->left = left > 0 ? left : 0;
    flow->rate = rate;
    flow->since = f->now;
    set_time(f, number, f->now + flow->left / rate);
}

/* A list of a way out goes on by the flows' first links, that of a way in by their second ones; a
 * way is of one kind alone. */
static void settle(mb_flows_t *f)
{
    for (int i = 0; i < f->n_changed; i++) {
        mb_flow_way_t *way = f->changed[i];
        way->changed = false;
        for (int at = way->first, side; at != 0; at = f->flows[at].next[side]) {
            side = f->flows[at].way[OUT] == way ? OUT : IN;
            tell(f, at);
        }
    }
    f->n_changed = 0;
}

/* ---- beginning and end */

mb_status_t mb_flows_begin(mb_flows_t *f, double now, mb_flow_way_t *out, mb_flow_way_t *in,
                           int64_t bytes, double latency, uint64_t what)
{
    MB_TRY(make_room(f));
    int number = take_flow(f);
    bool moves = bytes > 0 && (out->bandwidth < INFINITY || in->bandwidth < INFINITY);
    f->now = now;
    f->flows[number] = (mb_flow_t){.way = {out, in},
                                   .arrives = !moves,
                                   .left = (double)bytes,
                                   .since = now,
                                   .began = now,
                                   .bytes = (double)bytes,
                                   .time = moves ? INFINITY : now + latency,
                                   .latency = latency,
                                   .order = f->begun++,
                                   .what = what};
    add_to_heap(f, number);
    for (int side = OUT; side <= IN; side++) {
        f->flows[number].way[side]->bytes += bytes;
        f->flows[number].way[side]->messages++;
        if (moves)
            put_on(f, number, side);
    }
    return MB_OK;
}

/* The bytes of the first are through. */
static void pass(mb_flows_t *f)
{
    int number = f->heap[0];
    mb_flow_t *flow = &f->flows[number];
    f->now = flow->time;
    for (int side = OUT; side <= IN; side++) {
        count(flow, side, f->now);
        take_off(f, number, side);
    }
    flow->arrives = true;
    set_time(f, number, f->now + flow->latency);
}

static void arrive(mb_flows_t *f, double *time, uint64_t *what)
{
    int number = f->heap[0];
    mb_flow_t *flow = &f->flows[number];
    *time = flow->time;
    *what = flow->what;
    drop_first(f);
    flow->next[OUT] = f->free;
    f->free = number;
}

bool mb_flows_take(mb_flows_t *f, double before, double *time, uint64_t *what)
{
    while (f->n_heap > 0) {
        const mb_flow_t *first = &f->flows[f->heap[0]];
        if (f->n_changed > 0 && before > f->now && first->time > f->now) {
            settle(f);
            continue;
        }
        if (!(first->time < before))
            return false;
        if (first->arrives) {
            arrive(f, time, what);
            return true;
        }
        pass(f);
    }
    return false;
}
