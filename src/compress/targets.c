/* The tensors of a model and the format that each is to get: what a rule says, else --format for
 * matrices and float32 for all others. */
#include <regex.h>
#include <stdlib.h>

#include "compress/quantization.h"

/* Columns and rows as a product sees them; what is no matrix is one row. */
static mb_view_t view_of(const mb_param_t *param)
{
    mb_view_t view = {.rows = 1, .columns = param->elements};
    if (param->view == MB_VIEW_VECTOR)
        return view;
    mb_param_matrix(param, &view.rows, &view.columns);
    view.lookup = param->view == MB_VIEW_LOOKUP;
    return view;
}

static mb_status_t compile(const mb_format_rule_t *rule, regex_t *regex)
{
    char message[128];
    int code = regcomp(regex, rule->pattern, REG_EXTENDED | REG_ICASE | REG_NOSUB);
    if (code == 0)
        return MB_OK;
    regerror(code, regex, message, sizeof message);
    return mb_error_set(MB_ERR_ARGUMENT, "rule '%s' is no regular expression: %s", rule->pattern,
                        message);
}

static mb_status_t no_matrix(const mb_quantization_t *q, const mb_format_rule_t *rule, bool found)
{
    char text[MB_FORMAT_TEXT];
    mb_format_text(&rule->format, text, sizeof text);
    if (found)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "rule '%s=%s' finds no matrix: other tensors are stored without "
                            "scales, as fp32, fp16, bf16, e3m4 or rounded",
                            rule->pattern, text);
    return mb_error_set(MB_ERR_ARGUMENT,
                        "rule '%s=%s' finds no tensor of %s; mbrun inspect lists their names",
                        rule->pattern, text, q->model->weights->path);
}

/* An earlier rule's tensors are its own. Formats with scales are for matrices: what else the
 * pattern finds is left to the rules behind it. */
static mb_status_t apply(mb_quantization_t *q, const mb_format_rule_t *rule, const regex_t *regex)
{
    bool found = false, used = false;
    for (int i = 0; i < q->n_targets; i++) {
        mb_target_t *target = &q->targets[i];
        if (regexec(regex, target->stored->name, 0, NULL, 0) != 0)
            continue;
        found = true;
        if (!target->is_matrix && !mb_format_is_float(&rule->format))
            continue;
        used = true;
        if (target->fixed)
            continue;
        target->fixed = true;
        target->format = rule->format;
    }
    return used ? MB_OK : no_matrix(q, rule, found);
}

static mb_status_t apply_rules(mb_quantization_t *q)
{
    for (int r = 0; r < q->options->n_rules; r++) {
        regex_t regex;
        MB_TRY(compile(&q->options->rules[r], &regex));
        mb_status_t status = apply(q, &q->options->rules[r], &regex);
        regfree(&regex);
        MB_TRY(status);
    }
    return MB_OK;
}

mb_status_t mb_targets_list(mb_quantization_t *q)
{
    const mb_graph_t *graph = q->model->graph;
    q->targets = calloc((size_t)graph->n_params + 1, sizeof *q->targets);
    if (q->targets == NULL)
        return mb_error_memory("a list of tensors", (size_t)graph->n_params * sizeof *q->targets);
    q->n_targets = graph->n_params;
    for (int p = 0; p < graph->n_params; p++) {
        const mb_param_t *param = &graph->params[p];
        mb_target_t *target = &q->targets[p];
        *target = (mb_target_t){.param = param,
                                .stored = q->model->stored[p],
                                .view = view_of(param),
                                .is_matrix = param->view != MB_VIEW_VECTOR};
        if (target->is_matrix && q->options->format != NULL)
            target->format = *q->options->format;
    }
    if (q->options->keras_int8)
        MB_TRY(mb_keras_form_open(q));
    MB_TRY(apply_rules(q));
    return q->keras != NULL ? mb_keras_form_check(q) : MB_OK;
}
