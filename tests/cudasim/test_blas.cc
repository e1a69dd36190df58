/* Products of every type through cuBLASLt against a plain loop. */
#include "cudasim/test_cudasim.h"

#include "cudasim/convert.h"

#include <cublasLt.h>
#include <stdio.h>

#include <string>

using mb_cudasim::load_number;
using mb_cudasim::store_number;
using mb_cudasim::type_bytes;

namespace
{

#define BLAS(call) require_blas((call), #call)

void require_blas(cublasStatus_t code, const char *call)
{
    if (code != CUBLAS_STATUS_SUCCESS)
        require(cudaErrorUnknown, call);
}

/* A matrix on both sides, column-major, with numbers that its type holds. */
struct matrix {
    cudaDataType type;
    int64_t rows, columns, ld;
    std::vector<char> host;
    void *device = nullptr;
    cublasLtMatrixLayout_t layout = nullptr;

    matrix(cudaDataType t, int64_t r, int64_t c, int64_t padding, unsigned start)
        : type(t), rows(r), columns(c), ld(r + padding), host((size_t)(ld * c) * type_bytes(t))
    {
        for (int64_t i = 0; i < ld * c; i++)
            store_number(t, host.data(), i,
                         (float)((int)((start + (unsigned)i * 2654435761u) >> 20) - 2048) /
                             1024.0f);
        CUDA(cudaMalloc(&device, host.size()));
        CUDA(cudaMemcpy(device, host.data(), host.size(), cudaMemcpyHostToDevice));
        BLAS(cublasLtMatrixLayoutCreate(&layout, t, (uint64_t)r, (uint64_t)c, ld));
    }
    ~matrix()
    {
        CUDA(cudaFree(device));
        cublasLtMatrixLayoutDestroy(layout);
    }
    matrix(const matrix &) = delete;
    float at(int64_t i, int64_t j, bool transposed = false) const
    {
        return load_number(type, host.data(), transposed ? j + i * ld : i + j * ld);
    }
    void fetch()
    {
        CUDA(cudaMemcpy(host.data(), device, host.size(), cudaMemcpyDeviceToHost));
    }
};

struct problem {
    cudaDataType type, out;
    int64_t m, n, k;
    bool ta = false, tb = false;
    float beta = 0.0f;
    cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
    bool tf32 = false;
};

/* One product with all that it needs; A B -> C in place. */
struct blas_case {
    problem p;
    cublasLtHandle_t handle;
    cublasLtMatmulDesc_t desc;
    cublasLtMatmulPreference_t preference;
    cudaStream_t stream = new_stream();
    matrix a, b, c, bias, aux;
    void *workspace;
    size_t workspace_bytes = 4 << 20;
    int found = 0;
    cublasLtMatmulHeuristicResult_t results[2];

    explicit blas_case(const problem &q)
        : p(q), a(q.type, q.ta ? q.k : q.m, q.ta ? q.m : q.k, 8, 1),
          b(q.type, q.tb ? q.n : q.k, q.tb ? q.k : q.n, 0, 77), c(q.out, q.m, q.n, 8, 5),
          bias(q.out, std::max(q.m, q.n), 1, 0, 9), aux(q.out, (q.m + 7) / 8 * 8, q.n, 0, 3)
    {
        BLAS(cublasLtCreate(&handle));
        BLAS(cublasLtMatmulDescCreate(
            &desc, p.tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUDA_R_32F));
        describe();
        BLAS(cublasLtMatmulPreferenceCreate(&preference));
        BLAS(cublasLtMatmulPreferenceSetAttribute(preference,
                                                  CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                                  &workspace_bytes, sizeof workspace_bytes));
        CUDA(cudaMalloc(&workspace, workspace_bytes));
        BLAS(cublasLtMatmulAlgoGetHeuristic(handle, desc, a.layout, b.layout, c.layout, c.layout,
                                            preference, 2, results, &found));
    }
    ~blas_case()
    {
        CUDA(cudaFree(workspace));
        CUDA(cudaStreamDestroy(stream));
        cublasLtMatmulPreferenceDestroy(preference);
        cublasLtMatmulDescDestroy(desc);
        cublasLtDestroy(handle);
    }
    template <typename T> void set(cublasLtMatmulDescAttributes_t which, T value)
    {
        BLAS(cublasLtMatmulDescSetAttribute(desc, which, &value, sizeof value));
    }
    void describe()
    {
        set(CUBLASLT_MATMUL_DESC_TRANSA, p.ta ? CUBLAS_OP_T : CUBLAS_OP_N);
        set(CUBLASLT_MATMUL_DESC_TRANSB, p.tb ? CUBLAS_OP_T : CUBLAS_OP_N);
        set(CUBLASLT_MATMUL_DESC_EPILOGUE, p.epilogue);
        set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias.device);
        set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, aux.device);
        set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, aux.ld);
    }
    const cublasLtMatmulHeuristicResult_t &algorithm(bool split) const
    {
        return (results[0].workspaceSize != 0) == split || found < 2 ? results[0] : results[1];
    }
    cublasStatus_t run(const cublasLtMatmulHeuristicResult_t &chosen, size_t bytes,
                       const void *left)
    {
        const float one = 1.0f;
        return cublasLtMatmul(handle, desc, &one, left, a.layout, b.device, b.layout, &p.beta,
                              c.device, c.layout, c.device, c.layout, &chosen.algo, workspace,
                              bytes, stream);
    }
    void run_split(bool split)
    {
        BLAS(run(algorithm(split), workspace_bytes, a.device));
        CUDA(cudaStreamSynchronize(stream));
        c.fetch();
        bias.fetch();
        aux.fetch();
    }
    /* In the order of the simulation: one rounding a product and a sum. */
    float sum(int64_t i, int64_t j) const
    {
        float total = 0.0f;
        for (int64_t q = 0; q < p.k; q++) {
            float x = a.at(i, q, p.ta), y = b.at(q, j, p.tb);
            total += p.tf32 ? mb_cudasim::as_tf32(x) * mb_cudasim::as_tf32(y) : x * y;
        }
        return total;
    }
};

