/* What each call of a model takes on the ranks' own devices: measured once at the start of a run
 * that has several stages, and kept beside it; the partition is made from it. Or when asked for, to
 * plan and simulate with. */
#ifndef MB_ENGINE_PROFILE_H
#define MB_ENGINE_PROFILE_H

#include "pipeline/costs.h"

struct mb_engine_options;

typedef struct {
    int n_nodes;
    mb_node_cost_t *nodes; /* [n_nodes] seconds of a micro-batch */
    double *crossing; /* [n_nodes] what it takes each side that a call's output crosses a cut */
    int n_stages;     /* that were unequal when it was measured; 0: none */
    double *slowness; /* [n_stages] of the devices of a stage, the slowest group's: times the nodes'
                         seconds are what they take there */
} mb_profile_t;

/* Not collective. MB_ERR_MEMORY. */
mb_status_t mb_profile_create(const mb_graph_t *graph, mb_profile_t **out);
void mb_profile_destroy(mb_profile_t *profile); /* NULL: nothing */

/* Collective. Every stage of an even cut of OPTIONS' model goes forward and back with a micro-batch
 * of zeros, all ranks at once, as they will in a step, for so many SECONDS; the median of the last
 * passes is taken. The engine made for it is gone afterwards. */
#define MB_PROFILE_SECONDS 0.15 /* at the start of a run */
mb_status_t mb_profile_measure(const struct mb_engine_options *options, double seconds,
                               mb_profile_t *out);

/* Makes of seconds that each stage's devices took those of one of mean speed, by the rates of a
 * product that were measured beside them: RATES[groups][n_stages]; STAGE_OF: [n_nodes]. Rates
 * within a fifth of each other are one. Only MB_ERR_MEMORY. */
mb_status_t mb_profile_level(mb_profile_t *profile, int groups, int n_stages, const double *rates,
                             const int *stage_of);
/* [n_stages] for a plan; NULL: all are equally fast. */
const double *mb_profile_slowness(const mb_profile_t *profile, int stages);

/* Not collective. A file of numbers that were measured for KEY (model, device, micro-batch ...;
 * NULL when reading: any); *found is false, and nothing is an error, where there is none such. */
mb_status_t mb_profile_write(const mb_profile_t *profile, const mb_graph_t *graph, const char *key,
                             const char *path);
mb_status_t mb_profile_read(mb_profile_t *profile, const char *key, const char *path, bool *found);

#endif
