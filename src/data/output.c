/* Data files are laid out and committed as checkpoints are, by one process and without a seal. */
#include "data/output.h"

#include <string.h>
#include "base/str.h"
#include "store/h5_write.h"
#include "store/io.h"

#define METADATA_BYTES 16384

typedef struct {
    const char *path;
    mb_output_dataset_t *datasets;
    int n_datasets;
    const mb_vocabularies_t *words;
} request_t;

static hid_t file_type(mb_dtype_t dtype)
{
    switch (dtype) {
    case MB_F32:
        return H5T_NATIVE_FLOAT;
    case MB_F64:
        return H5T_NATIVE_DOUBLE;
    case MB_I8:
        return H5T_NATIVE_INT8;
    case MB_U8:
        return H5T_NATIVE_UINT8;
    case MB_I16:
        return H5T_NATIVE_INT16;
    case MB_I32:
        return H5T_NATIVE_INT32;
    default:
        return H5I_INVALID_HID;
    }
}

static mb_status_t write_scale(const mb_h5_writer_t *h5, const char *path, double scale)
{
    hid_t dataset = H5Dopen2(h5->file, path, H5P_DEFAULT);
    if (dataset < 0)
        return mb_h5_error(MB_ERR_IO, h5->path, "open", path);
    mb_status_t status = mb_h5_write_real(h5, dataset, "scale_factor", scale);
    H5Dclose(dataset);
    return status;
}

static mb_status_t make_dataset(const mb_h5_writer_t *h5, mb_output_dataset_t *d)
{
    mb_str_t path = {0};
    mb_str_addf(&path, "/%s", d->name);
    if (path.text == NULL)
        return mb_error_memory("a path", strlen(d->name));
    mb_status_t status =
        mb_h5_make_dataset(h5, path.text, file_type(d->dtype), &d->shape, &d->offset);
    if (status == MB_OK && d->scaled)
        status = write_scale(h5, path.text, d->scale);
    mb_str_free(&path);
    return status;
}

static mb_status_t write_words(const mb_h5_writer_t *h5, const mb_vocabulary_t *words)
{
    mb_str_t path = {0};
    if (words->n > INT32_MAX)
        return mb_error_set(MB_ERR_UNSUPPORTED, "%s: a vocabulary of over 2^31 words", h5->path);
    mb_str_addf(&path, "/vocabulary/%s", words->name);
    if (path.text == NULL)
        return mb_error_memory("a path", strlen(words->name));
    mb_status_t status =
        mb_h5_write_text_list(h5, path.text, (int)words->n, (const char *const *)words->words);
    mb_str_free(&path);
    return status;
}

static mb_status_t make_file(void *user, const char *temporary, int64_t *numbers)
{
    const request_t *request = user;
    (void)numbers;
    mb_h5_quiet_t quiet;
    mb_h5_quiet_begin(&quiet);
    mb_h5_writer_t h5;
    mb_status_t status = mb_h5_writer_create(temporary, request->path, &h5);
    if (status == MB_OK) {
        for (int i = 0; i < request->n_datasets && status == MB_OK; i++)
            status = make_dataset(&h5, &request->datasets[i]);
        for (int i = 0; request->words != NULL && i < request->words->n && status == MB_OK; i++)
            status = write_words(&h5, request->words->items[i]);
        status = mb_h5_writer_finish(&h5, status);
    }
    mb_h5_quiet_end(&quiet);
    return status;
}

static int64_t words_bytes(const mb_vocabulary_t *words)
{
    size_t longest = 1;
    for (int64_t i = 0; i < words->n; i++)
        longest = strlen(words->words[i]) > longest ? strlen(words->words[i]) : longest;
    return (int64_t)longest * words->n + METADATA_BYTES;
}

mb_status_t mb_output_create(const char *path, mb_output_dataset_t *datasets, int n_datasets,
                             const mb_vocabularies_t *words, mb_output_t *out)
{
    request_t request = {path, datasets, n_datasets, words};
    int64_t bytes = METADATA_BYTES;
    for (int i = 0; words != NULL && i < words->n; i++)
        bytes += words_bytes(words->items[i]);
    for (int i = 0; i < n_datasets; i++)
        bytes += mb_shape_elements(&datasets[i].shape) * (int64_t)mb_dtype_bytes(datasets[i].dtype);
    MB_TRY(mb_staged_begin(NULL, path, bytes, make_file, &request, NULL, 0, &out->staged));
    return mb_io_size(out->staged.file.fd, path, &out->bytes);
}

mb_status_t mb_output_write(const mb_output_t *output, int64_t offset, const void *from,
                            size_t bytes)
{
    return mb_staged_write(&output->staged, from, bytes, offset);
}

mb_status_t mb_output_commit(mb_output_t *output)
{
    return mb_staged_commit(&output->staged, MB_OK);
}

void mb_output_close(mb_output_t *output)
{
    mb_staged_discard(&output->staged);
}
