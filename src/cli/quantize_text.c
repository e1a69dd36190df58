/* See quantize_text.h. */
#include "cli/quantize_text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/str.h"
#include "cli/say.h"

/* Decibels, or "exact" where nothing was lost. */
static const char *decibels(double db, char *buffer, size_t capacity)
{
    if (!isfinite(db))
        return db > 0 ? "exact" : "-";
    snprintf(buffer, capacity, "%.2f", db);
    return buffer;
}

static void print_lines(const mb_report_t *report)
{
    char sqnr[32];
    printf("%-36s %-22s %-8s %12s %12s %7s %8s %10s %10s\n", "tensor", "format", "method", "bytes",
           "before", "bits", "SQNR dB", "max error", "relative");
    for (int i = 0; i < report->n_lines; i++) {
        const mb_report_line_t *line = &report->lines[i];
        printf("%-36s %-22s %-8s %12" PRId64 " %12" PRId64 " %7.3f %8s %10.3g %10.3g\n",
               line->tensor, line->format, line->method, line->bytes_after, line->bytes_before,
               line->bits_per_weight, decibels(line->sqnr_db, sqnr, sizeof sqnr), line->max_abs_err,
               line->max_rel_err);
    }
}

/* The tensor that lost most; NULL when none lost anything. */
static const mb_report_line_t *worst(const mb_report_t *report)
{
    const mb_report_line_t *found = NULL;
    for (int i = 0; i < report->n_lines; i++) {
        const mb_report_line_t *line = &report->lines[i];
        if (isfinite(line->sqnr_db) && (found == NULL || line->sqnr_db < found->sqnr_db))
            found = line;
    }
    return found;
}

static void print_sensitivities(const mb_quantize_result_t *result)
{
    if (result->n_sensitivities == 0)
        return;
    printf("%-36s %-22s %12s %14s %14s %s\n", "alone", "format", "bytes", "loss rises by",
           "KL divergence", "chosen");
    for (int i = 0; i < result->n_sensitivities; i++) {
        const mb_sensitivity_t *line = &result->sensitivities[i];
        printf("%-36s %-22s %12" PRId64 " %13.4f%% %14.3g %s\n", line->tensor, line->format,
               line->bytes_after, 100 * line->loss_rise, line->divergence,
               line->chosen ? "yes" : "");
    }
    printf("\n");
}

static void print_data(const mb_report_t *report)
{
    char samples[MB_COUNT_TEXT], compared[MB_COUNT_TEXT];
    if (report->data == NULL)
        return;
    printf("%-12s%s: %s samples\n", "data", report->data,
           mb_say_count(report->samples, samples, sizeof samples));
    if (isfinite(report->loss_before))
        printf("%-12s%#.9g -> %#.9g (%+.4f%%)\n", "loss", report->loss_before, report->loss_after,
               100 * (report->loss_after / report->loss_before - 1));
    if (isfinite(report->accuracy_before))
        printf("%-12s%.6f -> %.6f\n", "accuracy", report->accuracy_before, report->accuracy_after);
    if (report->compared > 0)
        printf("%-12s%.4f%% of %s rows; KL divergence %.3g mean, %.3g largest\n", "agreement",
               100 * report->agreement, mb_say_count(report->compared, compared, sizeof compared),
               report->mean_kl, report->max_kl);
}

static void print_sums(const mb_report_t *report)
{
    const mb_report_line_t *least = worst(report);
    char before[32], after[32];
    double ratio =
        report->bytes_before > 0 ? (double)report->bytes_after / (double)report->bytes_before : 1;
    printf("\n%-12s%s -> %s (%.4f times), %.3f bits a weight\n", "tensors",
           mb_str_bytes((double)report->bytes_before, before, sizeof before),
           mb_str_bytes((double)report->bytes_after, after, sizeof after), ratio,
           report->bits_per_weight);
    if (least != NULL)
        printf("%-12s%s: %.2f dB as %s\n", "worst", least->tensor, least->sqnr_db, least->format);
}

void mb_report_print(const mb_report_t *report)
{
    print_lines(report);
    print_sums(report);
    print_data(report);
    printf("%-12s%s\n", "parent", report->parent_digest);
}

void mb_quantize_print(const mb_quantize_result_t *result, const char *output)
{
    char file_before[32], file_after[32], seconds[32];
    print_sensitivities(result);
    mb_report_print(&result->report);
    mb_str_seconds(result->seconds, seconds, sizeof seconds);
    if (output == NULL)
        printf("dry run: nothing was written; %s\n", seconds);
    else
        printf("%s: %s (the model was %s) in %s\n", output,
               mb_str_bytes((double)result->file_bytes_after, file_after, sizeof file_after),
               mb_str_bytes((double)result->file_bytes_before, file_before, sizeof file_before),
               seconds);
    fflush(stdout);
}

static json_t *json_sensitivities(const mb_quantize_result_t *result)
{
    json_t *lines = json_array();
    for (int i = 0; i < result->n_sensitivities; i++) {
        const mb_sensitivity_t *line = &result->sensitivities[i];
        json_array_append_new(
            lines,
            json_pack("{s:s, s:s, s:I, s:I, s:o, s:o, s:b}", "tensor", line->tensor, "format",
                      line->format, "bytes_before", (json_int_t)line->bytes_before, "bytes_after",
                      (json_int_t)line->bytes_after, "loss_rise", mb_json_number(line->loss_rise),
                      "divergence", mb_json_number(line->divergence), "chosen", (int)line->chosen));
    }
    return lines;
}

json_t *mb_quantize_json(const mb_quantize_result_t *result, const char *output)
{
    const mb_report_t *report = &result->report;
    return json_pack(
        "{s:s, s:o, s:s, s:s, s:s, s:I, s:I, s:o, s:I, s:I, s:o, s:o, s:o, s:o}", "event",
        "quantization", "output", mb_json_text(output), "format", report->format, "method",
        report->method, "parent_digest", report->parent_digest, "bytes_before",
        (json_int_t)report->bytes_before, "bytes_after", (json_int_t)report->bytes_after,
        "bits_per_weight", mb_json_number(report->bits_per_weight), "file_bytes_before",
        (json_int_t)result->file_bytes_before, "file_bytes_after",
        (json_int_t)result->file_bytes_after, "seconds", mb_json_number(result->seconds), "tensors",
        mb_report_lines_json(report), "sensitivities", json_sensitivities(result), "data",
        mb_report_data_json(report));
}
