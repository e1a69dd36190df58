/* See quantize.h. */
#include "compress/quantize.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/str.h"
#include "compress/choose.h"
#include "store/ranks.h"

enum { DEFAULT_BATCH = 32, LEAST_BATCH = 4, BATCH_ROWS = 2048, LEAST_BATCHES = 8 };

/* The bound holds on the data given and, with probability 0.975, on as much data of the same kind
 * that was not seen: the difference of two such means has sqrt(2) times the standard error of one,
 * and 1.96 of those cover it. */
#define MARGIN 2.8

void mb_quantization_progress(const mb_quantization_t *q, const char *what, int64_t done,
                              int64_t all)
{
    if (q->comm != NULL)
        mb_comm_doing(q->comm, what);
    if (q->options->progress != NULL && mb_ranks_rank(q->comm) == 0)
        q->options->progress(q->options->user, what, done, all);
}

static const mb_format_t keras_format = {.number = MB_NUMBER_I8, .grain = MB_GRAIN_CHANNEL};

static bool chooses(const mb_quantize_options_t *options)
{
    return options->target_bytes > 0 || options->max_drop > 0;
}

static bool calibrates(const mb_quantize_options_t *options)
{
    return options->method_given &&
           (options->method == MB_METHOD_GPTQ || options->method == MB_METHOD_AWQ);
}

/* Whether the result is float32 whole: then nothing is lost, whatever the parent was. */
static bool expands(const mb_quantize_options_t *options)
{
    bool plain = options->format != NULL && mb_format_is_plain(options->format);
    for (int r = 0; r < options->n_rules; r++)
        plain = plain && mb_format_is_plain(&options->rules[r].format);
    return plain;
}

static mb_status_t check_keras(const mb_quantize_options_t *options)
{
    if (!options->keras_int8)
        return MB_OK;
    if (chooses(options) || !mb_format_equal(options->format, &keras_format))
        return mb_error_set(MB_ERR_ARGUMENT,
                            "--keras-int8 has one format, int8 with a scale for each output: leave "
                            "--format, --target-size and --max-drop out");
    if (options->method_given && options->method == MB_METHOD_AWQ)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "method awq scales rows, which Keras' own layout has no place for: "
                            "use gptq or mse with --keras-int8");
    return MB_OK;
}

static mb_status_t check(const mb_quantize_options_t *options)
{
    MB_TRY(check_keras(options));
    if (options->format == NULL && !chooses(options))
        return mb_error_set(MB_ERR_ARGUMENT,
                            "no format: use --format F, or --target-size S or --max-drop X to let "
                            "formats be chosen");
    if (calibrates(options) && options->data == NULL)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "method %s looks at what flows through the model: use --data FILE, or "
                            "--method mse",
                            mb_method_name(options->method));
    if (chooses(options) && options->data == NULL)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "formats are chosen by the loss that they cost: use --data FILE");
    if (options->samples > 0 && options->data == NULL)
        return mb_error_set(MB_ERR_ARGUMENT, "--samples counts samples of --data FILE");
    return MB_OK;
}

static mb_status_t refuse_again(const mb_model_file_t *file)
{
    mb_digest_t digest = {0};
    char text[24];
    const char *parent = text;
    if (file->report != NULL && file->report->parent_digest != NULL) {
        parent = file->report->parent_digest;
    } else {
        MB_TRY(mb_model_file_digest(file, &digest));
        snprintf(text, sizeof text, "%016" PRIx64, digest.weights);
    }
    return mb_error_set(MB_ERR_ARGUMENT,
                        "%s is quantized already (%s), and quantizing again degrades it: quantize "
                        "its float32 parent, the file with the digest %s, or use --again; "
                        "--format fp32 expands it",
                        file->path, file->quantized, parent);
}

static bool is_same_file(const char *a, const char *b)
{
    struct stat x, y;
    return a != NULL && b != NULL && stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev &&
           x.st_ino == y.st_ino;
}

