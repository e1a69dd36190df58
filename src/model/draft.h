/* A model made call by call, as by Keras' functional interface, and written as Keras would.
 *
 * Each call is checked where it is added: a model of this one call, on inputs of the shapes that it
 * takes, tells the shape of what it gives. So an error names the layer before the rest of the model
 * is there. */
#ifndef MB_MODEL_DRAFT_H
#define MB_MODEL_DRAFT_H

#include <jansson.h>

#include "model/graph.h"

typedef struct mb_draft mb_draft_t;

mb_status_t mb_draft_create(const char *name, mb_draft_t **out);
void mb_draft_destroy(mb_draft_t *draft);
const char *mb_draft_name(const mb_draft_t *draft);

/* An input of the model. sample: dimensions may be open. */
mb_status_t mb_draft_add_input(mb_draft_t *draft, const char *name, const char *dtype,
                               const mb_shape_t *sample);
/* A new layer and its first call.
 *   class_name  Keras'
 *   name        NULL: the class's in small letters, and a number where that is taken
 *   config      "key=value key=value", or a JSON object; NULL: nothing but defaults. Its keys
 *               `call` (an object), or "call.key=value", are keyword arguments of the call
 *   inputs      names of tensors: an input's, a layer's (its first call), "layer:1" (its second).
 *               count 0: what was added last */
mb_status_t mb_draft_add(mb_draft_t *draft, const char *class_name, const char *name,
                         const char *config, int count, const char *const *inputs);
/* Calls a layer again, which shares its weights: "layer:1" and so on. */
mb_status_t mb_draft_call(mb_draft_t *draft, const char *layer, int count,
                          const char *const *inputs);
/* Which tensors the model gives. Without it: those that no call takes, in their order. */
mb_status_t mb_draft_set_outputs(mb_draft_t *draft, int count, const char *const *names);

/* The model as it is now, a new reference: Sequential where it is one input and layers that each
 * took what was there last without naming it, Functional otherwise. */
mb_status_t mb_draft_config(const mb_draft_t *draft, json_t **out);

#endif
