/* See contract.h. Labels fall into groups by the operands that have them:
 *
 *     all three: a product of its own for each     a and c: rows         a and b: summed
 *                                                  b and c: columns      one alone: summed,
 * repeated
 *
 * An operand whose two groups each lie as one axis, one of them without gaps, goes into the product
 * where it is; others are copied in the order of the groups first. Many small products are left to
 * the strided function, which takes operands as they lie. */
#include "model/layers/contract.h"

#include <string.h>

enum { ALONE_A, ALONE_B, ALONE_C, ROWS, COLUMNS, SUMMED, EACH, GROUPS };

enum { FEW_PRODUCTS = 4096 }; /* of numbers in one product of many */

static int group_of(const mb_contraction_t *c, int label)
{
    static const int groups[8] = {ALONE_C, ALONE_A, ALONE_B, SUMMED, ALONE_C, ROWS, COLUMNS, EACH};
    return groups[(c->has[MB_CONTRACT_A][label] ? 1 : 0) + (c->has[MB_CONTRACT_B][label] ? 2 : 0) +
                  (c->has[MB_CONTRACT_C][label] ? 4 : 0)];
}

mb_contraction_t mb_contraction_turned(const mb_contraction_t *contraction, int a, int b, int c)
{
    const int from[MB_CONTRACT_OPERANDS] = {a, b, c};
    mb_contraction_t out = *contraction;
    for (int i = 0; i < MB_CONTRACT_OPERANDS; i++) {
        memcpy(out.has[i], contraction->has[from[i]], sizeof out.has[i]);
        memcpy(out.stride[i], contraction->stride[from[i]], sizeof out.stride[i]);
        out.elements[i] = contraction->elements[from[i]];
        out.diagonal[i] = contraction->diagonal[from[i]];
    }
    return out;
}

/* ---- groups in order */

/* The labels by group, in each group in the order of c's axes, or where c has none, of a's. */
typedef struct {
    int n[GROUPS];
    int label[GROUPS][MB_CONTRACT_LABELS];
    int64_t size[GROUPS];
} groups_t;

static int64_t order_of(const mb_contraction_t *c, int label)
{
    int operand = c->has[MB_CONTRACT_C][label]   ? MB_CONTRACT_C
                  : c->has[MB_CONTRACT_A][label] ? MB_CONTRACT_A
                                                 : MB_CONTRACT_B;
    return c->stride[operand][label];
}

static groups_t groups_of(const mb_contraction_t *c)
{
    groups_t g = {.n = {0}};
    for (int i = 0; i < GROUPS; i++)
        g.size[i] = 1;
    for (int label = 0; label < c->n; label++) {
        int group = group_of(c, label), at = g.n[group]++;
        for (; at > 0 && order_of(c, g.label[group][at - 1]) < order_of(c, label); at--)
            g.label[group][at] = g.label[group][at - 1];
        g.label[group][at] = label;
        g.size[group] *= c->dim[label];
    }
    return g;
}

/* Many products of few numbers. */
static bool is_mapped(const mb_contraction_t *c, const groups_t *g)
{
    int64_t numbers = g->size[ROWS] * g->size[COLUMNS] * g->size[SUMMED];
    bool thin = g->size[ROWS] == 1 || g->size[COLUMNS] == 1 || g->size[SUMMED] == 1;
    return c->alone || (g->size[EACH] > 1 && (thin || numbers <= FEW_PRODUCTS));
}

/* ---- matrices */

typedef struct {
    bool transposed;
    int64_t ld;
    int64_t stride[MB_CONTRACT_LABELS]; /* of the labels that have a product each */
} factor_t;

/* Whether the group lies as one axis, which steps by *STRIDE. */
static bool merge(const mb_contraction_t *c, const groups_t *g, int operand, int group,
                  int64_t *stride)
{
    int64_t size = 1;
    for (int i = g->n[group] - 1; i >= 0; i--) {
        int label = g->label[group][i];
        if (c->dim[label] == 1)
            continue;
        if (size == 1)
            *stride = c->stride[operand][label];
        else if (c->stride[operand][label] != *stride * size)
            return false;
        size *= c->dim[label];
    }
    return true;
}

