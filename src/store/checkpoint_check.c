/* Whether the pieces of all ranks together are the tensors of a checkpoint, each element once.
 *
 * They are if and only if, tensor by tensor, the pieces' beginnings and the tensor's end are the
 * same elements, as often, as the pieces' ends and 0: every piece leads from its beginning to its
 * end, so that all lie on one way from 0 to the tensor's end. Each rank hashes its elements, and
 * the sum of all ranks' hashes is compared. Where it differs, rank 0 gets all pieces, to name the
 * place. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "store/checkpoint_private.h"
#include "store/encoded_write.h"
#include "store/ranks.h"

/* What a rank says it will write; travels as bytes where it must be named. */
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
static mb_status_t check_encoded(const mb_checkpoint_file_t *file, const mb_piece_t *piece)
{
    const mb_tensor_spec_t *spec = &file->layout->tensors[piece->tensor];
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
                               file->path, spec->name);
}

static mb_status_t check_range(const mb_checkpoint_file_t *file, const mb_piece_t *p)
{
    int64_t elements = mb_checkpoint_elements(file, p->tensor);
    if (p->first < 0 || p->count < 0 || p->first > elements || p->count > elements - p->first)
        return mb_error_set(MB_ERR_INTERNAL,
                            "writing '%s': a piece of '%s' reaches beyond its %" PRId64 " elements",
                            file->path, file->layout->tensors[p->tensor].name, elements);
    return MB_OK;
}

static mb_status_t check_own_pieces(const mb_checkpoint_file_t *file)
{
    for (int i = 0; i < file->n_pieces; i++) {
        const mb_piece_t *p = &file->pieces[i];
        if (p->tensor < 0 || p->tensor >= file->n_tensors)
            return mb_error_set(MB_ERR_INTERNAL, "writing '%s': a piece of tensor %d of %d",
                                file->path, p->tensor, file->n_tensors);
        MB_TRY(check_encoded(file, p));
        if (p->encoded == NULL)
            MB_TRY(check_range(file, p));
    }
    return MB_OK;
}

/* Claims, sorted, must follow each other without a hole in each tensor. */
static mb_status_t check_claims(const mb_checkpoint_file_t *file, claim_t *claims, size_t count)
{
    qsort(claims, count, sizeof(*claims), compare_claims);
    size_t next = 0;
    for (int tensor = 0; tensor < file->n_tensors; tensor++) {
        int64_t end = 0;
        for (; next < count && claims[next].tensor == tensor; next++) {
            if (claims[next].count == 0)
                continue;
            if (claims[next].first != end)
                break;
            end += claims[next].count;
        }
        if (end != mb_checkpoint_elements(file, tensor) ||
            (next < count && claims[next].tensor == tensor))
            return mb_error_set(MB_ERR_INTERNAL,
                                "writing '%s': element %" PRId64
                                " of '%s' is in no rank's piece, or in several",
                                file->path, end, file->layout->tensors[tensor].name);
    }
    return MB_OK;
}

/* One rank gives an encoded tensor whole. */
static claim_t claim_of(const mb_checkpoint_file_t *file, const mb_piece_t *piece)
{
    if (piece->encoded == NULL)
        return (claim_t){piece->tensor, piece->first, piece->count};
    return (claim_t){piece->tensor, 0, mb_checkpoint_elements(file, piece->tensor)};
}

static mb_status_t check_encodings(const mb_checkpoint_file_t *file)
{
    for (int i = 0; i < file->n_tensors; i++) {
        if (file->layout->tensors[i].encoding != NULL)
            MB_TRY(mb_encoded_check_spec(file->path, &file->layout->tensors[i]));
    }
    return MB_OK;
}

/* The finalizer of splitmix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number
 * generators", 2014). */
static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static uint64_t hash_of(int64_t tensor, int64_t element)
{
    return mix(mix((uint64_t)tensor + UINT64_C(0x9e3779b97f4a7c15)) + (uint64_t)element);
}

/* Of beginnings, less those of ends. */
static uint64_t hash_pieces(const mb_checkpoint_file_t *file)
{
    uint64_t sum = 0;
    for (int i = 0; i < file->n_pieces; i++) {
        claim_t claim = claim_of(file, &file->pieces[i]);
        sum += hash_of(claim.tensor, claim.first);
        sum -= hash_of(claim.tensor, claim.first + claim.count);
    }
    return sum;
}

static uint64_t hash_tensors(const mb_checkpoint_file_t *file)
{
    uint64_t sum = 0;
    for (int i = 0; i < file->n_tensors; i++)
        sum += hash_of(i, 0) - hash_of(i, mb_checkpoint_elements(file, i));
    return sum;
}

static mb_status_t add_hash(void *user, mb_comm_bytes_t *into, const void *data, size_t bytes)
{
    uint64_t sum, more;
    (void)user;
    memcpy(&sum, into->data, sizeof sum);
    memcpy(&more, data, bytes);
    sum += more;
    memcpy(into->data, &sum, sizeof sum);
    return MB_OK;
}

/* Collective: what rank 0 finds, on all ranks. */
static mb_status_t compare_hashes(const mb_checkpoint_file_t *file, bool *same)
{
    uint64_t sum = hash_pieces(file);
    mb_comm_bytes_t own = {&sum, sizeof sum};
    MB_TRY(mb_ranks_fold(file->comm, &own, add_hash, NULL));
    *same = sum == hash_tensors(file);
    return mb_ranks_broadcast(file->comm, same, sizeof *same);
}

static mb_status_t gather_claims(const mb_checkpoint_file_t *file, void **all, size_t *bytes)
{
    size_t n = (size_t)file->n_pieces;
    claim_t *claims = calloc(n + 1, sizeof(*claims));
    if (claims == NULL)
        return mb_checkpoint_no_memory();
    for (size_t i = 0; i < n; i++)
        claims[i] = claim_of(file, &file->pieces[i]);
    mb_status_t status = mb_ranks_gather(file->comm, claims, n * sizeof(*claims), all, bytes);
    free(claims);
    return status;
}

/* Collective, where the hashes differ. */
static mb_status_t name_place(const mb_checkpoint_file_t *file)
{
    void *all = NULL;
    size_t bytes = 0;
    MB_TRY(gather_claims(file, &all, &bytes));
    mb_status_t status = MB_OK;
    if (mb_ranks_rank(file->comm) == 0)
        status = check_claims(file, all, bytes / sizeof(claim_t));
    free(all);
    return mb_ranks_agree(file->comm, status);
}

mb_status_t mb_checkpoint_check(const mb_checkpoint_file_t *file)
{
    bool same = false;
    mb_status_t status = check_encodings(file);
    if (status == MB_OK)
        status = check_own_pieces(file);
    MB_TRY(mb_ranks_agree(file->comm, status));
    MB_TRY(compare_hashes(file, &same));
    return same ? MB_OK : name_place(file);
}
