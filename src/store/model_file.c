/* Opening a model file: configuration texts, the tables of weights, moments, settings and state.
 * Tensor data is left where it is; see tensors.c. */
#include "store/model_file.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "store/io.h"
#include "store/callback_numbers.h"
#include "store/keras_archive.h"
#include "store/keras_config.h"
#include "store/report_file.h"
#include "store/seal.h"
#include "store/tensors.h"
#include "store/variables.h"

static mb_status_t no_memory(void)
{
    return mb_error_set(MB_ERR_MEMORY, "out of memory while opening a model file");
}

/* Names that weight_names gives, as tensors below GROUP, or below QUANTIZED. */
static mb_status_t read_tensors(const mb_h5_reader_t *reader, hid_t group, const char *group_path,
                                const char *quantized, int *count, mb_stored_tensor_t **tensors)
{
    mb_h5_names_t names;
    bool present = false;
    MB_TRY(mb_h5_read_names(reader, group, group_path, "weight_names", &names, &present));
    if (!present)
        return mb_error_set(MB_ERR_FORMAT,
                            "'%s': '%s' has no attribute weight_names; this is not a model that "
                            "Keras saved as HDF5",
                            reader->path, group_path);
    *tensors = MB_ARENA_ARRAY(reader->arena, mb_stored_tensor_t, names.count);
    if (*tensors == NULL)
        return no_memory();
    for (int i = 0; i < names.count; i++) {
        const char *path = mb_arena_format(reader->arena, "%s/%s", group_path, names.items[i]);
        const char *encoded = mb_arena_format(reader->arena, "%s/%s", quantized, names.items[i]);
        if (path == NULL || encoded == NULL)
            return no_memory();
        MB_TRY(mb_stored_tensor_locate(reader, names.items[i], path, encoded, &(*tensors)[i]));
    }
    *count = names.count;
    return MB_OK;
}

/* The same for a group that may be missing. */
static mb_status_t read_optional(const mb_h5_reader_t *reader, const char *group_path,
                                 const char *quantized, int *count, mb_stored_tensor_t **tensors)
{
    hid_t group = H5I_INVALID_HID;
    MB_TRY(mb_h5_open_object(reader, group_path, H5I_GROUP, true, &group));
    if (group < 0)
        return MB_OK;
    mb_status_t status = read_tensors(reader, group, group_path, quantized, count, tensors);
    mb_h5_close(&group);
    return status;
}

static mb_status_t read_layer(const mb_h5_reader_t *reader, const char *base, const char *name,
                              mb_stored_layer_t *layer)
{
    const char *path = mb_arena_format(reader->arena, "%s/%s", base, name);
    if (path == NULL)
        return no_memory();
    layer->name = name;
    hid_t group = H5I_INVALID_HID;
    MB_TRY(mb_h5_open_object(reader, path, H5I_GROUP, false, &group));
    mb_status_t status =
        read_tensors(reader, group, path, "/quantized", &layer->n_weights, &layer->weights);
    mb_h5_close(&group);
    return status;
}

static mb_status_t read_layers(const mb_h5_reader_t *reader, const char *base,
                               const mb_h5_names_t *names, mb_model_file_t *file)
{
    file->layers = MB_ARENA_ARRAY(reader->arena, mb_stored_layer_t, names->count);
    if (file->layers == NULL)
        return no_memory();
    for (int i = 0; i < names->count; i++)
        MB_TRY(read_layer(reader, base, names->items[i], &file->layers[i]));
    file->n_layers = names->count;

    int n_top = 0;
    mb_stored_tensor_t *top = NULL;
    const char *path = mb_arena_format(reader->arena, "%s/top_level_model_weights", base);
    if (path == NULL)
        return no_memory();
    MB_TRY(read_optional(reader, path, "/quantized", &n_top, &top));
    if (n_top > 0)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "'%s': the model itself owns %d weights ('%s' ...), which no layer "
                            "does; put them into a layer",
                            reader->path, n_top, top[0].name);
    return MB_OK;
}