static mb_status_t check_output(const mb_quantize_options_t *options)
{
    if (is_same_file(options->output, options->model) ||
        is_same_file(options->output, options->data))
        return mb_error_set(MB_ERR_ARGUMENT, "%s: the output is one of the inputs",
                            options->output);
    size_t length = options->output == NULL ? 0 : strlen(options->output);
    if (length > 6 && strcmp(options->output + length - 6, ".keras") == 0)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "%s: a .keras archive holds no quantized weights; name the output .h5",
                            options->output);
    return MB_OK;
}

static mb_status_t open_source(mb_quantization_t *q, mb_source_wants_t *wants)
{
    mb_vocabularies_t words;
    bool present;
    MB_TRY(mb_model_words(q->model->file, &words, &present));
    wants->form.label = q->options->label;
    wants->form.known = present ? &words : NULL;
    mb_status_t status = mb_source_open(q->options->data, wants, &q->whole);
    mb_vocabularies_free(&words);
    return status;
}

static mb_status_t open_data(mb_quantization_t *q)
{
    const mb_graph_t *graph = q->model->graph;
    mb_shape_t shapes[MB_MAX_INPUTS];
    const char *names[MB_MAX_INPUTS];
    bool judged = q->model->training != NULL || q->options->loss != NULL;
    if (graph->n_inputs > MB_MAX_INPUTS || graph->n_outputs > MB_MAX_INPUTS)
        return mb_error_set(MB_ERR_UNSUPPORTED, "%s: more than %d inputs or outputs",
                            q->options->model, MB_MAX_INPUTS);
    mb_source_wants_t wants = mb_model_wants(q->model, shapes);
    for (int o = 0; o < graph->n_outputs; o++)
        names[o] = graph->outputs[o].name;
    wants.output_names = names;
    wants.n_outputs = judged ? graph->n_outputs : 0;
    MB_TRY(open_source(q, &wants));
    int64_t samples = q->whole->samples;
    if (q->options->samples > 0 && q->options->samples < samples)
        samples = q->options->samples;
    MB_TRY(mb_source_slice(q->whole, 0, samples, &q->source));
    MB_TRY(mb_model_bind(q->model, q->source));
    if (!judged && chooses(q->options))
        return mb_error_set(MB_ERR_ARGUMENT,
                            "%s was not compiled: formats are chosen by a loss, so use --loss NAME",
                            q->options->model);
    return judged ? mb_model_compile(q->model, q->options->loss) : MB_OK;
}

static mb_status_t open_model(mb_quantization_t *q)
{
    const mb_quantize_options_t *options = q->options;
    MB_TRY(check(options));
    MB_TRY(check_output(options));
    MB_TRY(mb_model_open(options->model, &q->model));
    /* Errors are measured against exact arithmetic. */
    mb_graph_compute_in(q->model->graph, MB_F32);
    if (q->model->file->quantized != NULL && !options->again && !expands(options))
        return refuse_again(q->model->file);
    MB_TRY(options->data == NULL ? mb_model_bind_without_data(q->model) : open_data(q));
    MB_TRY(mb_model_take_weights(q->model, &options->weights, options->log));
    return mb_targets_list(q);
}

/* The margin needs batches enough to see how they differ, and long samples fill kernels in smaller
 * ones. */
static int64_t choose_batch(const mb_quantization_t *q)
{
    int64_t batch = DEFAULT_BATCH, most = q->source->samples / LEAST_BATCHES;
    if (q->options->batch > 0)
        return q->options->batch;
    for (int o = 0; o < q->model->graph->n_outputs && q->model->losses != NULL; o++) {
        int64_t fill = BATCH_ROWS / q->model->losses[o].rows;
        batch = fill < batch ? fill : batch;
    }
    batch = batch < LEAST_BATCH ? LEAST_BATCH : batch;
    batch = batch < most ? batch : most;
    return batch > 0 ? batch : 1;
}

static mb_status_t open_passes(mb_quantization_t *q)
{
    mb_passes_options_t options = {.comm = q->comm,
                                   .model = q->model,
                                   .source = q->source,
                                   .machine = q->options->machine,
                                   .batch = choose_batch(q),
                                   .summed_batch =
                                       q->options->batch > 0 ? q->options->batch : DEFAULT_BATCH};
    return mb_passes_open(&options, &q->passes);
}

