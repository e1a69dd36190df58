/* See probe.h. The child opens every object and attribute, and reads no data. */
#define _GNU_SOURCE
#include "cli/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "data/paths.h"
#include "store/io.h"
#include "store/keras_archive.h"
#include "store/model_file.h"

enum { LIMIT_SECONDS = 30, PATH_TEXT = 4096, N_RECORDED = 3 };

static const mb_setting_id_t recorded_ids[N_RECORDED] = {MB_SET_DATA, MB_SET_VAL, MB_SET_WEIGHTS};

typedef struct {
    char path[N_RECORDED][PATH_TEXT];
} recorded_t;

static herr_t look_at_attribute(hid_t object, const char *name, const H5A_info_t *info, void *user)
{
    (void)object, (void)name, (void)info, (void)user;
    return 0;
}

static void look_at_dataset(hid_t dataset)
{
    H5Tclose(H5Dget_type(dataset));
    H5Sclose(H5Dget_space(dataset));
    H5Pclose(H5Dget_create_plist(dataset));
    H5Dget_storage_size(dataset);
}

static herr_t look_at_object(hid_t root, const char *name, const H5O_info_t *info, void *user)
{
    (void)user;
    hid_t object = H5Oopen(root, name, H5P_DEFAULT);
    if (object < 0)
        return 0;
    H5Aiterate2(object, H5_INDEX_NAME, H5_ITER_NATIVE, NULL, look_at_attribute, NULL);
    if (info->type == H5O_TYPE_DATASET)
        look_at_dataset(object);
    H5Oclose(object);
    return 0;
}

/* PART: NULL, or the stretch of an archive that is to be looked at. */
static void look_at_hdf5(const char *path, const mb_h5_part_t *part)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS), held = H5I_INVALID_HID;
#if H5_VERSION_GE(1, 10, 7)
    H5Pset_file_locking(access, 1, 1);
#endif
    bool is_hdf5 = part != NULL ? mb_h5_part_use(part, access, &held) : H5Fis_hdf5(path) > 0;
    hid_t file = is_hdf5 ? H5Fopen(path, H5F_ACC_RDONLY, access) : H5I_INVALID_HID;
    if (file >= 0) {
        H5Ovisit(file, H5_INDEX_NAME, H5_ITER_NATIVE, look_at_object, NULL);
        H5Fclose(file);
    }
    H5Pclose(access);
    mb_h5_part_leave(held);
}

static void look_at_archive(const char *path)
{
    mb_keras_archive_t archive;
    int64_t bytes = 0;
    int fd = -1;
    mb_arena_t *arena = mb_arena_create();
    if (arena != NULL && mb_io_open_read(path, &fd, &bytes) == MB_OK &&
        mb_keras_archive_open(fd, bytes, path, false, arena, &archive) == MB_OK)
        look_at_hdf5(path, &archive.weights);
}

/* The data and weights that `mbrun configure` recorded in a model. */
static void note_recorded(const char *model, recorded_t *recorded)
{
    mb_model_file_t *file = NULL;
    if (mb_model_file_open(model, false, false, &file) != MB_OK)
        return;
    for (int i = 0; i < N_RECORDED; i++) {
        const char *path = mb_model_file_setting(file, mb_setting_info(recorded_ids[i])->key);
        if (path != NULL)
            snprintf(recorded->path[i], PATH_TEXT, "%s", path);
    }
    mb_model_file_close(file);
}

static const int deadly[] = {SIGSEGV, SIGBUS, SIGFPE, SIGABRT, SIGALRM};

/* What HDF5 says goes nowhere, a crash leaves no core, and _exit runs none of its handlers. */
static void be_child(const char *path, bool archive, recorded_t *recorded)
{
    int nowhere = open("/dev/null", O_RDWR);
    struct rlimit no_core = {0, 0};
    dup2(nowhere, STDOUT_FILENO);
    dup2(nowhere, STDERR_FILENO);
    setrlimit(RLIMIT_CORE, &no_core);
    for (size_t i = 0; i < sizeof deadly / sizeof deadly[0]; i++)
        signal(deadly[i], SIG_DFL);
    alarm(LIMIT_SECONDS);
    if (archive)
        look_at_archive(path);
    else
        look_at_hdf5(path, NULL);
    if (recorded != NULL)
        note_recorded(path, recorded);
    _exit(0);
}

/* RECORDED: memory that the child shares; NULL: PATH is no model. */
static mb_status_t probe_file(const char *path, recorded_t *recorded)
{
    int status = 0;
    bool archive = false;
    if (path == NULL || path[0] == '\0' || access(path, R_OK) != 0)
        return MB_OK;
    MB_TRY(mb_keras_archive_check(path, &archive));
    pid_t child = fork();
    if (child == 0)
        be_child(path, archive, recorded);
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    if (child < 0 || status == 0)
        return MB_OK;
    bool endless = WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM;
    return mb_error_set(
        MB_ERR_FORMAT,
        "'%s' is damaged or cut off: HDF5 %s over its structure; copy or save it again", path,
        endless ? "does not come to an end" : "stumbles");
}

/* One of several files, or of those that a pattern stands for. What is wrong with the names is said
 * where the data is opened. */
static mb_status_t probe_data(const char *names)
{
    mb_paths_t paths;
    mb_status_t status = MB_OK;
    if (names[0] == '\0' || mb_paths_expand(names, &paths) != MB_OK)
        return MB_OK;
    for (int i = 0; i < paths.n && status == MB_OK; i++)
        status = probe_file(paths.path[i], NULL);
    mb_paths_free(&paths);
    return status;
}

/* A file, and what it names where the command line names nothing else. */
static mb_status_t probe_word(const mb_args_t *args, const char *word, recorded_t *recorded)
{
    *recorded = (recorded_t){0};
    MB_TRY(probe_file(word, recorded));
    for (int i = 0; i < N_RECORDED && args->settings != NULL; i++) {
        if (mb_settings_text(args->settings, recorded_ids[i]) == NULL)
            MB_TRY(probe_data(recorded->path[i]));
    }
    return MB_OK;
}

/* Data is looked at by a child of its own: what a damaged file does depends on what was read
 * before. */
static mb_status_t probe_all(const mb_args_t *args, recorded_t *recorded)
{
    for (int i = 0; i < args->n_words; i++)
        MB_TRY(probe_word(args, args->words[i], recorded));
    for (int i = 0; i < N_RECORDED && args->settings != NULL; i++) {
        const char *given = mb_settings_text(args->settings, recorded_ids[i]);
        MB_TRY(probe_data(given != NULL ? given : ""));
    }
    return MB_OK;
}

mb_status_t mb_probe(const mb_args_t *args)
{
    recorded_t *recorded =
        mmap(NULL, sizeof *recorded, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (recorded == MAP_FAILED)
        return mb_error_memory("a look at the files", sizeof *recorded);
    mb_status_t status = probe_all(args, recorded);
    munmap(recorded, sizeof *recorded);
    return status;
}