/* Keras 3's .weights.h5, or the same inside an archive. */
static mb_status_t read_variables(const mb_h5_reader_t *reader, mb_model_file_t *file)
{
    bool present = false;
    MB_TRY(mb_variables_read(reader, file, &present));
    if (present)
        return MB_OK;
    return mb_error_set(MB_ERR_FORMAT,
                        "'%s' is an HDF5 file but not a Keras model: it has neither model_weights "
                        "nor layer_names nor layers; save one with model.save('model.h5')",
                        reader->path);
}

/* A model has its weights in /model_weights, a weights file of Keras 2 in the root. */
static mb_status_t read_weights(const mb_h5_reader_t *reader, mb_model_file_t *file)
{
    const char *path = "/model_weights", *base = path;
    hid_t group = H5I_INVALID_HID;
    MB_TRY(mb_h5_open_object(reader, path, H5I_GROUP, true, &group));
    if (group < 0) {
        path = "/";
        base = "";
        MB_TRY(mb_h5_open_object(reader, path, H5I_GROUP, false, &group));
    }
    mb_h5_names_t names;
    bool present = false;
    mb_status_t status = mb_h5_read_names(reader, group, path, "layer_names", &names, &present);
    const char *version = NULL, *backend = NULL;
    if (status == MB_OK)
        status = mb_h5_read_text(reader, group, path, "keras_version", &version);
    if (status == MB_OK)
        status = mb_h5_read_text(reader, group, path, "backend", &backend);
    mb_h5_close(&group);
    MB_TRY(status);
    if (!present)
        return read_variables(reader, file);
    if (file->keras_version == NULL && version != NULL)
        file->keras_version = mb_arena_strdup(reader->arena, version);
    if (file->backend == NULL && backend != NULL)
        file->backend = mb_arena_strdup(reader->arena, backend);
    return read_layers(reader, base, &names, file);
}

static mb_status_t read_root_text(const mb_h5_reader_t *reader, hid_t root, const char *name,
                                  char **text)
{
    const char *read = NULL;
    MB_TRY(mb_h5_read_text(reader, root, "/", name, &read));
    if (read == NULL)
        return MB_OK;
    *text = mb_arena_strdup(reader->arena, read);
    return *text == NULL ? no_memory() : MB_OK;
}

static mb_status_t read_root_attributes(const mb_h5_reader_t *reader, hid_t root,
                                        mb_model_file_t *file)
{
    char *format = NULL;
    MB_TRY(read_root_text(reader, root, "model_config", &file->model_config));
    MB_TRY(read_root_text(reader, root, "training_config", &file->training_config));
    MB_TRY(read_root_text(reader, root, "keras_version", &file->keras_version));
    MB_TRY(read_root_text(reader, root, "backend", &file->backend));
    MB_TRY(read_root_text(reader, root, "mbrun_quantized", &file->quantized));
    MB_TRY(read_root_text(reader, root, "mbrun_format", &format));
    file->from_mbrun = format != NULL;
    if (format != NULL && strcmp(format, MB_MODEL_FILE_FORMAT) != 0)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "'%s' has mbrun's format '%s', this version reads '%s'; use a newer "
                            "mbrun",
                            reader->path, format, MB_MODEL_FILE_FORMAT);
    return MB_OK;
}

static mb_status_t read_root(const mb_h5_reader_t *reader, bool need_config, mb_model_file_t *file)
{
    hid_t root = H5I_INVALID_HID;
    MB_TRY(mb_h5_open_object(reader, "/", H5I_GROUP, false, &root));
    mb_status_t status = read_root_attributes(reader, root, file);
    mb_h5_close(&root);
    MB_TRY(status);
    if (need_config && file->model_config == NULL && !file->archive)
        return mb_error_set(MB_ERR_FORMAT,
                            "'%s' has no model_config: it holds at most weights; save the whole "
                            "model with model.save('model.h5'), or load these into a model with "
                            "--weights",
                            reader->path);
    return MB_OK;
}

typedef struct {
    const mb_h5_reader_t *reader;
    mb_model_file_t *file;
    int room; /* a damaged file may say of fewer attributes than HDF5 then visits */
    mb_status_t status;
} settings_walk_t;

