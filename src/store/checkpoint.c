/* Collective writing of a checkpoint. The tensors' bytes, in the order they have in the file, form
 * one stream; each rank checksums what it writes in stretches that end at the blocks of that
 * stream, and rank 0 gets the sums of the blocks for the seal. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/crc32c.h"
#include "store/checkpoint_layout.h"
#include "store/checkpoint_private.h"
#include "store/io.h"
#include "store/ranks.h"
#include "store/writer_slot.h"

/* Small enough that what was checksummed is still in the cache when it is written. */
#define STRETCH_BYTES ((size_t)1 << 20)

static mb_status_t create(void *user, const char *temporary, int64_t *numbers)
{
    const mb_checkpoint_file_t *file = user;
    return mb_checkpoint_create(temporary, file->path, file->layout, numbers);
}

typedef struct {
    int64_t offset, bytes;
    size_t unit;
} placed_t;

static int compare_places(const void *a, const void *b)
{
    const placed_t *x = a, *y = b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Extents, and the units' starts in the stream, follow from the offsets on every rank alike. */
static mb_status_t lay_stream(mb_checkpoint_file_t *file)
{
    placed_t *placed = calloc(file->n_units + 1, sizeof(*placed));
    file->starts = calloc(file->n_units + 1, sizeof(*file->starts));
    file->extents = calloc(file->n_units + 1, sizeof(*file->extents));
    if (placed == NULL || file->starts == NULL || file->extents == NULL) {
        free(placed);
        return mb_checkpoint_no_memory();
    }
    for (size_t unit = 0; unit < file->n_units; unit++) {
        int64_t bytes = mb_checkpoint_part_bytes(&file->layout->tensors[unit / MB_PART_COUNT],
                                                 (mb_part_t)(unit % MB_PART_COUNT));
        if (bytes > 0)
            placed[file->n_extents++] = (placed_t){file->numbers[unit], bytes, unit};
    }
    qsort(placed, (size_t)file->n_extents, sizeof(*placed), compare_places);
    int64_t start = 0;
    for (int i = 0; i < file->n_extents; i++) {
        file->extents[i] = (mb_extent_t){placed[i].offset, placed[i].bytes};
        file->starts[placed[i].unit] = start;
        start += placed[i].bytes;
    }
    free(placed);
    return MB_OK;
}

/* Writes and checksums bytes [first, first + bytes) of the stream, which lie at OFFSET. */
static mb_status_t write_stretch(mb_checkpoint_file_t *file, const char *from, int64_t bytes,
                                 int64_t first, int64_t offset)
{
    uint32_t crc = 0;
    for (int64_t at = 0; at < bytes;) {
        size_t now = bytes - at < (int64_t)STRETCH_BYTES ? (size_t)(bytes - at) : STRETCH_BYTES;
        if (atomic_load(&file->cancelled))
            return mb_error_set(MB_ERR_STOPPED, "writing '%s' was given up", file->path);
        crc = mb_crc32c(crc, from + at, now);
        MB_TRY(mb_staged_write(&file->staged, from + at, now, offset + at));
        mb_pace_rest(file, now);
        at += (int64_t)now;
    }
    return mb_checkpoint_add_sum(file, first, bytes, crc);
}

/* BYTES bytes of a unit, from its byte SKIPPED on. */
static mb_status_t write_bytes(mb_checkpoint_file_t *file, size_t unit, int64_t skipped,
                               const void *data, int64_t bytes)
{
    int64_t first = file->starts[unit] + skipped, offset = file->numbers[unit] + skipped;
    const char *from = data;
    for (int64_t at = 0; at < bytes;) {
        int64_t left_in_block = MB_SEAL_BLOCK_BYTES - (first + at) % MB_SEAL_BLOCK_BYTES;
        int64_t now = bytes - at < left_in_block ? bytes - at : left_in_block;
        MB_TRY(write_stretch(file, from + at, now, first + at, offset + at));
        at += now;
    }
    return MB_OK;
}

static mb_status_t write_piece(mb_checkpoint_file_t *file, const mb_piece_t *piece)
{
    size_t unit = (size_t)piece->tensor * MB_PART_COUNT;
    const int64_t element = (int64_t)sizeof(float);
    if (piece->encoded == NULL)
        return write_bytes(file, unit, piece->first * element, piece->values,
                           piece->count * element);
    for (mb_part_t part = 0; part < MB_PART_COUNT; part++)
        MB_TRY(write_bytes(file, unit + part, 0, piece->encoded->parts[part],
                           piece->encoded->encoding.bytes[part]));
    return MB_OK;
}

static mb_status_t fill_and_write(const mb_checkpoint_file_t *file, mb_seal_t *seal)
{
    MB_TRY(mb_checkpoint_block_crcs(file, seal));
    MB_TRY(mb_seal_rest(file->staged.file.fd, seal, file->staged.temporary, &seal->rest));
    unsigned char *bytes = NULL;
    MB_TRY(mb_seal_encode(seal, &bytes));
    size_t length = (size_t)mb_seal_bytes(seal->n_extents, mb_checkpoint_data_bytes(file->layout));
    mb_status_t status = mb_staged_write(&file->staged, bytes, length, seal->offset);
    free(bytes);
    return status;
}

static mb_status_t write_seal(const mb_checkpoint_file_t *file)
{
    mb_seal_t seal = {
        .offset = file->numbers[file->n_units],
        .step = file->layout->state.step,
        .n_extents = file->n_extents,
        .extents = file->extents,
        .n_blocks = mb_seal_blocks(file->data_bytes),
    };
    MB_TRY(mb_io_size(file->staged.file.fd, file->staged.temporary, &seal.file_bytes));
    seal.blocks = calloc((size_t)seal.n_blocks + 1, sizeof(*seal.blocks));
    if (seal.blocks == NULL)
        return mb_checkpoint_no_memory();
    mb_status_t status = fill_and_write(file, &seal);
    free(seal.blocks);
    return status;
}

mb_status_t mb_checkpoint_begin(mb_comm_t *comm, const char *path,
                                const mb_checkpoint_layout_t *layout, const mb_piece_t *pieces,
                                int n_pieces, mb_checkpoint_file_t **out)
{
    mb_checkpoint_file_t *file = calloc(1, sizeof(*file));
    if (file == NULL)
        return mb_checkpoint_no_memory();
    *file = (mb_checkpoint_file_t){
        .comm = comm,
        .path = path,
        .layout = layout,
        .pieces = pieces,
        .n_pieces = n_pieces,
        .n_tensors = layout->n_weights + layout->n_moments + layout->n_states,
        .data_bytes = mb_checkpoint_data_bytes(layout),
        .n_units = mb_checkpoint_numbers(layout) - 1,
        .staged = {.io = layout->io, .file = {.fd = -1}},
    };
    file->numbers = calloc(file->n_units + 1, sizeof(*file->numbers));
    mb_status_t status =
        file->numbers == NULL ? mb_checkpoint_no_memory() : mb_checkpoint_check(file);
    if (status == MB_OK)
        status = mb_staged_begin(comm, path, mb_checkpoint_file_bytes(layout), create, file,
                                 file->numbers, file->n_units + 1, &file->staged);
    if (status != MB_OK) {
        mb_checkpoint_end(file);
        return status;
    }
    *out = file;
    return MB_OK;
}

static mb_status_t write_pieces(mb_checkpoint_file_t *file)
{
    MB_TRY(lay_stream(file));
    mb_pace_begin(file);
    for (int i = 0; i < file->n_pieces; i++)
        MB_TRY(write_piece(file, &file->pieces[i]));
    return MB_OK;
}

static int writers_of_node(const mb_checkpoint_file_t *file)
{
    const mb_io_options_t *io = file->layout->io;
    return file->comm == NULL || io == NULL ? 0 : io->writers_per_node;
}

mb_status_t mb_checkpoint_put(mb_checkpoint_file_t *file)
{
    mb_writer_slot_t slot = {.fd = -1};
    int writers = writers_of_node(file);
    if (writers > 0)
        MB_TRY(mb_writer_slot_take(&slot, file->staged.temporary, mb_comm_local_rank(file->comm),
                                   writers, &file->cancelled));
    mb_status_t status = mb_staged_settle(&file->staged, write_pieces(file));
    mb_writer_slot_give(&slot);
    return status;
}

void mb_checkpoint_cancel(mb_checkpoint_file_t *file)
{
    atomic_store(&file->cancelled, true);
}

mb_status_t mb_checkpoint_gather(mb_checkpoint_file_t *file)
{
    return mb_checkpoint_fold_sums(file);
}

mb_status_t mb_checkpoint_commit(mb_checkpoint_file_t *file)
{
    const mb_checkpoint_layout_t *layout = file->layout;
    MB_TRY(write_seal(file));
    return mb_staged_publish(&file->staged, layout->may_commit, layout->may_commit_user);
}

void mb_checkpoint_end(mb_checkpoint_file_t *file)
{
    if (file == NULL)
        return;
    mb_staged_discard(&file->staged);
    free(file->numbers);
    free(file->starts);
    free(file->extents);
    free(file->sums.data);
    free(file);
}

/* The file goes before the others are told of a failure. */
static mb_status_t complete(mb_checkpoint_file_t *file)
{
    mb_comm_t *comm = file->comm;
    mb_status_t status = mb_ranks_agree(comm, mb_checkpoint_put(file));
    if (status == MB_OK)
        status = mb_checkpoint_gather(file);
    bool gathered = status == MB_OK;
    if (gathered && mb_ranks_rank(comm) == 0)
        status = mb_checkpoint_commit(file);
    mb_checkpoint_end(file);
    return gathered ? mb_ranks_agree(comm, status) : status;
}

mb_status_t mb_checkpoint_write(mb_comm_t *comm, const char *path,
                                const mb_checkpoint_layout_t *layout, const mb_piece_t *pieces,
                                int n_pieces)
{
    mb_checkpoint_file_t *file = NULL;
    MB_TRY(mb_checkpoint_begin(comm, path, layout, pieces, n_pieces, &file));
    return complete(file);
}