/* Whether the operand lies as matrices [rows, columns] of these groups, and how. */
static bool fits(const mb_contraction_t *c, const groups_t *g, int operand, int rows, int columns,
                 factor_t *out)
{
    int64_t row = 1, column = 1, m = g->size[rows], n = g->size[columns];
    if (!merge(c, g, operand, rows, &row) || !merge(c, g, operand, columns, &column))
        return false;
    if (m == 1)
        row = n * column;
    if (n == 1)
        column = m == 1 ? 1 : row * m;
    bool plain = (column == 1 || n == 1) && (m == 1 || row >= n);
    bool turned = (row == 1 || m == 1) && (n == 1 || column >= m);
    out->transposed = !plain;
    out->ld = plain ? (m == 1 ? n : row) : (n == 1 ? m : column);
    for (int i = 0; i < g->n[EACH]; i++)
        out->stride[i] = c->stride[operand][g->label[EACH][i]];
    return plain || turned;
}

/* Copies have [each product, rows, columns] side by side. */
static void place(const mb_contraction_t *c, const groups_t *g, int rows, int columns,
                  int64_t stride[MB_CONTRACT_LABELS])
{
    const int order[] = {columns, rows, EACH};
    int64_t step = 1;
    memset(stride, 0, MB_CONTRACT_LABELS * sizeof *stride);
    for (int k = 0; k < 3; k++) {
        for (int i = g->n[order[k]] - 1; i >= 0; i--) {
            stride[g->label[order[k]][i]] = step;
            step *= c->dim[g->label[order[k]][i]];
        }
    }
}

typedef struct {
    groups_t groups;
    bool mapped;
    bool copied[MB_CONTRACT_OPERANDS];
    factor_t factor[MB_CONTRACT_OPERANDS];
    int64_t stride[MB_CONTRACT_OPERANDS][MB_CONTRACT_LABELS]; /* of copies */
    size_t at[MB_CONTRACT_OPERANDS], bytes;
} plan_t;

static const int rows_of[] = {ROWS, SUMMED, ROWS}, columns_of[] = {SUMMED, COLUMNS, COLUMNS},
                 alone_of[] = {ALONE_A, ALONE_B, ALONE_C};

static mb_dtype_t type_of(const mb_contraction_t *c, int operand)
{
    return operand == MB_CONTRACT_C && c->wide ? MB_F32 : c->type;
}

static void plan_operand(const mb_contraction_t *c, plan_t *p, int operand)
{
    const groups_t *g = &p->groups;
    int rows = rows_of[operand], columns = columns_of[operand];
    bool direct = g->n[alone_of[operand]] == 0 && !c->diagonal[operand] &&
                  fits(c, g, operand, rows, columns, &p->factor[operand]);
    p->copied[operand] = !direct;
    if (direct)
        return;
    mb_contraction_t copy = *c;
    place(c, g, rows, columns, p->stride[operand]);
    memcpy(copy.stride[operand], p->stride[operand], sizeof p->stride[operand]);
    fits(&copy, g, operand, rows, columns, &p->factor[operand]);
    p->at[operand] = mb_block_add(&p->bytes, g->size[EACH] * g->size[rows] * g->size[columns],
                                  type_of(c, operand));
}

/* A strided function has one type: narrow operands of a float32 result are widened first. */
static bool is_widened(const mb_contraction_t *c, int operand)
{
    return c->wide && c->type != MB_F32 && operand != MB_CONTRACT_C &&
           !(operand == MB_CONTRACT_B && c->alone);
}

static plan_t plan_of(const mb_contraction_t *c)
{
    plan_t p = {.groups = groups_of(c)};
    p.mapped = is_mapped(c, &p.groups);
    for (int i = 0; i < MB_CONTRACT_OPERANDS; i++) {
        if (!p.mapped)
            plan_operand(c, &p, i);
        else if (is_widened(c, i))
            p.at[i] = mb_block_add(&p.bytes, c->elements[i], MB_F32);
    }
    return p;
}