static mb_status_t read_setting(const mb_h5_reader_t *reader, hid_t group, const char *name,
                                mb_setting_t *setting)
{
    const char *value = NULL;
    setting->key = mb_arena_strdup(reader->arena, name);
    if (setting->key == NULL)
        return no_memory();
    mb_status_t status = mb_h5_read_text(reader, group, "/mbrun/run", name, &value);
    if (status != MB_OK && status != MB_ERR_FORMAT)
        return status;
    if (status != MB_OK) {
        double number = NAN;
        MB_TRY(mb_h5_read_real(reader, group, "/mbrun/run", name, &number));
        value = mb_arena_format(reader->arena, "%.15g", number);
        if (value == NULL)
            return no_memory();
    }
    setting->value = value == NULL ? "" : value;
    return MB_OK;
}

static herr_t visit_setting(hid_t group, const char *name, const H5A_info_t *info, void *user)
{
    (void)info;
    settings_walk_t *walk = user;
    mb_model_file_t *file = walk->file;
    if (file->n_settings == walk->room)
        return -1;
    walk->status = read_setting(walk->reader, group, name, &file->settings[file->n_settings]);
    if (walk->status != MB_OK)
        return -1;
    file->n_settings++;
    return 0;
}

static mb_status_t read_settings(const mb_h5_reader_t *reader, mb_model_file_t *file)
{
    hid_t group = H5I_INVALID_HID;
    MB_TRY(mb_h5_open_object(reader, "/mbrun/run", H5I_GROUP, true, &group));
    if (group < 0)
        return MB_OK;
    settings_walk_t walk = {.reader = reader, .file = file, .status = MB_OK};
    int count = H5Aget_num_attrs(group);
    hsize_t index = 0;
    walk.room = count;
    if (count > 0)
        file->settings = MB_ARENA_ARRAY(reader->arena, mb_setting_t, count);
    if (count < 0)
        walk.status = mb_h5_error(MB_ERR_FORMAT, reader->path, "list", "/mbrun/run");
    else if (count > 0 && file->settings == NULL)
        walk.status = no_memory();
    else if (count > 0 &&
             H5Aiterate2(group, H5_INDEX_NAME, H5_ITER_INC, &index, visit_setting, &walk) < 0 &&
             walk.status == MB_OK)
        walk.status = mb_h5_error(MB_ERR_FORMAT, reader->path, "list", "/mbrun/run");
    mb_h5_close(&group);
    return walk.status;
}

/* A list of float64, not larger than what a stage may sum up. */
static int64_t metrics_in(hid_t dataset)
{
    hsize_t count = 0;
    hid_t space = H5Dget_space(dataset), type = H5Dget_type(dataset);
    bool good = space >= 0 && type >= 0 && H5Sget_simple_extent_ndims(space) == 1 &&
                H5Sget_simple_extent_dims(space, &count, NULL) == 1 &&
                H5Tequal(type, H5T_IEEE_F64LE) > 0 && count < INT32_MAX;
    if (type >= 0)
        H5Tclose(type);
    if (space >= 0)
        H5Sclose(space);
    return good ? (int64_t)count : -1;
}

