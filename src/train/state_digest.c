/* The digest of the weights that a file would have, without one: rank 0 gets every tensor from the
 * rank that would write it, and goes over them in the order of the file. */
#include <stdlib.h>
#include <string.h>

#include "store/digest.h"
#include "train/state_private.h"

/* A piece on its way: the number of its tensor, and its values. */
static size_t packed_bytes(const mb_piece_t *piece)
{
    return sizeof(int64_t) + (size_t)piece->count * sizeof(float);
}

static mb_status_t pack(const mb_state_writer_t *writer, char **out, size_t *bytes)
{
    char *at;
    *bytes = 0;
    for (int i = 0; i < writer->n_pieces; i++)
        *bytes += packed_bytes(&writer->pieces[i]);
    *out = at = malloc(*bytes + 1);
    if (at == NULL)
        return mb_error_memory("the weights of a digest", *bytes);
    for (int i = 0; i < writer->n_pieces; i++) {
        const mb_piece_t *piece = &writer->pieces[i];
        int64_t tensor = piece->tensor;
        memcpy(at, &tensor, sizeof tensor);
        if (piece->count > 0)
            memcpy(at + sizeof tensor, piece->values, (size_t)piece->count * sizeof(float));
        at += packed_bytes(piece);
    }
    return MB_OK;
}

/* Where the values of each tensor stand in what has come. */
static mb_status_t unpack(const mb_state_writer_t *writer, const char *all, size_t bytes,
                          const char **places)
{
    for (size_t at = 0; at < bytes;) {
        int64_t tensor;
        memcpy(&tensor, all + at, sizeof tensor);
        at += sizeof tensor;
        places[tensor] = all + at;
        at += (size_t)mb_shape_elements(&writer->tensors[tensor].shape) * sizeof(float);
    }
    for (int w = 0; w < writer->layout.n_weights; w++) {
        if (places[w] == NULL)
            return mb_error_set(MB_ERR_INTERNAL, "no rank has the weight '%s'",
                                writer->tensors[w].name);
    }
    return MB_OK;
}

static mb_status_t add_tensor(const mb_tensor_spec_t *tensor, const char *place, uint64_t *hash)
{
    size_t bytes = (size_t)mb_shape_elements(&tensor->shape) * sizeof(float);
    float *values = malloc(bytes + 1);
    if (values == NULL)
        return mb_error_memory("a digest", bytes);
    memcpy(values, place, bytes);
    *hash = mb_digest_add_tensor(*hash, tensor->name, &tensor->shape, values);
    free(values);
    return MB_OK;
}

static mb_status_t digest(const mb_state_writer_t *writer, const char *all, size_t bytes,
                          uint64_t *hash)
{
    const char **places = MB_ARENA_ARRAY(writer->arena, const char *, mb_state_tensors(writer) + 1);
    if (places == NULL)
        return mb_error_memory("a digest", 0);
    MB_TRY(unpack(writer, all, bytes, places));
    *hash = 0;
    for (int l = 0; l < writer->layout.n_layers; l++) {
        const mb_layer_spec_t *layer = &writer->layout.layers[l];
        *hash = mb_digest_add_count(*hash, layer->n_weights);
        for (int w = 0; w < layer->n_weights; w++)
            MB_TRY(
                add_tensor(&writer->tensors[layer->weights[w]], places[layer->weights[w]], hash));
    }
    return MB_OK;
}

mb_status_t mb_state_hash(mb_state_writer_t *writer, uint64_t *hash)
{
    mb_comm_t *comm = writer->state->engine->machine->comm;
    char *own = NULL;
    void *all = NULL;
    size_t bytes = 0, sum = 0, *bytes_of = NULL;
    mb_status_t status = mb_comm_agree(comm, pack(writer, &own, &bytes));
    if (status == MB_OK)
        status = mb_comm_gather(comm, own, bytes, 0, &all, &bytes_of);
    for (int r = 0; status == MB_OK && bytes_of != NULL && r < mb_comm_size(comm); r++)
        sum += bytes_of[r];
    if (status == MB_OK && mb_comm_rank(comm) == 0)
        status = digest(writer, all, sum, hash);
    free(own);
    free(all);
    free(bytes_of);
    return mb_comm_agree(comm, status);
}
