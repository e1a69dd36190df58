/* Attention by sums (Bahdanau and others, 2015), of a query q and a key k:
 *     AdditiveAttention       score = sum of scale tanh(q + k) over columns
 *     Attention, "concat"     score = w sum of tanh(scale (q + k))
 * then softmax, dropout and products with values. Functions of views over [samples, queries, keys,
 * width], [..., keys] and [..., values]. The tanh of all pairs are kept, so memory grows with
 * queries times keys times width, as it does in Keras.
 *
 * saved: tanh, sums, probabilities, those that are left of them, masks. carry: gradients of
 * probabilities, of sums and of what tanh is taken of, products, the output's gradient. */
#include "model/layers/score_attention.h"

#define HIDES 1e9f
#define HIDES_F16 65504.0f

typedef struct {
    mb_score_sizes_t s;
    int64_t pairs, cubes; /* elements of [queries, keys], and with width */
    size_t tanh, sums, prob, left, mask, causal, saved_bytes;
    size_t dprob, dsums, darg, products, dout, carry_bytes;
} block_t;

static block_t block_of(const mb_call_t *call, int64_t samples)
{
    block_t b = {.s = mb_score_sizes(call)};
    mb_attention_mask_t mask = mb_score_mask(call);
    mb_dtype_t type = call->output_type;
    b.pairs = samples * b.s.queries * b.s.keys;
    b.cubes = b.pairs * b.s.width;
    b.tanh = mb_block_add(&b.saved_bytes, b.cubes, type);
    b.sums = mb_block_add(&b.saved_bytes, b.pairs, type);
    b.prob = mb_block_add(&b.saved_bytes, b.pairs, type);
    b.left = mb_block_add(&b.saved_bytes, b.pairs, type);
    b.mask = mb_block_add(&b.saved_bytes, b.pairs * mb_attention_mask_count(call, &mask), type);
    b.causal = mb_block_add(&b.saved_bytes, b.s.queries * b.s.keys, type);
    b.dprob = mb_block_add(&b.carry_bytes, b.pairs, type);
    b.dsums = mb_block_add(&b.carry_bytes, b.pairs, type);
    b.darg = mb_block_add(&b.carry_bytes, b.cubes, type);
    b.products = mb_block_add(&b.carry_bytes, b.cubes, type);
    b.dout = mb_block_add(&b.carry_bytes, samples * mb_shape_elements(&call->output), type);
    return b;
}

static void memory(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    block_t b = block_of(call, samples);
    out->saved_bytes = b.saved_bytes;
    out->carry_bytes = b.carry_bytes;
}

/* ---- views: axes samples, queries, keys, and columns of one kind */

enum { SAMPLES, QUERIES, KEYS, COLUMNS };

/* Of an array that has those axes whose bits are set, in their order. */
static mb_view_t view_of(const mb_run_t *run, const block_t *b, int64_t columns, unsigned has)
{
    const int64_t dims[] = {run->samples, b->s.queries, b->s.keys, columns};
    mb_view_t view = {.axes = 4};
    int64_t step = 1;
    for (int d = COLUMNS; d >= SAMPLES; d--) {
        bool own = has >> d & 1U;
        view.dim[d] = dims[d];
        view.stride[d] = own ? step : 0;
        step *= own ? dims[d] : 1;
    }
    return view;
}

enum {
    CUBE = 0xF,
    PAIR = 1 << SAMPLES | 1 << QUERIES | 1 << KEYS,
    QUERY = 1 << SAMPLES | 1 << QUERIES | 1 << COLUMNS,
    KEY = 1 << SAMPLES | 1 << KEYS | 1 << COLUMNS,
    COLUMN = 1 << COLUMNS
};

typedef struct {
    const mb_run_t *run;
    const block_t *b;
    int64_t columns;
} space_t;

static mb_map_input_t of(const space_t *space, const void *values, unsigned has)
{
    return mb_map_tensor(values, view_of(space->run, space->b, space->columns, has));
}

/* y (+)= f(a, b), summed over the axes that y has not. */
static mb_status_t map(const space_t *space, mb_map_t function, mb_map_input_t a, mb_map_input_t b,
                       unsigned has, bool accumulate, void *y)
{
    mb_map_call_t call = {.function = function,
                          .inputs = {a, b},
                          .view = view_of(space->run, space->b, space->columns, has),
                          .y = y,
                          .reduced = CUBE & ~has,
                          .accumulate = accumulate};
    return mb_run_strided(space->run, &call);
}

