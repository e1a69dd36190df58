/* Schedules by name: the one list of generators. */
#include "pipeline/schedule.h"

#include "base/str.h"

#include <string.h>

#define MOST_ACTIONS_OF_A_MICRO 4

typedef struct {
    const char *name;
    void (*generate)(const mb_schedule_place_t *place, mb_program_t *program);
} schedule_t;

static const schedule_t schedules[] = {
    [MB_SCHEDULE_GPIPE] = {"gpipe", mb_schedule_gpipe},
    [MB_SCHEDULE_1F1B] = {"1f1b", mb_schedule_1f1b},
};

#define N_SCHEDULES (sizeof(schedules) / sizeof(schedules[0]))

mb_status_t mb_schedule_parse(const char *name, mb_schedule_kind_t *out)
{
    const char *names[N_SCHEDULES];
    mb_str_t known = {0};
    for (size_t i = 0; i < N_SCHEDULES; i++) {
        if (strcmp(name, schedules[i].name) == 0) {
            *out = (mb_schedule_kind_t)i;
            mb_str_free(&known);
            return MB_OK;
        }
        names[i] = schedules[i].name;
        mb_str_addf(&known, "%s%s", i == 0 ? "" : ", ", names[i]);
    }
    const char *nearest = mb_str_nearest(name, names, N_SCHEDULES);
    mb_status_t status = mb_error_set(
        MB_ERR_ARGUMENT, "schedule '%s' is not known; there are: %s%s%s", name,
        known.text == NULL ? "" : known.text, nearest == NULL ? "" : "; the nearest one is ",
        nearest == NULL ? "" : nearest);
    mb_str_free(&known);
    return status;
}

const char *mb_schedule_name(mb_schedule_kind_t kind)
{
    return schedules[kind].name;
}

void mb_program_add(mb_program_t *program, mb_action_kind_t kind, int micro)
{
    program->actions[program->n++] =
        (mb_action_t){.kind = kind, .micro = micro, .edge = -1, .peer = -1, .tag = -1};
}

mb_status_t mb_schedule_generate(mb_schedule_kind_t kind, bool training, int stages, int stage,
                                 int micros, mb_arena_t *arena, mb_program_t *out)
{
    size_t most = (size_t)micros * MOST_ACTIONS_OF_A_MICRO;
    *out = (mb_program_t){.actions = MB_ARENA_ARRAY(arena, mb_action_t, most)};
    if (out->actions == NULL)
        return mb_error_memory("an action list", most * sizeof(mb_action_t));
    mb_schedule_place_t place = {training, stages, stage, micros};
    schedules[kind].generate(&place, out);
    for (int i = 0; i < out->n; i++)
        out->splits_backward = out->splits_backward || out->actions[i].kind == MB_ACTION_W;
    return MB_OK;
}
