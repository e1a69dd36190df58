/* mbrun info: versions, devices, and what this build has. */
#include <hdf5.h>
#include <mpi.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "cli/command.h"
#include "cli/say.h"
#include "config.h"
#include "device/device.h"
#include "model/known.h"

/* By the keys of the JSON. */
static const struct {
    const char *key;
    const mb_known_t *names;
} groups[] = {
    {"layers", &mb_known_layers},
    {"operations", &mb_known_operators},
    {"activations", &mb_known_activations},
    {"initializers", &mb_known_initializers},
    {"regularizers", &mb_known_regularizers},
    {"constraints", &mb_known_constraints},
    {"losses", &mb_known_losses},
    {"metrics", &mb_known_metrics},
    {"optimizers", &mb_known_optimizers},
    {"schedules", &mb_known_schedules},
    {"lr_schedules", &mb_known_lr_schedules},
};
#define N_GROUPS (sizeof groups / sizeof groups[0])

typedef struct {
    char mpi[MPI_MAX_LIBRARY_VERSION_STRING];
    char hdf5[32], device[192], signature[192], plugin[256];
    mb_inventory_t gpus;
} facts_t;

/* Why there is no GPU to use is an answer as well. */
static void list_gpus(facts_t *facts)
{
    mb_inventory_t *gpus = &facts->gpus;
    facts->plugin[0] = '\0';
    if (mb_device_inventory("cuda", gpus) != MB_OK) {
        gpus->count = 0;
        snprintf(gpus->absent, sizeof gpus->absent, "%.191s", mb_error_get());
    }
    if (gpus->built[0] == '\0')
        return;
    snprintf(facts->plugin, sizeof facts->plugin, "%s, runtime %d.%d, driver %d.%d", gpus->built,
             gpus->runtime / 1000, gpus->runtime % 1000 / 10, gpus->driver / 1000,
             gpus->driver % 1000 / 10);
}

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
    list_gpus(facts);
    return MB_OK;
}

#define LINE_COLUMNS 96
#define LABEL "%-15s"

static size_t count_of(const mb_known_t *known)
{
    size_t count = 0;
    while (known->name(count) != NULL)
        count++;
    return count;
}

/* How many of each, wrapped behind one label, and where they are listed. */
static void print_known(void)
{
    int column = printf(LABEL, "Keras");
    for (size_t g = 0; g < N_GROUPS; g++) {
        char words[64];
        int length = snprintf(words, sizeof words, "%zu %s%s", count_of(groups[g].names),
                              groups[g].names->all, g + 1 < N_GROUPS ? ", " : "");
        if (column + length > LINE_COLUMNS)
            column = printf("\n" LABEL, "") - 1;
        column += printf("%s", words);
    }
    const char *list = MB_DOC_FOLDER "/keras.md";
    printf("\n" LABEL "listed, with the keys that are obeyed, in %s\n", "",
           access(list, R_OK) == 0 ? list : "doc/keras.md of the sources");
}

/* "0: NVIDIA H200, compute capability 9.0, 139.8 GiB, at 0000:1b:00.0, reaches 1 2" */
static void print_gpu(int index, const mb_card_t *card)
{
    char bytes[32];
    mb_str_bytes((double)card->memory_bytes, bytes, sizeof bytes);
    printf(LABEL "%d: %s, compute capability %d.%d, %s, at %s", index == 0 ? "GPU" : "", index,
           card->name, card->major, card->minor, bytes, card->bus);
    for (int other = 0; other < MB_MOST_CARDS; other++)
        if (card->reaches >> other & 1)
            printf("%s %d", card->reaches & ((1u << other) - 1) ? "" : ", reaches", other);
    printf("\n");
}

static void print_gpus(const facts_t *facts)
{
    if (facts->plugin[0] != '\0')
        printf(LABEL "%s\n", "GPU plugin", facts->plugin);
    if (facts->gpus.count == 0)
        printf(LABEL "none: %s\n", "GPU", facts->gpus.absent);
    for (int i = 0; i < facts->gpus.count; i++)
        print_gpu(i, &facts->gpus.cards[i]);
}

static void print_text(const facts_t *facts)
{
    printf("mbrun %s\n", VERSION);
    printf(LABEL "%s, %s\n", "build", MB_BUILD_COMPILER, MB_BUILD_CFLAGS);
    printf(LABEL "%s\n", "MPI", facts->mpi);
    printf(LABEL "%s\n", "HDF5", facts->hdf5);
    printf(LABEL "%s\n", "jansson", jansson_version_str());
    printf(LABEL "%s\n", "device", facts->device);
    printf(LABEL "%s\n", "bits", facts->signature);
    printf(LABEL "%s\n", "CUDA", MB_BUILD_CUDA);
    print_gpus(facts);
    print_known();
}

static json_t *words_json(const mb_known_t *known)
{
    json_t *list = json_array();
    for (size_t i = 0; known->name(i) != NULL; i++)
        json_array_append_new(list, json_string(known->name(i)));
    return list;
}

static json_t *gpu_json(int index, const mb_card_t *card)
{
    json_t *reaches = json_array();
    for (int other = 0; other < MB_MOST_CARDS; other++)
        if (card->reaches >> other & 1)
            json_array_append_new(reaches, json_integer(other));
    return json_pack("{s:i, s:s, s:[i, i], s:I, s:s, s:o}", "index", index, "name", card->name,
                     "compute_capability", card->major, card->minor, "memory_bytes",
                     (json_int_t)card->memory_bytes, "bus", card->bus, "reaches", reaches);
}

/* {"cards": [...], "driver": 13000, "runtime": 13000, "built": "...", "absent": "..."} */
static json_t *gpus_json(const mb_inventory_t *gpus)
{
    json_t *cards = json_array();
    for (int i = 0; i < gpus->count; i++)
        json_array_append_new(cards, gpu_json(i, &gpus->cards[i]));
    return json_pack("{s:o, s:i, s:i, s:s, s:s}", "cards", cards, "driver", gpus->driver, "runtime",
                     gpus->runtime, "built", gpus->built, "absent", gpus->absent);
}

static mb_status_t print_json(const facts_t *facts)
{
    json_t *object =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o}", "version", VERSION, "compiler",
                  MB_BUILD_COMPILER, "cflags", MB_BUILD_CFLAGS, "mpi", facts->mpi, "hdf5",
                  facts->hdf5, "device", facts->device, "bits", facts->signature, "cuda",
                  MB_BUILD_CUDA, "gpu", gpus_json(&facts->gpus));
    for (size_t g = 0; g < N_GROUPS; g++)
        json_object_set_new(object, groups[g].key, words_json(groups[g].names));
    return mb_say_json(object);
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
