/* mbrun simulate: what it has found, for those who say it. */
#ifndef MB_CLI_SIMULATE_H
#define MB_CLI_SIMULATE_H

#include "cli/planning.h"
#include "pipeline/simulate.h"

typedef struct {
    mb_planning_t planning;
    const mb_plan_t **plans; /* [groups] */
    mb_plan_t *kinds[2]; /* of the groups with the fewest replicas, and of those with one more */
    mb_simulation_t simulation;
    mb_simulated_t out;
    double step_seconds;
    double idle;    /* of all ranks' time */
    bool computes;  /* --compute real: */
    double *losses; /* of each step */
    int n_losses;
    char digest[17]; /* of the final weights */
} mb_simulating_t;

mb_status_t mb_simulated_say(const mb_simulating_t *s);
mb_status_t mb_simulated_json(const mb_simulating_t *s);

#endif
