/* mbrun info: versions, devices, and what this build has. */
#include <hdf5.h>
#include <mpi.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/say.h"
#include "config.h"
#include "device/device.h"
#include "model/layer.h"
#include "model/losses/class.h"
#include "model/optimizers/class.h"

static const char *const optimizers[] = {"sgd", "rmsprop", "adam", "adamw", NULL};
static const mb_loss_class_t *const losses[] = {
    &mb_loss_sparse_crossentropy, &mb_loss_categorical_crossentropy, &mb_loss_binary_crossentropy,
    &mb_loss_squared_error, &mb_loss_absolute_error};
#define N_LOSSES (sizeof losses / sizeof losses[0])

typedef struct {
    char mpi[MPI_MAX_LIBRARY_VERSION_STRING];
    char hdf5[32], device[192], signature[192];
} facts_t;

static mb_status_t gather(facts_t *facts)
{
    unsigned major = 0, minor = 0, release = 0;
    int length = 0;
    mb_device_t *device = NULL;
    mb_device_options_t options = {.size = sizeof options};
    MPI_Get_library_version(facts->mpi, &length);
    facts->mpi[strcspn(facts->mpi, ",\n")] = '\0';
    H5get_libversion(&major, &minor, &release);
    snprintf(facts->hdf5, sizeof facts->hdf5, "%u.%u.%u", major, minor, release);
    MB_TRY(mb_device_open(NULL, &options, &device));
    device->class_->describe(device, facts->device, sizeof facts->device);
    device->class_->signature(device, facts->signature, sizeof facts->signature);
    mb_device_close(device);
    return MB_OK;
}

#define LINE_COLUMNS 96

/* Words behind a label, wrapped. */
static void print_words(const char *label, const char *const *words)
{
    int column = printf("%-12s", label);
    for (size_t i = 0; words[i] != NULL; i++) {
        if (column + (int)strlen(words[i]) + 2 > LINE_COLUMNS)
            column = printf("\n%-12s", "") - 1;
        column += printf("%s%s", words[i], words[i + 1] == NULL ? "" : ", ");
    }
    printf("\n");
}

static void loss_names(const char *names[N_LOSSES + 1])
{
    for (size_t i = 0; i < N_LOSSES; i++)
        names[i] = losses[i]->names[0];
    names[N_LOSSES] = NULL;
}

static void print_text(const facts_t *facts)
{
    const char *names[N_LOSSES + 1];
    loss_names(names);
    printf("mbrun %s\n", VERSION);
    printf("%-12s%s, %s\n", "build", MB_BUILD_COMPILER, MB_BUILD_CFLAGS);
    printf("%-12s%s\n", "MPI", facts->mpi);
    printf("%-12s%s\n", "HDF5", facts->hdf5);
    printf("%-12s%s\n", "jansson", jansson_version_str());
    printf("%-12s%s\n", "device", facts->device);
    printf("%-12s%s\n", "bits", facts->signature);
    printf("%-12s%s\n", "CUDA", MB_BUILD_CUDA);
    print_words("layers", mb_layer_class_names());
    print_words("losses", names);
    print_words("optimizers", optimizers);
}

static json_t *words_json(const char *const *words)
{
    json_t *list = json_array();
    for (size_t i = 0; words[i] != NULL; i++)
        json_array_append_new(list, json_string(words[i]));
    return list;
}

static mb_status_t print_json(const facts_t *facts)
{
    const char *names[N_LOSSES + 1];
    loss_names(names);
    return mb_say_json(json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o}",
                                 "version", VERSION, "compiler", MB_BUILD_COMPILER, "cflags",
                                 MB_BUILD_CFLAGS, "mpi", facts->mpi, "hdf5", facts->hdf5, "device",
                                 facts->device, "bits", facts->signature, "cuda", MB_BUILD_CUDA,
                                 "layers", words_json(mb_layer_class_names()), "losses",
                                 words_json(names), "optimizers", words_json(optimizers)));
}

static int run_info(const mb_args_t *args)
{
    facts_t facts;
    mb_status_t status = gather(&facts);
    if (status == MB_OK && mb_args_has(args, "json"))
        status = print_json(&facts);
    else if (status == MB_OK)
        print_text(&facts);
    return mb_say_end(status);
}

static const mb_flag_t flags[] = {{"json", '\0', NULL, "one JSON object on stdout instead of text"},
                                  {.name = NULL}};

const mb_command_t mb_command_info = {
    .name = "info",
    .usage = "[--json]",
    .title = "Show versions, devices, and what this build has",
    .detail =
        "\"bits\" is what the bits of a result depend on: they are the same wherever it is.\n",
    .flags = flags,
    .words = "nothing",
    .run = run_info};
