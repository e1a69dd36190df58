/* Calls that fail because a test wants them to: MB_CUDASIM_FAIL=NAME:K[:RANK], see settings.h. */
#ifndef MB_CUDASIM_FAILING_H
#define MB_CUDASIM_FAILING_H

#include <cuda_runtime_api.h>

namespace mb_cudasim
{

/* Counts this call of FUNCTION; is it the one that is to fail? Says so then. */
bool must_fail(const char *function);
/* What the runtime's call FUNCTION fails with: an allocation finds no memory; any other call finds
 * that an earlier launch has failed, which the current device keeps. */
cudaError_t injected_error(const char *function);

} // namespace mb_cudasim

#endif
