/* Runs a product panel by panel and takes its sums through the epilogue; see epilogue.h. */
#include "cudasim/epilogue.h"

#include "cudasim/convert.h"

#include <math.h>

#include <algorithm>
#include <vector>

namespace mb_cudasim
{

namespace
{

constexpr int64_t PANEL = 384; /* columns whose sums are held at once */

/* GELU is the tanh approximation here as there (Hendrycks, Gimpel 2016). */
constexpr float GELU_SCALE = 0.7978845608028654f, GELU_CUBE = 0.044715f;

float gelu(float x)
{
    return 0.5f * x * (1.0f + tanhf(GELU_SCALE * (x + GELU_CUBE * x * x * x)));
}

float gelu_slope(float x)
{
    float t = tanhf(GELU_SCALE * (x + GELU_CUBE * x * x * x));
    float inner = GELU_SCALE * (1.0f + 3.0f * GELU_CUBE * x * x);
    return 0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * inner;
}

/* Relu's mask is a bit an element. */
bool mask_bit(const matmul &p, int64_t i, int64_t j)
{
    int64_t bit = i + j * p.aux_ld;
    return static_cast<const unsigned char *>(p.aux)[bit / 8] >> bit % 8 & 1;
}

void set_mask_bit(const matmul &p, int64_t i, int64_t j, bool on)
{
    int64_t bit = i + j * p.aux_ld;
    unsigned char *byte = static_cast<unsigned char *>(p.aux) + bit / 8;
    *byte = (unsigned char)((*byte & ~(1 << bit % 8)) | on << bit % 8);
}

/* With dropped AUX bit: the gradients' own bits are 8 and 64. */
float activate(const matmul &p, float x, int64_t i, int64_t j)
{
    bool aux = epilogue_has(p.epilogue, EPILOGUE_AUX);
    if (epilogue_has(p.epilogue, CUBLASLT_EPILOGUE_RELU)) {
        if (aux)
            set_mask_bit(p, i, j, x > 0.0f);
        return x > 0.0f ? x : x != x ? x : 0.0f;
    }
    if (epilogue_has(p.epilogue, CUBLASLT_EPILOGUE_GELU)) {
        if (aux)
            store_number(p.aux_type, p.aux, i + j * p.aux_ld, x);
        return gelu(x);
    }
    if (epilogue_has(p.epilogue, CUBLASLT_EPILOGUE_DRELU & ~EPILOGUE_AUX))
        return mask_bit(p, i, j) ? x : 0.0f;
    if (epilogue_has(p.epilogue, CUBLASLT_EPILOGUE_DGELU & ~EPILOGUE_AUX))
        return x * gelu_slope(load_number(p.aux_type, p.aux, i + j * p.aux_ld));
    return x;
}

/* One element out of its sum. */
float finish(const matmul &p, float sum, int64_t i, int64_t j)
{
    float x = p.alpha * sum;
    if (p.beta != 0.0f)
        x += p.beta * load_number(p.c_type, p.c, i + j * p.c_ld);
    if (epilogue_has(p.epilogue, CUBLASLT_EPILOGUE_BIAS))
        x += load_number(p.d_type, p.bias, i);
    return activate(p, x, i, j);
}

bool is_plain(const matmul &p)
{
    return p.epilogue == CUBLASLT_EPILOGUE_DEFAULT && p.alpha == 1.0f && p.beta == 0.0f;
}

void store_plain(const matmul &p, const float *sums, int64_t first, int64_t columns)
{
    with_type(p.d_type, p.d, [&](auto *d) {
        for (int64_t j = 0; j < columns; j++)
            for (int64_t i = 0; i < p.m; i++)
                round_to(sums[i + j * p.m], d + i + (first + j) * p.d_ld);
    });
}

/* ROW_SUMS: of what goes out, for a bias gradient. */
void store(const matmul &p, const float *sums, int64_t first, int64_t columns, float *row_sums)
{
    if (is_plain(p)) {
        store_plain(p, sums, first, columns);
        return;
    }
    for (int64_t j = 0; j < columns; j++)
        for (int64_t i = 0; i < p.m; i++) {
            float x = finish(p, sums[i + j * p.m], i, first + j);
            row_sums[i] += x;
            store_number(p.d_type, p.d, i + (first + j) * p.d_ld, x);
        }
}

/* The parts of k one behind the other through the workspace, then their sum. */
void sum_split(const matmul &p, int64_t first, int64_t columns, std::vector<float> *sums)
{
    float *apart = p.workspace + first * p.m;
    int64_t half = p.k / 2;
    std::fill(apart, apart + p.m * columns, 0.0f);
    product_add(p.a, p.b, p.m, first, columns, 0, half, apart);
    product_add(p.a, p.b, p.m, first, columns, half, p.k, sums->data());
    for (int64_t i = 0; i < p.m * columns; i++)
        (*sums)[(size_t)i] += apart[i];
}

float operand_number(const operand &x, int64_t row, int64_t column)
{
    return load_number(x.type, x.data, x.transposed ? column + row * x.ld : row + column * x.ld);
}

void sum_a(const matmul &p)
{
    for (int64_t i = 0; i < p.m; i++) {
        float sum = 0.0f;
        for (int64_t k = 0; k < p.k; k++)
            sum += operand_number(p.a, i, k);
        store_number(p.d_type, p.bias, i, sum);
    }
}

void sum_b(const matmul &p)
{
    for (int64_t j = 0; j < p.n; j++) {
        float sum = 0.0f;
        for (int64_t k = 0; k < p.k; k++)
            sum += operand_number(p.b, k, j);
        store_number(p.d_type, p.bias, j, sum);
    }
}

void store_bias_gradient(const matmul &p, const std::vector<float> &row_sums)
{
    if (epilogue_has(p.epilogue, EPILOGUE_BGRAD))
        for (int64_t i = 0; i < p.m; i++)
            store_number(p.d_type, p.bias, i, row_sums[(size_t)i]);
    if (epilogue_has(p.epilogue, CUBLASLT_EPILOGUE_BGRADA))
        sum_a(p);
    if (epilogue_has(p.epilogue, CUBLASLT_EPILOGUE_BGRADB))
        sum_b(p);
}

} // namespace

bool epilogue_known(unsigned epilogue)
{
    static const unsigned known[] = {
        CUBLASLT_EPILOGUE_DEFAULT,  CUBLASLT_EPILOGUE_RELU,        CUBLASLT_EPILOGUE_RELU_AUX,
        CUBLASLT_EPILOGUE_BIAS,     CUBLASLT_EPILOGUE_RELU_BIAS,   CUBLASLT_EPILOGUE_RELU_AUX_BIAS,
        CUBLASLT_EPILOGUE_DRELU,    CUBLASLT_EPILOGUE_DRELU_BGRAD, CUBLASLT_EPILOGUE_GELU,
        CUBLASLT_EPILOGUE_GELU_AUX, CUBLASLT_EPILOGUE_GELU_BIAS,   CUBLASLT_EPILOGUE_GELU_AUX_BIAS,
        CUBLASLT_EPILOGUE_DGELU,    CUBLASLT_EPILOGUE_DGELU_BGRAD, CUBLASLT_EPILOGUE_BGRADA,
        CUBLASLT_EPILOGUE_BGRADB};
    return std::find(std::begin(known), std::end(known), epilogue) != std::end(known);
}

bool epilogue_wants_bias(unsigned epilogue)
{
    return epilogue_has(epilogue, CUBLASLT_EPILOGUE_BIAS | EPILOGUE_BGRAD |
                                      CUBLASLT_EPILOGUE_BGRADA | CUBLASLT_EPILOGUE_BGRADB);
}

bool epilogue_wants_aux(unsigned epilogue)
{
    return epilogue_has(epilogue, EPILOGUE_AUX);
}

void matmul_run(const matmul &p)
{
    std::vector<float> row_sums((size_t)p.m);
    for (int64_t j = 0; j < p.n; j += PANEL) {
        int64_t columns = std::min(PANEL, p.n - j);
        std::vector<float> sums((size_t)(p.m * columns));
        if (p.split > 1)
            sum_split(p, j, columns, &sums);
        else
            product_add(p.a, p.b, p.m, j, columns, 0, p.k, sums.data());
        store(p, sums.data(), j, columns, row_sums.data());
    }
    store_bias_gradient(p, row_sums);
}

} // namespace mb_cudasim
