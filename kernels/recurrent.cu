/* The recurrent cells (device/ops.h) through their steps: for each the products of the states with
 * U by cuBLASLt, and a kernel for the gates, a thread to an element of the states. States, gates
 * and products are float; what U is multiplied by is rounded to the elements' type.
 *
 * The products of a step stand in the workspace, one part of the gates after the other. */
#include "functions.h"

namespace
{

constexpr int THREADS = 256;

/* The shape with what of it a kernel would compute again and again. */
struct shape {
    mb_rnn_t r;
    int64_t gates, kept, parts;
    bool value_kept[2]; /* of act, of gate */

    explicit shape(const mb_rnn_t &rnn)
        : r(rnn), gates(mb_rnn_gates(rnn.cell)), kept(mb_rnn_kept(rnn.cell)),
          parts(mb_rnn_parts(&rnn)), value_kept{mb_act_from_value(rnn.act.act),
                                                mb_act_from_value(rnn.gate.act)}
    {
    }

    /* Gate 2 of three and of four is the candidate's, and the only one of SIMPLE. */
    __device__ bool is_candidate(int64_t gate) const
    {
        return gate == 2 || gates == 1;
    }
    __device__ const mb_function_t &function(int64_t gate) const
    {
        return is_candidate(gate) ? r.act : r.gate;
    }
    __device__ bool keeps_value(int64_t gate) const
    {
        return value_kept[is_candidate(gate) ? 0 : 1];
    }
    __device__ int64_t position(int64_t step) const
    {
        return r.backwards ? r.steps - 1 - step : step;
    }
    __device__ int64_t row_of_y(int64_t sample, int64_t step) const
    {
        int64_t row = r.reversed ? r.steps - 1 - step : step;
        return r.last_only ? sample : sample * r.steps + row;
    }
    __device__ int64_t part_of(int64_t gate) const
    {
        return r.masked ? gate : parts == 1 ? 0 : gate / 2;
    }
    __device__ int64_t first_of(int64_t part) const
    {
        return r.masked ? part : 2 * part;
    }
    /* Which of the states the array of states holds: c of LSTM, h of GRU. */
    __device__ int64_t state_kept() const
    {
        return r.cell == MB_CELL_LSTM;
    }
    __device__ int64_t gates_of(int64_t part) const
    {
        return r.masked ? 1 : parts == 1 ? gates : 2 - part;
    }
};

/* One element of the states at one step. */
struct place {
    const shape &s;
    int64_t sample, unit, step;

    __device__ int64_t at(int64_t count, int64_t of_step) const
    {
        return (sample * s.r.steps + s.position(of_step)) * count * s.r.units + unit;
    }
    __device__ int64_t state() const
    {
        return sample * s.r.units + unit;
    }
    /* In the products of a step, [parts][samples, gates of the part, units]. */
    __device__ int64_t product(int64_t gate) const
    {
        int64_t part = s.part_of(gate), first = s.first_of(part);
        return (first * s.r.samples + sample * s.gates_of(part) + gate - first) * s.r.units + unit;
    }
    __device__ int64_t mask(int64_t gate) const
    {
        return (sample * s.gates + gate) * s.r.units + unit;
    }
    __device__ int64_t previous(int64_t part, int64_t of_step) const
    {
        return part * s.r.samples * s.r.steps * s.r.units + at(1, of_step);
    }
    __device__ int64_t y() const
    {
        return s.row_of_y(sample, step) * s.r.ldy + unit;
    }
    __device__ bool is_last() const
    {
        return step == s.r.steps - 1;
    }
};

/* Whether the step of a place is there; PRESENT: [samples, steps]. */
template <typename T> __device__ inline bool is_present(const place &p, const void *present)
{
    const mb_rnn_t &r = p.s.r;
    return !r.skips ||
           mb_load((const T *)present, p.sample * r.steps + p.s.position(p.step)) != 0.0f;
}

template <typename F> __device__ inline void each_place(const shape &s, int64_t step, F body)
{
    for (int64_t i = mb_first(); i < s.r.samples * s.r.units; i += mb_stride())
        body(place{s, i / s.r.units, i % s.r.units, step});
}

/* ---- forward */

struct forward_step {
    mb_rnn_forward_args_t a;
    const float *products; /* NULL: all zero */
    float *h;              /* [samples, units] behind the step, where some are skipped */

