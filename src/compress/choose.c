/* See choose.h. The walk is the greedy one over the lower convex hulls of (bytes saved, damage)
 * of all tensors: on it no other step saves a byte for less. */
#include "compress/choose.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "base/str.h"

enum { MOST_OPTIONS = 8, LEAST_SAMPLES = 32, MOST_SAMPLES = 512, ROWS = 16384 };

/* From dear to cheap, behind float32. */
static const char *const candidates[] = {"bf16", "int8:block=32", "int8:channel", "int4:block=32"};
enum { CANDIDATES = sizeof candidates / sizeof candidates[0] };

typedef struct {
    mb_format_t format;
    int64_t bytes;
    double loss_rise, divergence;
    double damage; /* at least that of the dearer ones: a smaller one is noise */
} option_t;

typedef struct {
    mb_target_t *target;
    int n;
    option_t options[MOST_OPTIONS]; /* the first is float32 */
} tensor_t;

typedef struct {
    int tensor, to; /* the option it goes to */
    double slope;   /* damage for a byte saved */
} step_t;

struct mb_mix {
    mb_quantization_t *q;
    int n, n_steps;
    tensor_t *tensors;
    step_t *steps;
};

static void add_option(tensor_t *tensor, const mb_format_t *format)
{
    int64_t bytes = mb_target_bytes(tensor->target, format);
    if (tensor->n > 0 && bytes >= tensor->options[tensor->n - 1].bytes)
        return;
    tensor->options[tensor->n++] = (option_t){.format = *format, .bytes = bytes};
}

static mb_status_t list_options(const mb_quantization_t *q, tensor_t *tensor)
{
    const mb_format_t *cheapest = q->options->format, plain = {.number = MB_NUMBER_F32};
    int64_t least = cheapest == NULL ? 0 : mb_target_bytes(tensor->target, cheapest);
    add_option(tensor, &plain);
    for (int c = 0; c < CANDIDATES; c++) {
        mb_format_t format;
        MB_TRY(mb_format_parse(candidates[c], &format));
        if (mb_target_bytes(tensor->target, &format) > least)
            add_option(tensor, &format);
    }
    if (cheapest != NULL)
        add_option(tensor, cheapest);
    return MB_OK;
}

static mb_status_t list_tensors(mb_mix_t *mix)
{
    mb_quantization_t *q = mix->q;
    mix->tensors = calloc((size_t)q->n_targets + 1, sizeof *mix->tensors);
    mix->steps = calloc((size_t)q->n_targets * MOST_OPTIONS + 1, sizeof *mix->steps);
    if (mix->tensors == NULL || mix->steps == NULL)
        return mb_error_memory("a choice of formats", 0);
    for (int i = 0; i < q->n_targets; i++) {
        if (!q->targets[i].is_matrix || q->targets[i].fixed)
            continue;
        mix->tensors[mix->n].target = &q->targets[i];
        MB_TRY(list_options(q, &mix->tensors[mix->n++]));
        q->targets[i].format = (mb_format_t){.number = MB_NUMBER_F32};
    }
    return MB_OK;
}

static mb_status_t measure(mb_mix_t *mix, mb_probe_t *probe, tensor_t *tensor, option_t *option)
{
    mb_quantization_t *q = mix->q;
    mb_probe_result_t result;
    tensor->target->format = option->format;
    mb_status_t status = mb_target_encode(q, tensor->target, NULL);
    if (status == MB_OK)
        status = mb_target_use(q, tensor->target);
    MB_TRY(mb_comm_agree(q->comm, status));
    MB_TRY(mb_engine_prepare(q->passes->engine));
    MB_TRY(mb_probe_run(probe, &result));
    option->loss_rise = result.rise;
    option->divergence = result.mean_kl;
    status = mb_target_restore(q, tensor->target);
    mb_target_forget(tensor->target);
    tensor->target->format = tensor->options[0].format;
    return mb_comm_agree(q->comm, status);
}

static double damage_of(const option_t *option)
{
    return isfinite(option->divergence) ? option->divergence : option->loss_rise;
}

static mb_status_t measure_all(mb_mix_t *mix, mb_probe_t *probe)
{
    int64_t done = 0, all = 0;
    for (int t = 0; t < mix->n; t++)
        all += mix->tensors[t].n - 1;
    for (int t = 0; t < mix->n; t++) {
        tensor_t *tensor = &mix->tensors[t];
        for (int o = 1; o < tensor->n; o++) {
            mb_quantization_progress(mix->q, "measuring tensors", done++, all);
            MB_TRY(measure(mix, probe, tensor, &tensor->options[o]));
            double dearer = tensor->options[o - 1].damage, now = damage_of(&tensor->options[o]);
            tensor->options[o].damage = now > dearer ? now : dearer;
        }
    }
    mb_quantization_progress(mix->q, "measuring tensors", all, all);
    return mb_engine_prepare(mix->q->passes->engine);
}

static double slope(const tensor_t *tensor, int from, int to)
{
    const option_t *a = &tensor->options[from], *b = &tensor->options[to];
    return (b->damage - a->damage) / (double)(a->bytes - b->bytes);
}

static void add_steps(mb_mix_t *mix, int t)
{
    const tensor_t *tensor = &mix->tensors[t];
    for (int at = 0; at < tensor->n - 1;) {
        int next = at + 1;
        for (int o = at + 2; o < tensor->n; o++)
            next = slope(tensor, at, o) <= slope(tensor, at, next) ? o : next;
        mix->steps[mix->n_steps++] =
            (step_t){.tensor = t, .to = next, .slope = slope(tensor, at, next)};
        at = next;
    }
}

