/* See metrics.h. */
#include "api/metrics.h"

#include <stdio.h>
#include <string.h>

static void add(mb_api_metrics_t *metrics, const char *prefix, const mb_metric_value_t *value,
                int64_t index)
{
    if (metrics->n == MB_API_MAX_METRICS)
        return;
    mb_api_metric_t *metric = &metrics->list[metrics->n++];
    if (value->n == 1)
        snprintf(metric->name, sizeof metric->name, "%s%s", prefix, value->name);
    else
        snprintf(metric->name, sizeof metric->name, "%s%s[%d]", prefix, value->name, (int)index);
    metric->value = value->values[index];
}

void mb_api_metrics_take(mb_api_metrics_t *metrics, const char *prefix, int n,
                         const mb_metric_value_t *values)
{
    metrics->n = 0;
    for (int i = 0; i < n; i++) {
        for (int64_t k = 0; k < values[i].n; k++)
            add(metrics, prefix, &values[i], k);
    }
}

mb_status_t mb_api_metrics_share(mb_api_metrics_t *metrics, mb_comm_t *comm)
{
    MB_TRY(mb_comm_broadcast(comm, &metrics->n, sizeof metrics->n, 0));
    if (metrics->n == 0)
        return MB_OK;
    return mb_comm_broadcast(comm, metrics->list, (size_t)metrics->n * sizeof metrics->list[0], 0);
}

mb_status_t mb_api_metrics_share_both(mb_api_metrics_t *a, mb_api_metrics_t *b, mb_comm_t *comm)
{
    mb_api_metric_t packed[2 * MB_API_MAX_METRICS];
    size_t first = (size_t)a->n, second = (size_t)b->n;
    if (first + second == 0)
        return MB_OK;
    memcpy(packed, a->list, first * sizeof packed[0]);
    memcpy(packed + first, b->list, second * sizeof packed[0]);
    MB_TRY(mb_comm_broadcast(comm, packed, (first + second) * sizeof packed[0], 0));
    memcpy(a->list, packed, first * sizeof packed[0]);
    memcpy(b->list, packed + first, second * sizeof packed[0]);
    return MB_OK;
}

bool mb_api_metrics_get(const mb_api_metrics_t *metrics, const char *name, double *value)
{
    for (int i = 0; i < metrics->n; i++) {
        if (strcmp(metrics->list[i].name, name) != 0)
            continue;
        *value = metrics->list[i].value;
        return true;
    }
    return false;
}
