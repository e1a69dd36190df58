/* See source_held.h. */
#include "data/source_held.h"

#include "base/crc32c.h"
#include "data/held_private.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE_BYTES = 64 << 10, DIGEST_SAMPLES = 128 };

static void held_close(mb_source_t *base)
{
    mb_held_source_t *source = (mb_held_source_t *)base;
    mb_asks_destroy(source->asks);
    if (source->has_way)
        mb_held_way_close(&source->way);
    for (int f = 0; f < base->n_fields; f++) {
        free((char *)(uintptr_t)source->fields[f].name);
        free((char *)(uintptr_t)source->adopted[f].data);
    }
    mb_held_runs_free(&source->runs);
    free(source->piece);
    mb_source_release(base);
}

static mb_status_t fault(const mb_held_source_t *source, int field, int64_t sample,
                         const char *what)
{
    const mb_held_run_t *run = mb_held_runs_find(&source->runs, sample);
    return mb_error_set(MB_ERR_DATA, "rank %d's samples '%s': sample %" PRId64 ": %s", run->rank,
                        source->base.fields[field].name, run->index + sample - run->first, what);
}

/* COUNT samples that stand side by side at FROM. */
static mb_status_t convert(const mb_held_source_t *source, int field, const int64_t *samples,
                           int64_t count, bool as_int, const void *from, void *to)
{
    mb_element_fault_t what;
    int64_t each = mb_shape_elements(&source->base.fields[field].shape);
    int64_t bad =
        mb_element_convert(&source->elements[field], from, count * each, as_int, to, &what);
    return bad < 0 ? MB_OK : fault(source, field, samples[bad / each], mb_element_fault_text(what));
}

/* What is converted where it is: floats, whose conversion is the copy into the batch. */
static bool reads_in_place(const mb_held_t *held, bool as_int)
{
    return !held->on_device && mb_held_is_packed(held) && held->dtype == MB_F32 && !as_int;
}

static const mb_held_t *one_of(const mb_held_source_t *source, int field, int64_t sample,
                               int64_t *at)
{
    const mb_held_run_t *run = mb_held_runs_find(&source->runs, sample);
    return run->owner == source->rank ? mb_held_find(source, field, sample, at) : NULL;
}

/* As many samples as the piece takes, brought together and converted. */
static mb_status_t read_piece(mb_held_source_t *source, int field, const int64_t *samples,
                              const char *const *remote, int64_t count, bool as_int, void *to)
{
    int64_t bytes = mb_held_bytes(&source->fields[field]);
    for (int64_t i = 0, n = 1; i < count; i += n, n = 1) {
        char *into = source->piece + i * bytes;
        if (remote != NULL && remote[i] != NULL) {
            memcpy(into, remote[i], (size_t)bytes);
            continue;
        }
        while (i + n < count && (remote == NULL || remote[i + n] == NULL))
            n++;
        MB_TRY(mb_held_bring(source, field, samples + i, n, into));
    }
    return convert(source, field, samples, count, as_int, source->piece, to);
}

static mb_status_t read_pieces(mb_held_source_t *source, int field, const int64_t *samples,
                               const char *const *remote, int64_t count, bool as_int, void *to)
{
    int64_t most = (int64_t)source->piece_bytes / mb_held_bytes(&source->fields[field]);
    int64_t out = 4 * mb_shape_elements(&source->base.fields[field].shape);
    for (int64_t i = 0; i < count; i += most) {
        int64_t n = count - i < most ? count - i : most;
        MB_TRY(read_piece(source, field, samples + i, remote == NULL ? NULL : remote + i, n, as_int,
                          (char *)to + i * out));
    }
    return MB_OK;
}

static mb_status_t read_places(mb_held_source_t *source, int field, const int64_t *samples,
                               const char *const *remote, int64_t count, bool as_int, void *to)
{
    int64_t out = 4 * mb_shape_elements(&source->base.fields[field].shape);
    for (int64_t i = 0; i < count; i++) {
        int64_t at;
        void *into = (char *)to + i * out;
        const mb_held_t *held = one_of(source, field, samples[i], &at);
        if (held != NULL && !reads_in_place(held, as_int))
            MB_TRY(read_pieces(source, field, samples + i, NULL, 1, as_int, into));
        else
            MB_TRY(convert(source, field, samples + i, 1, as_int,
                           held != NULL ? mb_held_place(held, at) : remote[i], into));
    }
    return MB_OK;
}

