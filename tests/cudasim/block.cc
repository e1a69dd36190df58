/* Which thread of a block runs next; see block.h. */
#include "cudasim/block.h"

#include "cudasim/error.h"

#include <stdarg.h>
#include <stdio.h>

uint3 threadIdx;
uint3 blockIdx;
dim3 blockDim;
dim3 gridDim;

namespace mb_cudasim
{

block_state the_block;

namespace
{

/* A local name, and not a pointer to the heap: its fields are touched at every switch. */
block_state &b = the_block;

void thread_enter(thread_state *t)
{
    b.current = t;
    threadIdx = t->index;
}

void thread_exit(thread_state *t)
{
    b.live--;
    warp_of(t).live &= ~lane_bit(t);
    if (b.at_barrier || warp_of(t).waiting)
        collectives_after_exit(t);
}

void run_threads();

[[noreturn]] void fail_waiting_for_ever()
{
    char waiting[512];
    collectives_describe_waiting(waiting, sizeof waiting);
    b.current = nullptr; /* it is the block's failure */
    block_fail(cudaErrorLaunchFailure, "threads wait for others that never come: %s", waiting);
}

/* What runs next when the current thread cannot: the host when all have exited. */
fibre *pick()
{
    bool start = b.not_started && !(b.ready_first && !b.ready.empty());
    if (start)
        return fibre_take(run_threads);
    if (!b.ready.empty()) {
        thread_enter(b.ready.pop());
        return b.current->on;
    }
    if (b.live)
        fail_waiting_for_ever();
    return &b.host;
}

void switch_to(fibre *to)
{
    fibre *from = b.on;
    b.on = to;
    fibre_switch(from, to);
}

void start_threads()
{
    while (b.not_started) {
        b.not_started--;
        thread_enter(&b.threads[b.order->next()]);
        b.call->thread();
        thread_exit(b.current);
    }
}

/* What a fibre does, block for block: threads that have not started, until there are none or it
 * waits within one. It is given back just before it leaves; nobody takes one then, as none is left
 * to start. */
void run_threads()
{
    for (;;) {
        start_threads();
        fibre *next = pick();
        fibre_give(b.on);
        switch_to(next);
    }
}

uint3 index_of(unsigned number, dim3 size)
{
    return {number % size.x, number / size.x % size.y, number / size.x / size.y};
}

void start_state()
{
    b.not_started = b.live = b.n_threads;
    b.ready_first = draw().next() & 1;
    b.ready.clear();
    b.at_barrier = 0;
    b.barrier_sum = 0;
    b.failed = false;
    for (unsigned w = 0; w < b.n_warps; w++) {
        unsigned lanes = b.n_threads - w * LANES;
        b.warps[w] = {lanes >= LANES ? ~0u : (1u << lanes) - 1, 0};
    }
}

} // namespace

void block_shape(const launch_shape &shape, const kernel_call &call)
{
    b.shape = &shape;
    b.call = &call;
    b.n_threads = shape.block.x * shape.block.y * shape.block.z;
    b.n_warps = (b.n_threads + LANES - 1) / LANES;
    for (unsigned i = 0; i < b.n_threads; i++) {
        b.threads[i].number = i;
        b.threads[i].index = index_of(i, shape.block);
        b.threads[i].waits = waiting_for::nothing;
    }
}

cudaError_t block_run(walk &order)
{
    start_state();
    order.restart();
    b.order = &order;
    b.on = &b.host;
    switch_to(fibre_take(run_threads));
    b.current = nullptr;
    return b.failed ? b.error : cudaSuccess;
}

void thread_suspend()
{
    thread_state *t = b.current;
    t->on = b.on;
    switch_to(pick());
}

void thread_make_ready(thread_state *t)
{
    t->waits = waiting_for::nothing;
    b.ready.push(t);
}

void block_describe(char *text, size_t capacity)
{
    int n = snprintf(text, capacity, "kernel %s, block (%u,%u,%u)", b.shape->name, blockIdx.x,
                     blockIdx.y, blockIdx.z);
    if (b.current && n > 0 && (size_t)n < capacity)
        snprintf(text + n, capacity - (size_t)n, ", thread (%u,%u,%u)", threadIdx.x, threadIdx.y,
                 threadIdx.z);
}

void block_abandon()
{
    b.failed = true;
    fibre_switch(b.on, &b.host);
    __builtin_unreachable();
}

void block_fail(cudaError_t error, const char *format, ...)
{
    char where[256], what[768];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    block_describe(where, sizeof where);
    say("%s: %s", where, what);
    b.error = error;
    block_abandon();
}

} // namespace mb_cudasim
