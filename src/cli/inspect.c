/* mbrun inspect: what a model file or checkpoint holds. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "cli/command.h"
#include "engine/inspection.h"
#include "cli/quantize_text.h"
#include "cli/say.h"
#include "engine/model_variables.h"
#include "store/keras_archive.h"
#include "store/seal.h"

static const char *seal_text(mb_seal_state_t seal)
{
    switch (seal) {
    case MB_SEAL_NONE:
        return "none";
    case MB_SEAL_HOLDS:
        return "present (--verify checks every byte)";
    default:
        return "broken: the file was changed after it was sealed";
    }
}

static void print_layers(const mb_inspection_t *seen)
{
    printf("\n%-34s%-24s%-24s%s\n", "layer", "class", "output", "parameters");
    for (int i = 0; i < seen->n_layers; i++) {
        const mb_layer_line_t *line = &seen->layers[i];
        char count[MB_COUNT_TEXT];
        printf("%-33s %-23s %-23s %s\n", line->name, line->class_name, line->output,
               mb_say_count(line->parameters, count, sizeof count));
    }
}

static void print_run(const mb_model_file_t *file)
{
    const mb_run_state_t *state = &file->state;
    if (state->present)
        printf("%-12s%" PRId64 " steps done, %" PRId64 " epochs, %" PRId64 " steps into the next\n",
               "state", state->step, state->epoch, state->step_in_epoch);
    if (state->present && isfinite(state->best_metric))
        printf("%-12svalidation loss %.9g at step %" PRId64 "\n", "best", state->best_metric,
               state->best_step);
    if (state->present && state->loss_scale > 0)
        printf("%-12s%.9g, %" PRId64 " steps left out\n", "loss scale", state->loss_scale,
               state->skipped_steps);
    else if (state->present && state->skipped_steps > 0)
        printf("%-12s%" PRId64 " steps, whose numbers were not finite\n", "left out",
               state->skipped_steps);
    for (int i = 0; i < file->n_settings; i++)
        printf("%-12s%s = %s\n", i == 0 ? "settings" : "", file->settings[i].key,
               file->settings[i].value);
}

/* Of a file that holds anything but float32. */
static void print_stored(const mb_inspection_t *seen)
{
    char bytes[32], plain[32];
    const mb_storage_t *weights = &seen->weights, *moments = &seen->moments;
    if (seen->file->quantized != NULL)
        printf("%-12s%s\n", "quantized", seen->file->quantized);
    if (weights->bytes != weights->plain_bytes && weights->elements > 0)
        printf("%-12sweights %s, %.4f times their %s of float32; %.3f bits a weight\n", "stored",
               mb_str_bytes((double)weights->bytes, bytes, sizeof bytes),
               (double)weights->bytes / (double)weights->plain_bytes,
               mb_str_bytes((double)weights->plain_bytes, plain, sizeof plain),
               8 * (double)weights->bytes / (double)weights->elements);
    if (moments->bytes != moments->plain_bytes && moments->elements > 0)
        printf("%-12smoments %s, %.4f times their %s of float32\n", "",
               mb_str_bytes((double)moments->bytes, bytes, sizeof bytes),
               (double)moments->bytes / (double)moments->plain_bytes,
               mb_str_bytes((double)moments->plain_bytes, plain, sizeof plain));
}

static void print_summary(const mb_inspection_t *seen)
{
    const mb_model_file_t *file = seen->file;
    char all[MB_COUNT_TEXT], trainable[MB_COUNT_TEXT];
    printf("%-12s%s\n", "file", file->path);
    printf("%-12s%s\n", "model", seen->name);
    printf("%-12sKeras %s, %s%s\n", "written by",
           file->keras_version == NULL ? "of unknown version" : file->keras_version,
           file->backend == NULL ? "unknown backend" : file->backend,
           file->from_mbrun ? "; mbrun" : "");
    printf("%-12s%s", "parameters", mb_say_count(seen->parameters, all, sizeof all));
    if (seen->bound)
        printf(", %s of them trainable",
               mb_say_count(seen->trainable, trainable, sizeof trainable));
    printf("\n%-12s%s\n", "optimizer", seen->optimizer);
    printf("%-12s%s\n", "moments",
           file->n_moments > 0     ? "kept"
           : file->n_optimizer > 0 ? "kept by Keras"
                                   : "none");
    if (file->n_states > 0)
        printf("%-12skept for the %lld rows of a batch\n", "states",
               (long long)file->states[0].shape.dim[0]);
    print_run(file);
    printf("%-12s%s\n", "seal", seal_text(file->seal));
    print_stored(seen);
    print_layers(seen);
    if (file->report != NULL) {
        printf("\n");
        mb_report_print(file->report);
    }
    if (seen->problem[0] != '\0')
        printf("\nnote: %s\n", seen->problem);
}

static mb_status_t check_tensors(const mb_model_file_t *file, const mb_stored_tensor_t *tensors,
                                 int count, int *checked)
{
    for (int i = 0; i < count; i++) {
        MB_TRY(mb_stored_tensor_check(file, &tensors[i]));
        *checked += tensors[i].has_crc;
    }
    return MB_OK;
}