    __device__ float product(const place &p, int64_t gate) const
    {
        float sum = products == nullptr ? 0.0f : products[p.product(gate)];
        return a.bias == nullptr ? sum : sum + a.bias[gate * p.s.r.units + p.unit];
    }
    /* The gate's function of Z, and what is kept of it. */
    __device__ float gate(const place &p, int64_t g, float z) const
    {
        float value = value_of(p.s.function(g), z);
        a.gates[p.at(p.s.kept, p.step) + g * p.s.r.units] = p.s.keeps_value(g) ? value : z;
        return value;
    }
    __device__ float input(const place &p, int64_t g) const
    {
        return a.gates[p.at(p.s.kept, p.step) + g * p.s.r.units];
    }
    template <typename T> __device__ float given(const place &p, int64_t which) const
    {
        return a.before[which] == nullptr ? 0.0f : mb_load((const T *)a.before[which], p.state());
    }
    template <typename T> __device__ float before(const place &p) const
    {
        return p.step == 0 ? given<T>(p, p.s.state_kept()) : a.states[p.at(1, p.step - 1)];
    }
    __device__ float whole(const place &p, int64_t g) const
    {
        return gate(p, g, input(p, g) + product(p, g));
    }

    template <typename T> __device__ float lstm(const place &p) const
    {
        float i = whole(p, 0), f = whole(p, 1), candidate = whole(p, 2), o = whole(p, 3);
        float c = f * before<T>(p) + i * candidate;
        a.states[p.at(1, p.step)] = c;
        return o * value_of(p.s.r.act, c);
    }
    template <typename T> __device__ float mix(const place &p, float update, float candidate) const
    {
        float h = update * before<T>(p) + (1.0f - update) * candidate;
        a.states[p.at(1, p.step)] = h;
        return h;
    }
    template <typename T> __device__ float gru(const place &p) const
    {
        float update = whole(p, 0), reset = whole(p, 1), inner = product(p, 2);
        a.gates[p.at(4, p.step) + 3 * p.s.r.units] = inner;
        return mix<T>(p, update, gate(p, 2, input(p, 2) + reset * inner));
    }
    /* The first two gates are done (reset_kernel). */
    template <typename T> __device__ float gru_before(const place &p) const
    {
        float update = input(p, 0);
        update = p.s.keeps_value(0) ? update : value_of(p.s.r.gate, update);
        return mix<T>(p, update, whole(p, 2));
    }
    template <mb_cell_t CELL, typename T> __device__ float state(const place &p) const
    {
        switch (CELL) {
        case MB_CELL_SIMPLE:
            return whole(p, 0);
        case MB_CELL_LSTM:
            return lstm<T>(p);
        case MB_CELL_GRU:
            return gru<T>(p);
        default:
            return gru_before<T>(p);
        }
    }
    /* Behind a step that is not there: the states before it. */
    template <mb_cell_t CELL, typename T> __device__ float passed(const place &p) const
    {
        if (CELL != MB_CELL_SIMPLE)
            a.states[p.at(1, p.step)] = before<T>(p);
        return p.step == 0 ? given<T>(p, 0) : h[p.state()];
    }
    __device__ float masked(const place &p, int64_t gate, float h) const
    {
        return p.s.r.masked ? h * a.masks[p.mask(gate)] : h;
    }
    /* What U is multiplied by at a step whose states before are H; r h' comes from reset_kernel. */
    template <mb_cell_t CELL, typename T>
    __device__ void keep_factors(const place &p, int64_t of_step, float h) const
    {
        int64_t parts = CELL == MB_CELL_GRU_BEFORE ? p.s.parts - 1 : p.s.parts;
        for (int64_t part = 0; part < parts; part++)
            mb_store((T *)a.previous, p.previous(part, of_step), masked(p, p.s.first_of(part), h));
    }
    template <typename T> __device__ void keep_states(const place &p, float h) const
    {
        if (a.after[0] != nullptr)
            mb_store((T *)a.after[0], p.state(), h);
        if (a.after[1] != nullptr)
            mb_store((T *)a.after[1], p.state(), a.states[p.at(1, p.step)]);
    }
};

/* In front of the first step. */
template <mb_cell_t CELL, typename T>
__global__ void __launch_bounds__(THREADS) begin_kernel(shape s, forward_step f)
{
    each_place(s, 0, [&](const place &p) { f.keep_factors<CELL, T>(p, 0, f.given<T>(p, 0)); });
}

template <mb_cell_t CELL, typename T>
__global__ void __launch_bounds__(THREADS) forward_kernel(shape s, int64_t step, forward_step f)
{
    each_place(s, step, [&](const place &p) {
        bool present = is_present<T>(p, f.a.present);
        float h = present ? f.state<CELL, T>(p) : f.passed<CELL, T>(p);
        if (s.r.skips)
            f.h[p.state()] = h;
        if (!p.is_last())
            f.keep_factors<CELL, T>(p, step + 1, h);
        else
            f.keep_states<T>(p, h);
        if (!s.r.last_only || p.is_last())
            mb_store((T *)f.a.y, p.y(), present || !s.r.blank ? h : 0.0f);
    });
}

template <typename T>
__global__ void __launch_bounds__(THREADS) reset_kernel(shape s, int64_t step, forward_step f)
{
    each_place(s, step, [&](const place &p) {
        float h = f.masked(p, 2, f.before<T>(p));
        if (is_present<T>(p, f.a.present)) {
            f.whole(p, 0);
            h *= f.whole(p, 1);
        }
        mb_store((T *)f.a.previous, p.previous(s.parts - 1, step), h);
    });
}

/* ---- backward */

struct backward_step {
    mb_rnn_backward_args_t a;
    float *dh, *dc;        /* what is left for the states before a step, without the products */
    const float *products; /* [parts][samples, units] */