static bool holds(const mb_quantization_t *q, const mb_probe_result_t *result)
{
    return result->rise + MARGIN * result->rise_error <= q->options->max_drop;
}

static mb_status_t encode_mix(mb_quantization_t *q, mb_probe_t *probe, mb_mix_t *mix, int steps,
                              mb_probe_result_t *result)
{
    mb_mix_take(mix, steps);
    MB_TRY(mb_targets_encode(q));
    MB_TRY(mb_engine_prepare(q->passes->engine));
    return mb_probe_run(probe, result);
}

static mb_status_t take_back(mb_quantization_t *q)
{
    MB_TRY(mb_comm_agree(q->comm, mb_targets_restore(q)));
    return mb_engine_prepare(q->passes->engine);
}

static mb_status_t refuse_drop(const mb_quantization_t *q, const mb_probe_result_t *result)
{
    return mb_error_set(MB_ERR_ARGUMENT,
                        "%s: no mix of formats keeps the loss within --max-drop %g%%: the dearest "
                        "raises it by %.3g%% with an error of %.2g%% on %" PRId64
                        " batches; more data makes the error smaller",
                        q->options->model, 100 * q->options->max_drop, 100 * result->rise,
                        100 * MARGIN * result->rise_error, result->batches);
}

/* The longest walk whose mix holds the bound, by halving; the loss is taken to rise along it. */
static mb_status_t find_mix(mb_quantization_t *q, mb_probe_t *probe, mb_mix_t *mix, int *steps)
{
    mb_probe_result_t result = {0};
    int good = 0, bad = mb_mix_steps(mix) + 1;
    q->without_calibration = true;
    while (bad - good > 1) {
        int middle = bad == mb_mix_steps(mix) + 1 ? bad - 1 : good + (bad - good) / 2;
        MB_TRY(encode_mix(q, probe, mix, middle, &result));
        MB_TRY(take_back(q));
        if (holds(q, &result))
            good = middle;
        else
            bad = middle;
    }
    q->without_calibration = false;
    *steps = good;
    return good == 0 ? refuse_drop(q, &result) : MB_OK;
}

/* What a method with calibration makes of the mix may lose more than what was searched with. */
static mb_status_t settle(mb_quantization_t *q, mb_probe_t *probe, mb_mix_t *mix, int *steps,
                          mb_probe_result_t *result)
{
    MB_TRY(encode_mix(q, probe, mix, *steps, result));
    while (q->options->max_drop > 0 && !holds(q, result)) {
        MB_TRY(take_back(q));
        if (*steps == 0)
            return refuse_drop(q, result);
        *steps -= 1 + *steps / 16;
        MB_TRY(encode_mix(q, probe, mix, *steps, result));
    }
    return MB_OK;
}

static mb_status_t search(mb_quantization_t *q, mb_probe_t *probe, mb_mix_t *mix,
                          mb_probe_result_t *result)
{
    int steps = 0, least = 0;
    int64_t target = q->options->target_bytes;
    char size[32];
    if (target > 0)
        MB_TRY(mb_mix_reach(mix, target, &least));
    steps = least;
    if (q->options->max_drop > 0)
        MB_TRY(find_mix(q, probe, mix, &steps));
    MB_TRY(settle(q, probe, mix, &steps, result));
    if (steps < least)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "%s: --max-drop %g%% and --target-size do not go together: the "
                            "smallest mix that holds the loss takes %s",
                            q->options->model, 100 * q->options->max_drop,
                            mb_str_bytes((double)mb_mix_bytes(mix, steps), size, sizeof size));
    return mb_mix_tell(mix, steps);
}

static mb_status_t choose_formats(mb_quantization_t *q, mb_probe_t *probe,
                                  mb_probe_result_t *result)
{
    mb_mix_t *mix;
    double loss = mb_probe_reference(probe)->loss;
    if (!isfinite(loss) || loss == 0)
        return mb_error_set(MB_ERR_DATA,
                            "%s: the loss on %s is %g: nothing can be chosen by how it rises",
                            q->options->model, q->options->data, loss);
    MB_TRY(mb_mix_open(q, &mix));
    mb_status_t status = search(q, probe, mix, result);
    mb_mix_close(mix);
    return status;
}

