/* A dataset of the input's own name wins; then `x` for the only input; then windows of `tokens`.
 * A dataset named `tokens` is an ordinary one when an input has that name and the targets stand in
 * a dataset of their own. */
#include "data/hdf5_select.h"

#include "data/internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    hid_t file;
    const char *path;
    const mb_source_wants_t *wants;
    bool windows; /* `tokens` is cut into windows */
    mb_hdf5_choice_t tokens;
} select_t;

static const char *own_or(const select_t *s, const char *own, bool only, const char *otherwise)
{
    if (mb_hdf5_data_has(s->file, own) && !(s->windows && strcmp(own, "tokens") == 0))
        return own;
    return only && mb_hdf5_data_has(s->file, otherwise) ? otherwise : NULL;
}

static const char *output_dataset(const select_t *s, int output)
{
    return own_or(s, s->wants->output_names[output], s->wants->n_outputs == 1, "y");
}

static mb_status_t tokens_error(const select_t *s, const char *what)
{
    return mb_error_set(MB_ERR_DATA, "%s: dataset 'tokens' %s", s->path, what);
}

/* The model's sequence length, MB_OPEN where it leaves it to the data. */
static mb_status_t model_length(const select_t *s, int input, int64_t *length)
{
    const mb_shape_t *shape = &s->wants->input_shapes[input];
    char text[MB_SHAPE_TEXT];
    if (shape->rank == 1) {
        *length = shape->dim[0];
        return MB_OK;
    }
    return mb_error_set(MB_ERR_SHAPE,
                        "%s: dataset 'tokens' serves sequences, but the model's input '%s' takes "
                        "samples of shape %s",
                        s->path, s->wants->input_names[input],
                        mb_shape_text(shape, text, sizeof(text)));
}

static mb_status_t stream_windows(select_t *s, int64_t length, int64_t available)
{
    if (length == MB_OPEN)
        return tokens_error(s, "is one stream, but the model leaves its length open: store one "
                               "window of length + 1 a row (2-D)");
    if (available < length + 1)
        return tokens_error(s, "is shorter than one window of the model's length and its target");
    s->tokens = (mb_hdf5_choice_t){.dataset = "tokens", .form = MB_HDF5_STREAM, .length = length};
    return MB_OK;
}

static mb_status_t row_windows(select_t *s, int64_t length, int64_t row)
{
    if (row < 2)
        return tokens_error(s, "has rows of one token; a row holds a window and its last target");
    if (length != MB_OPEN && row != length + 1)
        return mb_error_set(MB_ERR_SHAPE,
                            "%s: dataset 'tokens' has rows of %" PRId64
                            " tokens, but a model of length %" PRId64 " wants %" PRId64
                            " (its inputs and the last target)",
                            s->path, row, length, length + 1);
    s->tokens = (mb_hdf5_choice_t){.dataset = "tokens", .form = MB_HDF5_WINDOW, .length = row - 1};
    return MB_OK;
}

/* Rows of the model's own length are inputs without targets, for prediction. */
static bool rows_are_inputs(const select_t *s, const mb_shape_t *shape, int64_t length)
{
    return shape->rank > 1 && s->wants->n_outputs == 0 &&
           (length == MB_OPEN || shape->dim[1] == length);
}

static mb_status_t decide_tokens(select_t *s)
{
    mb_hdf5_dataset_t d;
    int64_t length = MB_OPEN;
    int input = mb_source_only_input(s->wants);
    if (input < 0 || !mb_hdf5_data_has(s->file, "tokens"))
        return MB_OK;
    bool own = strcmp(s->wants->input_names[input], "tokens") == 0;
    bool targets = s->wants->n_outputs > 0 && output_dataset(s, 0) != NULL;
    if ((own && targets) || own_or(s, own ? "x" : s->wants->input_names[input], true, "x") != NULL)
        return MB_OK;
    MB_TRY(model_length(s, input, &length));
    MB_TRY(mb_hdf5_dataset_open(s->file, s->path, "tokens", &d));
    mb_hdf5_dataset_close(&d);
    if (rows_are_inputs(s, &d.shape, length)) {
        s->tokens = (mb_hdf5_choice_t){.dataset = "tokens", .form = MB_HDF5_ROWS};
        s->windows = true;
        return MB_OK;
    }
    if (d.shape.rank > 2)
        return tokens_error(s, "must have one axis (a stream) or two (a window a row)");
    s->windows = true;
    return d.shape.rank == 1 ? stream_windows(s, length, d.shape.dim[0])
                             : row_windows(s, length, d.shape.dim[1]);
}

