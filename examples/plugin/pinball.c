/* The pinball loss, whose least value is at the quantile tau (Koenker and Bassett: "Regression
 * Quantiles", 1978): the mean over the columns of max(tau e, (tau - 1) e), with e = label - x. */
#include "own.h"

typedef struct {
    double tau;
} pinball_t;

static mb_status_t parse(mb_plugin_config_t *config, void **settings)
{
    pinball_t *pinball = mb->allocate(config, sizeof *pinball);
    if (pinball == NULL)
        return mb->error(MB_ERR_MEMORY, "no memory for its settings");
    *settings = pinball;
    return mb->real(config, "tau", 0.5, &pinball->tau);
}

static double row(const void *settings, int64_t columns, const float *x, const float *labels,
                  int32_t label, float *gradient)
{
    double tau = ((const pinball_t *)settings)->tau, sum = 0.0;
    (void)label;
    for (int64_t j = 0; j < columns; j++) {
        double e = (double)labels[j] - (double)x[j];
        double slope = e > 0.0 ? tau : tau - 1.0;
        sum += slope * e;
        if (gradient != NULL)
            gradient[j] = (float)(-slope / (double)columns);
    }
    return sum / (double)columns;
}

const mb_plugin_loss_t pinball_loss = {.size = sizeof(mb_plugin_loss_t),
                                       .name = "my_package>Pinball",
                                       .alias = "pinball",
                                       .parse = parse,
                                       .row = row};
