/* See report_json.h. */
#include "store/report_json.h"

#include "base/json_value.h"

json_t *mb_report_lines_json(const mb_report_t *report)
{
    json_t *lines = json_array();
    for (int i = 0; i < report->n_lines; i++) {
        const mb_report_line_t *line = &report->lines[i];
        json_array_append_new(
            lines,
            json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o}", "tensor",
                      line->tensor, "format", line->format, "method", line->method, "elements",
                      (json_int_t)line->elements, "bytes_before", (json_int_t)line->bytes_before,
                      "bytes_after", (json_int_t)line->bytes_after, "bits_per_weight",
                      mb_json_number(line->bits_per_weight), "sqnr_db",
                      mb_json_number(line->sqnr_db), "max_abs_err",
                      mb_json_number(line->max_abs_err), "max_rel_err",
                      mb_json_number(line->max_rel_err), "rmse", mb_json_number(line->rmse)));
    }
    return lines;
}

json_t *mb_report_data_json(const mb_report_t *report)
{
    if (report->data == NULL)
        return json_null();
    return json_pack(
        "{s:s, s:I, s:o, s:o, s:o, s:o, s:I, s:o, s:o, s:o}", "path", report->data, "samples",
        (json_int_t)report->samples, "loss_before", mb_json_number(report->loss_before),
        "loss_after", mb_json_number(report->loss_after), "accuracy_before",
        mb_json_number(report->accuracy_before), "accuracy_after",
        mb_json_number(report->accuracy_after), "compared", (json_int_t)report->compared,
        "agreement", mb_json_number(report->agreement), "mean_kl", mb_json_number(report->mean_kl),
        "max_kl", mb_json_number(report->max_kl));
}

json_t *mb_report_json(const mb_report_t *report)
{
    return json_pack("{s:s, s:s, s:s, s:I, s:I, s:o, s:o, s:o}", "format", report->format, "method",
                     report->method, "parent_digest", report->parent_digest, "bytes_before",
                     (json_int_t)report->bytes_before, "bytes_after",
                     (json_int_t)report->bytes_after, "bits_per_weight",
                     mb_json_number(report->bits_per_weight), "tensors",
                     mb_report_lines_json(report), "data", mb_report_data_json(report));
}
