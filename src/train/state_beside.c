/* A file of the state that is written while training goes on: see state.h. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/background.h"
#include "train/state_private.h"

struct mb_state_saving {
    mb_state_t state;
    char *path;
    mb_state_writer_t writer;
    mb_checkpoint_file_t *file;
    double copy_seconds; /* written before COPIED */
    atomic_bool copied;
};

static mb_status_t make(const mb_state_t *state, const char *path, const mb_snapshot_t *snapshot,
                        mb_state_saving_t **out)
{
    mb_state_saving_t *saving = calloc(1, sizeof *saving);
    *out = saving;
    if (saving == NULL)
        return mb_error_memory("a checkpoint", sizeof *saving);
    saving->path = strdup(path);
    if (saving->path == NULL)
        return mb_error_memory("a path", strlen(path));
    saving->state = *state;
    saving->writer =
        (mb_state_writer_t){.state = &saving->state, .path = saving->path, .snapshot = snapshot};
    return MB_OK;
}

mb_status_t mb_state_begin(const mb_state_t *state, const char *path, const mb_snapshot_t *snapshot,
                           mb_state_saving_t **out)
{
    mb_comm_t *comm = state->engine->machine->comm;
    mb_state_saving_t *saving;
    mb_status_t status = mb_comm_agree(comm, make(state, path, snapshot, &saving));
    if (status == MB_OK)
        status = mb_state_prepare(&saving->writer);
    if (status == MB_OK)
        status = mb_checkpoint_begin(comm, saving->path, &saving->writer.layout,
                                     saving->writer.pieces, saving->writer.n_pieces, &saving->file);
    if (status != MB_OK) {
        mb_state_end(saving);
        return status;
    }
    atomic_store(&saving->copied, saving->writer.n_copies == 0);
    *out = saving;
    return MB_OK;
}

/* At full speed, since the next update waits for it; the rest is in no hurry. */
mb_status_t mb_state_put(mb_state_saving_t *saving)
{
    const mb_state_writer_t *writer = &saving->writer;
    double begun = mb_time_seconds();
    for (int i = 0; i < writer->n_copies; i++)
        memcpy(writer->copies[i].to, writer->copies[i].from, writer->copies[i].bytes);
    saving->copy_seconds = mb_time_seconds() - begun;
    atomic_store(&saving->copied, true);
    mb_background_give_way();
    return mb_checkpoint_put(saving->file);
}

bool mb_state_is_copied(const mb_state_saving_t *saving)
{
    return atomic_load(&saving->copied);
}

void mb_state_cancel(mb_state_saving_t *saving)
{
    mb_checkpoint_cancel(saving->file);
}

void mb_state_pace(mb_state_saving_t *saving, double seconds)
{
    mb_checkpoint_pace(saving->file, seconds);
}

void mb_state_hurry(mb_state_saving_t *saving)
{
    mb_checkpoint_hurry(saving->file);
}

double mb_state_rested(const mb_state_saving_t *saving)
{
    return mb_checkpoint_rested(saving->file);
}

mb_status_t mb_state_gather(mb_state_saving_t *saving)
{
    return mb_checkpoint_gather(saving->file);
}

mb_status_t mb_state_commit(mb_state_saving_t *saving)
{
    return mb_checkpoint_commit(saving->file);
}

void mb_state_end(mb_state_saving_t *saving)
{
    if (saving == NULL)
        return;
    mb_checkpoint_end(saving->file);
    mb_state_clear(&saving->writer);
    free(saving->path);
    free(saving);
}

double mb_state_copy_seconds(const mb_state_saving_t *saving)
{
    return mb_state_is_copied(saving) ? saving->copy_seconds : 0;
}
