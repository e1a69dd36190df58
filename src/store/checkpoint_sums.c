/* The CRCs of the blocks of a checkpoint's stream, from what each rank has written of them.
 *
 * The CRC of A followed by B is crc(A) moved over B's length, xor crc(B). So that of a block is the
 * xor of its stretches' CRCs, each moved over what follows it in the block: in any order, and a
 * rank passes on one number for a block, whatever has been written of it by how many. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/crc32c.h"
#include "store/checkpoint_private.h"
#include "store/ranks.h"

typedef struct {
    int64_t block, bytes; /* of the block that are in CRC */
    uint32_t crc;
    uint32_t unused; /* it travels as bytes: no hole in it is left unset */
} sum_t;

static size_t count_of(const mb_comm_bytes_t *sums)
{
    return sums->bytes / sizeof(sum_t);
}

static int64_t block_end(const mb_checkpoint_file_t *file, int64_t block)
{
    int64_t end = (block + 1) * MB_SEAL_BLOCK_BYTES;
    return end < file->data_bytes ? end : file->data_bytes;
}

static void add(sum_t *into, const sum_t *sum)
{
    into->bytes += sum->bytes;
    into->crc ^= sum->crc;
}

static mb_status_t append(mb_comm_bytes_t *sums, const void *data, size_t bytes)
{
    char *longer = realloc(sums->data, sums->bytes + bytes + 1);
    if (longer == NULL)
        return mb_checkpoint_no_memory();
    if (bytes > 0)
        memcpy(longer + sums->bytes, data, bytes);
    sums->data = longer;
    sums->bytes += bytes;
    return MB_OK;
}

mb_status_t mb_checkpoint_add_sum(mb_checkpoint_file_t *file, int64_t first, int64_t bytes,
                                  uint32_t crc)
{
    int64_t block = first / MB_SEAL_BLOCK_BYTES;
    int64_t behind = block_end(file, block) - first - bytes;
    const sum_t sum = {block, bytes, mb_crc32c_combine(crc, 0, (uint64_t)behind), 0};
    sum_t *sums = file->sums.data;
    size_t n = count_of(&file->sums);
    if (n == 0 || sums[n - 1].block != block)
        return append(&file->sums, &sum, sizeof sum);
    add(&sums[n - 1], &sum);
    return MB_OK;
}

static int compare_blocks(const void *a, const void *b)
{
    const sum_t *x = a, *y = b;
    return (x->block > y->block) - (x->block < y->block);
}

/* One of each block. */
static void unite(mb_comm_bytes_t *list)
{
    sum_t *sums = list->data;
    size_t n = count_of(list), kept = 0;
    if (n == 0)
        return;
    qsort(sums, n, sizeof *sums, compare_blocks);
    for (size_t i = 1; i < n; i++) {
        if (sums[i].block == sums[kept].block)
            add(&sums[kept], &sums[i]);
        else
            sums[++kept] = sums[i];
    }
    list->bytes = (kept + 1) * sizeof *sums;
}

static mb_status_t merge(void *user, mb_comm_bytes_t *into, const void *data, size_t bytes)
{
    (void)user;
    MB_TRY(append(into, data, bytes));
    unite(into);
    return MB_OK;
}

mb_status_t mb_checkpoint_fold_sums(mb_checkpoint_file_t *file)
{
    unite(&file->sums);
    return mb_ranks_fold(file->comm, &file->sums, merge, NULL);
}

mb_status_t mb_checkpoint_block_crcs(const mb_checkpoint_file_t *file, mb_seal_t *seal)
{
    const sum_t *sums = file->sums.data;
    size_t n = count_of(&file->sums);
    for (int64_t block = 0; block < seal->n_blocks; block++) {
        int64_t bytes = block_end(file, block) - block * MB_SEAL_BLOCK_BYTES;
        size_t at = (size_t)block;
        if (at >= n || sums[at].block != block || sums[at].bytes != bytes)
            return mb_error_set(MB_ERR_INTERNAL,
                                "a checkpoint's checksums do not cover its block %" PRId64, block);
        seal->blocks[block] = sums[at].crc;
    }
    return MB_OK;
}