/* The same over pairs alone, without columns. */
static mb_status_t map_pairs(const mb_run_t *run, const block_t *b, mb_map_t function,
                             mb_map_input_t x, mb_map_input_t y, mb_map_input_t z, void *to)
{
    mb_map_call_t call = {
        .function = function, .inputs = {x, y, z}, .view = view_of(run, b, 1, PAIR), .y = to};
    return mb_run_strided(run, &call);
}

static void *saved(const mb_run_t *run, size_t offset)
{
    return mb_bytes_at(run->saved, offset);
}

static void *carry(const mb_run_t *run, size_t offset)
{
    return mb_bytes_at(run->carry, offset);
}

static const mb_score_attention_t *attention_of(const mb_run_t *run)
{
    return mb_score_attention_of(run->call);
}

/* Attention's scale is a number within tanh; its other number follows it among the parameters. */
static bool scales_within(const mb_run_t *run)
{
    return attention_of(run)->concat && attention_of(run)->scaled;
}

static int score_weight(const mb_run_t *run)
{
    return attention_of(run)->scaled ? 1 : 0;
}

/* AdditiveAttention's factor of each column. */
static mb_map_input_t factor_of(const space_t *space)
{
    const mb_score_attention_t *attention = attention_of(space->run);
    if (attention->additive && attention->scaled)
        return of(space, mb_run_param(space->run, 0), COLUMN);
    return mb_map_constant(1.0f);
}

/* ---- forward */

static mb_status_t add_pairs(const space_t *space, void *to)
{
    const mb_run_t *run = space->run;
    return map(space, MB_MAP_ADD, of(space, mb_run_input(run, 0), QUERY),
               of(space, mb_run_input(run, space->b->s.key), KEY), CUBE, false, to);
}

static mb_status_t find_scores(const mb_run_t *run, const block_t *b)
{
    space_t space = {run, b, b->s.width};
    void *tanh = saved(run, b->tanh), *sums = saved(run, b->sums);
    MB_TRY(add_pairs(&space, tanh));
    if (scales_within(run))
        MB_TRY(mb_score_scale(run, 0, b->cubes, tanh, tanh));
    MB_TRY(map(&space, MB_MAP_TANH, of(&space, tanh, CUBE), mb_map_constant(0), CUBE, false, tanh));
    MB_TRY(
        map(&space, MB_MAP_MULTIPLY, of(&space, tanh, CUBE), factor_of(&space), PAIR, false, sums));
    if (!attention_of(run)->concat)
        return mb_run_copy(run, b->s.queries * b->s.keys, sums, saved(run, b->prob));
    return mb_score_scale(run, score_weight(run), b->pairs, sums, saved(run, b->prob));
}

/* Row i of [queries, keys] has ones up to key i. */
static mb_status_t fill_causal(const mb_run_t *run, const block_t *b)
{
    mb_dtype_t type = mb_run_type(run);
    char *rows = saved(run, b->causal);
    size_t row = (size_t)b->s.keys * mb_dtype_bytes(type);
    mb_zero_args_t zero = {.bytes = (int64_t)row * b->s.queries, .y = rows};
    MB_TRY(mb_run_zero(run->exec, &zero));
    for (int64_t i = 0; i < b->s.queries; i++) {
        mb_fill_args_t ones = {.type = type,
                               .count = i < b->s.keys ? i + 1 : b->s.keys,
                               .value = 1.0f,
                               .y = mb_bytes_at(rows, (size_t)i * row)};
        MB_TRY(mb_run_fill(run->exec, &ones));
    }
    return MB_OK;
}

/* Takes a large number off the scores where KEEP is 0; what that is must be more than any score is
 * from another. */
static mb_status_t hide(const mb_run_t *run, const block_t *b, mb_map_input_t keep)
{
    void *scores = saved(run, b->prob), *hidden = saved(run, b->left);
    float hides = mb_run_type(run) == MB_F16 ? HIDES_F16 : HIDES;
    mb_map_input_t own = mb_map_tensor(scores, view_of(run, b, 1, PAIR));
    mb_map_input_t less = mb_map_tensor(hidden, view_of(run, b, 1, PAIR));
    MB_TRY(map_pairs(run, b, MB_MAP_SUBTRACT, own, mb_map_constant(hides), mb_map_constant(0),
                     hidden));
    return map_pairs(run, b, MB_MAP_WHERE, keep, own, less, scores);
}

