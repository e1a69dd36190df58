#include "support/encoded_files.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "quant/moments.h"

static void must(mb_status_t status)
{
    if (status == MB_OK)
        return;
    fprintf(stderr, "%s\n", mb_error_get());
    abort();
}

static const char *const formats[ENCODED_FORMATS] = {
    "fp32",
    "fp16",
    "bf16",
    "e3m4",
    "rounded",
    "rounded:bits=4",
    "int8",
    "int8:tensor",
    "int8:block=32",
    "int8:block=256",
    "int4",
    "int4:block=64",
    "int4:block=32,offset",
};

/* Shape, and the matrix that it is taken as. */
static const struct {
    mb_shape_t shape;
    mb_view_t view;
} shapes[ENCODED_SHAPES] = {
    {{2, {70, 33}}, {70, 33, false}}, {{1, {37}}, {1, 37, false}},
    {{3, {5, 7, 9}}, {35, 9, false}}, {{4, {3, 3, 5, 11}}, {45, 11, false}},
    {{2, {41, 67}}, {41, 67, true}},  {{2, {1, 1}}, {1, 1, false}},
};

/* About normal, from -2 to 2, with zeros among them. */
static float *make_values(int64_t count, unsigned seed)
{
    float *values = malloc((size_t)count * sizeof(*values));
    for (int64_t i = 0; i < count; i++) {
        float sum = 0;
        for (int k = 0; k < 4; k++) {
            seed = seed * 1664525u + 1013904223u;
            sum += (float)(seed >> 8) * 0x1p-24f - 0.5f;
        }
        values[i] = i % 29 == 7 ? 0 : sum;
    }
    return values;
}

static void add(encoded_sample_t *s, int at, const mb_shape_t *shape)
{
    s->indices[at] = at;
    s->tensors[at] = (mb_tensor_spec_t){
        .name = s->names[at], .shape = *shape, .encoding = &s->encoded[at].encoding};
    s->pieces[at] = (mb_piece_t){.tensor = at, .encoded = &s->encoded[at]};
    s->decoded[at] = calloc((size_t)mb_shape_elements(shape), sizeof(float));
    mb_matrix_decode(&s->encoded[at].matrix, s->decoded[at]);
}

static void add_matrix(encoded_sample_t *s, int at, int f, int k)
{
    mb_format_t format;
    mb_view_t view = shapes[k].view;
    float *values = make_values(view.rows * view.columns, (unsigned)at + 1);
    must(mb_format_parse(formats[f], &format));
    snprintf(s->names[at], sizeof(s->names[at]), "layer/f%d/s%d", f, k);
    must(mb_encode(&format, MB_METHOD_NEAREST, &view, values, NULL, s->names[at], &s->encoded[at]));
    add(s, at, &shapes[k].shape);
    free(values);
}

/* Inputs of very different size make rows' scales. */
static void add_row_scales(encoded_sample_t *s, int at)
{
    enum { ROWS = 70, COLUMNS = 33 };
    static float covariance[ROWS * ROWS];
    const mb_view_t view = {ROWS, COLUMNS, false};
    const mb_shape_t shape = {2, {ROWS, COLUMNS}};
    for (int i = 0; i < ROWS; i++)
        covariance[i * ROWS + i] = i % 7 == 0 ? 1e4f : 1;
    const mb_calibration_t calibration = {.count = 100, .covariance = covariance};
    mb_format_t format;
    float *values = make_values(ROWS * COLUMNS, 77);
    must(mb_format_parse("int4", &format));
    snprintf(s->names[at], sizeof(s->names[at]), "layer/row_scaled");
    must(mb_encode(&format, MB_METHOD_AWQ, &view, values, &calibration, s->names[at],
                   &s->encoded[at]));
    if (!s->encoded[at].encoding.layout.has_row_scales)
        abort();
    add(s, at, &shape);
    free(values);
}

static void add_plain(encoded_sample_t *s, int at)
{
    const mb_shape_t shape = {2, {9, 3}};
    snprintf(s->names[at], sizeof(s->names[at]), "layer/plain");
    s->indices[at] = at;
    s->tensors[at] = (mb_tensor_spec_t){.name = s->names[at], .shape = shape};
    s->decoded[at] = make_values(27, 5);
    s->pieces[at] = (mb_piece_t){.tensor = at, .count = 27, .values = s->decoded[at]};
}

