/* ZB-V (Qi et al.: "Pipeline parallelism with controllable memory", 2024): two chunks a stage, the
 * second half of the model coming back over the stages, so that the last chunk lies where the first
 * one does. With equal costs no stage idles between its first action and its last, and each holds
 * 2 x stages chunks' activations at most: as much as 1F1B's first stage. */
#include "pipeline/schedule_private.h"

typedef struct {
    mb_program_t *program;
    int chunk[2];
    int forward[2], inputs[2], weights[2]; /* micro-batches done */
} stage_t;

static void forward(stage_t *s, int half)
{
    mb_program_add(s->program, MB_ACTION_F, s->chunk[half], s->forward[half]++);
}

static void inputs(stage_t *s, int half)
{
    mb_program_add(s->program, MB_ACTION_B, s->chunk[half], s->inputs[half]++);
}

static void weights(stage_t *s, int half)
{
    mb_program_add(s->program, MB_ACTION_W, s->chunk[half], s->weights[half]++);
}

static void backward(stage_t *s, int half)
{
    inputs(s, half);
    weights(s, half);
}

static void warm_up(stage_t *s, int stages, int stage)
{
    for (int i = 0; i < 2 * (stages - stage) - 1; i++)
        forward(s, 0);
    for (int i = 0; i < stage; i++) {
        forward(s, 1);
        forward(s, 0);
    }
    for (int i = 0; i < stages - stage; i++) {
        forward(s, 1);
        backward(s, 1);
    }
}

static void go_on(stage_t *s, int micros)
{
    while (s->forward[1] < micros) {
        if (s->forward[0] < micros)
            forward(s, 0);
        backward(s, 0);
        forward(s, 1);
        backward(s, 1);
    }
}

/* Gradients that other stages wait for first. */
static void cool_down(stage_t *s, int stages, int stage)
{
    for (int i = 0; i < stage; i++) {
        inputs(s, 0);
        inputs(s, 1);
    }
    for (int i = 0; i < stages - stage; i++)
        backward(s, 0);
    while (s->weights[1] < s->inputs[1])
        weights(s, 1);
    while (s->weights[0] < s->inputs[0])
        weights(s, 0);
}

void mb_schedule_v(mb_schedule_t *schedule)
{
    int stages = schedule->stages;
    for (int i = 0; i < stages; i++) {
        stage_t s = {.program = &schedule->programs[i], .chunk = {i, 2 * stages - 1 - i}};
        warm_up(&s, stages, i);
        go_on(&s, schedule->micros);
        cool_down(&s, stages, i);
    }
}
