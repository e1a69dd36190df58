/* Collective writing of a checkpoint. The tensors' bytes, in the order they have in the file, form
 * one stream; each rank checksums what it writes in stretches that end at the blocks of that
 * stream, and rank 0 joins them into the seal (the CRC of A followed by B follows from both). */
#include "store/checkpoint.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/crc32c.h"
#include "store/checkpoint_layout.h"
#include "store/encoded_write.h"
#include "store/io.h"
#include "store/ranks.h"
#include "store/seal.h"
#include "store/staged.h"

/* Small enough that what was checksummed is still in the cache when it is written. */
#define STRETCH_BYTES ((size_t)1 << 20)

/* A checksummed stretch of the stream. */
typedef struct {
    int64_t first, bytes;
    uint32_t crc;
    uint32_t unused; /* it travels as bytes: no hole in it is left unset */
} stretch_t;

typedef struct {
    mb_comm_t *comm;
    const char *path;
    const mb_checkpoint_layout_t *layout;
    int n_tensors;
    size_t n_units;   /* parts of tensors: MB_PART_COUNT of each */
    int64_t *numbers; /* offsets of the units, then the seal's */
    int64_t *starts;  /* of the units in the stream */
    int n_extents;
    mb_extent_t *extents;
    stretch_t *stretches;
    size_t n_stretches, capacity;
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

/* What is given must be what all ranks were told of. */
static mb_status_t check_encoded(const writer_t *w, const mb_piece_t *piece)
{
    const mb_tensor_spec_t *spec = &w->layout->tensors[piece->tensor];
    bool same = (piece->encoded != NULL) == (spec->encoding != NULL);
    if (same && piece->encoded != NULL) {
        const mb_encoding_t *given = &piece->encoded->encoding;
        same = given->crc == spec->encoding->crc &&
               mb_format_equal(&given->format, &spec->encoding->format) &&
               memcmp(given->bytes, spec->encoding->bytes, sizeof(given->bytes)) == 0;
    }
    return same ? MB_OK
                : mb_error_set(MB_ERR_INTERNAL,
                               "writing '%s': a piece of '%s' is not encoded as the tensor is",
                               w->path, spec->name);
}

static mb_status_t check_range(const writer_t *w, const mb_piece_t *p)
{
    int64_t elements = elements_of(w, p->tensor);
    if (p->first < 0 || p->count < 0 || p->first > elements || p->count > elements - p->first)
        return mb_error_set(MB_ERR_INTERNAL,
                            "writing '%s': a piece of '%s' reaches beyond its %" PRId64 " elements",
                            w->path, w->layout->tensors[p->tensor].name, elements);
    return MB_OK;
}

static mb_status_t check_own_pieces(const writer_t *w, const mb_piece_t *pieces, int n_pieces)
{
    for (int i = 0; i < n_pieces; i++) {
        const mb_piece_t *p = &pieces[i];
        if (p->tensor < 0 || p->tensor >= w->n_tensors)
            return mb_error_set(MB_ERR_INTERNAL, "writing '%s': a piece of tensor %d of %d",
                                w->path, p->tensor, w->n_tensors);
        MB_TRY(check_encoded(w, p));
        if (p->encoded == NULL)
            MB_TRY(check_range(w, p));
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

/* One rank gives an encoded tensor whole. */
static claim_t claim_of(const writer_t *w, const mb_piece_t *piece)
{
    bool known = piece->tensor >= 0 && piece->tensor < w->n_tensors;
    if (piece->encoded == NULL || !known)
        return (claim_t){piece->tensor, piece->first, piece->count};
    return (claim_t){piece->tensor, 0, elements_of(w, piece->tensor)};
}

static mb_status_t check_encodings(const writer_t *w)
{
    for (int i = 0; i < w->n_tensors; i++) {
        if (w->layout->tensors[i].encoding != NULL)
            MB_TRY(mb_encoded_check_spec(w->path, &w->layout->tensors[i]));
    }
    return MB_OK;
}

/* Every rank's pieces together must be all tensors, each element once. */
static mb_status_t check_pieces(const writer_t *w, const mb_piece_t *pieces, int n_pieces)
{
    mb_status_t status = check_encodings(w);
    if (status == MB_OK)
        status = check_own_pieces(w, pieces, n_pieces);
    claim_t *claims = calloc((size_t)n_pieces + 1, sizeof(*claims));
    if (claims == NULL)
        return no_memory();
    for (int i = 0; i < n_pieces; i++)
        claims[i] = claim_of(w, &pieces[i]);
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
    int64_t offset, bytes;
    size_t unit;
} placed_t;

static int compare_places(const void *a, const void *b)
{
    const placed_t *x = a, *y = b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Extents, and the units' starts in the stream, follow from the offsets on every rank alike. */
static mb_status_t lay_stream(writer_t *w)
{
    placed_t *placed = calloc(w->n_units + 1, sizeof(*placed));
    w->starts = calloc(w->n_units + 1, sizeof(*w->starts));
    w->extents = calloc(w->n_units + 1, sizeof(*w->extents));
    if (placed == NULL || w->starts == NULL || w->extents == NULL) {
        free(placed);
        return no_memory();
    }
    for (size_t unit = 0; unit < w->n_units; unit++) {
        int64_t bytes = mb_checkpoint_part_bytes(&w->layout->tensors[unit / MB_PART_COUNT],
                                                 (mb_part_t)(unit % MB_PART_COUNT));
        if (bytes > 0)
            placed[w->n_extents++] = (placed_t){w->numbers[unit], bytes, unit};
    }
    qsort(placed, (size_t)w->n_extents, sizeof(*placed), compare_places);
    int64_t start = 0;
    for (int i = 0; i < w->n_extents; i++) {
        w->extents[i] = (mb_extent_t){placed[i].offset, placed[i].bytes};
        w->starts[placed[i].unit] = start;
        start += placed[i].bytes;
    }
    free(placed);
    return MB_OK;
}

static mb_status_t add_stretch(writer_t *w, int64_t first, int64_t bytes, uint32_t crc)
{
    if (w->n_stretches == w->capacity) {
        size_t capacity = w->capacity * 2 + 16;
        stretch_t *stretches = realloc(w->stretches, capacity * sizeof(*stretches));
        if (stretches == NULL)
            return no_memory();
        w->stretches = stretches;
        w->capacity = capacity;
    }
    w->stretches[w->n_stretches++] = (stretch_t){first, bytes, crc, 0};
    return MB_OK;
}

/* Writes and checksums bytes [first, first + bytes) of the stream, which lie at OFFSET. */
static mb_status_t write_stretch(writer_t *w, const char *from, int64_t bytes, int64_t first,
                                 int64_t offset)
{
    uint32_t crc = 0;
    for (int64_t at = 0; at < bytes;) {
        size_t now = bytes - at < (int64_t)STRETCH_BYTES ? (size_t)(bytes - at) : STRETCH_BYTES;
        crc = mb_crc32c(crc, from + at, now);
        MB_TRY(mb_staged_write(&w->staged, from + at, now, offset + at));
        at += (int64_t)now;
    }
    return add_stretch(w, first, bytes, crc);
}

/* BYTES bytes of a unit, from its byte SKIPPED on. */
static mb_status_t write_bytes(writer_t *w, size_t unit, int64_t skipped, const void *data,
                               int64_t bytes)
{
    int64_t first = w->starts[unit] + skipped, offset = w->numbers[unit] + skipped;
    const char *from = data;
    for (int64_t at = 0; at < bytes;) {
        int64_t left_in_block = MB_SEAL_BLOCK_BYTES - (first + at) % MB_SEAL_BLOCK_BYTES;
        int64_t now = bytes - at < left_in_block ? bytes - at : left_in_block;
        MB_TRY(write_stretch(w, from + at, now, first + at, offset + at));
        at += now;
    }
    return MB_OK;
}

static mb_status_t write_piece(writer_t *w, const mb_piece_t *piece)
{
    size_t unit = (size_t)piece->tensor * MB_PART_COUNT;
    const int64_t element = (int64_t)sizeof(float);
    if (piece->encoded == NULL)
        return write_bytes(w, unit, piece->first * element, piece->values, piece->count * element);
    for (mb_part_t part = 0; part < MB_PART_COUNT; part++)
        MB_TRY(write_bytes(w, unit + part, 0, piece->encoded->parts[part],
                           piece->encoded->encoding.bytes[part]));
    return MB_OK;
}

static mb_status_t write_pieces(writer_t *w, const mb_piece_t *pieces, int n_pieces)
{
    for (int i = 0; i < n_pieces; i++)
        MB_TRY(write_piece(w, &pieces[i]));
    return MB_OK;
}

static int compare_stretches(const void *a, const void *b)
{
    const stretch_t *x = a, *y = b;
    return x->first < y->first ? -1 : x->first > y->first;
}

static mb_status_t join_stretches(stretch_t *stretches, size_t count, mb_seal_t *seal)
{
    qsort(stretches, count, sizeof(*stretches), compare_stretches);
    int64_t end = 0;
    for (size_t i = 0; i < count; i++) {
        if (stretches[i].first != end)
            return mb_error_set(MB_ERR_INTERNAL,
                                "a checkpoint's checksums do not cover byte %" PRId64, end);
        int64_t block = stretches[i].first / MB_SEAL_BLOCK_BYTES;
        seal->blocks[block] =
            mb_crc32c_combine(seal->blocks[block], stretches[i].crc, (uint64_t)stretches[i].bytes);
        end += stretches[i].bytes;
    }
    return MB_OK;
}

static mb_status_t fill_and_write(const writer_t *w, stretch_t *stretches, size_t count,
                                  mb_seal_t *seal)
{
    MB_TRY(join_stretches(stretches, count, seal));
    MB_TRY(mb_seal_rest(w->staged.fd, seal, w->staged.temporary, &seal->rest));
    unsigned char *bytes = NULL;
    MB_TRY(mb_seal_encode(seal, &bytes));
    size_t length = (size_t)mb_seal_bytes(seal->n_extents, mb_checkpoint_data_bytes(w->layout));
    mb_status_t status = mb_staged_write(&w->staged, bytes, length, seal->offset);
    free(bytes);
    return status;
}

static mb_status_t write_seal(const writer_t *w, stretch_t *stretches, size_t count)
{
    mb_seal_t seal = {
        .offset = w->numbers[w->n_units],
        .step = w->layout->state.step,
        .n_extents = w->n_extents,
        .extents = w->extents,
        .n_blocks = mb_seal_blocks(mb_checkpoint_data_bytes(w->layout)),
    };
    MB_TRY(mb_io_size(w->staged.fd, w->staged.temporary, &seal.file_bytes));
    seal.blocks = calloc((size_t)seal.n_blocks + 1, sizeof(*seal.blocks));
    if (seal.blocks == NULL)
        return no_memory();
    mb_status_t status = fill_and_write(w, stretches, count, &seal);
    free(seal.blocks);
    return status;
}

/* After every rank's bytes are on disk: the seal, and the name. */
static mb_status_t seal_and_commit(writer_t *w)
{
    void *stretches = NULL;
    size_t bytes = 0;
    MB_TRY(mb_ranks_gather(w->comm, w->stretches, w->n_stretches * sizeof(*w->stretches),
                           &stretches, &bytes));
    mb_status_t status = MB_OK;
    if (mb_ranks_rank(w->comm) == 0)
        status = write_seal(w, stretches, bytes / sizeof(stretch_t));
    if (status == MB_OK && mb_ranks_rank(w->comm) == 0 && w->layout->may_commit != NULL)
        status = w->layout->may_commit(w->layout->may_commit_user);
    free(stretches);
    return mb_staged_commit(&w->staged, status);
}

static mb_status_t write_all(writer_t *w, const mb_piece_t *pieces, int n_pieces)
{
    MB_TRY(check_pieces(w, pieces, n_pieces));
    MB_TRY(mb_staged_begin(w->comm, w->path, mb_checkpoint_file_bytes(w->layout), create, w,
                           w->numbers, w->n_units + 1, &w->staged));
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
        .n_tensors = layout->n_weights + layout->n_moments + layout->n_states,
        .staged = {.fd = -1},
    };
    w.n_units = mb_checkpoint_numbers(layout) - 1;
    w.numbers = calloc(w.n_units + 1, sizeof(*w.numbers));
    if (w.numbers == NULL)
        return no_memory();
    mb_status_t status = write_all(&w, pieces, n_pieces);
    mb_staged_discard(&w.staged);
    free(w.numbers);
    free(w.starts);
    free(w.extents);
    free(w.stretches);
    return status;
}
