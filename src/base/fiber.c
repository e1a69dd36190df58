/* See fiber.h: POSIX contexts (ucontext), and what AddressSanitizer must know of their stacks. */
#define _GNU_SOURCE /* MAP_ANONYMOUS, MAP_NORESERVE */
#include "base/fiber.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

struct mb_fiber {
    ucontext_t own, owner;
    void (*entry)(void *user);
    void *user;
    mb_fiber_t *outer; /* the fiber that runs this one */
    void *stack;
    size_t stack_bytes; /* without the page behind it */
    bool ended;
    mb_error_message_t message, *owners_message;
    void *fake, *owners_fake; /* AddressSanitizer's */
    const void *owners_stack;
    size_t owners_stack_bytes;
};

static _Thread_local mb_fiber_t *current;

/* ---- AddressSanitizer is told before and after each change of stacks */

static void leave_owner(mb_fiber_t *fiber)
{
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(&fiber->owners_fake, fiber->stack, fiber->stack_bytes);
#else
    (void)fiber;
#endif
}

static void enter_owner(mb_fiber_t *fiber)
{
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(fiber->owners_fake, NULL, NULL);
#else
    (void)fiber;
#endif
}

static void leave_fiber(mb_fiber_t *fiber)
{
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(fiber->ended ? NULL : &fiber->fake, fiber->owners_stack,
                                   fiber->owners_stack_bytes);
#else
    (void)fiber;
#endif
}

static void enter_fiber(mb_fiber_t *fiber)
{
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(fiber->fake, &fiber->owners_stack, &fiber->owners_stack_bytes);
#else
    (void)fiber;
#endif
}

/* ---- */

static void to_owner(mb_fiber_t *fiber)
{
    current = fiber->outer;
    mb_error_use(fiber->owners_message);
    leave_fiber(fiber);
    swapcontext(&fiber->own, &fiber->owner);
    enter_fiber(fiber);
}

/* Takes no argument, since makecontext passes ints only. */
static void begin(void)
{
    mb_fiber_t *fiber = current;
    enter_fiber(fiber);
    fiber->entry(fiber->user);
    fiber->ended = true;
    to_owner(fiber);
}

static mb_status_t make_stack(mb_fiber_t *fiber, size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t whole = (bytes + page - 1) / page * page + page;
    char *memory = mmap(NULL, whole, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return mb_error_memory("a stack", whole);
    fiber->stack = memory + page;
    fiber->stack_bytes = whole - page;
    if (mprotect(memory, page, PROT_NONE) != 0)
        return mb_error_memory("a stack's last page", page);
    return MB_OK;
}

mb_status_t mb_fiber_create(void (*entry)(void *user), void *user, size_t stack_bytes,
                            mb_fiber_t **out)
{
    mb_fiber_t *fiber = calloc(1, sizeof *fiber);
    if (fiber == NULL)
        return mb_error_memory("a fiber", sizeof *fiber);
    fiber->entry = entry;
    fiber->user = user;
    mb_status_t status = make_stack(fiber, stack_bytes);
    if (status != MB_OK) {
        mb_fiber_destroy(fiber);
        return status;
    }
    getcontext(&fiber->own);
    fiber->own.uc_stack.ss_sp = fiber->stack;
    fiber->own.uc_stack.ss_size = fiber->stack_bytes;
    makecontext(&fiber->own, begin, 0);
    *out = fiber;
    return MB_OK;
}

void mb_fiber_destroy(mb_fiber_t *fiber)
{
    if (fiber == NULL)
        return;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (fiber->stack != NULL)
        munmap((char *)fiber->stack - page, fiber->stack_bytes + page);
    free(fiber);
}

void mb_fiber_run(mb_fiber_t *fiber)
{
    fiber->outer = current;
    current = fiber;
    fiber->owners_message = mb_error_use(&fiber->message);
    leave_owner(fiber);
    swapcontext(&fiber->owner, &fiber->own);
    enter_owner(fiber);
}

bool mb_fiber_ended(const mb_fiber_t *fiber)
{
    return fiber->ended;
}

mb_fiber_t *mb_fiber_current(void)
{
    return current;
}

void mb_fiber_yield(void)
{
    to_owner(current);
}
