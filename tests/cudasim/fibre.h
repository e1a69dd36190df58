/* Fibres: stacks of their own within one thread of the host. A fibre runs until it switches to
 * another one by itself. On x86-64 a switch is a dozen instructions, elsewhere swapcontext.
 *
 *     pool:  [guard|....stack 0....] [guard|....stack 1....] ...
 *
 * Stacks are 256 KiB and come from a pool that only grows. Their tops are staggered, because stacks
 * that begin at the same place of a page share the same few sets of the caches. */
#ifndef MB_CUDASIM_FIBRE_H
#define MB_CUDASIM_FIBRE_H

#include <stddef.h>

#if !defined(__x86_64__) || defined(MB_CUDASIM_UCONTEXT)
#include <ucontext.h>
#endif

namespace mb_cudasim
{

struct fibre {
#if !defined(__x86_64__) || defined(MB_CUDASIM_UCONTEXT)
    ucontext_t context;
#else
    void *stack_pointer;
#endif
    void (*entry)();
    bool parked; /* it goes on where it left when it was given back */
    char *stack; /* lowest address; NULL for the host's own stack */
    size_t stack_bytes;
    size_t stagger;
    void *fake_stack; /* AddressSanitizer's */
};

/* A fibre that runs ENTRY, which never returns: from its beginning or, if the fibre ran before,
 * from where it left after giving itself back. */
fibre *fibre_take(void (*entry)());
/* F, which runs now, may be taken again once it has switched away. */
void fibre_give(fibre *f);
/* After an abandoned block: all are free and begin anew, wherever they stopped. */
void fibre_give_all();

/* Leaves FROM, which runs now, for TO; returns when something switches to FROM. */
void fibre_switch(fibre *from, fibre *to);

/* The highest address of F's stack that code may begin at, as a call would leave it. */
void *fibre_top(const fibre *f);
/* Is ADDRESS in a guard page of a fibre's stack? */
bool fibre_overflowed(const void *address);
/* Tells AddressSanitizer that the frames on F's stack are gone. */
void fibre_forget_frames(const fibre *f);

} // namespace mb_cudasim

#endif
