/* See einsum.h. Letters are labels by their codes; the axes of the ellipsis have labels from
 * ELLIPSIS on, counted from its last one, as numpy aligns them. */
#include "model/layers/einsum.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { ELLIPSIS = 256 };

bool mb_subscripts_have(const mb_subscripts_t *subscripts, int label)
{
    for (int i = 0; i < subscripts->rank; i++) {
        if (subscripts->label[i] == label)
            return true;
    }
    return false;
}

const char *mb_einsum_axis_text(int label, char buffer[MB_EINSUM_TEXT])
{
    if (label >= ELLIPSIS)
        snprintf(buffer, MB_EINSUM_TEXT, "an axis of the ellipsis");
    else
        snprintf(buffer, MB_EINSUM_TEXT, "axis '%c'", label);
    return buffer;
}

/* ---- the text */

typedef struct {
    const char *equation, *where;
    const char *at;
} text_t;

static mb_status_t refuse(const text_t *text, const char *what)
{
    return mb_error_set(MB_ERR_ARGUMENT, "%s: equation '%s': %s", text->where, text->equation,
                        what);
}

static void skip_spaces(text_t *text)
{
    while (*text->at == ' ')
        text->at++;
}

/* The letters of one operand, the ellipsis among them as one letter. */
static mb_status_t read_term(text_t *text, mb_subscripts_t *out)
{
    *out = (mb_subscripts_t){0};
    for (skip_spaces(text); *text->at != '\0' && *text->at != ',' && *text->at != '-';
         skip_spaces(text)) {
        int label = (unsigned char)*text->at;
        if (strncmp(text->at, "...", 3) == 0)
            label = ELLIPSIS;
        else if (!isalpha(label))
            return refuse(text, "it has letters, '...', ',' and one '->'");
        if (out->rank == MB_EINSUM_AXES)
            return refuse(text, "one of its operands has too many axes");
        if (label == ELLIPSIS && mb_subscripts_have(out, ELLIPSIS))
            return refuse(text, "an operand has two ellipses");
        out->label[out->rank++] = label;
        text->at += label == ELLIPSIS ? 3 : 1;
    }
    return MB_OK;
}

/* Puts COUNT labels in the ellipsis' place. */
static mb_status_t open_ellipsis(const text_t *text, mb_subscripts_t *term, int count)
{
    mb_subscripts_t old = *term;
    *term = (mb_subscripts_t){0};
    for (int i = 0; i < old.rank; i++) {
        int n = old.label[i] == ELLIPSIS ? count : 1;
        if (term->rank + n > MB_EINSUM_AXES)
            return refuse(text, "its result has too many axes");
        for (int k = 0; k < n; k++)
            term->label[term->rank++] =
                old.label[i] == ELLIPSIS ? ELLIPSIS + n - 1 - k : old.label[i];
    }
    return MB_OK;
}

static mb_status_t open_operand(const text_t *text, mb_subscripts_t *term, int rank, int *longest)
{
    bool has = mb_subscripts_have(term, ELLIPSIS);
    int elided = rank - term->rank + 1;
    char what[96];
    if (has ? elided < 0 : rank != term->rank) {
        snprintf(what, sizeof what, "an operand has %d axes there, and %d (with the samples) here",
                 term->rank - (has ? 1 : 0), rank);
        return refuse(text, what);
    }
    if (has && elided > *longest)
        *longest = elided;
    return open_ellipsis(text, term, elided);
}

static int times_named(const mb_einsum_t *einsum, int label)
{
    int times = 0;
    for (int i = 0; i < einsum->n_operands; i++) {
        for (int k = 0; k < einsum->operands[i].rank; k++)
            times += einsum->operands[i].label[k] == label;
    }
    return times;
}

/* The ellipsis, then the letters that stand once, in their order. */
static mb_status_t imply_result(const text_t *text, mb_einsum_t *out, bool ellipsis)
{
    out->result = (mb_subscripts_t){0};
    if (ellipsis)
        out->result.label[out->result.rank++] = ELLIPSIS;
    for (int label = 'A'; label <= 'z'; label++) {
        if (times_named(out, label) != 1)
            continue;
        if (out->result.rank == MB_EINSUM_AXES)
            return refuse(text, "its result has too many axes");
        out->result.label[out->result.rank++] = label;
    }
    return MB_OK;
}

static mb_status_t read_result(text_t *text, mb_einsum_t *out, bool ellipsis)
{
    if (*text->at == '\0')
        return imply_result(text, out, ellipsis);
    if (strncmp(text->at, "->", 2) != 0)
        return refuse(text, "it names more operands than it is given");
    text->at += 2;
    MB_TRY(read_term(text, &out->result));
    return *text->at == '\0' ? MB_OK : refuse(text, "something follows its result");
}

static mb_status_t check_result(const text_t *text, const mb_einsum_t *einsum)
{
    for (int i = 0; i < einsum->result.rank; i++) {
        int label = einsum->result.label[i];
        if (times_named(einsum, label) == 0)
            return refuse(text, "its result has an axis that no operand has");
        for (int k = 0; k < i; k++) {
            if (einsum->result.label[k] == label)
                return refuse(text, "its result has an axis twice");
        }
    }
    return MB_OK;
}

mb_status_t mb_einsum_read(const char *equation, const char *where, int n_operands,
                           const int *ranks, mb_einsum_t *out)
{
    text_t text = {equation, where, equation};
    bool ellipsis = false;
    int longest = 0;
    *out = (mb_einsum_t){.n_operands = n_operands};
    for (int i = 0; i < n_operands; i++) {
        MB_TRY(read_term(&text, &out->operands[i]));
        ellipsis = ellipsis || mb_subscripts_have(&out->operands[i], ELLIPSIS);
        if (i + 1 < n_operands && *text.at++ != ',')
            return refuse(&text, "it names fewer operands than it is given");
    }
    MB_TRY(read_result(&text, out, ellipsis));
    for (int i = 0; i < n_operands; i++)
        MB_TRY(open_operand(&text, &out->operands[i], ranks[i], &longest));
    MB_TRY(open_ellipsis(&text, &out->result, longest));
    return check_result(&text, out);
}

/* ---- tensors */

static int place_of(int *labels, int *n, int label)
{
    for (int i = 0; i < *n; i++) {
        if (labels[i] == label)
            return i;
    }
    labels[*n] = label;
    return (*n)++;
}

/* Row-major strides; an axis that stands twice steps along both. */
static void add_tensor(mb_contraction_t *out, int *labels, int operand,
                       const mb_einsum_tensor_t *tensor)
{
    int64_t step = 1;
    for (int i = tensor->subscripts->rank - 1; i >= 0; i--) {
        int place = place_of(labels, &out->n, tensor->subscripts->label[i]);
        out->diagonal[operand] = out->diagonal[operand] || out->has[operand][place];
        out->has[operand][place] = true;
        out->dim[place] = tensor->dim[i];
        out->stride[operand][place] += step;
        step *= tensor->dim[i];
    }
    out->elements[operand] = step;
}

mb_contraction_t mb_einsum_contraction(const mb_einsum_tensor_t *a, const mb_einsum_tensor_t *b,
                                       const mb_einsum_tensor_t *c)
{
    mb_contraction_t out = {.alone = b == NULL};
    int labels[2 * MB_EINSUM_AXES];
    add_tensor(&out, labels, MB_CONTRACT_A, a);
    if (b != NULL)
        add_tensor(&out, labels, MB_CONTRACT_B, b);
    add_tensor(&out, labels, MB_CONTRACT_C, c);
    return out;
}
