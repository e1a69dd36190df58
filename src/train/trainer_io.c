/* How checkpoints reach the disk: the settings `io` and `io-hints`, and what the file system of the
 * run's directory asks for. */
#include <string.h>

#include "base/str.h"
#include "store/filesystem.h"
#include "store/h5_image.h"
#include "train/trainer_private.h"

static mb_status_t check_mpi(const mb_training_t *trainer)
{
    if (!trainer->io.mpi_io)
        return MB_OK;
    if (mb_comm_rests_elsewhere(trainer->comm))
        return mb_error_set(MB_ERR_ARGUMENT,
                            "--io mpi-io: several models on the same ranks would wait for each "
                            "other in MPI; use --io posix");
    const char *mode = mb_settings_text(trainer->settings, MB_SET_CHECKPOINT_MODE);
    if (strcmp(mode, "async") == 0 &&
        trainer->settings->origin[MB_SET_CHECKPOINT_MODE] != MB_FROM_DEFAULT)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "--checkpoint-mode async: MPI-IO is entered by the thread that trains, "
                            "so steps wait for a checkpoint; leave that out, or use --io posix");
    return MB_OK;
}

static bool names_stripes(const mb_training_t *trainer)
{
    return trainer->io.striping_unit > 0 || trainer->io.striping_factor != 0;
}

/* A file's stripes are those of its directory, unless it is made with others. */
static mb_status_t take_stripes(const mb_training_t *trainer, const mb_filesystem_t *system)
{
    if (!names_stripes(trainer) || !system->stripes || mb_comm_rank(trainer->comm) != 0)
        return MB_OK;
    return mb_filesystem_stripe(mb_run_dir_path(trainer->dir), trainer->io.striping_unit,
                                trainer->io.striping_factor);
}

static void take_align(mb_training_t *trainer, const mb_filesystem_t *system)
{
    mb_io_options_t *io = &trainer->io;
    if (io->align < 0 && io->striping_unit > 0 && system->stripes)
        io->align = io->striping_unit;
    if (io->align < 0)
        io->align = system->align;
}

static void note_io(mb_training_t *trainer, const mb_filesystem_t *system)
{
    char size[32], large[32];
    const mb_io_options_t *io = &trainer->io;
    if (io->mpi_io)
        mb_training_note(trainer, "checkpoints are written by MPI-IO: steps wait for them");
    if (io->align > 0)
        mb_training_note(trainer,
                         "the run's directory is on %s: in checkpoints tensors begin on pages of "
                         "their own, those of %s and more on multiples of %s",
                         system->name != NULL ? system->name : "a local file system",
                         mb_str_bytes((double)io->align * MB_SPREAD_LARGE, large, sizeof large),
                         mb_str_bytes((double)io->align, size, sizeof size));
    if (names_stripes(trainer) && !system->stripes)
        mb_training_note(
            trainer,
            "io-hints: striping_unit and striping_factor are for Lustre, and the run's "
            "directory is on %s: they change nothing there",
            system->name != NULL ? system->name : "another file system");
}

/* Not collective. */
static mb_status_t take(mb_training_t *trainer)
{
    mb_filesystem_t system = {NULL, false, 0};
    const mb_settings_t *settings = trainer->settings;
    MB_TRY(mb_io_options_read(mb_settings_text(settings, MB_SET_IO),
                              mb_settings_text(settings, MB_SET_IO_HINTS), &trainer->io));
    MB_TRY(check_mpi(trainer));
    if (trainer->dir != NULL)
        MB_TRY(mb_filesystem_at(mb_run_dir_path(trainer->dir), &system));
    MB_TRY(take_stripes(trainer, &system));
    take_align(trainer, &system);
    note_io(trainer, &system);
    return MB_OK;
}

mb_status_t mb_training_take_io(mb_training_t *trainer)
{
    return mb_comm_agree(trainer->comm, take(trainer));
}

void mb_training_tell_hints(mb_training_t *trainer)
{
    char *untaken = trainer->io.untaken;
    if (untaken[0] == '\0' || trainer->told_hints)
        return;
    mb_log(
        trainer->options.log, MB_LOG_WARNING,
        "io-hints: this MPI-IO takes no %s: it changes nothing (doc/filesystems.md says who reads "
        "which hint; this is said once)",
        untaken);
    trainer->told_hints = true;
}