static mb_status_t held_read(mb_source_t *base, int field, const int64_t *samples, int64_t count,
                             bool as_int, void *to)
{
    mb_held_source_t *source = (mb_held_source_t *)base;
    const char *const *remote = NULL;
    MB_TRY(mb_source_check_indices(base, samples, count));
    if (source->asks != NULL)
        MB_TRY(mb_asks_take(source->asks, field, samples, count, &remote));
    if (source->fields[field].dtype == MB_F32 && !as_int)
        return read_places(source, field, samples, remote, count, as_int, to);
    return read_pieces(source, field, samples, remote, count, as_int, to);
}

static mb_status_t held_expect(mb_source_t *base, int field, const int64_t *samples, int64_t count)
{
    mb_held_source_t *source = (mb_held_source_t *)base;
    MB_TRY(mb_source_check_indices(base, samples, count));
    return mb_asks_expect(source->asks, field, samples, count);
}

/* Messages and devices are the opener's thread's. */
static const mb_source_class_t held_class = {sizeof(mb_source_class_t), "held", held_close,
                                             held_read, false};

mb_held_counts_t mb_source_held_counts(const mb_source_t *base)
{
    mb_held_counts_t counts = {0};
    if (base == NULL || base->class_ != &held_class)
        return counts;
    const mb_held_source_t *source = (const mb_held_source_t *)base;
    counts.copied = source->copied;
    if (source->asks != NULL) {
        counts.sent = mb_asks_bytes_sent(source->asks);
        counts.received = mb_asks_bytes_received(source->asks);
    }
    return counts;
}

static int owner_hook(void *user, int64_t sample)
{
    const mb_held_source_t *source = user;
    return mb_held_runs_find(&source->runs, sample)->owner;
}

static int64_t bytes_hook(void *user, int field)
{
    const mb_held_source_t *source = user;
    return mb_held_bytes(&source->fields[field]);
}

static mb_status_t gather_hook(void *user, int field, const int64_t *samples, int64_t count,
                               void *to)
{
    return mb_held_bring(user, field, samples, count, to);
}

static const void *place_hook(void *user, int field, int64_t sample)
{
    int64_t at;
    const mb_held_t *held = mb_held_find(user, field, sample, &at);
    return held->on_device || !mb_held_is_packed(held) ? NULL : mb_held_place(held, at);
}

static mb_status_t begin_asks(mb_held_source_t *source)
{
    const mb_asks_hooks_t hooks = {source, owner_hook, bytes_hook, gather_hook, place_hook};
    if (mb_comm_size(source->comm) == 1)
        return MB_OK;
    source->base.expect = held_expect;
    return mb_asks_create(source->comm, &hooks, &source->asks);
}

static mb_status_t fill_field(mb_held_source_t *source, int f, const mb_held_t *held)
{
    mb_held_t *field = &source->fields[f], *adopted = &source->adopted[f];
    char *name = strdup(held->name);
    if (name == NULL)
        return mb_error_memory("a name", strlen(held->name));
    *field = *held;
    field->name = name;
    *adopted = (mb_held_t){
        .name = name, .shape = held->shape, .dtype = held->dtype, .stride = mb_held_bytes(held)};
    int64_t stride = (int64_t)mb_dtype_bytes(held->dtype);
    for (int i = held->shape.rank - 1; i >= 0; i--) {
        adopted->strides[i] = stride;
        stride *= held->shape.dim[i];
    }
    source->base.fields[f] =
        (mb_field_t){.name = name,
                     .shape = held->shape,
                     .stored = held->dtype,
                     .integral = held->dtype != MB_F32 && held->dtype != MB_F64};
    source->elements[f] = (mb_element_t){.stored = held->dtype};
    mb_element_tabulate(&source->elements[f]);
    return MB_OK;
}

static mb_status_t check_device(const mb_held_t *held)
{
    if (!held->on_device || mb_held_is_packed(held))
        return MB_OK;
    return mb_error_set(MB_ERR_UNSUPPORTED,
                        "samples '%s' lie in a device's memory with gaps between their elements; "
                        "only samples may have a stride there: bring each one's elements together, "
                        "or give host memory",
                        held->name);
}

