/* Names that models may use, in groups: for doc/keras.md, and for messages that refuse
 * others. */
#ifndef MB_MODEL_KNOWN_H
#define MB_MODEL_KNOWN_H

#include "base/error.h"

typedef struct {
    const char *what;                  /* "loss" */
    const char *all;                   /* "losses" */
    const char *(*name)(size_t index); /* NULL past the last */
} mb_known_t;

extern const mb_known_t mb_known_layers, mb_known_activations, mb_known_initializers,
    mb_known_regularizers, mb_known_constraints, mb_known_losses, mb_known_metrics,
    mb_known_operators, mb_known_optimizers, mb_known_schedules, mb_known_lr_schedules;

enum { MB_KNOWN_HINT = 160 };
/* "; the nearest one is 'relu'; doc/keras.md lists the activations". Returns BUFFER. */
const char *mb_known_hint(const mb_known_t *known, const char *name, char buffer[MB_KNOWN_HINT]);

/* "WHERE: activation 'rellu' is not known; the nearest one is ...". Returns STATUS. */
mb_status_t mb_known_refuse(const mb_known_t *known, mb_status_t status, const char *where,
                            const char *name);

#endif