size_t mb_contraction_bytes(const mb_contraction_t *contraction)
{
    return plan_of(contraction).bytes;
}

bool mb_contraction_is_linear(const mb_contraction_t *contraction, mb_linear_t *out)
{
    plan_t p = plan_of(contraction);
    const factor_t *f = p.factor;
    *out = (mb_linear_t){
        .rows = p.groups.size[ROWS], .in = p.groups.size[SUMMED], .out = p.groups.size[COLUMNS]};
    bool linear = !p.mapped && p.groups.size[EACH] == 1;
    for (int i = 0; i < MB_CONTRACT_OPERANDS && linear; i++)
        linear = !p.copied[i] && !f[i].transposed;
    return linear && f[MB_CONTRACT_A].ld == out->in && f[MB_CONTRACT_B].ld == out->out &&
           f[MB_CONTRACT_C].ld == out->out;
}

/* ---- running */

/* An operand along all labels. */
static mb_view_t view_of(const mb_contraction_t *c, const int64_t *stride)
{
    mb_view_t view = {.axes = c->n};
    memcpy(view.dim, c->dim, (size_t)c->n * sizeof *view.dim);
    memcpy(view.stride, stride, (size_t)c->n * sizeof *view.stride);
    return view;
}

/* Between an operand and its copy; axes that FROM has not are repeated, those that TO has not are
 * summed. */
static mb_status_t copy(const mb_run_t *run, const mb_contraction_t *c, int operand,
                        const void *from, const int64_t *from_stride, void *to,
                        const int64_t *to_stride, bool accumulate)
{
    mb_view_t source = view_of(c, from_stride), target = view_of(c, to_stride);
    for (int d = 0; d < c->n; d++) {
        if (source.stride[d] == 0 && target.stride[d] == 0)
            source.dim[d] = target.dim[d] = 1;
    }
    mb_map_call_t call = {.function = MB_MAP_COPY,
                          .inputs = {mb_map_tensor(from, source)},
                          .view = target,
                          .y = to,
                          .reduced = mb_view_repeats(&target),
                          .accumulate = accumulate,
                          .wide = operand == MB_CONTRACT_C && c->wide};
    return mb_run_strided(run, &call);
}

/* What a diagonal leaves out is zero. */
static mb_status_t clear(const mb_run_t *run, const mb_contraction_t *c, void *y)
{
    mb_zero_args_t args = {
        c->elements[MB_CONTRACT_C] * (int64_t)mb_dtype_bytes(type_of(c, MB_CONTRACT_C)), y};
    return mb_run_zero(run->exec, &args);
}

static mb_status_t widen(const mb_run_t *run, const mb_contraction_t *c, int operand,
                         const void **x, void *to)
{
    mb_convert_args_t args = {
        .type = MB_F32, .from = c->type, .count = c->elements[operand], .x = *x, .y = to};
    *x = to;
    return mb_run_convert(run->exec, &args);
}

static mb_status_t map(const mb_run_t *run, const mb_contraction_t *c, const void *a, const void *b,
                       void *y, bool accumulate)
{
    mb_view_t view = view_of(c, c->stride[MB_CONTRACT_C]);
    mb_map_call_t call = {.function = c->alone ? MB_MAP_COPY : MB_MAP_MULTIPLY,
                          .inputs = {mb_map_tensor(a, view_of(c, c->stride[MB_CONTRACT_A])),
                                     mb_map_tensor(b, view_of(c, c->stride[MB_CONTRACT_B]))},
                          .view = view,
                          .y = y,
                          .reduced = mb_view_repeats(&view),
                          .accumulate = accumulate,
                          .wide = c->wide};
    return mb_run_strided(run, &call);
}

static mb_status_t contract_mapped(const mb_run_t *run, const mb_contraction_t *c, const plan_t *p,
                                   const void *a, const void *b, void *y, bool accumulate,
                                   void *scratch)
{
    if (is_widened(c, MB_CONTRACT_A))
        MB_TRY(widen(run, c, MB_CONTRACT_A, &a, mb_bytes_at(scratch, p->at[MB_CONTRACT_A])));
    if (is_widened(c, MB_CONTRACT_B))
        MB_TRY(widen(run, c, MB_CONTRACT_B, &b, mb_bytes_at(scratch, p->at[MB_CONTRACT_B])));
    return map(run, c, a, b, y, accumulate);
}

