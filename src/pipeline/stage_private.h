/* Shared by the files of the stage. */
#ifndef MB_PIPELINE_STAGE_PRIVATE_H
#define MB_PIPELINE_STAGE_PRIVATE_H

#include "pipeline/stage.h"

mb_status_t mb_stage_plan_memory(mb_stage_t *stage);
/* Fills RUN for a node's call but the backward pointers. PARAMS and INPUTS are the caller's arrays.
 */
void mb_stage_fill_run(const mb_stage_t *stage, const mb_micro_t *micro, int node, mb_run_t *run,
                       float **params, const void **inputs);
char *mb_stage_at(char *base, int64_t offset);

#endif
