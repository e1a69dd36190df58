# The CUDA device as a plugin, by nvcc; and the same files as a plugin on the simulated CUDA of the tests, by
# the host's compiler. Objects have endings of their own, since one source gives both.
CUDA_KERNELS = \
	kernels/accuracy.cu \
	kernels/activation.cu \
	kernels/affine.cu \
	kernels/attention_backward.cu \
	kernels/attention_forward.cu \
	kernels/batchnorm.cu \
	kernels/categories.cu \
	kernels/circle.cu \
	kernels/class_counts.cu \
	kernels/clip.cu \
	kernels/column_metric.cu \
	kernels/column_sum.cu \
	kernels/combine.cu \
	kernels/constrain.cu \
	kernels/conv_backward_input.cu \
	kernels/conv_backward_weights.cu \
	kernels/conv_depthwise.cu \
	kernels/conv_forward.cu \
	kernels/conv_volume.cu \
	kernels/convert.cu \
	kernels/copy_view.cu \
	kernels/dropout.cu \
	kernels/elementwise.cu \
	kernels/embedding.cu \
	kernels/factor.cu \
	kernels/fake_quantize.cu \
	kernels/global_pool.cu \
	kernels/layernorm.cu \
	kernels/loss.cu \
	kernels/lstm_step.cu \
	kernels/map.cu \
	kernels/loss_elements.cu \
	kernels/loss_rows.cu \
	kernels/normal.cu \
	kernels/norms.cu \
	kernels/patches.cu \
	kernels/pool.cu \
	kernels/recurrent.cu \
	kernels/region_pool.cu \
	kernels/resample.cu \
	kernels/row_metric.cu \
	kernels/softmax.cu \
	kernels/stored_conv.cu \
	kernels/stored_conv_integer.cu \
	kernels/stored_gemm.cu \
	kernels/stored_integer.cu \
	kernels/stored_lookup.cu \
	kernels/stored_rows.cu \
	kernels/stored_tiles.cu \
	kernels/trust.cu \
	kernels/sum.cu \
	kernels/threshold_counts.cu \
	kernels/update.cu
CUDA_HOST = src/device/cuda/device.c src/device/cuda/gemm.c src/device/cuda/gemm_plan.c \
	src/device/cuda/inventory.c src/device/cuda/nccl.c src/device/cuda/plugin.c \
	src/device/map.c src/device/op_name.c src/base/number.c src/base/types.c
