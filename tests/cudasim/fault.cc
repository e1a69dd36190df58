/* What a touch of the wrong memory becomes. In host code: a message, and then the crash that it is.
 * Within a kernel: a message with the kernel's name and the thread, and cudaErrorIllegalAddress;
 * the handler sends the thread to the end of its launch, which leaves its fibre for good. */
#include "cudasim/memory.h"

#include "cudasim/block.h"
#include "cudasim/error.h"

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

namespace mb_cudasim
{

namespace
{

struct sigaction before;
/* Whose kernel runs: another thread's fault is host code's. */
pthread_t owner;

bool in_kernel()
{
    return the_block.current && pthread_equal(owner, pthread_self());
}

/* A stack for the handler, as a fibre that overflowed has none; not if the thread has one. */
class handler_stack
{
  public:
    handler_stack()
    {
        stack_t now;
        if (sigaltstack(nullptr, &now) || !(now.ss_flags & SS_DISABLE))
            return;
        memory_ = malloc(BYTES);
        stack_t mine = {};
        mine.ss_sp = memory_;
        mine.ss_size = BYTES;
        sigaltstack(&mine, nullptr);
    }
    ~handler_stack()
    {
        stack_t none = {};
        none.ss_flags = SS_DISABLE;
        if (memory_)
            sigaltstack(&none, nullptr);
        free(memory_);
    }

  private:
    static constexpr size_t BYTES = 64 << 10;
    void *memory_ = nullptr;
};

void say_kernel(const void *address)
{
    char where[256], what[160];
    block_describe(where, sizeof where);
    if (fibre_overflowed(address)) {
        say("%s: the stack overflowed", where);
        return;
    }
    memory_describe(address, what, sizeof what);
    say("%s: touched %p, %s", where, address, what);
}

void say_host(const void *address)
{
    char what[160];
    memory_describe(address, what, sizeof what);
    say("host code touched device memory at %p: %s", address, what);
}

#ifdef __x86_64__
/* Not instrumented, because the frames above it are still marked as in use. */
__attribute__((noinline, no_sanitize("address", "undefined"))) void leave_kernel()
{
    fibre_forget_frames(the_block.on);
    block_abandon();
}

bool redirect(void *context)
{
    ucontext_t *c = (ucontext_t *)context;
    c->uc_mcontext.gregs[REG_RSP] = (greg_t)(uintptr_t)fibre_top(the_block.on);
    c->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)leave_kernel;
    return true;
}
#else
bool redirect(void *)
{
    return false;
}
#endif

void handle(int, siginfo_t *info, void *context)
{
    if (in_kernel()) {
        say_kernel(info->si_addr);
        the_block.error = cudaErrorIllegalAddress;
        if (redirect(context))
            return;
    } else if (memory_is_reserved(info->si_addr))
        say_host(info->si_addr);
    /* The same instruction faults again, and is the former handler's then. */
    sigaction(SIGSEGV, &before, nullptr);
}

} // namespace

void fault_install()
{
    struct sigaction mine;
    memset(&mine, 0, sizeof mine);
    mine.sa_sigaction = handle;
    mine.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&mine.sa_mask);
    sigaction(SIGSEGV, &mine, &before);
}

void fault_prepare_thread()
{
    static thread_local handler_stack stack;
    (void)&stack;
    owner = pthread_self();
}

} // namespace mb_cudasim
