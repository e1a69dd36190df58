/* Collective writing of a checkpoint. The tensors' bytes, in the order they have in the file, form
 * one stream; each rank checksums what it writes in parts that end at the blocks of that stream,
 * and rank 0 joins the parts into the seal (the CRC of A followed by B follows from both). */
#include "store/checkpoint.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/crc32c.h"
#include "store/checkpoint_layout.h"
#include "store/io.h"
#include "store/ranks.h"
#include "store/seal.h"
#include "store/staged.h"

/* Small enough that a checksummed part is still in the cache when it is written. */
#define PART_BYTES ((size_t)1 << 20)

/* A checksummed run of the stream. */
typedef struct {
    int64_t first, bytes;
    uint32_t crc;
    uint32_t unused; /* a part travels as bytes: no hole in it is left unset */
} part_t;

typedef struct {
    mb_comm_t *comm;
    const char *path;
    const mb_checkpoint_layout_t *layout;
    int n_tensors;
    int64_t *numbers; /* offsets of the tensors, then the seal's */
    int64_t *starts;  /* of the tensors in the stream */
    int n_extents;
    mb_extent_t *extents;
    part_t *parts;
    size_t n_parts, capacity;
    mb_staged_t staged;
} writer_t;

static mb_status_t no_memory(void)
{
    return mb_error_set(MB_ERR_MEMORY, "out of memory while writing a checkpoint");
}

static int64_t elements_of(const writer_t *w, int tensor)
{
    return mb_shape_elements(&w->layout->tensors[tensor].shape);
}

/* What a rank says it will write; travels as bytes. */
typedef struct {
    int64_t tensor, first, count;
} claim_t;

static int compare_claims(const void *a, const void *b)
{
    const claim_t *x = a, *y = b;
    if (x->tensor != y->tensor)
        return x->tensor < y->tensor ? -1 : 1;
    return x->first < y->first ? -1 : x->first > y->first;
}

static mb_status_t check_own_pieces(const writer_t *w, const mb_piece_t *pieces, int n_pieces)
{
    for (int i = 0; i < n_pieces; i++) {
        const mb_piece_t *p = &pieces[i];
        if (p->tensor < 0 || p->tensor >= w->n_tensors)
            return mb_error_set(MB_ERR_INTERNAL, "writing '%s': a piece of tensor %d of %d",
                                w->path, p->tensor, w->n_tensors);
        int64_t elements = elements_of(w, p->tensor);
        if (p->first < 0 || p->count < 0 || p->first > elements || p->count > elements - p->first)
            return mb_error_set(MB_ERR_INTERNAL,
                                "writing '%s': a piece of '%s' reaches beyond its %" PRId64
                                " elements",
                                w->path, w->layout->tensors[p->tensor].name, elements);
    }
    return MB_OK;
}

/* Claims, sorted, must follow each other without a hole in each tensor. */
static mb_status_t check_claims(const writer_t *w, claim_t *claims, size_t count)
{
    qsort(claims, count, sizeof(*claims), compare_claims);
    size_t next = 0;
    for (int tensor = 0; tensor < w->n_tensors; tensor++) {
        int64_t end = 0;
        for (; next < count && claims[next].tensor == tensor; next++) {
            if (claims[next].count == 0)
                continue;
            if (claims[next].first != end)
                break;
            end += claims[next].count;
        }
        if (end != elements_of(w, tensor) || (next < count && claims[next].tensor == tensor))
            return mb_error_set(MB_ERR_INTERNAL,
                                "writing '%s': element %" PRId64
                                " of '%s' is in no rank's piece, or in several",
                                w->path, end, w->layout->tensors[tensor].name);
    }
    return MB_OK;
}

/* Every rank's pieces together must be all tensors, each element once. */
static mb_status_t check_pieces(const writer_t *w, const mb_piece_t *pieces, int n_pieces)
{
    mb_status_t status = check_own_pieces(w, pieces, n_pieces);
    claim_t *claims = calloc((size_t)n_pieces + 1, sizeof(*claims));
    if (claims == NULL)
        return no_memory();
    for (int i = 0; i < n_pieces; i++)
        claims[i] = (claim_t){pieces[i].tensor, pieces[i].first, pieces[i].count};
    void *all = NULL;
    size_t bytes = 0;
    mb_status_t gathered =
        mb_ranks_gather(w->comm, claims, (size_t)n_pieces * sizeof(*claims), &all, &bytes);
    free(claims);
    MB_TRY(gathered);
    if (status == MB_OK && mb_ranks_rank(w->comm) == 0)
        status = check_claims(w, all, bytes / sizeof(claim_t));
    free(all);
    return mb_ranks_agree(w->comm, status);
}