    __device__ float kept(const place &p, int64_t g) const
    {
        return a.gates[p.at(p.s.kept, p.step) + g * p.s.r.units];
    }
    __device__ float gate(const place &p, int64_t g) const
    {
        float v = kept(p, g);
        return p.s.keeps_value(g) ? v : value_of(p.s.function(g), v);
    }
    __device__ float slope(const place &p, int64_t g) const
    {
        return slope_of(p.s.function(g), kept(p, g));
    }
    template <typename T> __device__ float given(const place &p, int64_t which) const
    {
        return a.before[which] == nullptr ? 0.0f : mb_load((const T *)a.before[which], p.state());
    }
    template <typename T> __device__ float before(const place &p) const
    {
        return p.step == 0 ? given<T>(p, p.s.state_kept()) : a.states[p.at(1, p.step - 1)];
    }
    __device__ float product(const place &p, int64_t part) const
    {
        float sum = products[part * p.s.r.samples * p.s.r.units + p.state()];
        return p.s.r.masked ? sum * a.masks[p.mask(part)] : sum;
    }
    template <typename T>
    __device__ void store(const place &p, void *array, int64_t g, float d) const
    {
        mb_store((T *)array, p.at(p.s.gates, p.step) + g * p.s.r.units, d);
    }

    /* Of the states behind the step: y's, and what the step behind left. */
    template <mb_cell_t CELL, typename T> __device__ float arriving(const place &p) const
    {
        bool is_read =
            (!p.s.r.last_only || p.is_last()) && !(p.s.r.blank && !is_present<T>(p, a.present));
        float sum = is_read ? mb_load((const T *)a.dy, p.y()) : 0.0f;
        return p.is_last() ? sum + after<T>(p, 0) : sum + left<CELL>(p);
    }
    template <typename T> __device__ float after(const place &p, int64_t which) const
    {
        return a.dafter[which] == nullptr ? 0.0f : mb_load((const T *)a.dafter[which], p.state());
    }
    /* By the step behind. */
    template <mb_cell_t CELL> __device__ float left(const place &p) const
    {
        int64_t parts = CELL == MB_CELL_GRU_BEFORE ? p.s.parts - 1 : p.s.parts;
        float sum = dh[p.state()];
        for (int64_t part = 0; part < parts; part++)
            sum += product(p, part);
        return sum;
    }

