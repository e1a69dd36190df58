/* Barriers of a block and collectives of a warp: who has arrived, and what each one gets when all
 * live ones have. The last to arrive goes on at once, the others become ready.
 *
 * Meaning: CUDA C++ Programming Guide, "Synchronization Functions", "Warp Vote Functions", "Warp
 * Shuffle Functions". */
#include "cudasim/block.h"

#include "cudasim/error.h"

#include <stdio.h>
#include <string.h>

#include <algorithm>

namespace mb_cudasim
{

namespace
{

block_state &b = the_block;

bool same_place(place x, place y)
{
    return x.line == y.line && (x.file == y.file || strcmp(x.file, y.file) == 0);
}

const char *base_name(const char *file)
{
    const char *slash = strrchr(file, '/');
    return slash ? slash + 1 : file;
}

/* ---- the block's barrier */

/* The threads go on in an order of their own, LAST not among them. */
void barrier_release(const thread_state *last)
{
    b.barrier_result = b.barrier_sum;
    b.barrier_sum = 0;
    b.at_barrier = 0;
    b.order->restart();
    for (unsigned i = 0; i < b.n_threads; i++) {
        thread_state *t = &b.threads[b.order->next()];
        if (t->waits == waiting_for::block && t != last)
            thread_make_ready(t);
    }
}

void barrier_check_place(place at)
{
    if (b.at_barrier == 0)
        b.barrier_at = at;
    else if (!same_place(b.barrier_at, at))
        block_fail(cudaErrorLaunchFailure,
                   "a barrier at %s:%d, where other threads of the block wait at %s:%d",
                   base_name(at.file), at.line, base_name(b.barrier_at.file), b.barrier_at.line);
}

/* ---- collectives of a warp */

thread_state *warp_threads(const thread_state *t)
{
    return &b.threads[t->number / LANES * LANES];
}

/* Live lanes of T's mask have all arrived at T's collective. */
bool warp_complete(const thread_state *t)
{
    const warp_state &w = warp_of(t);
    unsigned needed = t->mask & w.live;
    if (needed & ~w.waiting)
        return false;
    const thread_state *lanes = warp_threads(t);
    for (unsigned left = needed; left; left &= left - 1) {
        const thread_state &lane = lanes[__builtin_ctz(left)];
        if (lane.mask != t->mask || lane.op != t->op)
            return false;
    }
    return true;
}

/* The lane whose value LANE gets. A source outside the segment of WIDTH lanes is the lane itself.
 */
int source_lane(const thread_state &t, int lane)
{
    int begin = lane & ~(t.width - 1);
    int end = begin + t.width;
    int from = lane;
    switch (t.op) {
    case warp_op::shuffle:
        return begin + (t.argument & (t.width - 1));
    case warp_op::shuffle_up:
        from = lane - t.argument;
        return from < begin ? lane : from;
    case warp_op::shuffle_down:
        from = lane + t.argument;
        return from < end ? from : lane;
    case warp_op::shuffle_xor:
        from = lane ^ t.argument;
        return from < end ? from : lane;
    default:
        return lane;
    }
}

void warp_shuffle(thread_state *lanes, unsigned here)
{
    uint64_t brought[LANES];
    for (unsigned left = here; left; left &= left - 1)
        brought[__builtin_ctz(left)] = lanes[__builtin_ctz(left)].value;
    for (unsigned left = here; left; left &= left - 1) {
        int lane = __builtin_ctz(left);
        int from = source_lane(lanes[lane], lane);
        bool there = from >= 0 && from < (int)LANES && (here >> from & 1);
        lanes[lane].value = there ? brought[from] : ~(uint64_t)0;
    }
}

void warp_ballot(thread_state *lanes, unsigned here)
{
    uint64_t votes = 0;
    for (unsigned left = here; left; left &= left - 1)
        votes |= lanes[__builtin_ctz(left)].value << __builtin_ctz(left);
    for (unsigned left = here; left; left &= left - 1)
        lanes[__builtin_ctz(left)].value = votes;
}

/* Gives results to all lanes of T's collective and lets them go on, but for LAST. */
void warp_finish(const thread_state *t, const thread_state *last)
{
    warp_state &w = warp_of(t);
    thread_state *lanes = warp_threads(t);
    unsigned here = t->mask & w.live;
    if (t->op == warp_op::ballot)
        warp_ballot(lanes, here);
    else if (t->op != warp_op::sync)
        warp_shuffle(lanes, here);
    w.waiting &= ~here;
    for (unsigned left = here; left; left &= left - 1) {
        thread_state *lane = &lanes[__builtin_ctz(left)];
        if (lane != last)
            thread_make_ready(lane);
    }
}

void warp_check(const thread_state *t, unsigned mask, int width)
{
    if (!(mask & lane_bit(t)))
        block_fail(cudaErrorLaunchFailure, "%s:%d: the mask 0x%08x lacks the calling lane %u",
                   base_name(t->at.file), t->at.line, mask, t->number % LANES);
    if (width < 1 || width > (int)LANES || (width & (width - 1)))
        block_fail(cudaErrorLaunchFailure, "%s:%d: a shuffle's width is a power of two up to 32",
                   base_name(t->at.file), t->at.line);
}

} // namespace

int block_barrier(int value, place at)
{
    thread_state *t = b.current;
    barrier_check_place(at);
    t->at = at;
    b.barrier_sum += value;
    if (++b.at_barrier == b.live) {
        barrier_release(t);
        return b.barrier_result;
    }
    t->waits = waiting_for::block;
    thread_suspend();
    return b.barrier_result;
}

uint64_t warp_collective(warp_op op, unsigned mask, uint64_t value, int argument, int width,
                         place at)
{
    thread_state *t = b.current;
    t->at = at;
    warp_check(t, mask, width);
    t->op = op;
    t->mask = mask;
    t->value = value;
    t->argument = argument;
    t->width = width;
    warp_of(t).waiting |= lane_bit(t);
    if (warp_complete(t)) {
        warp_finish(t, t);
        return t->value;
    }
    t->waits = waiting_for::warp;
    thread_suspend();
    return t->value;
}

void trap(place at)
{
    block_fail(cudaErrorLaunchFailure, "__trap() at %s:%d", base_name(at.file), at.line);
}

void collectives_after_exit(thread_state *gone)
{
    if (b.at_barrier && b.at_barrier == b.live)
        barrier_release(nullptr);
    const warp_state &w = warp_of(gone);
    thread_state *lanes = warp_threads(gone);
    for (unsigned left = w.waiting; left; left &= left - 1) {
        thread_state *lane = &lanes[__builtin_ctz(left)];
        if (lane->waits == waiting_for::warp && warp_complete(lane))
            warp_finish(lane, nullptr);
    }
}

namespace
{

/* How many threads wait where T does; 0 if one before T does and has been counted. */
unsigned count_alike(const thread_state *t)
{
    unsigned alike = 0;
    for (unsigned i = 0; i < b.n_threads; i++) {
        const thread_state &other = b.threads[i];
        if (other.waits != t->waits || !same_place(other.at, t->at))
            continue;
        if (alike == 0 && &other != t)
            return 0;
        alike++;
    }
    return alike;
}

int describe_one(char *text, size_t capacity, const thread_state *t, unsigned alike)
{
    const char *kind = t->waits == waiting_for::block ? "the block" : "their warp";
    int n = snprintf(text, capacity, "%u at %s:%d for %s (the first is (%u,%u,%u)", alike,
                     base_name(t->at.file), t->at.line, kind, t->index.x, t->index.y, t->index.z);
    size_t used = std::min((size_t)std::max(n, 0), capacity);
    unsigned missing =
        t->waits == waiting_for::warp ? t->mask & warp_of(t).live & ~warp_of(t).waiting : 0;
    if (missing)
        n += snprintf(text + used, capacity - used, ", missing lanes 0x%08x", missing);
    used = std::min((size_t)std::max(n, 0), capacity);
    return n + snprintf(text + used, capacity - used, ")");
}

} // namespace

void collectives_describe_waiting(char *text, size_t capacity)
{
    size_t used = 0;
    text[0] = 0;
    for (unsigned i = 0; i < b.n_threads && used + 1 < capacity; i++) {
        const thread_state *t = &b.threads[i];
        unsigned alike = t->waits == waiting_for::nothing ? 0 : count_alike(t);
        if (alike == 0)
            continue;
        if (used)
            used += (size_t)snprintf(text + used, capacity - used, "; ");
        if (used < capacity)
            used += (size_t)describe_one(text + used, capacity - used, t, alike);
    }
}

} // namespace mb_cudasim
