/* Tensors of a file in the formats they are stored in: each rank encodes what it writes, and rank 0
 * tells all what the encodings came to. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "quant/moments.h"
#include "train/state_private.h"

typedef struct { /* what a rank says of a tensor that it writes */
    int tensor;
    bool encoded;
    mb_encoding_t encoding;
} entry_t;

typedef struct { /* of one tensor, as all ranks know it */
    int writer;
    bool encoded;
    mb_encoding_t encoding;
} known_t;

static bool is_slot(const mb_state_writer_t *writer, int slot, const char *name)
{
    return strcmp(writer->state->optimizer->slot_names[slot], name) == 0;
}

/* The values of another tensor of the same parameter that this rank writes. */
static const float *values_of_slot(const mb_state_writer_t *writer, int param, const char *name)
{
    for (int i = 0; i < writer->n_pieces; i++) {
        const mb_state_place_t *place = &writer->places[writer->pieces[i].tensor];
        if (place->param == param && place->slot >= 0 && is_slot(writer, place->slot, name))
            return writer->pieces[i].values;
    }
    return NULL;
}

/* What the averages of gradients are divided by; NULL: nothing that has an element for each. */
static const float *divisor_of(const mb_state_writer_t *writer, int param)
{
    const float *norm = values_of_slot(writer, param, "norm");
    return norm != NULL ? norm : values_of_slot(writer, param, "velocity");
}

/* What an optimizer divides by, or takes roots of, is never negative, and the step it makes must
 * not grow out of bounds. RMSprop divides by the root of velocity, less the square of
 * average_gradient where that is kept: their difference must not become negative. */
static mb_moment_kind_t kind_of(const mb_state_writer_t *writer, int slot)
{
    static const char *const squares[] = {
        "velocity_hat",     "accumulator",          "norm", "row", "column",
        "accumulated_grad", "accumulated_delta_var"};
    bool centered = false;
    for (int s = 0; s < writer->state->optimizer->n_slots; s++)
        centered = centered || is_slot(writer, s, "average_gradient");
    if (is_slot(writer, slot, "velocity"))
        return centered ? MB_MOMENT_SQUARE_OUTWARD : MB_MOMENT_SQUARE;
    for (size_t i = 0; i < sizeof squares / sizeof squares[0]; i++) {
        if (is_slot(writer, slot, squares[i]))
            return MB_MOMENT_SQUARE;
    }
    return is_slot(writer, slot, "average_gradient") ? MB_MOMENT_SIGNED_INWARD : MB_MOMENT_SIGNED;
}

/* Averages of weights become weights, and sums of gradients are read once: both stay as they are.
 */
static bool is_moment_encoded(const mb_state_writer_t *writer, int slot)
{
    return writer->state->moments_in_8_bits &&
           writer->state->optimizer->slot_index[slot] < MB_SLOT_AVERAGE;
}

static const mb_param_t *param_of(const mb_state_writer_t *writer, const mb_state_place_t *place)
{
    return &writer->state->model->graph->params[place->param];
}

bool mb_state_is_encoded(const mb_state_writer_t *writer, int tensor)
{
    const mb_state_place_t *place = &writer->places[tensor];
    if (place->param < 0 || mb_shape_elements(&writer->tensors[tensor].shape) == 0)
        return false;
    return place->slot >= 0 ? is_moment_encoded(writer, place->slot)
                            : mb_state_is_small(writer->state) &&
                                  param_of(writer, place)->view != MB_VIEW_VECTOR;
}

static mb_status_t encode_weight(const mb_state_t *state, const mb_param_t *param,
                                 const mb_piece_t *piece, const char *where, mb_encoded_t *out)
{
    mb_view_t view = {.lookup = param->view == MB_VIEW_LOOKUP};
    mb_param_matrix(param, &view.rows, &view.columns);
    return mb_encode(state->format, state->method, &view, piece->values, NULL, where, out);
}