static mb_status_t create(void *user, const char *temporary, int64_t *numbers)
{
    const writer_t *w = user;
    return mb_checkpoint_create(temporary, w->path, w->layout, numbers);
}

typedef struct {
    int64_t offset;
    int tensor;
} placed_t;

static int compare_places(const void *a, const void *b)
{
    const placed_t *x = a, *y = b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Extents, and the tensors' starts in the stream, follow from the offsets on every rank alike. */
static mb_status_t lay_stream(writer_t *w)
{
    placed_t *placed = calloc((size_t)w->n_tensors + 1, sizeof(*placed));
    w->starts = calloc((size_t)w->n_tensors + 1, sizeof(*w->starts));
    w->extents = calloc((size_t)w->n_tensors + 1, sizeof(*w->extents));
    if (placed == NULL || w->starts == NULL || w->extents == NULL) {
        free(placed);
        return no_memory();
    }
    for (int i = 0; i < w->n_tensors; i++) {
        if (elements_of(w, i) > 0)
            placed[w->n_extents++] = (placed_t){w->numbers[i], i};
    }
    qsort(placed, (size_t)w->n_extents, sizeof(*placed), compare_places);
    int64_t start = 0;
    for (int i = 0; i < w->n_extents; i++) {
        int64_t bytes = elements_of(w, placed[i].tensor) * (int64_t)sizeof(float);
        w->extents[i] = (mb_extent_t){placed[i].offset, bytes};
        w->starts[placed[i].tensor] = start;
        start += bytes;
    }
    free(placed);
    return MB_OK;
}

static mb_status_t add_part(writer_t *w, int64_t first, int64_t bytes, uint32_t crc)
{
    if (w->n_parts == w->capacity) {
        size_t capacity = w->capacity * 2 + 16;
        part_t *parts = realloc(w->parts, capacity * sizeof(*parts));
        if (parts == NULL)
            return no_memory();
        w->parts = parts;
        w->capacity = capacity;
    }
    w->parts[w->n_parts++] = (part_t){first, bytes, crc, 0};
    return MB_OK;
}

/* Writes and checksums bytes [first, first + bytes) of the stream, which lie at OFFSET. */
static mb_status_t write_part(writer_t *w, const char *from, int64_t bytes, int64_t first,
                              int64_t offset)
{
    uint32_t crc = 0;
    for (int64_t at = 0; at < bytes;) {
        size_t now = bytes - at < (int64_t)PART_BYTES ? (size_t)(bytes - at) : PART_BYTES;
        crc = mb_crc32c(crc, from + at, now);
        MB_TRY(mb_staged_write(&w->staged, from + at, now, offset + at));
        at += (int64_t)now;
    }
    return add_part(w, first, bytes, crc);
}

static mb_status_t write_piece(writer_t *w, const mb_piece_t *piece)
{
    int64_t skipped = piece->first * (int64_t)sizeof(float);
    int64_t bytes = piece->count * (int64_t)sizeof(float);
    int64_t first = w->starts[piece->tensor] + skipped;
    int64_t offset = w->numbers[piece->tensor] + skipped;
    const char *from = (const char *)piece->values;
    for (int64_t at = 0; at < bytes;) {
        int64_t left_in_block = MB_SEAL_BLOCK_BYTES - (first + at) % MB_SEAL_BLOCK_BYTES;
        int64_t now = bytes - at < left_in_block ? bytes - at : left_in_block;
        MB_TRY(write_part(w, from + at, now, first + at, offset + at));
        at += now;
    }
    return MB_OK;
}

static mb_status_t write_pieces(writer_t *w, const mb_piece_t *pieces, int n_pieces)
{
    for (int i = 0; i < n_pieces; i++) {
        if (pieces[i].count > 0)
            MB_TRY(write_piece(w, &pieces[i]));
    }
    return MB_OK;
}

static int compare_parts(const void *a, const void *b)
{
    const part_t *x = a, *y = b;
    return x->first < y->first ? -1 : x->first > y->first;
}

static mb_status_t join_parts(part_t *parts, size_t count, mb_seal_t *seal)
{
    qsort(parts, count, sizeof(*parts), compare_parts);
    int64_t end = 0;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].first != end)
            return mb_error_set(MB_ERR_INTERNAL,
                                "a checkpoint's checksums do not cover byte %" PRId64, end);
        int64_t block = parts[i].first / MB_SEAL_BLOCK_BYTES;
        seal->blocks[block] =
            mb_crc32c_combine(seal->blocks[block], parts[i].crc, (uint64_t)parts[i].bytes);
        end += parts[i].bytes;
    }
    return MB_OK;
}