MB_CUDA_NEEDS = $(wildcard $(top_srcdir)/kernels/*.h) $(wildcard $(top_srcdir)/src/device/cuda/*.h) \
	$(top_srcdir)/src/device/device.h $(top_srcdir)/src/device/link.h $(top_srcdir)/src/device/ops.h \
	$(top_srcdir)/src/device/affine.h $(top_srcdir)/src/device/naming.h \
	$(top_srcdir)/src/device/map_functions.h \
	$(top_srcdir)/src/device/resample.h
# NCCL is a package of its own, which the simulation does without where it is not there.
if HAVE_NCCL_H
MB_CUDASIM_LEFT_OUT =
else
MB_CUDASIM_LEFT_OUT = $(wildcard $(top_srcdir)/tests/cudasim/nccl_*.cc) \
	$(wildcard $(top_srcdir)/tests/cudasim/test_nccl*.cc)
endif
MB_CUDASIM_TESTS = $(filter-out $(MB_CUDASIM_LEFT_OUT),$(wildcard $(top_srcdir)/tests/cudasim/test_*.cc))
MB_CUDASIM_FILES = $(patsubst $(top_srcdir)/%,%,\
	$(filter-out $(MB_CUDASIM_LEFT_OUT) $(MB_CUDASIM_TESTS),$(wildcard $(top_srcdir)/tests/cudasim/*.cc)))
EXTRA_DIST += src/device/cuda kernels tests/cudasim \
	tests/campaign/cuda_coverage.sh tests/campaign/cuda_sanitized.sh tests/campaign/cuda_waits.sh \
	tests/campaign/interleavings.sh

SUFFIXES = .cu .cc .cuo .simo
MB_CUDA_INCLUDES = -I$(top_srcdir)/kernels -I$(top_srcdir)/tests -I$(top_srcdir)/src \
	-I$(top_srcdir)/include -DMB_CUDA_ARCHS='"$(CUDA_ARCHS)"' $(CUDA_CPPFLAGS)
# Debug information of the kernels' templates takes a sixth of the time; make CUDASIM_DEBUG=-g for a debugger.
CUDASIM_DEBUG = -g0
CUDASIM_FLAGS = -DMB_CUDASIM $(MB_CUDA_INCLUDES) -fPIC -fvisibility=hidden -ffp-contract=off \
	$(SANITIZE_CFLAGS)
.cu.cuo:
	$(AM_V_GEN)$(MKDIR_P) $(@D) && $(NVCC) -std=c++17 -O3 $(CUDA_CODE) $(MB_CUDA_INCLUDES) \
	  -Xcompiler -fPIC,-fvisibility=hidden,-Wall,-Wextra -x cu -c $< -o $@
.c.cuo:
	$(AM_V_CC)$(MKDIR_P) $(@D) && $(CC) $(WARN_CFLAGS) $(OPENMP_CFLAGS) $(CFLAGS) $(MB_CUDA_INCLUDES) -fPIC \
	  -fvisibility=hidden -c $< -o $@
.c.simo:
	$(AM_V_CC)$(MKDIR_P) $(@D) && $(CC) $(WARN_CFLAGS) $(OPENMP_CFLAGS) $(CFLAGS) $(CUDASIM_FLAGS) -c $< -o $@
.cu.simo:
	$(AM_V_GEN)$(MKDIR_P) $(@D) && $(CXX) -x c++ -std=c++17 $(CXXFLAGS) $(CUDASIM_FLAGS) -Wall -Wextra \
	  $(CUDASIM_DEBUG) -Wno-unknown-pragmas -c $< -o $@
.cc.cuo:
	$(AM_V_GEN)$(MKDIR_P) $(@D) && $(CXX) -std=c++17 $(CXXFLAGS) $(MB_CUDA_INCLUDES) -Wall -Wextra \
	  -c $< -o $@
.cc.simo:
	$(AM_V_GEN)$(MKDIR_P) $(@D) && $(CXX) -std=c++17 $(CXXFLAGS) $(CUDASIM_FLAGS) -Wall -Wextra \
	  -c $< -o $@

CUDA_OBJECTS = $(CUDA_KERNELS:.cu=.cuo) $(CUDA_HOST:.c=.cuo)
CUDASIM_OBJECTS = $(CUDA_KERNELS:.cu=.simo) $(CUDA_HOST:.c=.simo) $(MB_CUDASIM_FILES:.cc=.simo)
$(CUDA_OBJECTS) $(CUDASIM_OBJECTS): $(MB_CUDA_NEEDS)
$(CUDASIM_OBJECTS): $(wildcard $(top_srcdir)/tests/cudasim/*.h)
mbcuda.so: $(CUDA_OBJECTS)
	$(AM_V_CCLD)$(CXX) -shared -o $@ $(CUDA_OBJECTS) $(CUDA_LIBS)
mbcudasim.so: $(CUDASIM_OBJECTS)
	$(AM_V_CCLD)$(CXX) -shared $(SANITIZE_CFLAGS) -o $@ $(CUDASIM_OBJECTS) -lpthread -ldl
.PHONY: cuda cudasim
cuda: mbcuda.so
cudasim: mbcudasim.so
CLEANFILES += mbcuda.so mbcudasim.so

# The simulation's own tests, and each operation against the CPU's.
CUDASIM_TEST_OBJECTS = $(patsubst $(top_srcdir)/%.cc,%.simo,$(MB_CUDASIM_TESTS))
CUDASIM_OPS_OBJECTS = $(patsubst $(top_srcdir)/%.cc,%.simo,$(wildcard $(top_srcdir)/tests/cudasim/ops/*.cc))
CUDASIM_RUNTIME = $(MB_CUDASIM_FILES:.cc=.simo)
tests/cudasim/test_cudasim: $(CUDASIM_TEST_OBJECTS) $(CUDASIM_RUNTIME)
	$(AM_V_CCLD)$(CXX) $(SANITIZE_CFLAGS) -o $@ $(CUDASIM_TEST_OBJECTS) $(CUDASIM_RUNTIME) -lpthread -ldl
tests/cudasim/test_ops: $(CUDASIM_OPS_OBJECTS) $(CUDASIM_OBJECTS) libmbcheck.la
	$(AM_V_CCLD)$(LIBTOOL) $(AM_V_lt) --tag=CXX --mode=link $(CXX) $(OPENMP_CFLAGS) \
	  $(SANITIZE_CFLAGS) -o $@ \
	  $(CUDASIM_OPS_OBJECTS) \
	  $(filter-out %/plugin.simo src/device/op_name.simo src/base/%,$(CUDASIM_OBJECTS)) libmbcheck.la \
	  -lpthread -ldl
$(CUDASIM_TEST_OBJECTS) $(CUDASIM_OPS_OBJECTS): $(MB_CUDA_NEEDS) $(wildcard $(top_srcdir)/tests/cudasim/*.h)
CLEANFILES += tests/cudasim/test_cudasim tests/cudasim/test_ops
SHELL_TESTS += tests/cudasim/selftest.sh tests/cudasim/ops.sh tests/cudasim/info.sh \
	tests/cudasim/kernels.sh
tests/cudasim/selftest.log tests/cudasim/ops.log tests/cudasim/info.log tests/cudasim/kernels.log: $(check_DATA)

if HAVE_CUDA
if !SANITIZERS
check_DATA += mbcudasim.so tests/cudasim/test_cudasim tests/cudasim/test_ops \
	bench/gpu/kernels_simulated
endif
endif

install-exec-local:
	@test ! -e mbcuda.so || { $(MKDIR_P) '$(DESTDIR)$(pkglibdir)' && \
	  $(INSTALL_DATA) mbcuda.so '$(DESTDIR)$(pkglibdir)'; }
uninstall-local:
	rm -f '$(DESTDIR)$(pkglibdir)/mbcuda.so'
mostlyclean-local:
	rm -f bench/gpu/*.cuo bench/gpu/*.simo tests/gpu/*.cuo tests/cudasim/*.simo tests/cudasim/ops/*.cuo \
	  tests/cudasim/ops/*.simo kernels/*.cuo kernels/*.simo src/device/cuda/*.cuo src/device/cuda/*.simo \
	  src/device/*.cuo src/device/*.simo src/base/*.cuo src/base/*.simo
