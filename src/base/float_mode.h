/* How this thread's floating-point arithmetic rounds and what it does with subnormal numbers.
 * Programs that the library is part of set it to their taste (-ffast-math turns subnormals to zero
 * in every program or plugin that is linked with it), and bits would follow. */
#ifndef MB_BASE_FLOAT_MODE_H
#define MB_BASE_FLOAT_MODE_H

#include <fenv.h>

typedef struct {
    fenv_t kept;
} mb_float_mode_t;

/* The standard mode: to nearest, ties to even, subnormals as they are, no traps. Threads that are
 * started meanwhile inherit it. Leaving puts back what was kept, the flags of exceptions too. */
mb_float_mode_t mb_float_mode_enter(void);
void mb_float_mode_leave(const mb_float_mode_t *mode);

#endif