    template <typename T> __device__ void simple(const place &p, float d) const
    {
        dh[p.state()] = 0.0f;
        store<T>(p, a.dgates, 0, d * slope(p, 0));
    }
    template <typename T> __device__ void lstm(const place &p, float d) const
    {
        float c = a.states[p.at(1, p.step)], value = value_of(p.s.r.act, c);
        float i = gate(p, 0), f = gate(p, 1), candidate = gate(p, 2), o = gate(p, 3);
        float through = d * o * slope_of(p.s.r.act, p.s.value_kept[0] ? value : c);
        float both = through + (p.is_last() ? after<T>(p, 1) : dc[p.state()]);
        store<T>(p, a.dgates, 0, both * candidate * slope(p, 0));
        store<T>(p, a.dgates, 1, both * before<T>(p) * slope(p, 1));
        store<T>(p, a.dgates, 2, both * i * slope(p, 2));
        store<T>(p, a.dgates, 3, d * value * slope(p, 3));
        dc[p.state()] = both * f;
        dh[p.state()] = 0.0f;
    }
    /* Returns the gradient of z_2. */
    template <typename T> __device__ float mix(const place &p, float d, void *also) const
    {
        float update = gate(p, 0), candidate = gate(p, 2);
        float dupdate = d * (before<T>(p) - candidate) * slope(p, 0);
        store<T>(p, a.dgates, 0, dupdate);
        if (also != nullptr)
            store<T>(p, also, 0, dupdate);
        dh[p.state()] = d * update;
        return d * (1.0f - update) * slope(p, 2);
    }
    template <typename T> __device__ void gru(const place &p, float d) const
    {
        float dcandidate = mix<T>(p, d, a.drecurrent);
        float dreset = dcandidate * kept(p, 3) * slope(p, 1);
        store<T>(p, a.dgates, 1, dreset);
        store<T>(p, a.drecurrent, 1, dreset);
        store<T>(p, a.dgates, 2, dcandidate);
        store<T>(p, a.drecurrent, 2, dcandidate * gate(p, 1));
    }
    /* The gates of a step that is not there have no gradient, and that of the states stays. */
    template <mb_cell_t CELL, typename T> __device__ void pass(const place &p, float d) const
    {
        dh[p.state()] = d;
        if (CELL == MB_CELL_LSTM && p.is_last())
            dc[p.state()] = after<T>(p, 1);
        for (int64_t g = 0; g < p.s.gates; g++) {
            store<T>(p, a.dgates, g, 0.0f);
            if (CELL == MB_CELL_GRU)
                store<T>(p, a.drecurrent, g, 0.0f);
        }
    }
    template <typename T> __device__ void gru_before(const place &p, float d) const
    {
        store<T>(p, a.dgates, 2, mix<T>(p, d, nullptr));
    }
};

template <mb_cell_t CELL, typename T>
__global__ void __launch_bounds__(THREADS) backward_kernel(shape s, int64_t step, backward_step b)
{
    each_place(s, step, [&](const place &p) {
        float d = b.arriving<CELL, T>(p);
        if (!is_present<T>(p, b.a.present))
            b.pass<CELL, T>(p, d);
        else if (CELL == MB_CELL_SIMPLE)
            b.simple<T>(p, d);
        else if (CELL == MB_CELL_LSTM)
            b.lstm<T>(p, d);
        else if (CELL == MB_CELL_GRU)
            b.gru<T>(p, d);
        else
            b.gru_before<T>(p, d);
    });
}

/* The gradient of r h' has come. */
template <typename T>
__global__ void __launch_bounds__(THREADS) unreset_kernel(shape s, int64_t step, backward_step b)
{
    each_place(s, step, [&](const place &p) {
        if (!is_present<T>(p, b.a.present))
            return;
        float d = b.product(p, s.parts - 1);
        b.dh[p.state()] += d * b.gate(p, 1);
        b.store<T>(p, b.a.dgates, 1, d * b.before<T>(p) * b.slope(p, 1));
    });
}

/* What is left behind the first step. */
template <mb_cell_t CELL, typename T>
__global__ void __launch_bounds__(THREADS) end_kernel(shape s, backward_step b)
{
    each_place(s, 0, [&](const place &p) {
        if (b.a.dbefore[0] != nullptr)
            mb_store((T *)b.a.dbefore[0], p.state(), b.left<CELL>(p));
        if (b.a.dbefore[1] != nullptr)
            mb_store((T *)b.a.dbefore[1], p.state(), b.dc[p.state()]);
    });
}

/* ---- the host's side */

/* Where the arrays of an operation stand; the products' own workspace lies behind them. */
struct arrays {
    mb_exec_t rest;
    float *products, *h, *dh, *dc;
};

size_t rounded(int64_t floats)
{
    return (sizeof(float) * (size_t)floats + 255) / 256 * 256;
}

/* Rows and gates begin at multiples of the units. */
bool stands_inside(const mb_rnn_t &r, mb_dtype_t type)
{
    return r.units * (int64_t)mb_dtype_bytes(type) % 16 != 0;
}

unsigned blocks_of(const mb_rnn_t &r)
{
    return mb_cuda_blocks(r.samples * r.units, THREADS);
}

/* U's part times what the states before gave it. */
mb_gemm_args_t forward_product(const mb_rnn_forward_args_t &a, int64_t part, int64_t step,
                               float *products)
{
    const mb_rnn_t &r = a.rnn;
    int64_t bytes = (int64_t)mb_dtype_bytes(a.type), first = mb_rnn_part_first(&r, part);
    int64_t row = part * r.samples * r.steps + mb_rnn_position(&r, step);
    mb_gemm_args_t g = {};
    g.type = a.type;
    g.wide = true;
    g.inside = stands_inside(r, a.type);
    g.m = r.samples;
    g.n = mb_rnn_part_gates(&r, part) * r.units;
    g.k = r.units;
    g.lda = r.steps * r.units;
    g.ldb = mb_rnn_gates(r.cell) * r.units;
    g.ldc = g.n;
    if (products == nullptr)
        return g;
    g.a = (const char *)a.previous + row * r.units * bytes;
    g.b = (const char *)a.u + first * r.units * bytes;
    g.c = products + first * r.samples * r.units;
    return g;
}

/* The gradients of a part's gates times its U^T. */
mb_gemm_args_t backward_product(const mb_rnn_backward_args_t &a, int64_t part, int64_t step,
                                float *products)
{
    const mb_rnn_t &r = a.rnn;
    int64_t bytes = (int64_t)mb_dtype_bytes(a.type), first = mb_rnn_part_first(&r, part);
    int64_t gates = mb_rnn_gates(r.cell);
    const void *d = r.cell == MB_CELL_GRU ? a.drecurrent : a.dgates;
    mb_gemm_args_t g = {};
    g.type = a.type;
    g.wide = true;
    g.inside = stands_inside(r, a.type);
    g.m = r.samples;
    g.n = r.units;
    g.k = mb_rnn_part_gates(&r, part) * r.units;
    g.transpose_b = true;
    g.lda = r.steps * gates * r.units;
    g.ldb = gates * r.units;
    g.ldc = r.units;
    if (products == nullptr)
        return g;
    g.a = (const char *)d + (mb_rnn_position(&r, step) * gates + first) * r.units * bytes;
    g.b = (const char *)a.u + first * r.units * bytes;
    g.c = products + part * r.samples * r.units;
    return g;
}

template <typename Args, typename Product>
mb_status_t plan(mb_exec_t *exec, mb_op_t op, const Args &a, size_t bytes, Product product)
{
    mb_exec_t rest = *exec;
    void *memory;
    rest.workspace_needed = 0;
    for (int64_t part = 0; part < mb_rnn_parts(&a.rnn); part++) {
        mb_gemm_args_t g = product(a, part, 0, nullptr);
        MB_TRY(mb_cuda_gemm(&rest, &g));
    }
    return mb_cuda_workspace(exec, op, bytes + rest.workspace_needed, &memory);
}

mb_status_t take(mb_exec_t *exec, mb_op_t op, size_t bytes, arrays *out)
{
    void *memory;
    MB_TRY(mb_cuda_workspace(exec, op, bytes, &memory));
    out->products = (float *)memory;
    out->rest = *exec;
    out->rest.workspace = (char *)memory + bytes;
    out->rest.workspace_bytes = exec->workspace_bytes - bytes;
    return MB_OK;
}

template <typename Args, typename Product>
mb_status_t multiply(arrays *w, const Args &a, int64_t from, int64_t to, int64_t step,
                     Product product)
{
    for (int64_t part = from; part < to; part++) {
        mb_gemm_args_t g = product(a, part, step, w->products);
        MB_TRY(mb_cuda_gemm(&w->rest, &g));
    }
    return MB_OK;
}

template <mb_cell_t CELL, typename T>
mb_status_t forward_one(arrays *w, const mb_rnn_forward_args_t &a, const shape &s, int64_t step)
{
    constexpr bool BEFORE = CELL == MB_CELL_GRU_BEFORE;
    constexpr mb_op_t OP = MB_OP_RNN_FORWARD;
    bool multiplies = step > 0 || a.before[0] != nullptr;
    forward_step f = {a, multiplies ? w->products : nullptr, w->h};
    int64_t first = BEFORE ? s.parts - 1 : s.parts;
    if (multiplies)
        MB_TRY(multiply(w, a, 0, first, step, forward_product));
    if (BEFORE) {
        MB_LAUNCH((reset_kernel<T>), blocks_of(a.rnn), THREADS, 0, mb_cuda_stream(&w->rest), s,
                  step, f);
        MB_TRY(mb_cuda_launched(OP));
        if (multiplies)
            MB_TRY(multiply(w, a, first, s.parts, step, forward_product));
    }
    MB_LAUNCH((forward_kernel<CELL, T>), blocks_of(a.rnn), THREADS, 0, mb_cuda_stream(&w->rest), s,
              step, f);
    return mb_cuda_launched(OP);
}

template <mb_cell_t CELL, typename T>
mb_status_t forward(mb_exec_t *exec, const mb_rnn_forward_args_t &a)
{
    constexpr mb_op_t OP = MB_OP_RNN_FORWARD;
    const shape s(a.rnn);
    int64_t states = a.rnn.samples * a.rnn.units;
    size_t products = rounded(s.gates * states);
    size_t bytes = products + (a.rnn.skips ? rounded(states) : 0);
    if (exec->planning)
        return plan(exec, OP, a, bytes, forward_product);
    arrays w = {};
    MB_TRY(take(exec, OP, bytes, &w));
    w.h = w.products + products / sizeof(float);
    if (a.rnn.samples == 0)
        return MB_OK;
    MB_LAUNCH((begin_kernel<CELL, T>), blocks_of(a.rnn), THREADS, 0, mb_cuda_stream(&w.rest), s,
              (forward_step{a, nullptr, nullptr}));
    MB_TRY(mb_cuda_launched(OP));
    for (int64_t step = 0; step < a.rnn.steps; step++)
        MB_TRY((forward_one<CELL, T>(&w, a, s, step)));
    return MB_OK;
}

template <mb_cell_t CELL, typename T>
mb_status_t backward_one(arrays *w, const mb_rnn_backward_args_t &a, const shape &s, int64_t step)
{
    constexpr bool BEFORE = CELL == MB_CELL_GRU_BEFORE;
    constexpr mb_op_t OP = MB_OP_RNN_BACKWARD;
    backward_step b = {a, w->dh, w->dc, w->products};
    int64_t last = BEFORE ? s.parts - 1 : s.parts;
    MB_LAUNCH((backward_kernel<CELL, T>), blocks_of(a.rnn), THREADS, 0, mb_cuda_stream(&w->rest), s,
              step, b);
    MB_TRY(mb_cuda_launched(OP));
    if (BEFORE) {
        MB_TRY(multiply(w, a, last, s.parts, step, backward_product));
        MB_LAUNCH((unreset_kernel<T>), blocks_of(a.rnn), THREADS, 0, mb_cuda_stream(&w->rest), s,
                  step, b);
        MB_TRY(mb_cuda_launched(OP));
    }
    bool multiplies = step > 0 || a.dbefore[0] != nullptr;
    return multiplies ? multiply(w, a, 0, last, step, backward_product) : MB_OK;
}

template <mb_cell_t CELL, typename T>
mb_status_t backward(mb_exec_t *exec, const mb_rnn_backward_args_t &a)
{
    constexpr mb_op_t OP = MB_OP_RNN_BACKWARD;
    const shape s(a.rnn);
    int64_t states = a.rnn.samples * a.rnn.units;
    size_t products = rounded(s.parts * states), bytes = products + 2 * rounded(states);
    if (exec->planning)
        return plan(exec, OP, a, bytes, backward_product);
    arrays w = {};
    MB_TRY(take(exec, OP, bytes, &w));
    w.dh = w.products + products / sizeof(float);
    w.dc = w.dh + rounded(states) / sizeof(float);
    for (int64_t step = a.rnn.steps; step-- > 0 && states > 0;)
        MB_TRY((backward_one<CELL, T>(&w, a, s, step)));
    if (states == 0 || (a.dbefore[0] == nullptr && a.dbefore[1] == nullptr))
        return MB_OK;
    MB_LAUNCH((end_kernel<CELL, T>), blocks_of(a.rnn), THREADS, 0, mb_cuda_stream(&w.rest), s,
              (backward_step{a, w.dh, w.dc, w.products}));
    return mb_cuda_launched(OP);
}

mb_status_t check(mb_op_t op, const mb_rnn_t &r)
{
    if (r.samples < 0 || r.steps < 1 || r.units < 1)
        return mb_cuda_refuse(op, "no steps or units");
    if (r.ldy < r.units)
        return mb_cuda_refuse(op, "leading dimension of y below its row");
    return (unsigned)r.act.act < MB_ACT_COUNT && (unsigned)r.gate.act < MB_ACT_COUNT
               ? MB_OK
               : mb_cuda_refuse(op, "unknown function");
}

/* Runs BODY with CELL the cell. */
#define OF_CELL(op, cell_, ...)                                                                    \
    switch (cell_) {                                                                               \
    case MB_CELL_SIMPLE: {                                                                         \
        constexpr mb_cell_t CELL = MB_CELL_SIMPLE;                                                 \
        MB_CUDA_TYPED(op, args->type, __VA_ARGS__);                                                \
    }                                                                                              \
    case MB_CELL_LSTM: {                                                                           \
        constexpr mb_cell_t CELL = MB_CELL_LSTM;                                                   \
        MB_CUDA_TYPED(op, args->type, __VA_ARGS__);                                                \
    }                                                                                              \
    case MB_CELL_GRU: {                                                                            \
        constexpr mb_cell_t CELL = MB_CELL_GRU;                                                    \
        MB_CUDA_TYPED(op, args->type, __VA_ARGS__);                                                \
    }                                                                                              \
    case MB_CELL_GRU_BEFORE: {                                                                     \
        constexpr mb_cell_t CELL = MB_CELL_GRU_BEFORE;                                             \
        MB_CUDA_TYPED(op, args->type, __VA_ARGS__);                                                \
    }                                                                                              \
    default:                                                                                       \
        return mb_cuda_refuse(op, "unknown cell");                                                 \
    }

} // namespace

extern "C" mb_status_t mb_cuda_rnn_forward(mb_exec_t *exec, const mb_rnn_forward_args_t *args)
{
    MB_TRY(check(MB_OP_RNN_FORWARD, args->rnn));
    OF_CELL(MB_OP_RNN_FORWARD, args->rnn.cell, return forward<CELL, T>(exec, *args))
}

extern "C" mb_status_t mb_cuda_rnn_backward(mb_exec_t *exec, const mb_rnn_backward_args_t *args)
{
    MB_TRY(check(MB_OP_RNN_BACKWARD, args->rnn));
    OF_CELL(MB_OP_RNN_BACKWARD, args->rnn.cell, return backward<CELL, T>(exec, *args))
}
