/* See onnx.h. Field numbers are those of onnx.proto3; the wire format is protobuf's. */
#include "support/onnx.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const unsigned char *at, *end;
    bool broken;
} wire_t;

/* One field: its number, and either an integer or a run of bytes. */
typedef struct {
    uint64_t number;
    int type;
    uint64_t integer;
    wire_t bytes;
} field_t;

static uint64_t read_varint(wire_t *wire)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (wire->at == wire->end)
            break;
        unsigned char byte = *wire->at++;
        value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128)
            return value;
    }
    wire->broken = true;
    return 0;
}

static bool take(wire_t *wire, size_t bytes, wire_t *out)
{
    if (bytes > (size_t)(wire->end - wire->at)) {
        wire->broken = true;
        return false;
    }
    *out = (wire_t){wire->at, wire->at + bytes, false};
    wire->at += bytes;
    return true;
}

static bool next_field(wire_t *wire, field_t *field)
{
    if (wire->at == wire->end || wire->broken)
        return false;
    uint64_t tag = read_varint(wire);
    field->number = tag >> 3;
    field->type = (int)(tag & 7);
    switch (field->type) {
    case 0:
        field->integer = read_varint(wire);
        return !wire->broken;
    case 1:
        return take(wire, 8, &field->bytes);
    case 2:
        return take(wire, (size_t)read_varint(wire), &field->bytes);
    case 5:
        return take(wire, 4, &field->bytes);
    default:
        wire->broken = true;
        return false;
    }
}

static void copy_text(const wire_t *bytes, char *text, size_t capacity)
{
    size_t length = (size_t)(bytes->end - bytes->at);
    length = length < capacity ? length : capacity - 1;
    memcpy(text, bytes->at, length);
    text[length] = '\0';
}

static double float_of(const unsigned char *bytes)
{
    float value;
    memcpy(&value, bytes, sizeof value);
    return (double)value;
}

/* A repeated integer, packed or one by one. */
static void read_integers(field_t *field, int64_t *out, int most, int *count)
{
    if (field->type == 0 && *count < most)
        out[(*count)++] = (int64_t)field->integer;
    while (field->type == 2 && field->bytes.at < field->bytes.end && *count < most)
        out[(*count)++] = (int64_t)read_varint(&field->bytes);
}

static void read_attribute(wire_t wire, onnx_attribute_t *attribute)
{
    field_t field;
    while (next_field(&wire, &field)) {
        if (field.number == 1)
            copy_text(&field.bytes, attribute->name, sizeof attribute->name);
        else if (field.number == 2)
            attribute->number = float_of(field.bytes.at);
        else if (field.number == 3)
            attribute->number = (double)(int64_t)field.integer;
        else if (field.number == 4)
            copy_text(&field.bytes, attribute->text, sizeof attribute->text);
        else if (field.number == 8)
            read_integers(&field, attribute->integer, ONNX_MOST_RANK * 2, &attribute->n_integers);
    }
}

static void read_node(wire_t wire, onnx_vector_t *vector)
{
    field_t field;
    while (next_field(&wire, &field)) {
        if (field.number == 4)
            copy_text(&field.bytes, vector->operation, sizeof vector->operation);
        else if (field.number == 5 && vector->n_attributes < ONNX_MOST_ATTRIBUTES)
            read_attribute(field.bytes, &vector->attribute[vector->n_attributes++]);
    }
    vector->n_nodes++;
}

static void read_model(wire_t wire, onnx_vector_t *vector)
{
    field_t field, inner;
    while (next_field(&wire, &field))
        while (field.number == 7 && next_field(&field.bytes, &inner))
            if (inner.number == 1)
                read_node(inner.bytes, vector);
}

/* Raw elements of the types that the vectors use: float, int32, int64, double. */
static double raw_element(const wire_t *raw, int type, int64_t i)
{
    int64_t whole;
    int32_t half;
    double wide;
    switch (type) {
    case 1:
        return float_of(raw->at + 4 * i);
    case 6:
        memcpy(&half, raw->at + 4 * i, sizeof half);
        return (double)half;
    case 7:
        memcpy(&whole, raw->at + 8 * i, sizeof whole);
        return (double)whole;
    default:
        memcpy(&wide, raw->at + 8 * i, sizeof wide);
        return wide;
    }
}

