/* Digests of what a file means, whatever the storage: names, shapes and float32 bits, hashed 8
 * bytes at a time with the mixing steps of splitmix64 (Steele, Lea, Flood: "Fast splittable
 * pseudorandom number generators", OOPSLA 2014). */
#include "store/digest.h"

#include <stdlib.h>
#include <string.h>
#include "base/philox.h"
#include "store/encoded_read.h"
#include "store/io.h"
#include "store/model_file.h"
#include "store/tensors.h"

#define CHUNK_ELEMENTS ((int64_t)1 << 18) /* even: a word holds two elements */

static uint64_t mix(uint64_t x)
{
    x ^= x >> 30;
    x *= UINT64_C(0xBF58476D1CE4E5B9);
    x ^= x >> 27;
    x *= UINT64_C(0x94D049BB133111EB);
    return x ^ x >> 31;
}

static uint64_t add_word(uint64_t hash, uint64_t word)
{
    return mix(hash ^ word) + UINT64_C(0x9E3779B97F4A7C15);
}

static uint64_t add_floats(uint64_t hash, const float *values, int64_t count)
{
    uint64_t word;
    for (int64_t i = 0; i + 1 < count; i += 2) {
        memcpy(&word, values + i, sizeof(word));
        hash = add_word(hash, word);
    }
    if (count % 2 != 0) {
        word = 0;
        memcpy(&word, values + count - 1, sizeof(float));
        hash = add_word(hash, word);
    }
    return hash;
}

static mb_status_t add_plain(const mb_model_file_t *file, const mb_stored_tensor_t *tensor,
                             uint64_t *hash)
{
    float *chunk = malloc((size_t)CHUNK_ELEMENTS * sizeof(float));
    if (chunk == NULL)
        return mb_error_memory("a digest", (size_t)CHUNK_ELEMENTS * sizeof(float));
    mb_status_t status = MB_OK;
    for (int64_t at = 0; at < tensor->elements && status == MB_OK; at += CHUNK_ELEMENTS) {
        int64_t left = tensor->elements - at;
        int64_t count = left < CHUNK_ELEMENTS ? left : CHUNK_ELEMENTS;
        status = mb_model_file_read(file, chunk, (size_t)count * sizeof(float),
                                    tensor->offset + at * (int64_t)sizeof(float));
        if (status == MB_OK)
            *hash = add_floats(*hash, chunk, count);
    }
    free(chunk);
    return status;
}

/* Pieces may end between the two halves of a word: the last value waits for the next piece. */
static mb_status_t add_pieces(const mb_decoder_t *decoder, int64_t elements, float *values,
                              uint64_t *hash)
{
    int64_t waiting = 0, count = 0;
    for (int64_t at = 0; at < elements; at += count) {
        MB_TRY(mb_decoder_read(decoder, at, values + waiting, &count));
        int64_t ready = waiting + count;
        waiting = at + count < elements ? ready % 2 : 0;
        *hash = add_floats(*hash, values, ready - waiting);
        if (waiting > 0)
            values[0] = values[ready - 1];
    }
    return MB_OK;
}

static mb_status_t add_encoded(const mb_model_file_t *file, const mb_stored_tensor_t *tensor,
                               uint64_t *hash)
{
    mb_decoder_t decoder;
    mb_status_t status = mb_decoder_open(file, tensor, &decoder);
    size_t bytes = ((size_t)decoder.step + 1) * sizeof(float);
    float *values = malloc(bytes);
    if (status == MB_OK && values == NULL)
        status = mb_error_memory("a digest", bytes);
    if (status == MB_OK)
        status = add_pieces(&decoder, tensor->elements, values, hash);
    free(values);
    mb_decoder_close(&decoder);
    return status;
}

static mb_status_t add_values(const mb_model_file_t *file, const mb_stored_tensor_t *tensor,
                              uint64_t *hash)
{
    if (tensor->elements == 0)
        return MB_OK;
    if (tensor->offset >= 0)
        return add_plain(file, tensor, hash);
    if (tensor->encoding != NULL)
        return add_encoded(file, tensor, hash);
    float *values = malloc((size_t)tensor->elements * sizeof(float));
    if (values == NULL)
        return mb_error_memory(tensor->name, (size_t)tensor->elements * sizeof(float));
    mb_status_t status = mb_stored_tensor_read(file, tensor, values);
    if (status == MB_OK)
        *hash = add_floats(*hash, values, tensor->elements);
    free(values);
    return status;
}

static uint64_t add_head(uint64_t hash, const char *name, const mb_shape_t *shape)
{
    hash = add_word(hash, mb_hash_name(name));
    hash = add_word(hash, (uint64_t)shape->rank);
    for (int d = 0; d < shape->rank; d++)
        hash = add_word(hash, (uint64_t)shape->dim[d]);
    return hash;
}

uint64_t mb_digest_add_count(uint64_t hash, int n_weights)
{
    return add_word(hash, (uint64_t)n_weights);
}

uint64_t mb_digest_add_tensor(uint64_t hash, const char *name, const mb_shape_t *shape,
                              const float *values)
{
    return add_floats(add_head(hash, name, shape), values, mb_shape_elements(shape));
}

mb_status_t mb_digest_add_stored(const mb_model_file_t *file, const mb_stored_tensor_t *tensor,
                                 uint64_t *hash)
{
    *hash = add_head(*hash, tensor->name, &tensor->shape);
    return add_values(file, tensor, hash);
}

static mb_status_t add_tensors(const mb_model_file_t *file, const mb_stored_tensor_t *tensors,
                               int count, uint64_t *hash)
{
    *hash = mb_digest_add_count(*hash, count);
    for (int i = 0; i < count; i++)
        MB_TRY(mb_digest_add_stored(file, &tensors[i], hash));
    return MB_OK;
}

mb_status_t mb_model_file_digest(const mb_model_file_t *file, mb_digest_t *out)
{
    uint64_t hash = 0;
    for (int i = 0; i < file->n_layers; i++)
        MB_TRY(add_tensors(file, file->layers[i].weights, file->layers[i].n_weights, &hash));
    for (int i = 0; i < file->n_variables && file->n_layers == 0; i++)
        MB_TRY(add_tensors(file, &file->variables[i].tensor, 1, &hash));
    uint64_t weights = hash;
    MB_TRY(add_tensors(file, file->optimizer, file->n_optimizer, &hash));
    MB_TRY(add_tensors(file, file->moments, file->n_moments, &hash));
    if (file->n_states > 0)
        MB_TRY(add_tensors(file, file->states, file->n_states, &hash));
    hash = add_word(hash, (uint64_t)(file->state.present ? file->state.step : 0));
    hash = add_word(hash, (uint64_t)(file->state.present ? file->state.iterations : 0));
    *out = (mb_digest_t){.weights = weights, .full = hash};
    return MB_OK;
}