static mb_status_t encode_piece(const mb_state_writer_t *writer, mb_piece_t *piece,
                                mb_encoded_t *out)
{
    const mb_state_place_t *place = &writer->places[piece->tensor];
    mb_str_t where = {0};
    if (!mb_state_is_encoded(writer, piece->tensor))
        return MB_OK;
    mb_str_addf(&where, "%s: %s '%s'", writer->path, place->slot < 0 ? "tensor" : "moment",
                writer->tensors[piece->tensor].name);
    mb_status_t status = where.failed ? mb_error_memory("a tensor's name", 0) : MB_OK;
    if (status == MB_OK && place->slot < 0)
        status = encode_weight(writer->state, param_of(writer, place), piece, where.text, out);
    else if (status == MB_OK)
        status = mb_moment_encode(kind_of(writer, place->slot), piece->values,
                                  divisor_of(writer, place->param), piece->count, where.text, out);
    mb_str_free(&where);
    if (status == MB_OK)
        piece->encoded = out;
    return status;
}

static mb_status_t encode_pieces(mb_state_writer_t *writer)
{
    int tensors = mb_state_tensors(writer);
    writer->encoded = MB_ARENA_ARRAY(writer->arena, mb_encoded_t, writer->n_pieces + 1);
    writer->writers = MB_ARENA_ARRAY(writer->arena, int, tensors + 1);
    if (writer->encoded == NULL || writer->writers == NULL)
        return mb_error_memory("a checkpoint's pieces", 0);
    for (int i = 0; i < writer->n_pieces; i++)
        MB_TRY(encode_piece(writer, &writer->pieces[i], &writer->encoded[i]));
    return MB_OK;
}

static void list_known(const mb_comm_t *comm, const entry_t *entries, const size_t *bytes_of,
                       known_t *known)
{
    for (int rank = 0; rank < mb_comm_size(comm); rank++) {
        for (size_t n = bytes_of[rank] / sizeof *entries; n > 0; n--, entries++)
            known[entries->tensor] = (known_t){rank, entries->encoded, entries->encoding};
    }
}

/* Rank 0 collects what every rank says of its own. */
static mb_status_t gather(const mb_state_writer_t *writer, known_t *known)
{
    mb_comm_t *comm = writer->state->engine->machine->comm;
    size_t count = (size_t)writer->n_pieces, *bytes_of = NULL;
    void *all = NULL;
    entry_t *own = calloc(count + 1, sizeof *own);
    mb_status_t status = own == NULL ? mb_error_memory("a checkpoint's encodings", count) : MB_OK;
    status = mb_comm_agree(comm, status);
    for (size_t i = 0; own != NULL && i < count; i++) {
        own[i].tensor = writer->pieces[i].tensor;
        own[i].encoded = writer->pieces[i].encoded != NULL;
        own[i].encoding = writer->encoded[i].encoding;
    }
    if (status == MB_OK)
        status = mb_comm_gather(comm, own, count * sizeof *own, 0, &all, &bytes_of);
    if (status == MB_OK && all != NULL)
        list_known(comm, all, bytes_of, known);
    free(all);
    free(bytes_of);
    free(own);
    return status;
}

mb_status_t mb_state_encode(mb_state_writer_t *writer)
{
    mb_comm_t *comm = writer->state->engine->machine->comm;
    int tensors = mb_state_tensors(writer);
    known_t *known = MB_ARENA_ARRAY(writer->arena, known_t, tensors + 1);
    mb_status_t status = known == NULL ? mb_error_memory("a checkpoint's encodings", 0) : MB_OK;
    if (status == MB_OK)
        status = encode_pieces(writer);
    MB_TRY(mb_comm_agree(comm, status));
    MB_TRY(gather(writer, known));
    MB_TRY(mb_comm_broadcast(comm, known, (size_t)tensors * sizeof *known, 0));
    for (int t = 0; t < tensors; t++) {
        writer->writers[t] = known[t].writer;
        if (known[t].encoded)
            writer->tensors[t].encoding = &known[t].encoding;
    }
    return MB_OK;
}
