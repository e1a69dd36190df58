/* The report of a file whose matrices are stored smaller than they were trained: its lines, and the
 * digest of the float32 weights, which goes from writer to writer in the order of the file. */
#include <inttypes.h>
#include <math.h>

#include "store/digest.h"
#include "train/state_private.h"

static const float *own_values(const mb_state_writer_t *writer, int tensor)
{
    for (int i = 0; i < writer->n_pieces; i++) {
        if (writer->pieces[i].tensor == tensor)
            return writer->pieces[i].values;
    }
    return NULL;
}

static mb_status_t digest(const mb_state_writer_t *writer, uint64_t *hash)
{
    mb_comm_t *comm = writer->state->engine->machine->comm;
    *hash = 0;
    for (int l = 0; l < writer->layout.n_layers; l++) {
        const mb_layer_spec_t *layer = &writer->layout.layers[l];
        *hash = mb_digest_add_count(*hash, layer->n_weights);
        for (int w = 0; w < layer->n_weights; w++) {
            const mb_tensor_spec_t *tensor = &writer->tensors[layer->weights[w]];
            int owner = writer->writers[layer->weights[w]];
            if (owner == mb_comm_rank(comm))
                *hash = mb_digest_add_tensor(*hash, tensor->name, &tensor->shape,
                                             own_values(writer, layer->weights[w]));
            MB_TRY(mb_comm_broadcast(comm, hash, sizeof *hash, owner));
        }
    }
    return MB_OK;
}

static mb_report_line_t exact_line(const mb_tensor_spec_t *tensor)
{
    int64_t elements = mb_shape_elements(&tensor->shape), bytes = elements * (int64_t)sizeof(float);
    return (mb_report_line_t){.tensor = tensor->name,
                              .format = mb_number_name(MB_NUMBER_F32),
                              .method = "none",
                              .elements = elements,
                              .bytes_before = bytes,
                              .bytes_after = bytes,
                              .bits_per_weight = 32,
                              .sqnr_db = INFINITY};
}

static mb_status_t make_line(const mb_state_writer_t *writer, const mb_tensor_spec_t *tensor,
                             mb_report_line_t *line)
{
    const mb_encoding_t *encoding = tensor->encoding;
    char text[MB_FORMAT_TEXT];
    *line = exact_line(tensor);
    if (encoding == NULL)
        return MB_OK;
    line->format =
        mb_arena_strdup(writer->arena, mb_format_text(&encoding->format, text, sizeof text));
    if (line->format == NULL)
        return mb_error_memory("a report", 0);
    line->method = mb_method_name(encoding->method);
    line->bytes_after = 0;
    for (int part = 0; part < MB_PART_COUNT; part++)
        line->bytes_after += encoding->bytes[part];
    line->bits_per_weight = 8 * (double)line->bytes_after / (double)line->elements;
    line->sqnr_db = encoding->loss.sqnr_db;
    line->max_abs_err = encoding->loss.max_abs;
    line->max_rel_err = encoding->loss.max_relative;
    line->rmse = encoding->loss.rmse;
    return MB_OK;
}

static mb_status_t make_lines(const mb_state_writer_t *writer, mb_report_t *report)
{
    int64_t elements = 0;
    report->lines = MB_ARENA_ARRAY(writer->arena, mb_report_line_t, writer->layout.n_weights + 1);
    if (report->lines == NULL)
        return mb_error_memory("a report", 0);
    for (int l = 0; l < writer->layout.n_layers; l++) {
        const mb_layer_spec_t *layer = &writer->layout.layers[l];
        for (int w = 0; w < layer->n_weights; w++) {
            mb_report_line_t *line = &report->lines[report->n_lines++];
            MB_TRY(make_line(writer, &writer->tensors[layer->weights[w]], line));
            elements += line->elements;
            report->bytes_before += line->bytes_before;
            report->bytes_after += line->bytes_after;
        }
    }
    report->bits_per_weight = elements > 0 ? 8 * (double)report->bytes_after / (double)elements : 0;
    return MB_OK;
}

static mb_status_t make_report(mb_state_writer_t *writer, uint64_t hash)
{
    const mb_state_t *state = writer->state;
    char text[MB_FORMAT_TEXT];
    mb_report_t *report = MB_ARENA_ARRAY(writer->arena, mb_report_t, 1);
    char *format = mb_arena_strdup(writer->arena, mb_format_text(state->format, text, sizeof text));
    char *parent = mb_arena_format(writer->arena, "%016" PRIx64, hash);
    if (report == NULL || format == NULL || parent == NULL)
        return mb_error_memory("a report", 0);
    *report = (mb_report_t){.format = format,
                            .method = mb_method_name(state->method),
                            .parent_digest = parent,
                            .loss_before = NAN,
                            .loss_after = NAN,
                            .accuracy_before = NAN,
                            .accuracy_after = NAN,
                            .agreement = NAN,
                            .mean_kl = NAN,
                            .max_kl = NAN};
    MB_TRY(make_lines(writer, report));
    writer->layout.report = report;
    writer->layout.quantized = format;
    return MB_OK;
}

mb_status_t mb_state_report(mb_state_writer_t *writer)
{
    uint64_t hash;
    MB_TRY(digest(writer, &hash));
    return mb_comm_agree(writer->state->engine->machine->comm, make_report(writer, hash));
}
