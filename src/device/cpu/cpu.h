/* What the CPU's operations share: the device, tiles over threads, and the workspace. */
#ifndef MB_DEVICE_CPU_CPU_H
#define MB_DEVICE_CPU_CPU_H

#include "device/cpu/dnnl/onednn.h"
#include "device/cpu/team.h"
#include "device/device.h"

typedef struct {
    mb_device_t base;
    int threads;
    bool emulates; /* types that the processor does not multiply */
    void (*progress)(void *user);
    void *progress_user;
    mb_dnnl_t *dnnl;
    mb_team_t *team;
} mb_cpu_t;

static inline mb_cpu_t *mb_cpu_of(const mb_exec_t *exec)
{
    return (mb_cpu_t *)exec->device;
}

/* Computes tiles 0 ... tiles-1, each by one thread, in no order; the caller's thread is thread 0
 * and reaches the progress callback between its tiles. What a tile is must depend on shape alone.
 */
typedef void (*mb_tile_fn_t)(void *context, int64_t tile, int thread);
void mb_cpu_tiles(mb_exec_t *exec, int64_t tiles, mb_tile_fn_t compute, void *context);

static inline int64_t mb_ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static inline int64_t mb_min_i64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t mb_max_i64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* A block of elements or rows [begin, end) that one tile computes. */
typedef struct {
    int64_t begin, end;
} mb_span_t;

static inline mb_span_t mb_span(int64_t tile, int64_t block, int64_t count)
{
    return (mb_span_t){tile * block, mb_min_i64((tile + 1) * block, count)};
}

/* Elements of a tile of an elementwise operation. */
#define MB_CPU_BLOCK 16384

/* Rows of a tile so that it has about ELEMENTS elements, at least one. */
static inline int64_t mb_rows_block(int64_t columns, int64_t elements)
{
    return mb_max_i64(1, elements / mb_max_i64(columns, 1));
}

/* A tile's share of ITEMS, MOST at the most: so many that tiles share out evenly over TEAM threads,
 * or over 2, 4 ... of them, but for those so small that a tile would have fewer than LEAST. */
#define MB_CPU_TEAM 64
#define MB_CPU_LEAST 2048 /* elements */
static inline int64_t mb_even_block(int64_t items, int64_t least, int64_t most)
{
    int64_t tiles = MB_CPU_TEAM * mb_ceil_div(items, MB_CPU_TEAM * most);
    return mb_max_i64(least, mb_ceil_div(items, mb_max_i64(1, tiles)));
}

/* Of an elementwise operation: whole lines of the cache. */
static inline int64_t mb_elements_block(int64_t count)
{
    return (mb_even_block(count, MB_CPU_LEAST, MB_CPU_BLOCK) + 15) / 16 * 16;
}

/* Of rows of so many columns. */
static inline int64_t mb_even_rows(int64_t rows, int64_t columns)
{
    return mb_even_block(rows, mb_rows_block(columns, MB_CPU_LEAST),
                         mb_rows_block(columns, MB_CPU_BLOCK));
}

/* What an argument points to, where it is float32. */
static inline const float *mb_in(const void *values)
{
    return values;
}

static inline float *mb_out(void *values)
{
    return values;
}

/* The stream's workspace cut into a part shared by all tiles and one for each thread. */
typedef struct {
    char *shared;
    char *threads;
    size_t thread_bytes;
} mb_workspace_t;

/* Raises the need while planning; otherwise checks that planning saw it. */
mb_status_t mb_cpu_workspace(mb_exec_t *exec, mb_op_t op, size_t shared_bytes, size_t thread_bytes,
                             mb_workspace_t *out);

static inline void *mb_workspace_thread(const mb_workspace_t *workspace, int thread)
{
    return workspace->threads + workspace->thread_bytes * (size_t)thread;
}

static inline size_t mb_round_64(size_t bytes)
{
    return (bytes + 63) & ~(size_t)63;
}

/* An argument that no caller of the floors above may give. */
mb_status_t mb_cpu_refuse(mb_op_t op, const char *what);

#define MB_CPU_CHECK(op, condition, what)                                                          \
    do {                                                                                           \
        if (!(condition))                                                                          \
            return mb_cpu_refuse((op), (what));                                                    \
    } while (0)

#define MB_CPU_DECLARE(NAME, name)                                                                 \
    mb_status_t mb_cpu_##name(mb_exec_t *exec, const mb_##name##_args_t *args);
MB_OP_LIST(MB_CPU_DECLARE)
#undef MB_CPU_DECLARE

#endif
