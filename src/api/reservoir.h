/* A reservoir as a trainer sees it. */
#ifndef MB_API_RESERVOIR_H
#define MB_API_RESERVOIR_H

#include "api/samples.h"

/* One more trainer that reads it, or one less (-1). */
void mb_api_reservoir_use(mb_reservoir_t *reservoir, int more);
bool mb_api_reservoir_is_of(const mb_reservoir_t *reservoir, const mb_context_t *context);
/* Collective: takes in what was offered; what is kept here into SAMPLES, in whose place nothing
 * else was put. */
mb_status_t mb_api_reservoir_update(mb_reservoir_t *reservoir);
/* Seconds that adding has taken since this was last asked. */
double mb_api_reservoir_seconds(mb_reservoir_t *reservoir);
mb_status_t mb_api_reservoir_samples(const mb_reservoir_t *reservoir, mb_api_samples_t *samples);

#endif
