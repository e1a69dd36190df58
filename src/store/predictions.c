/* Prediction files are laid out and committed as checkpoints are, without a seal. */
#include "store/predictions.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "store/h5_write.h"
#include "store/staged.h"

struct mb_predictions {
    char *path;
    int64_t samples;
    int n_outputs;
    int64_t *sample_bytes, *offsets;
    mb_staged_t staged;
};

typedef struct {
    const char *path;
    int n_outputs;
    const mb_tensor_spec_t *outputs;
    int64_t samples;
} request_t;

static mb_status_t make_output(const mb_h5_writer_t *h5, const mb_tensor_spec_t *output,
                               int64_t samples, int64_t *offset)
{
    if (output->shape.rank >= MB_MAX_RANK)
        return mb_error_set(MB_ERR_SHAPE, "'%s': output '%s' has too many dimensions", h5->path,
                            output->name);
    mb_shape_t shape = {.rank = output->shape.rank + 1, .dim = {samples}};
    memcpy(shape.dim + 1, output->shape.dim, (size_t)output->shape.rank * sizeof(shape.dim[0]));
    size_t length = strlen(output->name) + 2;
    char *path = malloc(length);
    if (path == NULL)
        return mb_error_memory("a path", length);
    path[0] = '/';
    memcpy(path + 1, output->name, length - 1);
    mb_status_t status = mb_h5_make_dataset(h5, path, H5T_IEEE_F32LE, &shape, offset);
    free(path);
    return status;
}

static mb_status_t create(void *user, const char *temporary, int64_t *offsets)
{
    const request_t *request = user;
    mb_h5_quiet_t quiet;
    mb_h5_quiet_begin(&quiet);
    mb_h5_writer_t h5;
    mb_status_t status = mb_h5_writer_create(temporary, request->path, &h5);
    if (status == MB_OK) {
        for (int i = 0; i < request->n_outputs && status == MB_OK; i++)
            status = make_output(&h5, &request->outputs[i], request->samples, &offsets[i]);
        status = mb_h5_writer_finish(&h5, status);
    }
    mb_h5_quiet_end(&quiet);
    return status;
}

static void free_all(mb_predictions_t *p)
{
    free(p->path);
    free(p->sample_bytes);
    free(p->offsets);
    free(p);
}

static mb_predictions_t *allocate(const request_t *request)
{
    mb_predictions_t *p = calloc(1, sizeof(*p));
    if (p == NULL)
        return NULL;
    p->staged.file.fd = -1;
    p->samples = request->samples;
    p->n_outputs = request->n_outputs;
    p->path = strdup(request->path);
    p->sample_bytes = calloc((size_t)request->n_outputs + 1, sizeof(*p->sample_bytes));
    p->offsets = calloc((size_t)request->n_outputs + 1, sizeof(*p->offsets));
    if (p->path != NULL && p->sample_bytes != NULL && p->offsets != NULL)
        return p;
    free_all(p);
    return NULL;
}

mb_status_t mb_predictions_create(mb_comm_t *comm, const char *path, int n_outputs,
                                  const mb_tensor_spec_t *outputs, int64_t samples,
                                  mb_predictions_t **out)
{
    request_t request = {path, n_outputs, outputs, samples};
    mb_predictions_t *p = allocate(&request);
    if (p == NULL)
        return mb_error_set(MB_ERR_MEMORY, "out of memory while creating '%s'", path);
    int64_t bytes = 4096 + 512 * (int64_t)n_outputs;
    for (int i = 0; i < n_outputs; i++) {
        p->sample_bytes[i] = mb_shape_elements(&outputs[i].shape) * (int64_t)sizeof(float);
        bytes += p->sample_bytes[i] * samples;
    }
    mb_status_t status = mb_staged_begin(comm, p->path, bytes, create, &request, p->offsets,
                                         (size_t)n_outputs, &p->staged);
    if (status != MB_OK) {
        free_all(p);
        return status;
    }
    *out = p;
    return MB_OK;
}

mb_status_t mb_predictions_write(mb_predictions_t *p, int output, int64_t first, int64_t count,
                                 const float *values)
{
    if (output < 0 || output >= p->n_outputs || first < 0 || count < 0 ||
        first > p->samples - count)
        return mb_error_set(MB_ERR_INTERNAL,
                            "writing '%s': samples %" PRId64 " .. %" PRId64 " of output %d, which "
                            "has %" PRId64,
                            p->path, first, first + count - 1, output, p->samples);
    int64_t bytes = p->sample_bytes[output];
    if (bytes * count == 0)
        return MB_OK;
    return mb_staged_write(&p->staged, values, (size_t)(bytes * count),
                           p->offsets[output] + first * bytes);
}

mb_status_t mb_predictions_commit(mb_predictions_t *p, mb_status_t status)
{
    status = mb_staged_sync(&p->staged, status);
    if (status == MB_OK)
        status = mb_staged_commit(&p->staged, MB_OK);
    mb_predictions_discard(p);
    return status;
}

void mb_predictions_discard(mb_predictions_t *p)
{
    if (p == NULL)
        return;
    mb_staged_discard(&p->staged);
    free_all(p);
}