static mb_status_t hide_unseen(const mb_run_t *run, const block_t *b)
{
    mb_attention_mask_t mask = mb_score_mask(run->call);
    bool causal = mb_score_is_causal(run->call);
    mb_map_input_t rows =
        mb_map_tensor(saved(run, b->causal), view_of(run, b, 1, 1 << QUERIES | 1 << KEYS));
    mb_map_input_t keep = mb_map_tensor(saved(run, b->mask), view_of(run, b, 1, PAIR));
    if (causal)
        MB_TRY(fill_causal(run, b));
    if (mb_attention_mask_count(run->call, &mask) == 0)
        return causal ? hide(run, b, rows) : MB_OK;
    MB_TRY(mb_attention_mask_fill(run, &mask, saved(run, b->mask)));
    if (causal)
        MB_TRY(map_pairs(run, b, MB_MAP_LOGICAL_AND, keep, rows, mb_map_constant(0),
                         saved(run, b->mask)));
    return hide(run, b, keep);
}

static mb_dropout_args_t dropout_of(const mb_run_t *run, const block_t *b, const void *x, void *y)
{
    return (mb_dropout_args_t){.type = mb_run_type(run),
                               .samples = run->samples,
                               .elements = b->s.queries * b->s.keys,
                               .rate = mb_score_rate(run),
                               .random = mb_score_random(run),
                               .x = x,
                               .y = y};
}

static mb_status_t drop(const mb_run_t *run, const block_t *b, const void *x, void *y)
{
    mb_dropout_args_t args = dropout_of(run, b, x, y);
    if (!(args.rate > 0.0f))
        return mb_run_copy(run, args.elements, x, y);
    return mb_run_dropout(run->exec, &args);
}

static mb_status_t forward(const mb_run_t *run)
{
    block_t b = block_of(run->call, run->samples);
    space_t values = {run, &b, b.s.values};
    mb_softmax_forward_args_t softmax = {.type = mb_run_type(run),
                                         .rows = run->samples * b.s.queries,
                                         .columns = b.s.keys,
                                         .x = saved(run, b.prob),
                                         .y = saved(run, b.left)};
    MB_TRY(find_scores(run, &b));
    MB_TRY(hide_unseen(run, &b));
    MB_TRY(mb_run_softmax_forward(run->exec, &softmax));
    MB_TRY(mb_run_copy(run, b.s.queries * b.s.keys, softmax.y, saved(run, b.prob)));
    MB_TRY(drop(run, &b, saved(run, b.prob), saved(run, b.left)));
    MB_TRY(map(&values, MB_MAP_MULTIPLY, of(&values, saved(run, b.left), PAIR),
               of(&values, mb_run_input(run, 1), KEY), QUERY, false, run->output));
    return run->call->masks[0] > 0 ? mb_score_keep_queries(run, run->output, run->output) : MB_OK;
}

/* ---- backward */

/* From the output's gradient to that of the sums; dv on the way. */
static mb_status_t back_to_sums(const mb_run_t *run, const block_t *b, const void *dout)
{
    space_t values = {run, b, b->s.values};
    void *dprob = carry(run, b->dprob), *dsums = carry(run, b->dsums);
    mb_softmax_backward_args_t softmax = {.type = mb_run_type(run),
                                          .rows = run->samples * b->s.queries,
                                          .columns = b->s.keys,
                                          .y = saved(run, b->prob),
                                          .dy = dprob,
                                          .dx = dsums};
    if (mb_run_wants_input(run, 1))
        MB_TRY(map(&values, MB_MAP_MULTIPLY, of(&values, saved(run, b->left), PAIR),
                   of(&values, dout, QUERY), KEY, false, mb_run_grad_input(run, 1)));
    MB_TRY(map(&values, MB_MAP_MULTIPLY, of(&values, dout, QUERY),
               of(&values, mb_run_input(run, 1), KEY), PAIR, false, dsums));
    MB_TRY(drop(run, b, dsums, dprob));
    return mb_run_softmax_backward(run->exec, &softmax);
}

