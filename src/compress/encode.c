/* Every tensor encoded and put into use, and every encoding known to all ranks. */
#include <stdlib.h>

#include "compress/calibrate.h"
#include "store/ranks.h"

static mb_status_t encode_plainly(mb_quantization_t *q)
{
    for (int i = 0; i < q->n_targets; i++) {
        mb_target_t *target = &q->targets[i];
        if (q->passes != NULL && mb_target_wants_calibration(q, target))
            continue;
        MB_TRY(mb_target_encode(q, target, NULL));
        MB_TRY(mb_target_use(q, target));
        mb_quantization_progress(q, "encoding", i + 1, q->n_targets);
    }
    return MB_OK;
}

/* A part of the tensor from its owner to all ranks; those that do not compute with it drop it. */
static mb_status_t share_parts(mb_quantization_t *q, mb_target_t *target,
                               const mb_encoding_t *encoding, void *parts[MB_PART_COUNT])
{
    bool owner = target->owner == mb_comm_rank(q->comm);
    mb_status_t status = MB_OK;
    for (int p = 0; p < MB_PART_COUNT && status == MB_OK; p++) {
        size_t bytes = (size_t)encoding->bytes[p];
        if (bytes == 0)
            continue;
        parts[p] = owner ? target->encoded.parts[p] : malloc(bytes);
        if (parts[p] == NULL)
            status = mb_error_memory("a tensor from another rank", bytes);
    }
    MB_TRY(mb_comm_agree(q->comm, status));
    for (int p = 0; p < MB_PART_COUNT; p++) {
        if (encoding->bytes[p] > 0)
            MB_TRY(mb_comm_broadcast(q->comm, parts[p], (size_t)encoding->bytes[p], target->owner));
    }
    return MB_OK;
}

mb_status_t mb_target_share(mb_quantization_t *q, mb_target_t *target)
{
    void *parts[MB_PART_COUNT] = {NULL};
    bool owner = target->owner == mb_comm_rank(q->comm);
    mb_encoding_t encoding = target->encoded.encoding;
    MB_TRY(mb_comm_broadcast(q->comm, &encoding, sizeof encoding, target->owner));
    mb_status_t status = share_parts(q, target, &encoding, parts);
    if (owner)
        return status;
    if (status == MB_OK && target->here) {
        mb_target_forget(target);
        status = mb_encoded_adopt(&encoding, parts, &target->encoded);
        target->encoded_here = status == MB_OK;
    }
    for (int p = 0; p < MB_PART_COUNT && !target->encoded_here; p++)
        free(parts[p]);
    return status;
}

/* Each rank tells of the tensors that it owns. */
static mb_status_t exchange(mb_quantization_t *q)
{
    int rank = mb_ranks_rank(q->comm), ranks = mb_ranks_size(q->comm);
    mb_encoding_t *all = calloc((size_t)q->n_targets + 1, sizeof *all);
    mb_status_t status = all == NULL ? mb_error_memory("the tensors' encodings", 0) : MB_OK;
    MB_TRY_GOTO(mb_ranks_agree(q->comm, status), status, out);
    for (int r = 0; r < ranks && status == MB_OK; r++) {
        size_t n = 0;
        for (int i = 0; i < q->n_targets; i++) {
            if (q->targets[i].owner != r)
                continue;
            if (r == rank)
                all[n] = q->targets[i].encoded.encoding;
            n++;
        }
        if (q->comm != NULL && n > 0)
            status = mb_comm_broadcast(q->comm, all, n * sizeof *all, r);
        n = 0;
        for (int i = 0; i < q->n_targets && status == MB_OK; i++) {
            if (q->targets[i].owner == r)
                q->targets[i].encoding = all[n++];
        }
    }

out:
    free(all);
    return status;
}

mb_status_t mb_targets_encode(mb_quantization_t *q)
{
    MB_TRY(mb_ranks_agree(q->comm, encode_plainly(q)));
    if (q->passes != NULL) {
        MB_TRY(mb_engine_prepare(q->passes->engine));
        MB_TRY(mb_calibrate_and_encode(q));
    }
    return exchange(q);
}

mb_status_t mb_targets_restore(mb_quantization_t *q)
{
    for (int i = 0; i < q->n_targets; i++) {
        MB_TRY(mb_target_restore(q, &q->targets[i]));
        mb_target_forget(&q->targets[i]);
    }
    return MB_OK;
}