static mb_status_t take_metrics(const mb_h5_reader_t *reader, hid_t dataset, mb_run_state_t *state)
{
    int64_t count = metrics_in(dataset);
    if (count > reader->bytes / (int64_t)sizeof(double))
        count = -1;
    double *values = count < 0 ? NULL : MB_ARENA_ARRAY(reader->arena, double, count);
    if (count >= 0 && values == NULL)
        return no_memory();
    if (count < 0 || H5Dread(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0)
        return mb_h5_error(MB_ERR_FORMAT, reader->path, "read", MB_STATE_METRICS);
    state->n_metrics = count;
    state->metrics = values;
    return MB_OK;
}

static mb_status_t read_metrics(const mb_h5_reader_t *reader, mb_run_state_t *state)
{
    hid_t dataset = H5I_INVALID_HID;
    MB_TRY(mb_h5_open_object(reader, MB_STATE_METRICS, H5I_DATASET, true, &dataset));
    if (dataset < 0)
        return MB_OK;
    mb_status_t status = take_metrics(reader, dataset, state);
    mb_h5_close(&dataset);
    return status;
}

static mb_status_t read_callbacks(const mb_h5_reader_t *reader, hid_t group,
                                  mb_callback_state_t *state)
{
    int64_t present = 0;
    mb_callback_numbers_t numbers = mb_callback_numbers(state);
    state->rate = NAN;
    MB_TRY(mb_h5_read_int(reader, group, "/mbrun/state", "callbacks", &present));
    state->present = present != 0;
    for (int i = 0; i < numbers.n_integers; i++)
        MB_TRY(mb_h5_read_int(reader, group, "/mbrun/state", numbers.integers[i].name,
                              numbers.integers[i].value));
    for (int i = 0; i < numbers.n_reals; i++)
        MB_TRY(mb_h5_read_real(reader, group, "/mbrun/state", numbers.reals[i].name,
                               numbers.reals[i].value));
    return MB_OK;
}

static mb_status_t read_state(const mb_h5_reader_t *reader, mb_run_state_t *state)
{
    const char *path = "/mbrun/state";
    hid_t group = H5I_INVALID_HID;
    *state = (mb_run_state_t){.best_metric = NAN, .best_step = -1};
    MB_TRY(mb_h5_open_object(reader, path, H5I_GROUP, true, &group));
    if (group < 0)
        return MB_OK;
    const struct {
        const char *name;
        int64_t *value;
    } integers[] = {
        {"step", &state->step},
        {"epoch", &state->epoch},
        {"step_in_epoch", &state->step_in_epoch},
        {"best_step", &state->best_step},
        {"iterations", &state->iterations},
        {"loss_scale_steps", &state->loss_scale_steps},
        {"skipped_steps", &state->skipped_steps},
        {"averaged", &state->averaged},
    };
    mb_status_t status = MB_OK;
    for (size_t i = 0; i < sizeof(integers) / sizeof(integers[0]) && status == MB_OK; i++)
        status = mb_h5_read_int(reader, group, path, integers[i].name, integers[i].value);
    if (status == MB_OK)
        status = mb_h5_read_real(reader, group, path, "best_metric", &state->best_metric);
    if (status == MB_OK)
        status = mb_h5_read_real(reader, group, path, "loss_scale", &state->loss_scale);
    if (status == MB_OK)
        status = read_metrics(reader, state);
    if (status == MB_OK)
        status = read_callbacks(reader, group, &state->callbacks);
    mb_h5_close(&group);
    state->present = status == MB_OK;
    return status;
}

/* A seal that cannot be found by its magic, in a file that should have one, is a broken one. */
static mb_status_t read_seal(const mb_h5_reader_t *reader, bool verified, mb_model_file_t *file)
{
    if (file->seal != MB_SEAL_NONE)
        return MB_OK;
    hid_t seal = H5I_INVALID_HID;
    MB_TRY(mb_h5_open_object(reader, "/mbrun/seal", H5I_DATASET, true, &seal));
    if (seal >= 0)
        file->seal = verified ? MB_SEAL_BROKEN : MB_SEAL_HOLDS;
    else if (file->from_mbrun)
        file->seal = MB_SEAL_BROKEN;
    mb_h5_close(&seal);
    return MB_OK;
}

static mb_status_t read_all(const mb_h5_reader_t *reader, bool need_config, bool verified,
                            mb_model_file_t *file)
{
    MB_TRY(read_root(reader, need_config, file));
    MB_TRY(read_weights(reader, file));
    MB_TRY(read_optional(reader, "/optimizer_weights", "/quantized/optimizer", &file->n_optimizer,
                         &file->optimizer));
    MB_TRY(read_optional(reader, "/mbrun/optimizer", "/quantized/optimizer", &file->n_moments,
                         &file->moments));
    MB_TRY(read_optional(reader, "/mbrun/states", "/quantized/states", &file->n_states,
                         &file->states));
    MB_TRY(read_settings(reader, file));
    MB_TRY(mb_report_read(reader, &file->report));
    MB_TRY(read_state(reader, &file->state));
    return file->archive ? MB_OK : read_seal(reader, verified, file);
}

/* The optimizer's second variable is its learning rate, unless it follows a schedule; that of a
 * LossScaleOptimizer stands for nothing, but its inner optimizer's for it. */
static mb_status_t read_rate(const mb_model_file_t *file, double *rate)
{
    float value = NAN;
    const mb_stored_variable_t *variable =
        mb_variables_find(file, "optimizer/inner_optimizer/vars/1");
    if (variable == NULL)
        variable = mb_variables_find(file, "optimizer/vars/1");
    if (variable != NULL && variable->tensor.shape.rank == 0)
        MB_TRY(mb_stored_tensor_read(file, &variable->tensor, &value));
    *rate = (double)value;
    return MB_OK;
}

/* The texts of an archive, as an HDF5 file has them. */
static mb_status_t take_config(const mb_keras_archive_t *archive, mb_model_file_t *file)
{
    const mb_model_source_t *source = file->private_;
    double rate = NAN;
    MB_TRY(read_rate(file, &rate));
    if (archive->keras_version != NULL)
        file->keras_version = archive->keras_version;
    return mb_keras_config_split(archive->config, file->path, rate, source->arena,
                                 &file->model_config, &file->training_config);
}

/* HDF5 says "truncated file: eof = 100, sblock->base_addr = 0, stored_eof = 2000". */
static mb_status_t refuse_opening(const char *path)
{
    char reason[512];
    mb_h5_reason(reason, sizeof(reason));
    unsigned long long found = 0, base = 0, expected = 0;
    if (sscanf(reason, "truncated file: eof = %llu, sblock->base_addr = %llu, stored_eof = %llu",
               &found, &base, &expected) == 3)
        return mb_error_set(MB_ERR_FORMAT,
                            "'%s' is truncated: %llu of %llu bytes are there; copy it again", path,
                            found, expected);
    return mb_error_set(MB_ERR_FORMAT,
                        "'%s' cannot be opened as HDF5: it is damaged or cut off; copy it again "
                        "(HDF5: %s)",
                        path, reason);
}

/* What the first bytes say about a file that HDF5 does not take. */
static mb_status_t refuse_not_hdf5(int fd, int64_t bytes, const char *path)
{
    static const unsigned char signature[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
    unsigned char start[8] = {0};
    if (bytes == 0)
        return mb_error_set(MB_ERR_FORMAT, "'%s' is empty; copy or save it again", path);
    MB_TRY(mb_io_read(fd, start, bytes < 8 ? (size_t)bytes : 8, 0, path));
    if (memcmp(start, signature, sizeof start) == 0) /* HDF5 could not look at it */
        return refuse_opening(path);
    return mb_error_set(MB_ERR_FORMAT,
                        "'%s' is not an HDF5 file; give a model saved with model.save('model.h5')",
                        path);
}

/* Locks are not needed for files that are replaced as a whole, and fail on some file systems. */
static mb_status_t open_quietly(const char *path, const mb_h5_part_t *part, hid_t *held,
                                hid_t *file)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    if (access < 0)
        return refuse_opening(path);
#if H5_VERSION_GE(1, 10, 7) && !(H5_VERS_MINOR == 12 && H5_VERS_RELEASE == 0)
    H5Pset_file_locking(access, false, true);
#endif
    if (part == NULL || mb_h5_part_use(part, access, held))
        *file = H5Fopen(path, H5F_ACC_RDONLY, access);
    mb_status_t status = *file < 0 ? refuse_opening(path) : MB_OK;
    H5Pclose(access); /* HDF5 forgets its reason there */
    return status;
}

static mb_status_t open_source(mb_model_file_t *file, mb_model_source_t *source)
{
    if (!file->archive && H5Fis_hdf5(file->path) <= 0)
        return refuse_not_hdf5(source->fd, source->bytes, file->path);
    return open_quietly(file->path, file->archive ? &source->part : NULL, &source->held,
                        &source->file);
}

static mb_status_t enter_hdf5(mb_model_file_t *file, bool need_config, bool verify_seal)
{
    mb_model_source_t *source = file->private_;
    mb_h5_quiet_t quiet;
    const char *before = mb_h5_work_on(file->path);
    mb_h5_quiet_begin(&quiet);
    mb_status_t status = open_source(file, source);
    if (status == MB_OK) {
        const mb_h5_reader_t reader = {file->path, source->file, source->bytes, source->arena,
                                       file->archive ? &source->part : NULL};
        status = read_all(&reader, need_config, verify_seal, file);
    }
    mb_h5_quiet_end(&quiet);
    mb_h5_work_on(before);
    return status;
}

static mb_status_t open_archive(mb_model_file_t *file, bool verify)
{
    mb_model_source_t *source = file->private_;
    mb_keras_archive_t archive;
    file->archive = true;
    file->seal = MB_SEAL_HOLDS;
    mb_status_t status = mb_keras_archive_open(source->fd, source->bytes, file->path, verify,
                                               source->arena, &archive);
    source->unpacked = archive.unpacked;
    MB_TRY(status);
    source->part = archive.weights;
    source->bytes = archive.weights.bytes;
    MB_TRY(enter_hdf5(file, true, verify));
    return take_config(&archive, file);
}

static mb_status_t open_file(mb_model_file_t *file, bool need_config, bool verify_seal)
{
    mb_model_source_t *source = file->private_;
    unsigned char start[4] = {0};
    MB_TRY(mb_io_open_read(file->path, &source->fd, &source->bytes));
    if (source->bytes >= (int64_t)sizeof start)
        MB_TRY(mb_io_read(source->fd, start, sizeof start, 0, file->path));
    if (mb_zip_begins(start, sizeof start))
        return open_archive(file, verify_seal);
    if (verify_seal)
        MB_TRY(mb_seal_check(source->fd, source->bytes, file->path, true, &file->seal, NULL));
    mb_status_t status = enter_hdf5(file, need_config, verify_seal);
    if (status != MB_OK && status != MB_ERR_MEMORY && file->seal == MB_SEAL_BROKEN)
        return mb_error_set(status,
                            "the checksums in '%s' do not hold; copy it again. It cannot be "
                            "read: %s",
                            file->path, mb_error_get());
    return status;
}

mb_status_t mb_model_file_open(const char *path, bool need_config, bool verify_seal,
                               mb_model_file_t **out)
{
    mb_model_file_t *file = calloc(1, sizeof(*file));
    mb_model_source_t *source = calloc(1, sizeof(*source));
    mb_arena_t *arena = mb_arena_create();
    if (file == NULL || source == NULL || arena == NULL) {
        free(file);
        free(source);
        mb_arena_destroy(arena);
        return no_memory();
    }
    *source = (mb_model_source_t){
        .arena = arena, .file = H5I_INVALID_HID, .held = H5I_INVALID_HID, .fd = -1, .unpacked = -1};
    file->private_ = source;
    file->path = mb_arena_strdup(arena, path);
    mb_status_t status =
        file->path == NULL ? no_memory() : open_file(file, need_config, verify_seal);
    if (status != MB_OK) {
        mb_model_file_close(file);
        return status;
    }
    *out = file;
    return MB_OK;
}

void mb_model_file_close(mb_model_file_t *file)
{
    if (file == NULL)
        return;
    mb_model_source_t *source = file->private_;
    mb_h5_quiet_t quiet;
    const char *before = mb_h5_work_on(file->path);
    mb_h5_quiet_begin(&quiet);
    if (source->file >= 0)
        H5Fclose(source->file);
    mb_h5_part_leave(source->held);
    mb_h5_quiet_end(&quiet);
    mb_h5_work_on(before);
    if (source->unpacked >= 0)
        close(source->unpacked);
    if (source->fd >= 0)
        close(source->fd);
    mb_arena_destroy(source->arena);
    free(source);
    free(file);
}

mb_arena_t *mb_model_file_arena(const mb_model_file_t *file)
{
    return ((const mb_model_source_t *)file->private_)->arena;
}

const char *mb_model_file_setting(const mb_model_file_t *file, const char *key)
{
    for (int i = 0; i < file->n_settings; i++) {
        if (strcmp(file->settings[i].key, key) == 0)
            return file->settings[i].value;
    }
    return NULL;
}