static mb_status_t no_dataset(const select_t *s, const char *role, const char *name,
                              const char *otherwise)
{
    char *names = mb_hdf5_data_names(s->file);
    mb_status_t status = mb_error_set(
        MB_ERR_DATA,
        "%s: no data for the model's %s '%s': wanted is a dataset of that name%s; the file has %s",
        s->path, role, name, otherwise, names == NULL ? "no dataset" : names);
    free(names);
    return status;
}

static mb_status_t choose_input(const select_t *s, int input, mb_hdf5_choice_t *choice, bool *some)
{
    const char *name = s->wants->input_names[input];
    bool only = mb_source_only_input(s->wants) == input;
    const char *dataset = own_or(s, name, only, "x");
    *some = true;
    if (dataset != NULL) {
        *choice = (mb_hdf5_choice_t){.dataset = dataset, .name = dataset};
        return MB_OK;
    }
    if (only && s->windows) {
        *choice = s->tokens;
        choice->name = name;
        return MB_OK;
    }
    *some = false;
    if (mb_source_is_positions(s->wants, input))
        return MB_OK;
    return no_dataset(s, "input", name, only ? ", or 'x', or 'tokens'" : "");
}

static mb_status_t choose_output(const select_t *s, int output, mb_hdf5_choice_t *choice)
{
    const char *dataset = output_dataset(s, output);
    if (s->windows && s->wants->n_outputs == 1) {
        *choice = s->tokens;
        choice->name = "y";
        choice->shift = 1;
        return MB_OK;
    }
    if (dataset == NULL)
        return no_dataset(s, "output", s->wants->output_names[output],
                          s->wants->n_outputs == 1 ? ", or 'y'" : "");
    *choice = (mb_hdf5_choice_t){.dataset = dataset, .name = dataset};
    return MB_OK;
}

/* Sample weights where there are some: of all outputs, and of single ones. */
static void choose_weights(const select_t *s, mb_hdf5_choice_t *choices, int *n)
{
    if (s->wants->n_outputs > 0 && mb_hdf5_data_has(s->file, MB_SAMPLE_WEIGHT))
        choices[(*n)++] = (mb_hdf5_choice_t){.dataset = MB_SAMPLE_WEIGHT, .name = MB_SAMPLE_WEIGHT};
    for (int i = 0; i < s->wants->n_outputs; i++) {
        mb_hdf5_choice_t *choice = &choices[*n];
        if (!mb_hdf5_data_has(s->file,
                              mb_source_weights_name(s->wants->output_names[i], choice->text)))
            continue;
        choice->dataset = choice->name = choice->text;
        ++*n;
    }
}

static mb_status_t choose_all(const select_t *s, mb_hdf5_choice_t *choices, int *n)
{
    for (int i = 0; i < s->wants->n_inputs; i++) {
        bool some;
        MB_TRY(choose_input(s, i, &choices[*n], &some));
        *n += some;
    }
    for (int i = 0; i < s->wants->n_outputs; i++)
        MB_TRY(choose_output(s, i, &choices[(*n)++]));
    choose_weights(s, choices, n);
    return MB_OK;
}

mb_status_t mb_hdf5_select(hid_t file, const char *path, const mb_source_wants_t *wants,
                           mb_hdf5_choice_t **choices, int *n_choices)
{
    select_t s = {.file = file, .path = path, .wants = wants};
    size_t most = (size_t)(wants->n_inputs + 2 * wants->n_outputs) + 2;
    mb_hdf5_choice_t *made = calloc(most, sizeof(*made));
    int n = 0;
    if (made == NULL)
        return mb_error_memory("the list of datasets", most * sizeof(*made));
    mb_status_t status = decide_tokens(&s);
    if (status == MB_OK)
        status = choose_all(&s, made, &n);
    if (status != MB_OK) {
        free(made);
        return status;
    }
    *choices = made;
    *n_choices = n;
    return MB_OK;
}