static void add_moments(encoded_sample_t *s, int at)
{
    static const mb_moment_kind_t kinds[ENCODED_MOMENTS] = {MB_MOMENT_SIGNED, MB_MOMENT_SQUARE,
                                                            MB_MOMENT_SIGNED};
    static const char *const slots[ENCODED_MOMENTS] = {"momentum", "velocity", "momentum"};
    for (int i = 0; i < ENCODED_MOMENTS; i++, at++) {
        const mb_shape_t shape = i < 2 ? (mb_shape_t){2, {70, 33}} : (mb_shape_t){1, {33}};
        int64_t count = mb_shape_elements(&shape);
        float *values = make_values(count, (unsigned)i + 400);
        for (int64_t k = 0; k < count && kinds[i] == MB_MOMENT_SQUARE; k++)
            values[k] *= values[k];
        snprintf(s->names[at], sizeof(s->names[at]), "%s/layer/%s", slots[i],
                 i < 2 ? "kernel" : "bias");
        must(mb_moment_encode(kinds[i], values, NULL, count, s->names[at], &s->encoded[at]));
        add(s, at, &shape);
        free(values);
    }
}

static void fill_report(encoded_sample_t *s)
{
    s->lines[0] = (mb_report_line_t){"layer/f1/s0", "fp16", "nearest", 2310, 9240, 4620, 16,
                                     72.5,          0.125,  0.5,       0.25};
    s->lines[1] = (mb_report_line_t){
        "layer/\xc3\xa9", "int4:block=64,offset", "mse", 3, 12, 2, 5.5, INFINITY, 0, NAN, 0};
    s->report = (mb_report_t){.format = "mixed: max-drop 1%",
                              .method = "mse",
                              .parent_digest = "0123456789abcdef",
                              .n_lines = 2,
                              .lines = s->lines,
                              .bytes_before = 9252,
                              .bytes_after = 4622,
                              .bits_per_weight = 15.9,
                              .data = "held.h5",
                              .samples = 1000,
                              .loss_before = 1.5,
                              .loss_after = 1.625,
                              .accuracy_before = NAN,
                              .accuracy_after = NAN,
                              .agreement = 0.75,
                              .mean_kl = 0.001,
                              .max_kl = 0.5,
                              .compared = 4000};
}

void encoded_sample_create(encoded_sample_t *s)
{
    *s = (encoded_sample_t){0};
    int at = 0;
    for (int f = 0; f < ENCODED_FORMATS; f++)
        for (int k = 0; k < ENCODED_SHAPES; k++)
            add_matrix(s, at++, f, k);
    add_row_scales(s, at++);
    add_plain(s, at++);
    add_moments(s, at);
    fill_report(s);
    s->layer = (mb_layer_spec_t){"layer", at, s->indices};
    s->layout = (mb_checkpoint_layout_t){
        .model_config = "{\"class_name\": \"Sequential\"}",
        .n_layers = 1,
        .layers = &s->layer,
        .n_weights = at,
        .n_moments = ENCODED_MOMENTS,
        .tensors = s->tensors,
        .optimizer_name = "adam",
        .report = &s->report,
        .quantized = "mixed: max-drop 1%",
    };
}

void encoded_sample_free(encoded_sample_t *s)
{
    for (int i = 0; i < ENCODED_TENSORS; i++) {
        free(s->decoded[i]);
        mb_encoded_free(&s->encoded[i]);
    }
}

mb_status_t encoded_sample_write(const encoded_sample_t *s, const char *path)
{
    return mb_checkpoint_write(NULL, path, &s->layout, s->pieces, ENCODED_TENSORS);
}

const mb_stored_tensor_t *encoded_sample_tensor(const mb_model_file_t *file, int index)
{
    int n_weights = ENCODED_TENSORS - ENCODED_MOMENTS;
    return index < n_weights ? &file->layers[0].weights[index] : &file->moments[index - n_weights];
}