/* Where product number INDEX has its part of an operand. */
static int64_t part_of(const mb_contraction_t *c, const plan_t *p, int operand, int64_t index)
{
    int64_t at = 0;
    for (int i = p->groups.n[EACH] - 1; i >= 0; i--) {
        int64_t dim = c->dim[p->groups.label[EACH][i]];
        at += index % dim * p->factor[operand].stride[i];
        index /= dim;
    }
    return at;
}

/* C's rows must be whole; where its columns are, everything is turned round. */
static mb_status_t multiply(const mb_run_t *run, const mb_contraction_t *c, const plan_t *p,
                            const void *a, const void *b, void *y, bool accumulate)
{
    const factor_t *f = p->factor;
    bool turned = f[MB_CONTRACT_C].transposed;
    int left = turned ? MB_CONTRACT_B : MB_CONTRACT_A,
        right = turned ? MB_CONTRACT_A : MB_CONTRACT_B;
    mb_dtype_t type = type_of(c, MB_CONTRACT_C);
    for (int64_t i = 0; i < p->groups.size[EACH]; i++) {
        int64_t at[MB_CONTRACT_OPERANDS];
        for (int k = 0; k < MB_CONTRACT_OPERANDS; k++)
            at[k] = part_of(c, p, k, i);
        mb_gemm_args_t args = {
            .type = c->type,
            .wide = c->wide,
            .m = p->groups.size[turned ? COLUMNS : ROWS],
            .n = p->groups.size[turned ? ROWS : COLUMNS],
            .k = p->groups.size[SUMMED],
            .transpose_a = f[left].transposed != turned,
            .transpose_b = f[right].transposed != turned,
            .accumulate = accumulate,
            .inside = p->groups.size[EACH] > 1,
            .lda = f[left].ld,
            .ldb = f[right].ld,
            .ldc = f[MB_CONTRACT_C].ld,
            .a = mb_elements_at(turned ? b : a, c->type, at[left]),
            .b = mb_elements_at(turned ? a : b, c->type, at[right]),
            .c = mb_bytes_at(y, (size_t)at[MB_CONTRACT_C] * mb_dtype_bytes(type))};
        MB_TRY(mb_run_gemm(run->exec, &args));
    }
    return MB_OK;
}

static mb_status_t gather(const mb_run_t *run, const mb_contraction_t *c, const plan_t *p,
                          int operand, const void **x, void *scratch)
{
    void *to = mb_bytes_at(scratch, p->at[operand]);
    if (!p->copied[operand])
        return MB_OK;
    MB_TRY(copy(run, c, operand, *x, c->stride[operand], to, p->stride[operand], false));
    *x = to;
    return MB_OK;
}

mb_status_t mb_contract(const mb_run_t *run, const mb_contraction_t *contraction, const void *a,
                        const void *b, void *c, bool accumulate, void *scratch)
{
    plan_t p = plan_of(contraction);
    if (contraction->diagonal[MB_CONTRACT_C] && !accumulate)
        MB_TRY(clear(run, contraction, c));
    if (p.mapped)
        return contract_mapped(run, contraction, &p, a, b, c, accumulate, scratch);
    MB_TRY(gather(run, contraction, &p, MB_CONTRACT_A, &a, scratch));
    MB_TRY(gather(run, contraction, &p, MB_CONTRACT_B, &b, scratch));
    if (!p.copied[MB_CONTRACT_C])
        return multiply(run, contraction, &p, a, b, c, accumulate);
    void *product = mb_bytes_at(scratch, p.at[MB_CONTRACT_C]);
    MB_TRY(multiply(run, contraction, &p, a, b, product, false));
    return copy(run, contraction, MB_CONTRACT_C, product, p.stride[MB_CONTRACT_C], c,
                contraction->stride[MB_CONTRACT_C], accumulate);
}
