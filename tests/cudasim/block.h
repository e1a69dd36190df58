/* A block of threads on fibres.
 *
 * One fibre runs threads one after the other, in drawn order, as long as none has to wait: a kernel
 * without barriers is little more than a loop. A thread that waits keeps the fibre it is on, and
 * the rest goes on on another one:
 *
 *     not started ---> running ---> exited
 *                      |     ^
 *                      v     |
 *                     waiting ---> ready        (its barrier or collective is complete)
 *
 * Nothing ready, nothing to start and threads left: they wait for ever, and the block fails. */
#ifndef MB_CUDASIM_BLOCK_H
#define MB_CUDASIM_BLOCK_H

#include "cudasim/fibre.h"
#include "cudasim/kernel.h"
#include "cudasim/random.h"

namespace mb_cudasim
{

constexpr unsigned MAX_THREADS = 1024;
constexpr unsigned LANES = 32;

enum class waiting_for : uint8_t { nothing, block, warp };

struct thread_state {
    uint3 index;
    unsigned number; /* x first */
    waiting_for waits;
    fibre *on; /* while waiting or ready */
    place at;
    /* A warp's collective: what the lane brings; value holds the result once it is complete. */
    warp_op op;
    unsigned mask;
    int argument, width;
    uint64_t value;
};

struct warp_state {
    unsigned live;
    unsigned waiting; /* lanes in a collective */
};

/* Threads whose wait is over, first in first out. */
class ready_queue
{
  public:
    void clear()
    {
        first_ = count_ = 0;
    }
    bool empty() const
    {
        return count_ == 0;
    }
    void push(thread_state *t)
    {
        ring_[(first_ + count_++) % MAX_THREADS] = t;
    }
    thread_state *pop()
    {
        thread_state *t = ring_[first_];
        first_ = (first_ + 1) % MAX_THREADS;
        count_--;
        return t;
    }

  private:
    thread_state *ring_[MAX_THREADS];
    unsigned first_, count_;
};

/* The block that runs now; there is only one. */
struct block_state {
    const launch_shape *shape;
    const kernel_call *call;
    unsigned n_threads, n_warps;
    thread_state threads[MAX_THREADS];
    warp_state warps[MAX_THREADS / LANES];

    walk *order; /* in which threads start, and go on behind a barrier */
    unsigned not_started;
    unsigned live; /* not exited */
    bool ready_first;
    ready_queue ready;
    thread_state *current; /* NULL between blocks */
    fibre *on;
    fibre host;
    bool failed;
    cudaError_t error;

    unsigned at_barrier;
    int barrier_sum, barrier_result;
    place barrier_at;
};

extern block_state the_block;

inline warp_state &warp_of(const thread_state *t)
{
    return the_block.warps[t->number / LANES];
}
inline unsigned lane_bit(const thread_state *t)
{
    return 1u << t->number % LANES;
}

/* Before the blocks of a launch. */
void block_shape(const launch_shape &shape, const kernel_call &call);
/* Runs the block that blockIdx names; not cudaSuccess: the launch is over. */
cudaError_t block_run(walk &order);

/* The current thread waits until it is made ready. */
void thread_suspend();
void thread_make_ready(thread_state *t);
/* Says what is wrong with the current thread or block, and leaves the launch with ERROR. */
[[noreturn]] void block_fail(cudaError_t error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* From the handler of faults, on an abandoned stack. */
[[noreturn]] void block_abandon();

/* A thread has gone: those who wait for the rest may go on (collectives.cc). */
void collectives_after_exit(thread_state *gone);
/* Says for each place how many threads wait there. */
void collectives_describe_waiting(char *text, size_t capacity);

/* "kernel NAME, block (1,2,3)". */
void block_describe(char *text, size_t capacity);

/* All blocks of a launch, one after the other in drawn order (grid.cc). */
cudaError_t grid_run(const launch_shape &shape, const kernel_call &call);

} // namespace mb_cudasim

#endif
