/* Memory spaces. Each device has a range of addresses of its own, and host code cannot touch it:
 *
 *     [guard page][ run of pages .........[ allocation, rounded to 256 ]][guard page]...
 *
 * An allocation ends where its pages do, so that an overrun faults; what lies in front of it on its
 * first page, and the rest of its last 256 bytes, is checked when it is freed. Addresses are never
 * given twice. The pages are opened only while work of their device runs: by a protection key
 * where the processor has them, which costs nothing and holds a thread, or else by mprotect. */
#ifndef MB_CUDASIM_MEMORY_H
#define MB_CUDASIM_MEMORY_H

#include <cuda_runtime_api.h>

#include <stddef.h>

namespace mb_cudasim
{

enum class space { unknown, pinned, device };

struct allocation {
    char *begin;
    size_t bytes;
    space where;
    int device; /* for pinned memory the one that was current */
    char *run;
    size_t run_bytes;
    bool registered; /* pinned memory that the caller allocated */
    unsigned flags;  /* of pinned memory */
};

cudaError_t device_allocate(int device, size_t bytes, void **out);
/* P begins an allocation of the device's memory. */
cudaError_t device_free(void *p);
void device_free_all(int device);
size_t device_bytes(int device);

cudaError_t pinned_allocate(int device, size_t bytes, unsigned flags, void **out);
cudaError_t pinned_register(int device, void *p, size_t bytes, unsigned flags);
/* REGISTERED: which of the two made it. */
cudaError_t pinned_free(void *p, bool registered);

/* The allocation that P lies in, or NULL. */
const allocation *memory_find(const void *p);
/* Are all of P's BYTES within one allocation of DEVICE, or within pinned memory? A NULL of no bytes
 * is. */
bool memory_is_device(const void *p, size_t bytes, int device);
bool memory_is_pinned(const void *p, size_t bytes);
/* "byte 12 of an allocation of 64 bytes on device 0", "memory that no call has allocated". */
void memory_describe(const void *p, char *text, size_t capacity);

/* Lets this thread touch DEVICE's memory, and no other's, until it closes again. */
void memory_open(int device);
void memory_close();
/* Does ADDRESS lie in the range of some device? */
bool memory_is_reserved(const void *address);

/* From now on SIGSEGV is explained, and within a kernel becomes an error of the device (fault.cc).
 */
void fault_install();
/* Kernels run in this thread from now on. */
void fault_prepare_thread();

} // namespace mb_cudasim

#endif
