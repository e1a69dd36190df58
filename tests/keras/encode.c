/* Usage: encode FORMAT IN.h5 OUT.h5    a model file with its matrices in FORMAT, the rest float32
 *        encode codes OUT.h5           every code of fp16, bf16 and e3m4 (at several biases)
 * What other programs than ours are given to read. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/crc32c.h"
#include "support/rewrite_model.h"

static mb_status_t encode_tensor(const mb_format_t *format, const char *name,
                                 const mb_tensor_spec_t *tensor, const float *values,
                                 mb_encoded_t *out)
{
    int64_t columns = tensor->shape.dim[tensor->shape.rank - 1];
    const mb_view_t view = {mb_shape_elements(&tensor->shape) / columns, columns,
                            strstr(name, "embedding") != NULL};
    return mb_encode(format, MB_METHOD_NEAREST, &view, values, NULL, name, out);
}

static mb_status_t encode_weights(const mb_format_t *format, rewrite_t *r, mb_encoded_t *encoded,
                                  mb_piece_t *pieces)
{
    for (int i = 0; i < r->n_tensors; i++) {
        mb_tensor_spec_t *tensor = &r->tensors[i];
        pieces[i] = (mb_piece_t){
            .tensor = i, .count = mb_shape_elements(&tensor->shape), .values = r->values[i]};
        if (i >= r->layout.n_weights || tensor->shape.rank < 2)
            continue;
        MB_TRY(encode_tensor(format, tensor->name, tensor, r->values[i], &encoded[i]));
        tensor->encoding = &encoded[i].encoding;
        pieces[i] = (mb_piece_t){.tensor = i, .encoded = &encoded[i]};
    }
    return MB_OK;
}

static mb_status_t encode_model(const char *format_text, const char *in, const char *out)
{
    mb_format_t format;
    rewrite_t r;
    MB_TRY(mb_format_parse(format_text, &format));
    MB_TRY(rewrite_read(in, &r));
    mb_encoded_t *encoded = calloc((size_t)r.n_tensors + 1, sizeof(*encoded));
    mb_piece_t *pieces = calloc((size_t)r.n_tensors + 1, sizeof(*pieces));
    r.layout.quantized = format_text;
    mb_status_t status = encode_weights(&format, &r, encoded, pieces);
    if (status == MB_OK)
        status = mb_checkpoint_write(NULL, out, &r.layout, pieces, r.n_tensors);
    for (int i = 0; i < r.n_tensors; i++)
        mb_encoded_free(&encoded[i]);
    free(encoded);
    free(pieces);
    rewrite_free(&r);
    return status;
}

#define TABLES 10
static const struct {
    mb_number_t number;
    int bias;
    const char *name;
} tables[TABLES] = {
    {MB_NUMBER_F16, 0, "codes/fp16"},        {MB_NUMBER_BF16, 0, "codes/bf16"},
    {MB_NUMBER_E3M4, 1, "codes/e3m4_1"},     {MB_NUMBER_E3M4, 2, "codes/e3m4_2"},
    {MB_NUMBER_E3M4, 3, "codes/e3m4_3"},     {MB_NUMBER_E3M4, 7, "codes/e3m4_7"},
    {MB_NUMBER_E3M4, 12, "codes/e3m4_12"},   {MB_NUMBER_E3M4, 30, "codes/e3m4_30"},
    {MB_NUMBER_E3M4, 100, "codes/e3m4_100"}, {MB_NUMBER_E3M4, 120, "codes/e3m4_120"},
};

/* Codes 0, 1, 2 ... as they stand in the file. */
static void make_codes(int table, mb_shape_t *shape, mb_encoded_t *out)
{
    bool byte = tables[table].number == MB_NUMBER_E3M4;
    const mb_view_t view = {byte ? 16 : 256, byte ? 16 : 256, false};
    mb_encoding_t *e = &out->encoding;
    e->format = (mb_format_t){.number = tables[table].number};
    e->view = view;
    e->layout = mb_format_matrix(&e->format, &view);
    e->layout.bias = tables[table].bias;
    e->bytes[MB_PART_VALUES] = mb_matrix_value_bytes(&e->layout);
    uint8_t *codes = malloc((size_t)e->bytes[MB_PART_VALUES]);
    for (size_t i = 0; i < (size_t)(view.rows * view.columns); i++) {
        const uint16_t code = (uint16_t)i;
        if (byte)
            codes[i] = (uint8_t)code;
        else
            memcpy(codes + 2 * i, &code, sizeof(code));
    }
    e->crc = mb_crc32c(0, codes, (size_t)e->bytes[MB_PART_VALUES]);
    out->parts[MB_PART_VALUES] = codes;
    *shape = (mb_shape_t){2, {view.rows, view.columns}};
}

static mb_status_t write_codes(const char *path)
{
    mb_encoded_t encoded[TABLES] = {0};
    mb_tensor_spec_t tensors[TABLES] = {0};
    mb_piece_t pieces[TABLES] = {0};
    int indices[TABLES];
    for (int i = 0; i < TABLES; i++) {
        indices[i] = i;
        make_codes(i, &tensors[i].shape, &encoded[i]);
        tensors[i].name = tables[i].name;
        tensors[i].encoding = &encoded[i].encoding;
        pieces[i] = (mb_piece_t){.tensor = i, .encoded = &encoded[i]};
    }
    const mb_layer_spec_t layer = {"codes", TABLES, indices};
    const mb_checkpoint_layout_t layout = {.model_config = "{}",
                                           .n_layers = 1,
                                           .layers = &layer,
                                           .n_weights = TABLES,
                                           .tensors = tensors};
    mb_status_t status = mb_checkpoint_write(NULL, path, &layout, pieces, TABLES);
    for (int i = 0; i < TABLES; i++)
        free(encoded[i].parts[MB_PART_VALUES]);
    return status;
}

int main(int argc, char **argv)
{
    bool codes = argc == 3 && strcmp(argv[1], "codes") == 0;
    if (!codes && argc != 4) {
        fprintf(stderr, "usage: encode FORMAT IN.h5 OUT.h5, encode codes OUT.h5\n");
        return 2;
    }
    if ((codes ? write_codes(argv[2]) : encode_model(argv[1], argv[2], argv[3])) == MB_OK)
        return 0;
    fprintf(stderr, "encode: %s\n", mb_error_get());
    return 1;
}
