/* What a program adds to a model: its layers where it builds one, settings to compile it with, and
 * values of weights. Graphs are made of it when they are asked for, and again after a change. */
#ifndef MB_API_MODEL_OWN_H
#define MB_API_MODEL_OWN_H

#include "api/api.h"
#include "base/str.h"
#include "engine/model.h"
#include "model/compile_text.h"
#include "model/draft.h"

typedef struct {
    char *path;
    int64_t count;
    float *values;
} mb_api_values_t;

typedef struct mb_model_own {
    mb_draft_t *draft; /* NULL: the model was read from a file */
    mb_graph_t *graph; /* of the draft: bound, but where an input leaves a size open. NULL: to be
                          made */
    mb_graph_t *sized; /* of a draft with open sizes: bound by stand-ins */
    mb_model_t *bound; /* the same of a file */
    char *texts[MB_COMPILE_COUNT];
    uint64_t seed;
    int n_values;
    mb_api_values_t *values; /* those that were set */
    mb_str_t summary;
} mb_model_own_t;

mb_status_t mb_api_own_create(mb_model_own_t **out);
void mb_api_own_destroy(mb_model_own_t *own);
/* After a change of the draft. */
void mb_api_own_forget(mb_model_own_t *own);

/* The file's path, or the model's name. */
const char *mb_api_model_name(const mb_model_t *model);
/* The first input that leaves a size to the data; -1: none does, and the graph is bound. */
int mb_api_open_input(const mb_graph_t *graph);
mb_status_t mb_api_model_graph(const mb_model_t *model, const mb_graph_t **out);

/* The parameters, which do not depend on what is open, and where their values are. */
typedef struct {
    const mb_graph_t *graph; /* bound */
    const mb_model_t *file;  /* NULL: initial values, by the seed */
    const mb_model_own_t *own;
} mb_api_weights_t;
mb_status_t mb_api_model_weights(const mb_model_t *model, mb_api_weights_t *out);
/* Of one parameter, [elements]. USER: a mb_api_weights_t. */
mb_status_t mb_api_weight_values(void *user, const mb_param_t *param, float *values);

#endif