static void report_probe(mb_quantization_t *q, const mb_probe_result_t *before,
                         const mb_probe_result_t *after)
{
    mb_report_t *report = &q->result->report;
    report->data = q->options->data;
    report->samples = q->source->samples;
    report->loss_before = before->loss;
    report->loss_after = after->loss;
    report->accuracy_before = before->accuracy;
    report->accuracy_after = after->accuracy;
    report->agreement = after->agreement;
    report->mean_kl = after->mean_kl;
    report->max_kl = after->max_kl;
    report->compared = after->compared;
}

static mb_status_t quantize_on_data(mb_quantization_t *q)
{
    mb_probe_t *probe;
    mb_probe_result_t result;
    MB_TRY(open_passes(q));
    MB_TRY(mb_targets_deal(q));
    mb_quantization_progress(q, "measuring the float32 model", 0, 1);
    MB_TRY(mb_probe_open(q->passes, 0, &probe));
    mb_quantization_progress(q, "measuring the float32 model", 1, 1);
    mb_status_t status = MB_OK;
    if (chooses(q->options))
        MB_TRY_GOTO(choose_formats(q, probe, &result), status, out);
    else {
        MB_TRY_GOTO(mb_targets_encode(q), status, out);
        MB_TRY_GOTO(mb_engine_prepare(q->passes->engine), status, out);
        MB_TRY_GOTO(mb_probe_run(probe, &result), status, out);
    }
    report_probe(q, mb_probe_reference(probe), &result);

out:
    mb_probe_close(probe);
    return status;
}

static mb_status_t quantize_alone(mb_quantization_t *q)
{
    MB_TRY(mb_targets_deal(q));
    return mb_targets_encode(q);
}

static int64_t file_bytes(const char *path)
{
    struct stat info;
    return path != NULL && stat(path, &info) == 0 ? (int64_t)info.st_size : 0;
}

static mb_status_t quantize(mb_quantization_t *q)
{
    MB_TRY(mb_ranks_agree(q->comm, open_model(q)));
    MB_TRY(q->options->data == NULL ? quantize_alone(q) : quantize_on_data(q));
    MB_TRY(mb_ranks_agree(q->comm, mb_quantization_summarize(q)));
    if (q->options->output != NULL)
        MB_TRY(mb_quantization_write(q));
    q->result->file_bytes_before = file_bytes(q->options->model);
    q->result->file_bytes_after = file_bytes(q->options->output);
    return MB_OK;
}

static void close_all(mb_quantization_t *q)
{
    for (int i = 0; i < q->n_targets; i++)
        mb_target_forget(&q->targets[i]);
    free(q->targets);
    mb_passes_close(q->passes);
    if (q->source != NULL)
        mb_source_close(q->source);
    if (q->whole != NULL)
        mb_source_close(q->whole);
    mb_model_close(q->model);
}

mb_status_t mb_quantize(const mb_quantize_options_t *options, mb_arena_t *arena,
                        mb_quantize_result_t *result)
{
    double start = mb_time_seconds();
    mb_quantize_options_t given = *options;
    mb_quantization_t q = {
        .options = &given, .comm = options->comm, .arena = arena, .result = result};
    *result = (mb_quantize_result_t){.report = {.loss_before = NAN,
                                                .loss_after = NAN,
                                                .accuracy_before = NAN,
                                                .accuracy_after = NAN,
                                                .agreement = NAN,
                                                .mean_kl = NAN,
                                                .max_kl = NAN}};
    if (arena == NULL)
        return mb_error_memory("a report", 0);
    if (given.keras_int8 && given.format == NULL && !chooses(&given))
        given.format = &keras_format;
    mb_status_t status = quantize(&q);
    close_all(&q);
    result->seconds = mb_time_seconds() - start;
    return status;
}
