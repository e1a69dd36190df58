/* Clipping by norm: which of the rules, and what it clips to. */
#include "model/optimizers/class.h"

bool mb_optimizer_needs_norms(const mb_optimizer_t *optimizer)
{
    return optimizer->clipnorm > 0.0 || optimizer->global_clipnorm > 0.0;
}

mb_status_t mb_optimizer_clip(const mb_optimizer_t *optimizer, mb_exec_t *exec, int n,
                              const double *squares, float *scale)
{
    bool own = optimizer->clipnorm > 0.0;
    mb_clip_args_t args = {.n = n,
                           .global = !own,
                           .clip = (float)(own ? optimizer->clipnorm : optimizer->global_clipnorm),
                           .squares = squares,
                           .scale = scale};
    return mb_run_clip(exec, &args);
}
