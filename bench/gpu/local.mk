# What bench/gpu/run needs besides the program: kernels by themselves, on the real and on the simulated device, and
# a data file of random tokens.
GPU_BENCH_OBJECTS = bench/gpu/kernels.cuo tests/gpu/subject.cuo
bench/gpu/kernels: $(GPU_BENCH_OBJECTS) libmbcheck.la
	$(AM_V_CCLD)$(LIBTOOL) $(AM_V_lt) --tag=CXX --mode=link $(CXX) $(OPENMP_CFLAGS) -o $@ $(GPU_BENCH_OBJECTS) \
	  libmbcheck.la $(CUDART_LIBS)
GPU_BENCH_SIM_OBJECTS = bench/gpu/kernels.simo tests/cudasim/ops/subject.simo \
	$(filter-out %/plugin.simo src/base/%,$(CUDASIM_OBJECTS))
bench/gpu/kernels_simulated: $(GPU_BENCH_SIM_OBJECTS) libmbcheck.la
	$(AM_V_CCLD)$(LIBTOOL) $(AM_V_lt) --tag=CXX --mode=link $(CXX) $(OPENMP_CFLAGS) -o $@ \
	  $(GPU_BENCH_SIM_OBJECTS) libmbcheck.la -lpthread -ldl
$(GPU_BENCH_OBJECTS) bench/gpu/kernels.simo: $(MB_CUDA_NEEDS) tests/cudasim/ops/subject.h
EXTRA_PROGRAMS += bench/gpu/tokens
bench_gpu_tokens_SOURCES = bench/gpu/tokens.c
bench_gpu_tokens_LDADD = libmbcheck.la
.PHONY: gpubench gpurehearsal
gpubench: gputests bench/gpu/kernels bench/gpu/tokens$(EXEEXT)
gpurehearsal: mbcudasim.so tests/cudasim/test_ops bench/gpu/kernels_simulated
CLEANFILES += bench/gpu/kernels bench/gpu/kernels_simulated
EXTRA_DIST += bench/gpu
