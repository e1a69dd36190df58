/* The inside of a predictor, shared by its files. */
#ifndef MB_API_PREDICTOR_PRIVATE_H
#define MB_API_PREDICTOR_PRIVATE_H

#include "api/arrays.h"
#include "api/metrics.h"
#include "api/outputs.h"
#include "api/settings.h"
#include "infer/handed.h"

struct mb_predictor {
    mb_context_t *context;
    char *path;
    mb_settings_t *settings;
    bool independent; /* each rank for itself */
    mb_comm_t *alone; /* then; NULL before it is needed */
    mb_api_arrays_t arrays;
    mb_api_outputs_t outputs;
    bool output_apart[MB_API_MAX_ARRAYS];

    mb_session_t *session; /* NULL: not started */
    bool stale;            /* what it was started with has changed since */
    bool taught;           /* its weights are a trainer's, and in no file */
    mb_source_t *source;   /* of the arrays that it was started with */
    mb_handed_t *handed;   /* of a rank alone */

    bool computed;
    double samples, seconds, loss, accuracy, copied;
    mb_api_metrics_t metrics; /* of an evaluation */
};

/* predictor.c */
/* The ranks that work together; made where it is not there yet. MB_ERR_BUSY from FUNCTION. */
mb_status_t mb_api_predictor_comm(mb_predictor_t *predictor, const char *function,
                                  mb_comm_t **comm);
/* SOURCE NULL: there are no arrays. Collective. */
mb_status_t mb_api_predictor_same(mb_predictor_t *predictor, const mb_source_t *source);
mb_predict_options_t mb_api_predictor_options(mb_predictor_t *predictor);

/* predictor_memory.c */
void mb_api_predictor_stop(mb_predictor_t *predictor, bool failed);
/* MB_ERR_UNSUPPORTED where FUNCTION would read the file, whose weights are not the predictor's. */
mb_status_t mb_api_predictor_untaught(const mb_predictor_t *predictor, const char *function);

#endif
