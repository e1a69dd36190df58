/* The pool of stacks and the switch between them; see fibre.h. */
#include "cudasim/fibre.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <deque>
#include <vector>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace mb_cudasim
{

namespace
{

constexpr size_t STACK_BYTES = 256 << 10;
constexpr size_t GUARD_BYTES = 4096 * 4;

struct pool {
    std::deque<fibre> all;
    std::vector<fibre *> free;
};

/* Never destroyed: programs launch until they end. */
pool &the_pool = *new pool;

void stack_map(fibre *f)
{
    void *memory = mmap(nullptr, GUARD_BYTES + STACK_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory, GUARD_BYTES, PROT_NONE)) {
        fprintf(stderr, "cudasim: no memory for the stack of a fibre\n");
        abort();
    }
    f->stack = (char *)memory + GUARD_BYTES;
    f->stack_bytes = STACK_BYTES;
}

fibre *fibre_new()
{
    pool &p = the_pool;
    p.all.emplace_back();
    fibre *f = &p.all.back();
    stack_map(f);
    /* About what a waiting thread's frames take, so that neighbours use neighbouring lines. */
    f->stagger = (p.all.size() * 448) & 0x7fc0;
    return f;
}

#ifdef __SANITIZE_ADDRESS__
/* Where the host's stack is, learnt by the first fibre that arrives from it. */
const void *host_bottom;
size_t host_bytes;

void before_switch(fibre *from, const fibre *to)
{
    const void *bottom = to->stack ? to->stack : host_bottom;
    size_t bytes = to->stack ? to->stack_bytes : host_bytes;
    __sanitizer_start_switch_fiber(&from->fake_stack, bottom, bytes);
}

void after_switch(void *fake_stack, bool from_host)
{
    const void *bottom;
    size_t bytes;
    __sanitizer_finish_switch_fiber(fake_stack, &bottom, &bytes);
    if (from_host) {
        host_bottom = bottom;
        host_bytes = bytes;
    }
}
#else
void before_switch(fibre *, const fibre *)
{
}
void after_switch(void *, bool)
{
}
#endif

/* Who switched last and to whom; the arriving side cannot get it as arguments. */
fibre *left, *arrived;

void begin()
{
    after_switch(nullptr, !left->stack);
    arrived->entry();
    abort();
}

} // namespace

#if !defined(__x86_64__) || defined(MB_CUDASIM_UCONTEXT)

static void fibre_prepare(fibre *f)
{
    getcontext(&f->context);
    f->context.uc_stack.ss_sp = f->stack;
    f->context.uc_stack.ss_size = f->stack_bytes - f->stagger;
    f->context.uc_link = nullptr;
    makecontext(&f->context, begin, 0);
}

static void stack_switch(fibre *from, fibre *to)
{
    swapcontext(&from->context, &to->context);
}

#else

/* Saves what a function must keep, stores the stack pointer, and goes on with the other stack. */
extern "C" void mb_cudasim_stack_switch(void **save, void *stack_pointer);
asm(R"(
    .text
    .p2align 4
    .globl mb_cudasim_stack_switch
    .hidden mb_cudasim_stack_switch
    .type mb_cudasim_stack_switch, @function
mb_cudasim_stack_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size mb_cudasim_stack_switch, .-mb_cudasim_stack_switch
)");

/* As if begin() had been called and had switched away before its first instruction. */
static void fibre_prepare(fibre *f)
{
    uintptr_t *top = (uintptr_t *)fibre_top(f);
    *top = 0;
    *--top = (uintptr_t)begin;
    for (int i = 0; i < 6; i++)
        *--top = 0;
    f->stack_pointer = top;
}

static inline void stack_switch(fibre *from, fibre *to)
{
    mb_cudasim_stack_switch(&from->stack_pointer, to->stack_pointer);
}

#endif

void *fibre_top(const fibre *f)
{
    return f->stack + f->stack_bytes - f->stagger - 64 - sizeof(void *);
}

fibre *fibre_take(void (*entry)())
{
    pool &p = the_pool;
    if (p.free.empty())
        p.free.push_back(fibre_new());
    fibre *f = p.free.back();
    p.free.pop_back();
    if (!f->parked || f->entry != entry) {
        f->entry = entry;
        fibre_prepare(f);
    }
    return f;
}

void fibre_give(fibre *f)
{
    f->parked = true;
    the_pool.free.push_back(f);
}

void fibre_give_all()
{
    pool &p = the_pool;
    p.free.clear();
    for (fibre &f : p.all) {
        fibre_forget_frames(&f);
        f.parked = false;
        p.free.push_back(&f);
    }
}

void fibre_switch(fibre *from, fibre *to)
{
    left = from;
    arrived = to;
    before_switch(from, to);
    stack_switch(from, to);
    after_switch(from->fake_stack, !left->stack);
}

bool fibre_overflowed(const void *address)
{
    const char *p = (const char *)address;
    for (const fibre &f : the_pool.all)
        if (p < f.stack && p >= f.stack - GUARD_BYTES)
            return true;
    return false;
}

#ifdef __SANITIZE_ADDRESS__
__attribute__((no_sanitize_address)) void fibre_forget_frames(const fibre *f)
{
    __asan_unpoison_memory_region(f->stack, f->stack_bytes);
}
#else
void fibre_forget_frames(const fibre *)
{
}
#endif

} // namespace mb_cudasim
