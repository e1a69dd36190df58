/* The layouts of a number of ranks, as `mbrun plan` shows them. */
#ifndef MB_TRAIN_LAYOUTS_H
#define MB_TRAIN_LAYOUTS_H

#include <jansson.h>

#include "train/planning.h"
#include "pipeline/planner.h"

/* Bytes of a name; and how many layouts are shown. */
enum { MB_LAYOUTS_NAME = 32, MB_LAYOUTS_ROWS = 10 };

typedef struct {
    mb_schedule_choice_t schedule; /* that was asked for */
    mb_planner_options_t options;
    mb_arena_t *arena;
    mb_candidate_t *all; /* the fastest first */
    int n;
    double least;
    char why[256]; /* memory is not counted; "": what is not is too large for that */
} mb_layouts_t;

/* Layouts of what the settings leave open. */
mb_status_t mb_layouts_find(const mb_planning_t *planning, mb_layouts_t *out);
/* Memory that is not counted is that of a formula. */
double mb_layouts_memory(const mb_candidate_t *candidate);
/* "1f1b +R2": the schedule and what is computed again. */
const char *mb_layouts_name(const mb_candidate_t *candidate, char *buffer);
json_t *mb_layouts_json(const mb_layouts_t *layouts);
/* What --schedule and --recompute say of a candidate; BUFFER may be where it stands. */

const char *mb_layouts_schedule(const mb_candidate_t *candidate, char *buffer);
const char *mb_layouts_recompute(const mb_layouts_t *layouts, const mb_candidate_t *candidate,
                                 char *buffer);

#endif
