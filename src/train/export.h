/* A model file in another form, told by how its name ends:
 *
 *     .keras       a Keras 3 archive: configuration, weights, the optimizer's state
 *     .weights.h5  Keras 3's weights alone, with the optimizer's state if it was compiled
 *     any other    Keras' HDF5 file, with the moments where Keras reads them
 *
 * Settings that are recorded in the file go along; the counters and the report of a run do not. */
#ifndef MB_TRAIN_EXPORT_H
#define MB_TRAIN_EXPORT_H

#include "base/log.h"
#include "engine/model.h"

typedef enum { MB_FORM_HDF5, MB_FORM_ARCHIVE, MB_FORM_WEIGHTS } mb_form_t;
mb_form_t mb_form_of(const char *path);

/* Writes FROM as TO, which is replaced as a whole. WEIGHTS (may be NULL): taken instead of FROM's
 * own, and then the optimizer begins anew. One process alone; not collective. */
mb_status_t mb_export(const char *from, const char *to, const mb_weights_request_t *weights,
                      const mb_log_t *log);

/* Records settings in a model file (store/edit.h), or in a copy of it, OUTPUT, which may have
 * another form; NULL: in the file itself. A value of NULL removes. One process alone; not
 * collective. */
mb_status_t mb_export_settings(const char *path, const char *output, int n,
                               const mb_setting_t *settings);

#endif