float rounded(cudaDataType type, float x)
{
    char number[4];
    store_number(type, number, 0, x);
    return load_number(type, number, 0);
}

bool same_bits(float x, float y)
{
    return memcmp(&x, &y, sizeof x) == 0;
}

/* Two sums of k terms below 4 differ by less than 2 k (k 4) eps; one rounding to the type more. */
bool close(const problem &p, float x, float y)
{
    float type_eps = p.out == CUDA_R_16BF ? 0x1p-8f : p.out == CUDA_R_16F ? 0x1p-11f : 0x1p-24f;
    float k = (float)p.k;
    return fabsf(x - y) <= 8.0f * k * k * 0x1p-24f + 2.0f * type_eps * fabsf(y);
}

bool product_is_right(const problem &p, bool split)
{
    blas_case run(p);
    std::vector<char> before = run.c.host;
    run.run_split(split);
    for (int64_t j = 0; j < p.n; j++)
        for (int64_t i = 0; i < p.m; i++) {
            float x = run.sum(i, j);
            if (p.beta != 0.0f)
                x += p.beta * load_number(p.out, before.data(), i + j * run.c.ld);
            float wanted = rounded(p.out, x), found = run.c.at(i, j);
            if (split ? !close(p, found, wanted) : !same_bits(found, wanted))
                return false;
        }
    return true;
}

const char *type_name(cudaDataType type)
{
    return type == CUDA_R_16BF ? "bf16" : type == CUDA_R_16F ? "fp16" : "fp32";
}

void test_types()
{
    const cudaDataType types[][2] = {{CUDA_R_32F, CUDA_R_32F},
                                     {CUDA_R_16BF, CUDA_R_16BF},
                                     {CUDA_R_16BF, CUDA_R_32F},
                                     {CUDA_R_16F, CUDA_R_16F},
                                     {CUDA_R_16F, CUDA_R_32F}};
    for (auto &t : types) {
        bool good = true;
        for (int shape = 0; shape < 16; shape++) {
            bool large = (shape & 8) != 0;
            problem p = {t[0], t[1], large ? 149 : 7, 17, large ? 280 : 9};
            p.ta = (shape & 1) != 0;
            p.tb = (shape & 2) != 0;
            p.beta = shape & 4 ? 1.0f : 0.0f;
            good = good && product_is_right(p, false) && product_is_right(p, true);
        }
        std::string what = std::string("products of ") + type_name(t[0]) + " into " +
                           type_name(t[1]) + " agree with a plain loop";
        check(good, what.c_str());
    }
    problem p = {CUDA_R_32F, CUDA_R_32F, 33, 17, 65, false, false, 0.0f};
    p.tf32 = true;
    check(product_is_right(p, false), "so do products of TF32");
}

float gelu_of(double x)
{
    return (float)(0.5 * x * (1.0 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x))));
}

/* By differences, in double. */
float gelu_slope_of(float x)
{
    double h = 1e-4;
    auto f = [](double y) {
        return 0.5 * y * (1.0 + tanh(0.7978845608028654 * (y + 0.044715 * y * y * y)));
    };
    return (float)((f(x + h) - f(x - h)) / (2.0 * h));
}

