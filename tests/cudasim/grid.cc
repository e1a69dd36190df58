/* All blocks of a launch, one after the other in drawn order. Before each one shared memory is
 * filled with NaN, so that reading what no thread of the block wrote shows. */
#include "cudasim/block.h"

#include "cudasim/shared_static.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

namespace mb_cudasim
{

unsigned char *dynamic_shared;

namespace
{

constexpr size_t REGION_BYTES = 256 << 10;
constexpr size_t PAGE_BYTES = 4096;

/* Dynamic shared memory ends where this region does; a page that faults is behind it. */
unsigned char *shared_region()
{
    static unsigned char *once = nullptr;
    if (once)
        return once;
    void *p = mmap(nullptr, REGION_BYTES + PAGE_BYTES, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED || mprotect((char *)p + REGION_BYTES, PAGE_BYTES, PROT_NONE)) {
        fprintf(stderr, "cudasim: no memory for shared memory\n");
        abort();
    }
    return once = (unsigned char *)p;
}

/* Rounded up, because the array is aligned to 16 bytes; AddressSanitizer sees the rest. */
unsigned char *place_dynamic(size_t bytes)
{
    unsigned char *end = shared_region() + REGION_BYTES;
    unsigned char *p = end - (bytes + 15) / 16 * 16;
#ifdef __SANITIZE_ADDRESS__
    __asan_poison_memory_region(shared_region(), REGION_BYTES);
    __asan_unpoison_memory_region(p, bytes);
#endif
    return p;
}

uint3 block_of(uint64_t number, dim3 grid)
{
    if (grid.y == 1 && grid.z == 1)
        return {(unsigned)number, 0, 0};
    uint64_t row = number / grid.x;
    return {(unsigned)(number % grid.x), (unsigned)(row % grid.y), (unsigned)(row / grid.y)};
}

} // namespace

cudaError_t grid_run(const launch_shape &shape, const kernel_call &call)
{
    gridDim = shape.grid;
    blockDim = shape.block;
    dynamic_shared = place_dynamic(shape.shared_bytes);
    block_shape(shape, call);
    static_shared &arrays = static_shared::of(shape);
    uint64_t n_blocks = (uint64_t)shape.grid.x * shape.grid.y * shape.grid.z;
    walk blocks(n_blocks);
    walk threads(shape.block.x * shape.block.y * shape.block.z);
    for (uint64_t i = 0; i < n_blocks; i++) {
        blockIdx = block_of(blocks.next(), shape.grid);
        memset(dynamic_shared, 0xff, shape.shared_bytes);
        arrays.before_block();
        cudaError_t error = block_run(threads);
        arrays.after_block();
        if (error != cudaSuccess) {
            fibre_give_all();
            return error;
        }
    }
    return cudaSuccess;
}

} // namespace mb_cudasim