static bool fill_tensor(onnx_tensor_t *tensor, const wire_t *raw, int type)
{
    size_t size = type == 1 || type == 6 ? 4 : 8;
    tensor->count = 1;
    for (int i = 0; i < tensor->rank; i++)
        tensor->count *= tensor->dim[i];
    if (type != 1 && type != 6 && type != 7 && type != 11)
        return false;
    if ((size_t)(raw->end - raw->at) != size * (size_t)tensor->count)
        return false;
    tensor->value = calloc((size_t)tensor->count + 1, sizeof(double));
    for (int64_t i = 0; i < tensor->count && tensor->value != NULL; i++)
        tensor->value[i] = raw_element(raw, type, i);
    return tensor->value != NULL;
}

static bool read_tensor(wire_t wire, onnx_tensor_t *tensor)
{
    field_t field;
    wire_t raw = {0};
    int type = 0;
    while (next_field(&wire, &field)) {
        if (field.number == 1)
            read_integers(&field, tensor->dim, ONNX_MOST_RANK, &tensor->rank);
        else if (field.number == 2)
            type = (int)field.integer;
        else if (field.number == 9)
            raw = field.bytes;
    }
    return !wire.broken && fill_tensor(tensor, &raw, type);
}

/* A whole file; freed by the caller. */
static unsigned char *read_file(const char *path, wire_t *out)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return NULL;
    unsigned char *bytes = NULL;
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    rewind(file);
    if (size >= 0)
        bytes = malloc((size_t)size + 1);
    if (bytes != NULL && fread(bytes, 1, (size_t)size, file) != (size_t)size) {
        free(bytes);
        bytes = NULL;
    }
    fclose(file);
    if (bytes != NULL)
        *out = (wire_t){bytes, bytes + size, false};
    return bytes;
}

static bool load_tensors(const char *name, const char *kind, onnx_tensor_t *tensor, int *count)
{
    char path[256];
    wire_t wire;
    unsigned char *bytes;
    for (; *count < ONNX_MOST_TENSORS; ++*count) {
        snprintf(path, sizeof path, "%s/%s/test_data_set_0/%s_%d.pb", ONNX_NODES, name, kind,
                 *count);
        bytes = read_file(path, &wire);
        if (bytes == NULL)
            return *count > 0;
        bool read = read_tensor(wire, &tensor[*count]);
        free(bytes);
        if (!read)
            return false;
    }
    return true;
}

bool onnx_is_there(void)
{
    wire_t wire;
    unsigned char *bytes = read_file(ONNX_NODES "/test_relu/model.onnx", &wire);
    free(bytes);
    return bytes != NULL;
}

bool onnx_load(const char *name, onnx_vector_t *vector)
{
    char path[256];
    wire_t wire;
    memset(vector, 0, sizeof *vector);
    snprintf(path, sizeof path, "%s/%s/model.onnx", ONNX_NODES, name);
    unsigned char *bytes = read_file(path, &wire);
    if (bytes == NULL)
        return false;
    read_model(wire, vector);
    free(bytes);
    return vector->n_nodes == 1 && load_tensors(name, "input", vector->input, &vector->n_inputs) &&
           load_tensors(name, "output", vector->output, &vector->n_outputs);
}

void onnx_free(onnx_vector_t *vector)
{
    for (int i = 0; i < ONNX_MOST_TENSORS; i++) {
        free(vector->input[i].value);
        free(vector->output[i].value);
    }
}

const onnx_attribute_t *onnx_attribute(const onnx_vector_t *vector, const char *name)
{
    for (int i = 0; i < vector->n_attributes; i++)
        if (strcmp(vector->attribute[i].name, name) == 0)
            return &vector->attribute[i];
    return NULL;
}

double onnx_number(const onnx_vector_t *vector, const char *name, double otherwise)
{
    const onnx_attribute_t *attribute = onnx_attribute(vector, name);
    return attribute != NULL ? attribute->number : otherwise;
}
