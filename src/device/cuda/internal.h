/* The inside of the CUDA device, for the host files of this folder. */
#ifndef MB_DEVICE_CUDA_INTERNAL_H
#define MB_DEVICE_CUDA_INTERNAL_H

#include "device/cuda/cuda.h"
#include "device/link.h"

#include <cublasLt.h>

typedef struct mb_gemm_plans mb_gemm_plans_t;

typedef struct {
    mb_device_t base;
    int index;
    bool tf32;
    cudaStream_t memory; /* orders the pool's allocations; waited for before memory is given out */
    cublasLtHandle_t blas;
    mb_gemm_plans_t *plans;
    char name[128];
    int major, minor, processors;
} mb_cuda_t;

typedef struct {
    mb_stream_t base;
    cudaStream_t stream;
} mb_cuda_stream_t;

typedef struct {
    mb_event_t base;
    cudaEvent_t event;
} mb_cuda_event_t;

extern const mb_device_class_t mb_device_cuda;
extern const mb_link_class_t mb_link_nccl;

static inline mb_cuda_t *mb_cuda_of(const mb_exec_t *exec)
{
    return (mb_cuda_t *)exec->device;
}

/* inventory.c */
mb_status_t mb_cuda_inventory(mb_inventory_t *out);

/* gemm_plan.c */
mb_status_t mb_gemm_plans_create(mb_cuda_t *cuda);
void mb_gemm_plans_destroy(mb_cuda_t *cuda);

#endif