/* The checksums that encoded tensors carry themselves. */
static mb_status_t check_all_tensors(const char *path, int *checked)
{
    mb_model_file_t *file = NULL;
    MB_TRY(mb_model_file_open(path, false, false, &file));
    mb_status_t status = MB_OK;
    for (int i = 0; i < file->n_layers && status == MB_OK; i++)
        status = check_tensors(file, file->layers[i].weights, file->layers[i].n_weights, checked);
    if (status == MB_OK)
        status = check_tensors(file, file->moments, file->n_moments, checked);
    mb_model_file_close(file);
    return status;
}

/* An archive has a checksum of each member for a seal. */
static mb_status_t verify_archive(const char *path, bool *is_archive)
{
    MB_TRY(mb_keras_archive_check(path, is_archive));
    if (*is_archive)
        printf("%s: the archive's checksums hold\n", path);
    return MB_OK;
}

static mb_status_t verify(const char *path)
{
    bool is_archive = false;
    mb_seal_state_t state = MB_SEAL_NONE;
    int64_t step = 0;
    int checked = 0;
    MB_TRY(verify_archive(path, &is_archive));
    if (is_archive)
        return MB_OK;
    MB_TRY(mb_seal_check_file(path, &state, &step));
    if (state == MB_SEAL_NONE)
        return mb_error_set(MB_ERR_FORMAT,
                            "%s: has no seal, so nothing says whether it is complete: a file of "
                            "Keras', or one that was cut off",
                            path);
    if (state == MB_SEAL_BROKEN)
        return mb_error_set(MB_ERR_FORMAT,
                            "%s: the seal is broken: the file was damaged, or changed by another "
                            "program",
                            path);
    MB_TRY(check_all_tensors(path, &checked));
    printf("%s: the seal holds (step %" PRId64 ")\n", path, step);
    if (checked > 0)
        printf("%s: the checksums of %d encoded tensors hold\n", path, checked);
    return MB_OK;
}

static mb_status_t say_digest(const mb_model_file_t *file, bool json)
{
    mb_digest_t digest;
    MB_TRY(mb_model_file_digest(file, &digest));
    const char *parent = file->report != NULL ? file->report->parent_digest : "";
    char weights[24], full[24];
    snprintf(weights, sizeof weights, "%016" PRIx64, digest.weights);
    snprintf(full, sizeof full, "%016" PRIx64, digest.full);
    if (json)
        return mb_say_json(json_pack("{s:s, s:s, s:s, s:o}", "file", file->path, "weights", weights,
                                     "full", full, "parent",
                                     mb_json_text(parent[0] == '\0' ? NULL : parent)));
    printf("weights  %s\nfull     %s\n", weights, full);
    if (parent[0] != '\0')
        printf("parent   %s\n", parent);
    return MB_OK;
}

static mb_status_t print_digest(const char *path, bool json)
{
    mb_model_file_t *file = NULL;
    MB_TRY(mb_model_file_open_arranged(path, &file));
    mb_status_t status = say_digest(file, json);
    mb_model_file_close(file);
    return status;
}

static mb_status_t inspect(const mb_args_t *args)
{
    const char *path = args->words[0];
    mb_inspection_t seen;
    if (mb_args_has(args, "verify"))
        return verify(path);
    if (mb_args_has(args, "digest"))
        return print_digest(path, mb_args_has(args, "json"));
    mb_status_t status = mb_inspect(path, &seen);
    if (status == MB_OK && mb_args_has(args, "json"))
        status = mb_say_json(mb_inspection_json(&seen));
    else if (status == MB_OK)
        print_summary(&seen);
    mb_inspection_free(&seen);
    return status;
}

static int run_inspect(const mb_args_t *args)
{
    return mb_say_end(inspect(args));
}

static const mb_flag_t flags[] = {
    {"json", '\0', NULL, "one JSON object instead of text"},
    {"digest", '\0', NULL, "two digests: of the weights; of weights, moments and step"},
    {"verify", '\0', NULL, "check every byte against the seal"},
    MB_FLAG_PLUGIN,
    {.name = NULL}};

const mb_command_t mb_command_inspect = {
    .name = "inspect",
    .usage = "FILE.h5 [--json | --digest | --verify]",
    .title = "Show what a model file or checkpoint holds",
    .detail =
        "--digest prints two lines, \"weights  HEX\" and \"full     HEX\", 16 hexadecimal digits\n"
        "each. The first is of the weights' names, shapes and bits; the second also of the\n"
        "moments and the step. Equal digests mean equal bits, on whatever layout they were made.\n"
        "Of a quantized file they are of the values that it decodes to, and a third line,\n"
        "\"parent   HEX\", is the digest of the weights it was made from.\n"
        "--verify ends with 0 when the seal holds and with 1 when it is broken or missing; the\n"
        "checksums of encoded tensors are checked too.\n",
    .flags = flags,
    .least_words = 1,
    .most_words = 1,
    .words = "a file",
    .run = run_inspect};
