# The operations of the CUDA device, as its plugin, on a real device: tests/cudasim/ops with another subject.
GPU_OPS_OBJECTS = tests/gpu/subject.cuo $(filter-out %/subject.cuo,$(CUDASIM_OPS_OBJECTS:.simo=.cuo))
tests/gpu/test_ops: $(GPU_OPS_OBJECTS) libmbcheck.la
	$(AM_V_CCLD)$(LIBTOOL) $(AM_V_lt) --tag=CXX --mode=link $(CXX) $(OPENMP_CFLAGS) -o $@ $(GPU_OPS_OBJECTS) \
	  libmbcheck.la -lpthread -ldl
$(GPU_OPS_OBJECTS): $(MB_CUDA_NEEDS) $(wildcard $(top_srcdir)/tests/cudasim/ops/*.h)
.PHONY: gputests
gputests: tests/gpu/test_ops mbcuda.so
CLEANFILES += tests/gpu/test_ops
EXTRA_DIST += tests/gpu
SHELL_TESTS += tests/gpu/ops.sh
