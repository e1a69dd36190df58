/* A run of a plan on ranks that are not there, in virtual time: mbrun simulate. */
#ifndef MB_TRAIN_SIMULATING_H
#define MB_TRAIN_SIMULATING_H

#include "train/planning.h"
#include "pipeline/simulate.h"

typedef struct {
    mb_planning_request_t planning;
    int steps;
    double jitter;                   /* part of an action's time that it takes more or less */
    const char *stragglers, *losses; /* as chance.h has them; NULL: none */
    bool computes;                   /* every rank trains, on the setting `data` */
    const char *trace, *output;      /* files to write; NULL: none. output: of computes */
} mb_simulating_request_t;

typedef struct {
    mb_simulating_request_t request;
    mb_planning_t planning;
    const mb_plan_t **plans; /* [groups] */
    mb_plan_t *kinds[2]; /* of the groups with the fewest replicas, and of those with one more */
    mb_simulation_t simulation;
    mb_simulated_t out;
    double step_seconds;
    double idle;    /* of all ranks' time */
    double *losses; /* of each step, where ranks compute */
    int n_losses;
    char digest[17]; /* of the final weights */
} mb_simulating_t;

/* Runs it; OUT is zero before. Close it whatever is returned. */
mb_status_t mb_simulating_run(const mb_simulating_request_t *request, mb_simulating_t *out);
void mb_simulating_close(mb_simulating_t *simulating);

#endif
