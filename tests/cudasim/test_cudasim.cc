/* Runs the groups, four devices in sight; see test_cudasim.h. */
#include "cudasim/test_cudasim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

static int n_checks, n_failed;

void check(bool good, const char *what)
{
    printf("%sok %d - %s\n", good ? "" : "not ", ++n_checks, what);
    n_failed += !good;
}

bool said(const char *text)
{
    return strstr(mb_cudasim_last_message(), text) != nullptr;
}

void require(cudaError_t code, const char *call)
{
    if (code == cudaSuccess)
        return;
    printf("Bail out! %s: %s\n", call, cudaGetErrorString(code));
    exit(1);
}

cudaStream_t new_stream()
{
    cudaStream_t stream;
    CUDA(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    return stream;
}

float *new_floats(const std::vector<float> &values)
{
    void *p;
    CUDA(cudaMalloc(&p, values.size() * sizeof(float)));
    CUDA(cudaMemcpy(p, values.data(), values.size() * sizeof(float), cudaMemcpyHostToDevice));
    return (float *)p;
}

float *new_floats(size_t n, float value)
{
    return new_floats(std::vector<float>(n, value));
}

std::vector<float> read_floats(const float *device, size_t n)
{
    std::vector<float> values(n);
    CUDA(cudaMemcpy(values.data(), device, n * sizeof(float), cudaMemcpyDeviceToHost));
    return values;
}

static std::string read_all(int descriptor)
{
    std::string text;
    char some[512];
    for (ssize_t n; (n = read(descriptor, some, sizeof some)) > 0;)
        text.append(some, (size_t)n);
    return text;
}

int run_in_child(void (*body)(), const char *text, bool *contains)
{
    int ends[2];
    fflush(stdout);
    if (pipe(ends))
        return -1;
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        body();
        _exit(0);
    }
    close(ends[1]);
    *contains = read_all(ends[0]).find(text) != std::string::npos;
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    /* AddressSanitizer turns the signal into an exit. */
    return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

void reset_device()
{
    CUDA(cudaDeviceReset());
}

int main()
{
    const char *protect = getenv("MB_CUDASIM_PROTECT");
    if (protect && strcmp(protect, "0") == 0) /* half of the test is about it */
        unsetenv("MB_CUDASIM_PROTECT");
    setenv("MB_CUDASIM_DEVICES", "4", 0);
    test_threads();
    test_collectives();
    test_failures();
    test_streams();
    test_device_questions();
    test_memory();
    test_graphs();
    test_blas();
    test_failing();
#if __has_include(<nccl.h>)
    test_nccl();
    test_nccl_reduce();
    test_nccl_refusals();
    test_nccl_processes();
    test_nccl_failing();
#endif
    printf("1..%d\n", n_checks);
    return n_failed != 0;
}