/* darg: of tanh's argument. */
static mb_status_t back_through_tanh(const mb_run_t *run, const block_t *b)
{
    space_t space = {run, b, b->s.width};
    void *darg = carry(run, b->darg), *dscore = carry(run, b->dprob);
    if (attention_of(run)->concat)
        MB_TRY(mb_score_scale(run, score_weight(run), b->pairs, carry(run, b->dsums), dscore));
    else
        MB_TRY(mb_run_copy(run, b->s.queries * b->s.keys, carry(run, b->dsums), dscore));
    MB_TRY(map(&space, MB_MAP_MULTIPLY, of(&space, dscore, PAIR), factor_of(&space), CUBE, false,
               darg));
    return map(&space, MB_MAP_D_TANH, of(&space, darg, CUBE), of(&space, saved(run, b->tanh), CUBE),
               CUBE, false, darg);
}

static mb_status_t backward_input(const mb_run_t *run)
{
    block_t b = block_of(run->call, run->samples);
    space_t space = {run, &b, b.s.width};
    const void *dout = run->grad_output, *dpair = carry(run, b.darg);
    if (run->call->masks[0] > 0) {
        dout = carry(run, b.dout);
        MB_TRY(mb_score_keep_queries(run, run->grad_output, carry(run, b.dout)));
    }
    MB_TRY(back_to_sums(run, &b, dout));
    MB_TRY(back_through_tanh(run, &b));
    if (scales_within(run)) {
        MB_TRY(mb_score_scale(run, 0, b.cubes, carry(run, b.darg), carry(run, b.products)));
        dpair = carry(run, b.products);
    }
    if (mb_run_wants_input(run, 0))
        MB_TRY(map(&space, MB_MAP_COPY, of(&space, dpair, CUBE), mb_map_constant(0), QUERY, false,
                   mb_run_grad_input(run, 0)));
    if (!mb_run_wants_input(run, b.s.key))
        return MB_OK;
    return map(&space, MB_MAP_COPY, of(&space, dpair, CUBE), mb_map_constant(0), KEY, b.s.key == 1,
               mb_run_grad_input(run, b.s.key));
}

/* Of a factor of each column: the sum over pairs of dscore tanh. */
static mb_status_t column_gradient(const mb_run_t *run, const block_t *b)
{
    space_t space = {run, b, b->s.width};
    mb_column_sum_args_t sum = {.type = mb_run_type(run),
                                .rows = b->pairs,
                                .columns = b->s.width,
                                .accumulate = run->accumulate,
                                .a = carry(run, b->products),
                                .sum = mb_run_grad_param(run, 0)};
    MB_TRY(map(&space, MB_MAP_MULTIPLY, of(&space, carry(run, b->dsums), PAIR),
               of(&space, saved(run, b->tanh), CUBE), CUBE, false, carry(run, b->products)));
    return mb_run_column_sum(run->exec, &sum);
}

/* Of the number within tanh: the sum of darg (q + k). */
static mb_status_t inner_gradient(const mb_run_t *run, const block_t *b)
{
    space_t space = {run, b, b->s.width};
    void *products = carry(run, b->products);
    MB_TRY(add_pairs(&space, products));
    MB_TRY(map(&space, MB_MAP_MULTIPLY, of(&space, carry(run, b->darg), CUBE),
               of(&space, products, CUBE), CUBE, false, products));
    return mb_score_scale_gradient(run, 0, b->cubes, products);
}

/* Of the number in front of the sum: the sum of dscore sums. */
static mb_status_t outer_gradient(const mb_run_t *run, const block_t *b)
{
    mb_multiply_args_t args = {.type = mb_run_type(run),
                               .count = b->pairs,
                               .a = carry(run, b->dsums),
                               .b = saved(run, b->sums),
                               .y = carry(run, b->products)};
    MB_TRY(mb_run_multiply(run->exec, &args));
    return mb_score_scale_gradient(run, score_weight(run), b->pairs, args.y);
}

static mb_status_t backward_weights(const mb_run_t *run)
{
    block_t b = block_of(run->call, run->samples);
    const mb_score_attention_t *attention = attention_of(run);
    if (attention->scaled && mb_run_wants_param(run, 0))
        MB_TRY(attention->additive ? column_gradient(run, &b) : inner_gradient(run, &b));
    if (attention->concat && mb_run_wants_param(run, score_weight(run)))
        return outer_gradient(run, &b);
    return MB_OK;
}

const mb_score_way_t mb_score_by_sums = {memory, forward, backward_input, backward_weights};
