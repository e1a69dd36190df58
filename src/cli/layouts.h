/* The layouts of a number of ranks, as `mbrun plan` shows them. */
#ifndef MB_CLI_LAYOUTS_H
#define MB_CLI_LAYOUTS_H

#include <jansson.h>

#include "cli/planning.h"
#include "pipeline/planner.h"

typedef struct {
    mb_schedule_choice_t schedule; /* that was asked for */
    mb_planner_options_t options;
    mb_arena_t *arena;
    mb_candidate_t *all; /* the fastest first */
    int n;
    double least;
    char why[256]; /* memory is not counted; "": what is not is too large for that */
} mb_layouts_t;

#define MB_FLAG_HARDWARE                                                                           \
    {                                                                                              \
        "hardware", '\0', "FILE.json", "what devices and links can do (doc/planning.md)"           \
    }
#define MB_FLAG_PROFILE                                                                            \
    {                                                                                              \
        "profile", '\0', "FILE.json",                                                              \
            "what layers take, measured: RUN/profile.json, or of mbrun bench --profile"            \
    }
#define MB_FLAG_MEMORY                                                                             \
    {                                                                                              \
        "memory", '\0', "SIZE",                                                                    \
            "what a rank may take: 80G, 512MiB (default: what the hardware file says)"             \
    }

/* Layouts of what the settings leave open. */
mb_status_t mb_layouts_find(const mb_planning_t *planning, mb_layouts_t *out);
void mb_layouts_print(const mb_layouts_t *layouts);
json_t *mb_layouts_json(const mb_layouts_t *layouts);
/* What --schedule and --recompute say of a candidate; BUFFER may be where it stands. */
enum { MB_LAYOUTS_NAME = 32 };
const char *mb_layouts_schedule(const mb_candidate_t *candidate, char *buffer);
const char *mb_layouts_recompute(const mb_layouts_t *layouts, const mb_candidate_t *candidate,
                                 char *buffer);

#endif
