/* What callbacks have seen, as the attributes of /mbrun/state that hold it. */
#ifndef MB_STORE_CALLBACK_NUMBERS_H
#define MB_STORE_CALLBACK_NUMBERS_H

#include "store/model_file.h"

typedef struct {
    int n_integers, n_reals;
    struct {
        const char *name;
        int64_t *value;
    } integers[8];
    struct {
        const char *name;
        double *value;
    } reals[8];
} mb_callback_numbers_t;

static inline mb_callback_numbers_t mb_callback_numbers(mb_callback_state_t *state)
{
    return (mb_callback_numbers_t){7,
                                   7,
                                   {{"stop_seen", &state->stop_seen},
                                    {"stop_wait", &state->stop_wait},
                                    {"stopped", &state->stopped},
                                    {"plateau_seen", &state->plateau_seen},
                                    {"plateau_wait", &state->plateau_wait},
                                    {"plateau_cooldown", &state->plateau_cooldown},
                                    {"best_seen", &state->best_seen}},
                                   {{"stop_best", &state->stop_best},
                                    {"plateau_best", &state->plateau_best},
                                    {"best_value", &state->best_value},
                                    {"rate", &state->rate},
                                    {"epoch_loss_sum", &state->loss_sum},
                                    {"epoch_accuracy_sum", &state->accuracy_sum},
                                    {"epoch_samples", &state->samples}}};
}

#endif
