/* What mbrun simulate says. */
#ifndef MB_CLI_SIMULATE_TEXT_H
#define MB_CLI_SIMULATE_TEXT_H

#include "train/simulating.h"

mb_status_t mb_simulated_say(const mb_simulating_t *s);
mb_status_t mb_simulated_json(const mb_simulating_t *s);

#endif
