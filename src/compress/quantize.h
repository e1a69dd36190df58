/* Quantizing a model file: which format each tensor gets, by which method, what it costs, measured
 * as it will be executed.
 *
 *     open            the model as float32, over the ranks: its stages when there is data, its
 *                     tensors by size when there is none
 *     choose.h        a format for each tensor: the one asked for, rules, or the cheapest mix
 *     calibrate.h     covariances of what matrices are multiplied by (gptq, awq), some nodes at a
 * time, those before them already quantized probe.h         loss, accuracy, agreement and KL on
 * data with what is quantized so far write           every rank its own tensors
 *
 * A tensor that the model does not use as a matrix (biases, normalization, statistics) stays
 * float32 unless a rule names it. */
#ifndef MB_COMPRESS_QUANTIZE_H
#define MB_COMPRESS_QUANTIZE_H

#include "engine/model.h"
#include "quant/encode.h"
#include "store/report.h"
#include "train/settings.h"

typedef struct { /* tensors whose path the extended regular expression finds get the format */
    const char *pattern;
    mb_format_t format;
} mb_format_rule_t;

/* One step of the search that --target-size and --max-drop make, for the table. */
typedef struct {
    const char *tensor, *format;
    int64_t bytes_before, bytes_after;
    /* Measured with this tensor alone in this format: the relative rise of the loss, and the mean
     * KL divergence of the outputs (NaN: they are no distributions). */
    double loss_rise, divergence;
    bool chosen;
} mb_sensitivity_t;

typedef struct {
    mb_comm_t *comm;
    const char *model;         /* path */
    const char *output;        /* path; NULL: dry run, everything but the file */
    const mb_format_t *format; /* NULL: chosen (target_bytes, max_drop) */
    mb_method_t method;
    bool method_given; /* a method that needs data is refused without; otherwise mse is taken */
    int n_rules;
    const mb_format_rule_t *rules; /* the first that finds the path holds */
    const char *data;              /* path; NULL: none */
    const char *label;             /* a table's column of targets; NULL: found by name */
    int64_t samples;               /* of the data, from its start; 0: all, and what calibrates is
                                      an even choice of them */
    int64_t target_bytes;          /* of all tensors together; 0: none */
    double max_drop;               /* largest relative rise of the loss on data; 0: none */
    bool again;                    /* a quantized file may be quantized once more */
    bool keras_int8;               /* Keras' own int8 layout instead of ours */
    int64_t batch;                 /* samples at a time; 0: chosen */
    const char *loss;
    mb_weights_request_t weights; /* instead of the model's own */
    const mb_log_t *log;          /* told of those; may be NULL */
    mb_machine_options_t machine;
    void *user;
    void (*progress)(void *user, const char *what, int64_t done, int64_t all); /* rank 0 */
} mb_quantize_options_t;

typedef struct {
    mb_report_t report;
    int n_sensitivities; /* 0 unless formats were chosen */
    mb_sensitivity_t *sensitivities;
    int64_t file_bytes_before, file_bytes_after;
    double seconds;
} mb_quantize_result_t;

/* One option by its name, as text: format, method, rule (REGEX=FORMAT, one more each time),
 * samples, target-size, max-drop, again, keras-int8. What it makes lives in the arena. */
mb_status_t mb_quantize_set(mb_quantize_options_t *options, mb_arena_t *arena, const char *key,
                            const char *value);
/* data, batch, loss, weights, device, threads and bind; the texts stay the settings'. */
mb_status_t mb_quantize_take_settings(mb_quantize_options_t *options,
                                      const mb_settings_t *settings);

/* Collective. The result is the same on all ranks; its texts live in the arena. Nothing is left at
 * OUTPUT when it fails. format fp32 expands a quantized file, which loses nothing and is never
 * refused. */
mb_status_t mb_quantize(const mb_quantize_options_t *options, mb_arena_t *arena,
                        mb_quantize_result_t *result);

#endif
