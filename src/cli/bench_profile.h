/* mbrun bench MODEL.h5 --profile: what a model's layers take here. */
#ifndef MB_CLI_BENCH_PROFILE_H
#define MB_CLI_BENCH_PROFILE_H

#include "cli/job.h"
#include "engine/machine.h"

/* Collective. The layout is the one that a run with these settings would have. */
mb_status_t mb_bench_profile(const mb_job_t *job, const mb_args_t *args, mb_machine_t *machine,
                             const char *path);

#endif
