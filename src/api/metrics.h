/* Metrics that a model asks for, by their names. */
#ifndef MB_API_METRICS_H
#define MB_API_METRICS_H

#include "api/api.h"
#include "model/metric.h"

enum { MB_API_MAX_METRICS = 64, MB_API_METRIC_NAME = 96 };

typedef struct {
    char name[MB_API_METRIC_NAME];
    double value;
} mb_api_metric_t;

typedef struct {
    int n;
    mb_api_metric_t list[MB_API_MAX_METRICS];
} mb_api_metrics_t;

/* Replaces what is there. A metric of several values is "name[0]", "name[1]"... PREFIX stands in
 * front of all names. */
void mb_api_metrics_take(mb_api_metrics_t *metrics, const char *prefix, int n,
                         const mb_metric_value_t *values);
/* Rank 0's on all ranks. Collective. */
mb_status_t mb_api_metrics_share(mb_api_metrics_t *metrics, mb_comm_t *comm);
/* The same of two, whose numbers all ranks know: one message, as a step waits for it. */
mb_status_t mb_api_metrics_share_both(mb_api_metrics_t *a, mb_api_metrics_t *b, mb_comm_t *comm);
/* True: there is one of this name. */
bool mb_api_metrics_get(const mb_api_metrics_t *metrics, const char *name, double *value);

#endif