static mb_status_t fill_and_write(const writer_t *w, part_t *parts, size_t n_parts, mb_seal_t *seal)
{
    MB_TRY(join_parts(parts, n_parts, seal));
    MB_TRY(mb_seal_rest(w->staged.fd, seal, w->staged.temporary, &seal->rest));
    unsigned char *bytes = NULL;
    MB_TRY(mb_seal_encode(seal, &bytes));
    size_t length = (size_t)mb_seal_bytes(seal->n_extents, mb_checkpoint_data_bytes(w->layout));
    mb_status_t status = mb_staged_write(&w->staged, bytes, length, seal->offset);
    free(bytes);
    return status;
}

static mb_status_t write_seal(const writer_t *w, part_t *parts, size_t n_parts)
{
    mb_seal_t seal = {
        .offset = w->numbers[w->n_tensors],
        .step = w->layout->state.step,
        .n_extents = w->n_extents,
        .extents = w->extents,
        .n_blocks = mb_seal_blocks(mb_checkpoint_data_bytes(w->layout)),
    };
    MB_TRY(mb_io_size(w->staged.fd, w->staged.temporary, &seal.file_bytes));
    seal.blocks = calloc((size_t)seal.n_blocks + 1, sizeof(*seal.blocks));
    if (seal.blocks == NULL)
        return no_memory();
    mb_status_t status = fill_and_write(w, parts, n_parts, &seal);
    free(seal.blocks);
    return status;
}

/* After every rank's bytes are on disk: the seal, and the name. */
static mb_status_t seal_and_commit(writer_t *w)
{
    void *parts = NULL;
    size_t bytes = 0;
    MB_TRY(mb_ranks_gather(w->comm, w->parts, w->n_parts * sizeof(*w->parts), &parts, &bytes));
    mb_status_t status = MB_OK;
    if (mb_ranks_rank(w->comm) == 0)
        status = write_seal(w, parts, bytes / sizeof(part_t));
    if (status == MB_OK && mb_ranks_rank(w->comm) == 0 && w->layout->may_commit != NULL)
        status = w->layout->may_commit(w->layout->may_commit_user);
    free(parts);
    return mb_staged_commit(&w->staged, status);
}

static mb_status_t write_all(writer_t *w, const mb_piece_t *pieces, int n_pieces)
{
    MB_TRY(check_pieces(w, pieces, n_pieces));
    MB_TRY(mb_staged_begin(w->comm, w->path, mb_checkpoint_file_bytes(w->layout), create, w,
                           w->numbers, (size_t)w->n_tensors + 1, &w->staged));
    mb_status_t status = lay_stream(w);
    if (status == MB_OK)
        status = write_pieces(w, pieces, n_pieces);
    MB_TRY(mb_staged_sync(&w->staged, status));
    return seal_and_commit(w);
}

mb_status_t mb_checkpoint_write(mb_comm_t *comm, const char *path,
                                const mb_checkpoint_layout_t *layout, const mb_piece_t *pieces,
                                int n_pieces)
{
    writer_t w = {
        .comm = comm,
        .path = path,
        .layout = layout,
        .n_tensors = layout->n_weights + layout->n_moments,
        .staged = {.fd = -1},
    };
    w.numbers = calloc((size_t)w.n_tensors + 1, sizeof(*w.numbers));
    if (w.numbers == NULL)
        return no_memory();
    mb_status_t status = write_all(&w, pieces, n_pieces);
    mb_staged_discard(&w.staged);
    free(w.numbers);
    free(w.starts);
    free(w.extents);
    free(w.parts);
    return status;
}