static mb_status_t fill(mb_held_source_t *source, const mb_held_options_t *options)
{
    size_t piece = PIECE_BYTES;
    bool on_device = false;
    for (int f = 0; f < options->n_fields; f++) {
        const mb_held_t *held = &options->fields[f];
        MB_TRY(check_device(held));
        MB_TRY(fill_field(source, f, held));
        on_device = on_device || held->on_device;
        piece = (size_t)mb_held_bytes(held) > piece ? (size_t)mb_held_bytes(held) : piece;
    }
    source->piece = malloc(piece);
    source->piece_bytes = piece;
    if (source->piece == NULL)
        return mb_error_memory("samples on their way", piece);
    if (on_device)
        MB_TRY(mb_held_way_open(options->device, mb_comm_local_rank(options->all), &source->way));
    source->has_way = on_device;
    return MB_OK;
}

static mb_status_t make(const mb_held_options_t *options, mb_held_source_t **out)
{
    mb_source_t *base = mb_source_allocate(&held_class, sizeof(mb_held_source_t),
                                           "the ranks' samples", options->n_fields);
    if (base == NULL)
        return mb_error_memory("a source of the ranks' samples", sizeof(mb_held_source_t));
    mb_held_source_t *source = (mb_held_source_t *)base;
    source->comm = options->comm;
    source->rank = options->comm == NULL ? -1 : mb_comm_rank(options->comm);
    mb_status_t status = fill(source, options);
    if (status == MB_OK)
        *out = source;
    else
        held_close(base);
    return status;
}

/* A checksum of one sample of all, where it is this rank's. */
static mb_status_t checksum(mb_held_source_t *source, int64_t sample, uint64_t *out)
{
    for (int f = 0; f < source->base.n_fields; f++) {
        int64_t bytes = mb_held_bytes(&source->fields[f]);
        MB_TRY(mb_held_bring(source, f, &sample, 1, source->piece));
        *out = mb_digest_add(*out, mb_crc32c(0, source->piece, (size_t)bytes));
    }
    return MB_OK;
}

/* Evenly spread samples, each looked at by its owner. */
static mb_status_t digest(mb_held_source_t *source)
{
    int64_t samples = source->base.samples;
    int64_t n = samples < DIGEST_SAMPLES ? samples : DIGEST_SAMPLES;
    int ranks = mb_comm_size(source->comm);
    uint64_t own[DIGEST_SAMPLES] = {0};
    uint64_t *all = malloc((size_t)ranks * sizeof own);
    mb_status_t status = all == NULL ? mb_error_memory("a digest of samples", sizeof own) : MB_OK;
    for (int64_t i = 0; i < n && status == MB_OK; i++) {
        int64_t sample = samples / n * i + samples % n * i / n;
        if (owner_hook(source, sample) == source->rank)
            status = checksum(source, sample, &own[i]);
    }
    status = mb_comm_agree(source->comm, status);
    if (status == MB_OK)
        status = mb_comm_allgather(source->comm, own, sizeof own, all);
    for (int f = 0; f < source->base.n_fields && status == MB_OK; f++)
        source->base.digest = mb_digest_field(source->base.digest, &source->base.fields[f],
                                              &source->elements[f], samples);
    for (int64_t i = 0; i < n && status == MB_OK; i++) {
        int64_t sample = samples / n * i + samples % n * i / n;
        source->base.digest = mb_digest_add(
            source->base.digest, all[(int64_t)owner_hook(source, sample) * DIGEST_SAMPLES + i]);
    }
    free(all);
    return status;
}

static mb_status_t connect(mb_held_source_t *source, const mb_held_options_t *options,
                           const int64_t *counts, const bool *computes)
{
    int ranks = mb_comm_size(options->all);
    MB_TRY(mb_comm_agree(options->all, mb_held_runs_make(counts, computes, ranks, &source->runs)));
    MB_TRY(mb_held_move(options, computes, source));
    source->base.samples = source->runs.samples;
    if (options->comm == NULL)
        return MB_OK;
    MB_TRY(begin_asks(source));
    MB_TRY(digest(source));
    source->copied = 0; /* what was looked at for the digest is no read */
    return MB_OK;
}

mb_status_t mb_source_hold(const mb_held_options_t *options, mb_source_t **out)
{
    mb_held_source_t *source = NULL;
    int64_t *counts = NULL;
    bool *computes = NULL;
    *out = NULL;
    mb_status_t status = mb_held_agree(options, &counts, &computes);
    if (status == MB_OK)
        status = mb_comm_agree(options->all, make(options, &source));
    if (status == MB_OK)
        status = connect(source, options, counts, computes);
    free(counts);
    free(computes);
    if (source != NULL && (status != MB_OK || options->comm == NULL))
        held_close(&source->base);
    else if (source != NULL)
        *out = &source->base;
    return status;
}
