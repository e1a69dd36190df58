/* The report: what each tensor and the whole cost, and what was lost. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "compress/quantization.h"
#include "store/ranks.h"

static double bits(int64_t bytes, int64_t elements)
{
    return elements > 0 ? 8.0 * (double)bytes / (double)elements : 0;
}

static int64_t parent_bytes(const mb_target_t *target)
{
    int64_t bytes = 0;
    if (target->stored->encoding == NULL)
        return target->param->elements * (int64_t)sizeof(float);
    for (int p = 0; p < MB_PART_COUNT; p++)
        bytes += target->stored->encoding->bytes[p];
    return bytes;
}

static int64_t bytes_now(const mb_target_t *target)
{
    int64_t bytes = 0;
    if (mb_format_is_plain(&target->format))
        return target->param->elements * (int64_t)sizeof(float);
    for (int p = 0; p < MB_PART_COUNT; p++)
        bytes += target->encoding.bytes[p];
    return bytes;
}

static mb_status_t add_line(mb_arena_t *arena, const mb_target_t *target, mb_report_line_t *line)
{
    char text[MB_FORMAT_TEXT];
    bool plain = mb_format_is_plain(&target->format);
    const mb_loss_of_accuracy_t none = {.sqnr_db = INFINITY};
    const mb_loss_of_accuracy_t *loss = plain ? &none : &target->encoding.loss;
    mb_format_text(&target->format, text, sizeof text);
    *line = (mb_report_line_t){
        .tensor = mb_arena_strdup(arena, target->stored->name),
        .format = mb_arena_strdup(arena, text),
        .method = mb_arena_strdup(arena, plain ? "none" : mb_method_name(target->encoding.method)),
        .elements = target->param->elements,
        .bytes_before = parent_bytes(target),
        .bytes_after = bytes_now(target),
        .sqnr_db = loss->sqnr_db,
        .max_abs_err = loss->max_abs,
        .max_rel_err = loss->max_relative,
        .rmse = loss->rmse};
    line->bits_per_weight = bits(line->bytes_after, line->elements);
    if (line->tensor == NULL || line->format == NULL || line->method == NULL)
        return mb_error_memory("a report", 0);
    return MB_OK;
}

/* "int8", "int8, with rules", "mixed: max-drop 1%, target-size 30000000". */
static const char *format_in_words(const mb_quantization_t *q)
{
    const mb_quantize_options_t *o = q->options;
    char text[MB_FORMAT_TEXT] = "fp32";
    const char *rules = o->n_rules > 0 ? ", with rules" : "";
    if (o->format != NULL)
        mb_format_text(o->format, text, sizeof text);
    if (o->max_drop > 0 && o->target_bytes > 0)
        return mb_arena_format(q->arena, "mixed: max-drop %g%%, target-size %" PRId64 "%s",
                               100 * o->max_drop, o->target_bytes, rules);
    if (o->max_drop > 0)
        return mb_arena_format(q->arena, "mixed: max-drop %g%%%s", 100 * o->max_drop, rules);
    if (o->target_bytes > 0)
        return mb_arena_format(q->arena, "mixed: target-size %" PRId64 "%s", o->target_bytes,
                               rules);
    return mb_arena_format(q->arena, "%s%s", text, rules);
}

/* Of the float32 weights that all this began with. */
static mb_status_t find_parent(mb_quantization_t *q, const char **digest)
{
    const mb_model_file_t *file = q->model->weights;
    uint64_t weights = 0;
    mb_status_t status = MB_OK;
    if (file->report != NULL && file->report->parent_digest != NULL) {
        *digest = mb_arena_strdup(q->arena, file->report->parent_digest);
        return *digest == NULL ? mb_error_memory("a report", 0) : MB_OK;
    }
    if (mb_ranks_rank(q->comm) == 0) {
        status = mb_model_weights_digest(q->model, &weights);
    }
    MB_TRY(mb_ranks_agree(q->comm, status));
    MB_TRY(mb_ranks_broadcast(q->comm, &weights, sizeof weights));
    *digest = mb_arena_format(q->arena, "%016" PRIx64, weights);
    return *digest == NULL ? mb_error_memory("a report", 0) : MB_OK;
}

mb_status_t mb_quantization_summarize(mb_quantization_t *q)
{
    mb_report_t *report = &q->result->report;
    int64_t elements = 0;
    MB_TRY(find_parent(q, &report->parent_digest));
    report->format = format_in_words(q);
    report->method = q->options->method_given ? mb_method_name(q->options->method) : "default";
    report->lines = MB_ARENA_ARRAY(q->arena, mb_report_line_t, q->n_targets + 1);
    if (report->format == NULL || report->lines == NULL)
        return mb_error_memory("a report", 0);
    for (int i = 0; i < q->n_targets; i++) {
        mb_report_line_t *line = &report->lines[report->n_lines];
        MB_TRY(add_line(q->arena, &q->targets[i], line));
        report->n_lines++;
        report->bytes_before += line->bytes_before;
        report->bytes_after += line->bytes_after;
        elements += line->elements;
    }
    report->bits_per_weight = bits(report->bytes_after, elements);
    return MB_OK;
}
