/* What a launch may ask for and a multiprocessor holds: compute capability 9.0 (CUDA C++
 * Programming Guide, "Technical Specifications per Compute Capability"). */
#ifndef MB_CUDASIM_LIMITS_H
#define MB_CUDASIM_LIMITS_H

namespace mb_cudasim
{

constexpr int MAX_BLOCK_THREADS = 1024;
constexpr unsigned MAX_BLOCK[3] = {1024, 1024, 64};
constexpr unsigned MAX_GRID[3] = {2147483647, 65535, 65535};
constexpr int DEFAULT_SHARED_BYTES = 48 << 10;
constexpr int MAX_SHARED_BYTES = 227 << 10; /* once cudaFuncSetAttribute has asked for it */
constexpr int RESERVED_SHARED_BYTES = 1 << 10;
constexpr int SM_SHARED_BYTES = 228 << 10;
constexpr int SM_THREADS = 2048;
constexpr int SM_BLOCKS = 32;
constexpr int SMS = 132;

} // namespace mb_cudasim

#endif
