/* Allocations of all spaces, and who may touch them; see memory.h. */
#include "cudasim/memory.h"

#include "cudasim/cudasim.h"
#include "cudasim/error.h"
#include "cudasim/settings.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <map>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

namespace mb_cudasim
{

namespace
{

constexpr size_t PAGE_BYTES = 4096;
constexpr size_t ALIGNMENT = 256;
constexpr size_t ARENA_BYTES = (size_t)256 << 30;
struct arena {
    char *base; /* NULL until the first allocation */
    size_t next;
    size_t allocated;
    int key;
};

arena arenas[MAX_DEVICES];
int open_device = -1;

/* Never destroyed: programs free until they end. */
std::map<uintptr_t, allocation> &allocations()
{
    static auto *all = new std::map<uintptr_t, allocation>;
    return *all;
}

size_t round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

/* ---- who may touch it */

/* Protection keys if they are allowed and there is one. */
protection find_protection()
{
    protection allowed = get_settings().protect;
    if (allowed != protection::keys)
        return allowed;
    int key = pkey_alloc(0, PKEY_DISABLE_ACCESS);
    if (key < 0)
        return protection::pages;
    pkey_free(key);
    return protection::keys;
}

protection the_protection()
{
    static const protection once = find_protection();
    return once;
}

void arena_reserve(arena *a)
{
    if (a->base)
        return;
    void *p =
        mmap(nullptr, ARENA_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) {
        fprintf(stderr, "cudasim: no addresses for a device's memory (is ulimit -v set?)\n");
        abort();
    }
    a->base = (char *)p;
    a->key = the_protection() == protection::keys ? pkey_alloc(0, PKEY_DISABLE_ACCESS) : -1;
}

/* The run's pages come into being, touchable if their device is open. */
bool run_map(const arena &a, const allocation &m)
{
    int open = PROT_READ | PROT_WRITE;
    if (a.key >= 0)
        return pkey_mprotect(m.run, m.run_bytes, open, a.key) == 0;
    bool visible = the_protection() == protection::none || open_device == m.device;
    return mprotect(m.run, m.run_bytes, visible ? open : PROT_NONE) == 0;
}

void pages_protect(int device, int how)
{
    for (auto &entry : allocations()) {
        const allocation &m = entry.second;
        if (m.where == space::device && m.device == device)
            mprotect(m.run, m.run_bytes, how);
    }
}

void set_access(int device, bool open)
{
    const arena &a = arenas[device];
    if (a.key >= 0 && a.base)
        pkey_set(a.key, open ? 0 : PKEY_DISABLE_ACCESS);
    else if (the_protection() == protection::pages)
        pages_protect(device, open ? PROT_READ | PROT_WRITE : PROT_NONE);
}

/* Opens a device for what the simulation does itself, and leaves things as they were. */
class opened
{
  public:
    explicit opened(int device) : before_(open_device)
    {
        memory_open(device);
    }
    ~opened()
    {
        if (before_ < 0)
            memory_close();
        else
            memory_open(before_);
    }

