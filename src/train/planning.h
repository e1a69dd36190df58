/* A model and the layout that a run of it on so many ranks would choose: what plan and simulate
 * begin with. No MPI. */
#ifndef MB_TRAIN_PLANNING_H
#define MB_TRAIN_PLANNING_H

#include "engine/profile.h"
#include "pipeline/plan.h"
#include "train/layout.h"

enum { MB_PLANNING_MOST_RANKS = 1 << 20 };

/* What is asked, as `mbrun plan` is asked by its options. */
typedef struct {
    const char *model;
    mb_settings_t *settings;        /* the user's; the file's are merged in */
    int ranks;                      /* 0: as many as there are stages, or 2 */
    const char *memory;             /* "80G": what a rank may take; NULL: what the hardware has */
    const char *hardware, *profile; /* files; NULL: the default, none */
} mb_planning_request_t;

typedef struct {
    mb_planning_request_t request;
    mb_arena_t *arena;
    mb_model_t *model;
    mb_source_t *source;
    mb_layout_t layout;
    mb_grid_t grid;
    int replicas;           /* of the first pipeline */
    mb_profile_t *profile;  /* that --profile names; NULL: none */
    mb_hardware_t hardware; /* that --hardware names, or the default */
    const mb_node_cost_t
        *taken; /* [n_nodes] seconds: of the profile, or as the hardware predicts */
    const mb_node_cost_t *costs; /* [n_nodes] that plans are cut by; NULL: as a run counts */
    bool uneven;                 /* groups have unequal numbers of replicas */
    size_t bucket_bytes;         /* of gradients that are summed together; 0: a chunk's */
    const double *crossing;      /* in the same unit; NULL: nothing */
} mb_planning_t;

/* Plans are cut by what layers take, unless the setting `partition` is `counted`. Close it whatever
 * is returned. */
mb_status_t mb_planning_open(const mb_planning_request_t *request, mb_planning_t *out);
void mb_planning_close(mb_planning_t *planning);

/* --schedule NAME, with what --recompute says. */
mb_status_t mb_planning_choice(const mb_planning_t *planning, const char *name,
                               mb_schedule_choice_t *out);
/* Whether a rank has a copy of its state in its own memory, which checkpoints are written from:
 * GPUs have it in the host's. */
bool mb_planning_copies(const mb_planning_t *planning);
/* Of a pipeline that works on so many replicas. The caller destroys it. */
mb_status_t mb_planning_plan(const mb_planning_t *planning, const mb_schedule_choice_t *choice,
                             int replicas, mb_plan_t **out);

#endif
