#!/bin/sh
# Predictors in memory on the simulated CUDA.
if [ ! -e "$MB_BUILDDIR/mbcudasim.so" ]; then
    echo "1..0 # SKIP the CUDA toolkit's headers were not found"
    exit 0
fi
export MB_PLUGINS="$MB_BUILDDIR" MB_CUDASIM_SEED=3 MB_TEST_DEVICE=cudasim
echo 1..1
if "$MB_BUILDDIR/tests/unit/test_api_device" >"${TMPDIR:-/tmp}/mb-api-cudasim.$$" 2>&1; then
    echo "ok 1 - arrays of the host's and of the device's"
else
    sed 's/^/# /' "${TMPDIR:-/tmp}/mb-api-cudasim.$$"
    echo "not ok 1 - arrays of the host's and of the device's"
fi
rm -f "${TMPDIR:-/tmp}/mb-api-cudasim.$$"