  private:
    int before_;
};

/* ---- what lies around an allocation */

char *run_end(const allocation &m)
{
    return m.run + m.run_bytes;
}

void surroundings_poison(const allocation &m)
{
#ifdef __SANITIZE_ADDRESS__
    __asan_poison_memory_region(m.run, (size_t)(m.begin - m.run));
    __asan_poison_memory_region(m.begin + m.bytes, (size_t)(run_end(m) - m.begin) - m.bytes);
#else
    (void)m;
#endif
}

void surroundings_unpoison(const allocation &m)
{
#ifdef __SANITIZE_ADDRESS__
    __asan_unpoison_memory_region(m.run, m.run_bytes);
#else
    (void)m;
#endif
}

bool untouched(const char *begin, const char *end)
{
    for (const char *p = begin; p < end; p++)
        if (*p != (char)0xff)
            return false;
    return true;
}

cudaError_t surroundings_check(const allocation &m)
{
    if (!untouched(m.run, m.begin))
        return refuse(cudaErrorIllegalAddress,
                      "something wrote in front of an allocation of %zu bytes on device %d",
                      m.bytes, m.device);
    if (!untouched(m.begin + m.bytes, run_end(m)))
        return refuse(cudaErrorIllegalAddress,
                      "something wrote behind an allocation of %zu bytes on device %d", m.bytes,
                      m.device);
    return cudaSuccess;
}

void run_unmap(const allocation &m)
{
    mmap(m.run, m.run_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
         0);
}

bool covers(const allocation *m, const void *p, size_t bytes)
{
    return m && bytes <= m->bytes && (size_t)((const char *)p - m->begin) <= m->bytes - bytes;
}

} // namespace

cudaError_t device_allocate(int device, size_t bytes, void **out)
{
    *out = nullptr;
    if (bytes == 0)
        return cudaSuccess;
    arena &a = arenas[device];
    arena_reserve(&a);
    size_t rounded = round_up(bytes, ALIGNMENT);
    size_t run_bytes = round_up(rounded, PAGE_BYTES);
    if (bytes > get_settings().memory || a.allocated + rounded > get_settings().memory ||
        a.next + run_bytes + 2 * PAGE_BYTES > ARENA_BYTES)
        return cudaErrorMemoryAllocation;
    char *run = a.base + a.next + PAGE_BYTES;
    allocation m = {
        run + run_bytes - rounded, bytes, space::device, device, run, run_bytes, false, 0};
    if (!run_map(a, m))
        return cudaErrorMemoryAllocation;
    a.next += PAGE_BYTES + run_bytes;
    a.allocated += rounded;
    allocations()[(uintptr_t)m.begin] = m;
    {
        opened now(device);
        memset(m.run, 0xff, m.run_bytes);
    }
    surroundings_poison(m);
    *out = m.begin;
    return cudaSuccess;
}

cudaError_t device_free(void *p)
{
    auto found = allocations().find((uintptr_t)p);
    if (found == allocations().end() || found->second.where != space::device) {
        char what[160];
        memory_describe(p, what, sizeof what);
        return refuse(cudaErrorInvalidValue, "cudaFree(%p): this is %s", p, what);
    }
    allocation m = found->second;
    surroundings_unpoison(m);
    cudaError_t error;
    {
        opened now(m.device);
        error = surroundings_check(m);
    }
    run_unmap(m);
    arenas[m.device].allocated -= round_up(m.bytes, ALIGNMENT);
    allocations().erase(found);
    if (error != cudaSuccess)
        set_device_error(m.device, error);
    return error;
}

void device_free_all(int device)
{
    for (auto i = allocations().begin(); i != allocations().end();) {
        const allocation m = (i++)->second;
        if (m.where == space::device && m.device == device)
            device_free(m.begin);
    }
}

size_t device_bytes(int device)
{
    return arenas[device].allocated;
}

/* ---- pinned memory */

cudaError_t pinned_allocate(int device, size_t bytes, unsigned flags, void **out)
{
    *out = nullptr;
    if (bytes == 0)
        return cudaSuccess;
    void *p = nullptr;
    if (posix_memalign(&p, PAGE_BYTES, bytes))
        return cudaErrorMemoryAllocation;
    memset(p, 0xff, bytes);
    allocations()[(uintptr_t)p] = {(char *)p, bytes, space::pinned, device,
                                   nullptr,   0,     false,         flags};
    *out = p;
    return cudaSuccess;
}

cudaError_t pinned_register(int device, void *p, size_t bytes, unsigned flags)
{
    if (!p || bytes == 0)
        return refuse(cudaErrorInvalidValue, "cudaHostRegister of nothing");
    if (memory_find(p) || memory_find((char *)p + bytes - 1))
        return refuse(cudaErrorHostMemoryAlreadyRegistered, "cudaHostRegister(%p) again", p);
    allocations()[(uintptr_t)p] = {(char *)p, bytes, space::pinned, device,
                                   nullptr,   0,     true,          flags};
    return cudaSuccess;
}

cudaError_t pinned_free(void *p, bool registered)
{
    auto found = allocations().find((uintptr_t)p);
    if (found == allocations().end() || found->second.where != space::pinned ||
        found->second.registered != registered)
        return refuse(registered ? cudaErrorHostMemoryNotRegistered : cudaErrorInvalidValue,
                      "%s(%p), which no call has made",
                      registered ? "cudaHostUnregister" : "cudaFreeHost", p);
    allocations().erase(found);
    if (!registered)
        free(p);
    return cudaSuccess;
}

/* ---- questions */

const allocation *memory_find(const void *p)
{
    auto above = allocations().upper_bound((uintptr_t)p);
    if (above == allocations().begin())
        return nullptr;
    const allocation &m = std::prev(above)->second;
    return (const char *)p < m.begin + m.bytes ? &m : nullptr;
}

bool memory_is_device(const void *p, size_t bytes, int device)
{
    if (bytes == 0)
        return true;
    const allocation *m = memory_find(p);
    return covers(m, p, bytes) && m->where == space::device && m->device == device;
}

bool memory_is_pinned(const void *p, size_t bytes)
{
    const allocation *m = memory_find(p);
    return covers(m, p, bytes) && m->where == space::pinned;
}

bool memory_is_reserved(const void *address)
{
    for (const arena &a : arenas)
        if (a.base && (const char *)address >= a.base &&
            (const char *)address < a.base + ARENA_BYTES)
            return true;
    return false;
}

void memory_describe(const void *p, char *text, size_t capacity)
{
    auto above = allocations().upper_bound((uintptr_t)p);
    const allocation *m = above == allocations().begin() ? nullptr : &std::prev(above)->second;
    if (m && (const char *)p >= m->begin + m->bytes + 2 * PAGE_BYTES)
        m = nullptr;
    const char *kind = m && m->where == space::device ? "device memory" : "pinned host memory";
    size_t at = m ? (size_t)((const char *)p - m->begin) : 0;
    if (!m)
        snprintf(text, capacity, "memory that is not allocated on any device");
    else if (at < m->bytes)
        snprintf(text, capacity, "byte %zu of %zu bytes of %s (device %d)", at, m->bytes, kind,
                 m->device);
    else
        snprintf(text, capacity, "%zu bytes behind the end of %zu bytes of %s (device %d)",
                 at - m->bytes, m->bytes, kind, m->device);
}

/* ---- opening and closing */

void memory_open(int device)
{
    if (open_device == device)
        return;
    memory_close();
    open_device = device;
    set_access(device, true);
}

void memory_close()
{
    if (open_device < 0)
        return;
    set_access(open_device, false);
    open_device = -1;
}

} // namespace mb_cudasim

size_t mb_cudasim_allocated(int device)
{
    return mb_cudasim::device_bytes(device);
}
