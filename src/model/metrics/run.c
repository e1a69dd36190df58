/* What is done with metrics once they are read: by each class' own functions. */
#include <string.h>
#include "model/metrics/class.h"

mb_status_t mb_metrics_run(const mb_metrics_t *metrics, mb_exec_t *exec,
                           const mb_metric_batch_t *batch, double *states)
{
    mb_metric_batch_t own = *batch;
    for (int i = 0; i < metrics->n; i++) {
        const mb_metric_t *metric = &metrics->list[i];
        if (metric->counted)
            continue;
        own.weights = metric->masked ? batch->mask : metric->weighted ? batch->weights : NULL;
        mb_status_t status = metric->class_->family->run(metric, exec, &own, states);
        if (status != MB_OK)
            return mb_error_prefix(status, "metric '%s': ", metric->key);
        states += metric->states;
        own.constants = own.constants == NULL ? NULL : own.constants + metric->n_constants;
    }
    return MB_OK;
}

void mb_metric_finish(const mb_metric_t *metric, const double *states, double *values)
{
    metric->class_->finish(metric, states, values);
}

void mb_metrics_constants(const mb_metrics_t *metrics, float *out)
{
    for (int i = 0; i < metrics->n; i++) {
        const mb_metric_t *metric = &metrics->list[i];
        if (metric->n_constants > 0)
            memcpy(out, metric->constants, (size_t)metric->n_constants * sizeof(float));
        out += metric->n_constants;
    }
}
