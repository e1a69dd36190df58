/* The simulation's own test: groups of checks that print TAP lines. */
#ifndef MB_CUDASIM_TEST_H
#define MB_CUDASIM_TEST_H

#include "cudasim/cudasim.h"
#include "cudasim/kernel.h"

#include <string.h>

#include <vector>

void check(bool good, const char *what);
/* Does the last message contain TEXT? */
bool said(const char *text);

#define CUDA(call) require((call), #call)
/* Ends the program unless CODE is success. */
void require(cudaError_t code, const char *call);

cudaStream_t new_stream();
/* Device memory that holds N of VALUE, or what VALUES say. */
float *new_floats(size_t n, float value);
float *new_floats(const std::vector<float> &values);
std::vector<float> read_floats(const float *device, size_t n);

/* Runs BODY in a child with what it says on standard error thrown away but for whether it contains
 * TEXT; gives the signal that ended it, 0 for none. */
int run_in_child(void (*body)(), const char *text, bool *contains);

/* Clears the error that a test provoked; memory and streams of the device are gone. */
void reset_device();

void test_threads();
void test_collectives();
void test_failures();
void test_streams();
void test_device_questions();
void test_memory();
void test_graphs();
void test_blas();
void test_failing();
/* Where there is an nccl.h. */
void test_nccl();
void test_nccl_reduce();
void test_nccl_refusals();
void test_nccl_processes();
void test_nccl_failing();

#endif
