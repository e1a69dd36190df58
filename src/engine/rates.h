/* What this machine's devices and links do, measured: the numbers of a hardware file. */
#ifndef MB_ENGINE_RATES_H
#define MB_ENGINE_RATES_H

#include "engine/machine.h"
#include "pipeline/hardware.h"

/* Collective. Products and sums run on all ranks at once, as they do in training, and rank 0's
 * rates are taken; messages go between rank 0 and another rank of its node, and one of another
 * node. Where there is no such rank, *inside or *between is false and the default stands. */
mb_status_t mb_rates_measure(mb_machine_t *machine, mb_hardware_t *out, bool *inside,
                             bool *between);

/* Operations a second of this rank's device in products, at its best: other work that comes and
 * goes is not in it. Not collective. */
mb_status_t mb_rates_product(mb_machine_t *machine, double *rate);

#endif
