/* The factor that clipping by norm puts on a gradient. Source: keras/src/optimizers/
 * base_optimizer.py, _clip_by_norm and clip_by_global_norm; the norms come from double sums. */
#include "model/optimizers/class.h"

#include <math.h>

bool mb_optimizer_needs_norms(const mb_optimizer_t *optimizer)
{
    return optimizer->clipnorm > 0.0 || optimizer->global_clipnorm > 0.0;
}

static float global_scale(float norm, float clip)
{
    float finite = clip * fminf(1.0f / norm, 1.0f / clip);
    return finite + (norm - norm); /* an infinite or NaN norm makes NaN */
}

float mb_optimizer_grad_scale(const mb_optimizer_t *optimizer, const double *squares, int n, int i)
{
    if (optimizer->clipnorm > 0.0) {
        float clip = (float)optimizer->clipnorm;
        return clip / fmaxf((float)sqrt(squares[i]), clip);
    }
    if (!(optimizer->global_clipnorm > 0.0))
        return 1.0f;
    double sum = 0.0;
    for (int k = 0; k < n; k++)
        sum += squares[k];
    return global_scale((float)sqrt(sum), (float)optimizer->global_clipnorm);
}