float expected(const blas_case &run, float bias, float aux, int64_t i, int64_t j)
{
    float x = run.sum(i, j);
    switch (run.p.epilogue) {
    case CUBLASLT_EPILOGUE_BIAS:
        return x + bias;
    case CUBLASLT_EPILOGUE_RELU_BIAS:
        return fmaxf(x + bias, 0.0f);
    case CUBLASLT_EPILOGUE_GELU_BIAS:
    case CUBLASLT_EPILOGUE_GELU_AUX_BIAS:
        return gelu_of(x + bias);
    case CUBLASLT_EPILOGUE_DGELU:
    case CUBLASLT_EPILOGUE_DGELU_BGRAD:
        return x * gelu_slope_of(aux);
    default:
        return x;
    }
}

/* A gradient of differences is good to about 1e-4 of a sum of up to 100. */
bool near(float x, float y)
{
    return fabsf(x - y) <= 1e-3f * (1.0f + fabsf(y));
}

bool epilogue_is_right(cublasLtEpilogue_t epilogue)
{
    problem p = {CUDA_R_16BF, CUDA_R_32F, 24, 20, 40, true, false, 0.0f, epilogue};
    blas_case run(p);
    std::vector<char> bias = run.bias.host, aux = run.aux.host;
    run.run_split(false);
    bool good = true;
    std::vector<float> rows(24), of_b(20);
    for (int64_t j = 0; j < p.n; j++)
        for (int64_t i = 0; i < p.m; i++) {
            float wanted = expected(run, load_number(p.out, bias.data(), i),
                                    load_number(p.out, aux.data(), i + j * run.aux.ld), i, j);
            rows[(size_t)i] += wanted;
            good = good && near(run.c.at(i, j), wanted);
            if (epilogue == CUBLASLT_EPILOGUE_GELU_AUX_BIAS)
                good = good && near(gelu_of(run.aux.at(i, j)), wanted);
        }
    for (int64_t i = 0; i < p.m && epilogue == CUBLASLT_EPILOGUE_DGELU_BGRAD; i++)
        good = good && near(run.bias.at(i, 0), rows[(size_t)i]);
    for (int64_t j = 0; j < p.n && epilogue == CUBLASLT_EPILOGUE_BGRADB; j++) {
        for (int64_t q = 0; q < p.k; q++)
            of_b[(size_t)j] += run.b.at(q, j);
        good = good && near(run.bias.at(j, 0), of_b[(size_t)j]);
    }
    return good;
}

void test_epilogues()
{
    const struct {
        cublasLtEpilogue_t epilogue;
        const char *what;
    } cases[] = {{CUBLASLT_EPILOGUE_BIAS, "a bias is added"},
                 {CUBLASLT_EPILOGUE_RELU_BIAS, "a bias and relu"},
                 {CUBLASLT_EPILOGUE_GELU_BIAS, "a bias and gelu"},
                 {CUBLASLT_EPILOGUE_GELU_AUX_BIAS, "a bias and gelu that keeps its input"},
                 {CUBLASLT_EPILOGUE_DGELU, "the gradient of gelu"},
                 {CUBLASLT_EPILOGUE_DGELU_BGRAD, "the gradient of gelu and of the bias"},
                 {CUBLASLT_EPILOGUE_BGRADB, "the sums of B"}};
    for (auto &c : cases)
        check(epilogue_is_right(c.epilogue), c.what);
}

void test_refusals()
{
    blas_case run({CUDA_R_16BF, CUDA_R_32F, 64, 32, 16, false, false, 0.0f});
    check(run.found == 2 && run.results[0].workspaceSize != run.results[1].workspaceSize,
          "a problem has two algorithms");
    check(run.run(run.algorithm(true), 16, run.a.device) == CUBLAS_STATUS_INVALID_VALUE &&
              said("workspace"),
          "a workspace that is too small is refused");
    check(run.run(run.algorithm(false), 0, (char *)run.a.device + 256) ==
                  CUBLAS_STATUS_INVALID_VALUE &&
              said("byte 256 of"),
          "so is an operand that ends behind its allocation");
    check(run.run(run.algorithm(false), 0, run.a.host.data()) == CUBLAS_STATUS_INVALID_VALUE &&
              said("not allocated on any device"),
          "so is host memory");
    blas_case other({CUDA_R_16BF, CUDA_R_32F, 64, 32, 24, false, false, 0.0f});
    check(other.run(run.algorithm(false), 0, other.a.device) == CUBLAS_STATUS_INVALID_VALUE &&
              said("another problem"),
          "so is another problem's algorithm");
    int64_t alignment_ld = 64;
    BLAS(cublasLtMatrixLayoutSetAttribute(run.a.layout, CUBLASLT_MATRIX_LAYOUT_LD, &alignment_ld,
                                          sizeof alignment_ld));
    check(run.run(run.algorithm(false), 0, (char *)run.a.device + 16) ==
                  CUBLAS_STATUS_INVALID_VALUE &&
              said("alignment of 256"),
          "so is an alignment that was not promised");
}

} // namespace

void test_blas()
{
    test_types();
    test_epilogues();
    test_refusals();
}