static int by_slope(const void *a, const void *b)
{
    const step_t *x = a, *y = b;
    if (x->slope != y->slope)
        return x->slope < y->slope ? -1 : 1;
    return x->tensor != y->tensor ? x->tensor - y->tensor : x->to - y->to;
}

/* As many rows of outputs as tell tensors apart; each tensor and format costs a pass over them. */
static int64_t samples_to_measure(const mb_model_t *model)
{
    int64_t rows = 1;
    for (int o = 0; o < model->graph->n_outputs; o++)
        rows = model->losses[o].rows > rows ? model->losses[o].rows : rows;
    int64_t samples = ROWS / rows;
    if (samples < LEAST_SAMPLES)
        return LEAST_SAMPLES;
    return samples < MOST_SAMPLES ? samples : MOST_SAMPLES;
}

static mb_status_t make(mb_mix_t *mix)
{
    mb_quantization_t *q = mix->q;
    mb_probe_t *probe;
    MB_TRY(mb_comm_agree(q->comm, list_tensors(mix)));
    MB_TRY(mb_probe_open(q->passes, samples_to_measure(q->model), &probe));
    mb_status_t status = measure_all(mix, probe);
    mb_probe_close(probe);
    MB_TRY(status);
    for (int t = 0; t < mix->n; t++)
        add_steps(mix, t);
    qsort(mix->steps, (size_t)mix->n_steps, sizeof *mix->steps, by_slope);
    return MB_OK;
}

mb_status_t mb_mix_open(mb_quantization_t *q, mb_mix_t **out)
{
    mb_mix_t *mix = calloc(1, sizeof *mix);
    mb_status_t status = mix == NULL ? mb_error_memory("a choice of formats", 0) : MB_OK;
    MB_TRY(mb_comm_agree(q->comm, status));
    mix->q = q;
    status = make(mix);
    if (status != MB_OK) {
        mb_mix_close(mix);
        return status;
    }
    *out = mix;
    return MB_OK;
}

void mb_mix_close(mb_mix_t *mix)
{
    if (mix == NULL)
        return;
    free(mix->tensors);
    free(mix->steps);
    free(mix);
}

int mb_mix_steps(const mb_mix_t *mix)
{
    return mix->n_steps;
}

void mb_mix_take(mb_mix_t *mix, int steps)
{
    for (int t = 0; t < mix->n; t++)
        mix->tensors[t].target->format = mix->tensors[t].options[0].format;
    for (int s = 0; s < steps; s++) {
        const tensor_t *tensor = &mix->tensors[mix->steps[s].tensor];
        tensor->target->format = tensor->options[mix->steps[s].to].format;
    }
}

int64_t mb_mix_bytes(mb_mix_t *mix, int steps)
{
    int64_t bytes = 0;
    mb_mix_take(mix, steps);
    for (int i = 0; i < mix->q->n_targets; i++)
        bytes += mb_target_bytes(&mix->q->targets[i], &mix->q->targets[i].format);
    return bytes;
}

mb_status_t mb_mix_reach(mb_mix_t *mix, int64_t bytes, int *steps)
{
    char wanted[32], least[32];
    for (*steps = 0; *steps <= mix->n_steps; (*steps)++) {
        if (mb_mix_bytes(mix, *steps) <= bytes)
            return MB_OK;
    }
    *steps = mix->n_steps;
    return mb_error_set(MB_ERR_ARGUMENT,
                        "%s: its tensors do not get as small as %s (%" PRId64
                        " bytes): the cheapest mix takes %s (%" PRId64 " bytes)",
                        mix->q->model->file->path,
                        mb_str_bytes((double)bytes, wanted, sizeof wanted), bytes,
                        mb_str_bytes((double)mb_mix_bytes(mix, mix->n_steps), least, sizeof least),
                        mb_mix_bytes(mix, mix->n_steps));
}

static int chosen_option(const mb_mix_t *mix, int tensor, int steps)
{
    int option = 0;
    for (int s = 0; s < steps; s++)
        option = mix->steps[s].tensor == tensor ? mix->steps[s].to : option;
    return option;
}

mb_status_t mb_mix_tell(const mb_mix_t *mix, int steps)
{
    mb_quantize_result_t *result = mix->q->result;
    mb_arena_t *arena = mix->q->arena;
    int n = 0;
    for (int t = 0; t < mix->n; t++)
        n += mix->tensors[t].n;
    result->sensitivities = MB_ARENA_ARRAY(arena, mb_sensitivity_t, n + 1);
    if (result->sensitivities == NULL)
        return mb_error_memory("a table of formats", 0);
    result->n_sensitivities = 0;
    for (int t = 0; t < mix->n; t++) {
        const tensor_t *tensor = &mix->tensors[t];
        int chosen = chosen_option(mix, t, steps);
        for (int o = 0; o < tensor->n; o++) {
            char text[MB_FORMAT_TEXT];
            mb_format_text(&tensor->options[o].format, text, sizeof text);
            mb_sensitivity_t line = {.tensor = mb_arena_strdup(arena, tensor->target->stored->name),
                                     .format = mb_arena_strdup(arena, text),
                                     .bytes_before = tensor->options[0].bytes,
                                     .bytes_after = tensor->options[o].bytes,
                                     .loss_rise = tensor->options[o].loss_rise,
                                     .divergence = tensor->options[o].divergence,
                                     .chosen = o == chosen};
            if (line.tensor == NULL || line.format == NULL)
                return mb_error_memory("a table of formats", 0);
            result->sensitivities[result->n_sensitivities++] = line;
        }
    }
    return MB_OK;
}
