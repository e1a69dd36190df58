/* Images by class. Each is decoded when it is asked for, by as many threads as the caller may use
 * cores; the prefetcher asks for batches ahead of the training. Where the training computes on the
 * same cores, decoding ahead costs it what it takes; so what there is memory for is kept. */
#define _POSIX_C_SOURCE 200809L
#include "data/extent.h"
#include "data/image_cache.h"
#include "data/image_folder.h"
#include "data/internal.h"
#include "data/pool.h"
#include "data/resize.h"

#include "base/philox.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LARGEST_FILE (INT64_C(1) << 30)
enum { SPREAD = 16 }; /* images whose contents the digest knows */

/* What one thread works with. */
typedef struct {
    mb_image_buffer_t file, columns, floats;
    mb_image_t image;
} desk_t;

typedef struct {
    mb_source_t base;
    mb_image_folder_t folder;
    mb_image_size_t size;
    int64_t cache_bytes;
    mb_image_cache_t *cache; /* of the numbers that were asked for first: floats or integers */
    bool cache_as_int;
    bool exact; /* no image may be resized: bytes keep their values */
    pthread_mutex_t reading;
    mb_pool_t *pool; /* made when the first image is asked for */
    desk_t *desks;
    int n_desks;
} images_t;

typedef struct {
    images_t *images;
    const int64_t *indices;
    bool as_int;
    char *to;
} reading_t;

static void free_desks(images_t *m)
{
    for (int i = 0; i < m->n_desks; i++) {
        free(m->desks[i].file.bytes);
        free(m->desks[i].columns.bytes);
        free(m->desks[i].floats.bytes);
        mb_image_free(&m->desks[i].image);
    }
    free(m->desks);
}

static void images_close(mb_source_t *source)
{
    images_t *m = (images_t *)source;
    mb_pool_destroy(m->pool);
    mb_image_cache_destroy(m->cache);
    free_desks(m);
    mb_image_folder_free(&m->folder);
    pthread_mutex_destroy(&m->reading);
    mb_source_release(source);
}

static mb_status_t read_open_file(const char *path, int file, mb_image_buffer_t *to, size_t *bytes)
{
    struct stat info;
    if (fstat(file, &info) != 0 || !S_ISREG(info.st_mode))
        return mb_error_set(MB_ERR_IO, "%s: not a file that can be read", path);
    if (info.st_size > LARGEST_FILE)
        return mb_error_set(MB_ERR_FORMAT, "%s: %" PRId64 " bytes are no image", path,
                            (int64_t)info.st_size);
    *bytes = (size_t)info.st_size;
    MB_TRY(mb_image_reserve(to, *bytes + 1, path));
    return mb_read_fully(file, path, 0, *bytes, to->bytes);
}

static mb_status_t read_file(const char *path, mb_image_buffer_t *to, size_t *bytes)
{
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0)
        return mb_error_set(MB_ERR_IO, "%s: the image cannot be opened: %s", path, strerror(errno));
    mb_status_t status = read_open_file(path, file, to, bytes);
    close(file);
    return status;
}

static mb_status_t check_size(const images_t *m, const char *path, const mb_image_t *image)
{
    if (!m->exact || (image->height == m->size.height && image->width == m->size.width))
        return MB_OK;
    return mb_error_set(MB_ERR_DATA,
                        "%s: the image has %" PRId64 " x %" PRId64
                        " pixels where others have %" PRId64 " x %" PRId64
                        "; --size HEIGHTxWIDTH brings all to one size",
                        path, image->height, image->width, m->size.height, m->size.width);
}

static int64_t sample_elements(const images_t *m)
{
    return m->size.height * m->size.width * m->size.channels;
}

static mb_status_t to_integers(const images_t *m, int64_t sample, const float *from, int32_t *to)
{
    int64_t n = sample_elements(m);
    for (int64_t i = 0; i < n; i++) {
        to[i] = (int32_t)from[i];
        if (from[i] > (float)to[i])
            return mb_source_fault(&m->base, 0, sample, mb_element_fault_text(MB_ELEMENT_FRACTION));
    }
    return MB_OK;
}

static mb_status_t decode_image(images_t *m, desk_t *desk, int64_t sample, bool as_int, char *to)
{
    const char *path = m->folder.files[sample].path;
    size_t bytes;
    MB_TRY(read_file(path, &desk->file, &bytes));
    MB_TRY(mb_image_decode(path, desk->file.bytes, bytes, m->size.channels, &desk->image));
    MB_TRY(check_size(m, path, &desk->image));
    if (!as_int)
        return mb_image_resize(&desk->image, &m->size, &desk->columns, path, (float *)(void *)to);
    MB_TRY(mb_image_reserve(&desk->floats, 4 * (size_t)sample_elements(m), path));
    float *floats = (float *)(void *)desk->floats.bytes;
    MB_TRY(mb_image_resize(&desk->image, &m->size, &desk->columns, path, floats));
    return to_integers(m, sample, floats, (int32_t *)(void *)to);
}

static mb_status_t read_image(void *user, int worker, int64_t index)
{
    const reading_t *r = user;
    images_t *m = r->images;
    int64_t sample = r->indices[index];
    mb_image_cache_t *cache = m->cache_as_int == r->as_int ? m->cache : NULL;
    char *to = r->to + 4 * index * sample_elements(m);
    if (mb_image_cache_get(cache, sample, to))
        return MB_OK;
    MB_TRY(decode_image(m, &m->desks[worker], sample, r->as_int, to));
    mb_image_cache_put(cache, sample, to);
    return MB_OK;
}

static void make_cache(images_t *m, bool as_int)
{
    m->cache_as_int = as_int;
    m->cache = mb_image_cache_create(m->folder.n, 4 * (size_t)sample_elements(m), m->cache_bytes);
}

static mb_status_t ensure_pool(images_t *m, bool as_int)
{
    if (m->pool != NULL)
        return MB_OK;
    MB_TRY(mb_pool_create(0, &m->pool));
    m->desks = calloc((size_t)mb_pool_threads(m->pool), sizeof(*m->desks));
    if (m->desks == NULL)
        return mb_error_memory("the decoders of images", sizeof(*m->desks));
    m->n_desks = mb_pool_threads(m->pool);
    make_cache(m, as_int);
    return MB_OK;
}

static mb_status_t read_images(images_t *m, const int64_t *indices, int64_t count, bool as_int,
                               void *to)
{
    reading_t reading = {m, indices, as_int, to};
    pthread_mutex_lock(&m->reading);
    mb_status_t status = ensure_pool(m, as_int);
    if (status == MB_OK)
        status = mb_pool_run(m->pool, read_image, &reading, count);
    pthread_mutex_unlock(&m->reading);
    return status;
}

static mb_status_t images_read(mb_source_t *source, int field, const int64_t *indices,
                               int64_t count, bool as_int, void *to)
{
    images_t *m = (images_t *)source;
    MB_TRY(mb_source_check_indices(source, indices, count));
    if (field == 0)
        return read_images(m, indices, count, as_int, to);
    for (int64_t i = 0; i < count; i++) {
        int32_t class_ = m->folder.files[indices[i]].class_;
        if (as_int)
            ((int32_t *)to)[i] = class_;
        else
            ((float *)to)[i] = (float)class_;
    }
    return MB_OK;
}

static const mb_source_class_t images_class = {sizeof(mb_source_class_t), "images", images_close,
                                               images_read, true};

static bool is_channels(int64_t n)
{
    return n == 1 || n == 3 || n == 4;
}

static mb_status_t no_image(const images_t *m, const mb_source_wants_t *wants, int input,
                            const char *remedy)
{
    char text[MB_SHAPE_TEXT];
    return mb_error_set(MB_ERR_SHAPE,
                        "%s: images serve an input of shape (height, width, 1, 3 or "
                        "4 channels), but the model's input '%s' takes %s%s",
                        m->base.path, wants->input_names[input],
                        mb_shape_text(&wants->input_shapes[input], text, sizeof(text)), remedy);
}

/* The model's input says the size; channels come last unless only the first axis can be them. */
static mb_status_t size_for_model(images_t *m, const mb_source_wants_t *wants)
{
    int input = mb_source_only_input(wants);
    if (input < 0)
        return mb_error_set(MB_ERR_DATA,
                            "%s: a folder of images serves one input, but the model "
                            "has %d",
                            m->base.path, wants->n_inputs);
    const mb_shape_t *s = &wants->input_shapes[input];
    bool plain = s->rank == 2;
    bool first = s->rank == 3 && !is_channels(s->dim[2]) && is_channels(s->dim[0]);
    if (!plain && (s->rank != 3 || !is_channels(s->dim[first ? 0 : 2])))
        return no_image(m, wants, input, "");
    m->size = (mb_image_size_t){.height = s->dim[first ? 1 : 0],
                                .width = s->dim[first ? 2 : 1],
                                .channels = plain ? 1 : (int)s->dim[first ? 0 : 2],
                                .channels_first = first};
    if (m->size.height > 0 && m->size.width > 0)
        return MB_OK;
    return no_image(m, wants, input,
                    ": it leaves the size open; mbrun data FOLDER --size HEIGHTxWIDTH -o DATA.h5 "
                    "makes a data file of one size");
}

/* The first image's own size, which all must then have. */
static mb_status_t size_of_first(images_t *m, const mb_source_form_t *form)
{
    mb_image_buffer_t file = {NULL, 0};
    int64_t own[3];
    size_t bytes = 0;
    const char *path = m->folder.files[0].path;
    mb_status_t status = read_file(path, &file, &bytes);
    if (status == MB_OK)
        status = mb_image_measure(path, file.bytes, bytes, own);
    free(file.bytes);
    MB_TRY(status);
    const int64_t *asked = form->image_size;
    m->exact = asked[0] == 0;
    m->size = (mb_image_size_t){.height = m->exact ? own[0] : asked[0],
                                .width = m->exact ? own[1] : asked[1],
                                .channels = (int)(asked[2] == 0 ? own[2] : asked[2])};
    return MB_OK;
}

static void describe(images_t *m, const mb_source_wants_t *wants)
{
    mb_field_t *x = &m->base.fields[0], *y = &m->base.fields[1];
    bool first = m->size.channels_first;
    *x = (mb_field_t){.name = "x", .stored = m->exact ? MB_U8 : MB_F32, .integral = m->exact};
    x->shape = (mb_shape_t){.rank = 3,
                            .dim = {first ? m->size.channels : m->size.height,
                                    first ? m->size.height : m->size.width,
                                    first ? m->size.width : m->size.channels}};
    if (wants->n_inputs > 0)
        x->shape = wants->input_shapes[mb_source_only_input(wants)];
    *y = (mb_field_t){.name = "y", .stored = MB_I32, .integral = true};
    m->base.samples = m->folder.n;
    m->base.by_class = true;
}

static mb_status_t digest_file(images_t *m, const char *path)
{
    mb_image_buffer_t file = {NULL, 0};
    size_t bytes = 0;
    mb_status_t status = read_file(path, &file, &bytes);
    mb_extent_t extent = {.file = -1, .memory = file.bytes};
    if (status == MB_OK && bytes > 0)
        status = mb_extent_digest(&extent, path, (int64_t)bytes, MB_DIGEST_BYTES / SPREAD,
                                  &m->base.digest);
    free(file.bytes);
    return status;
}

/* All names below the folder, and the contents of some images. */
static mb_status_t digest(images_t *m)
{
    const mb_element_t element = {.stored = MB_F32};
    size_t folder = strlen(m->base.path);
    int64_t step = m->folder.n < SPREAD ? 1 : m->folder.n / SPREAD;
    m->base.digest = mb_digest_field(m->base.digest, &m->base.fields[0], &element, m->base.samples);
    for (int64_t i = 0; i < m->folder.n; i++)
        m->base.digest =
            mb_digest_add(m->base.digest, mb_hash_name(m->folder.files[i].path + folder));
    for (int64_t i = 0; i < m->folder.n; i += step)
        MB_TRY(digest_file(m, m->folder.files[i].path));
    return MB_OK;
}

static mb_status_t set_up(images_t *m, const mb_source_wants_t *wants)
{
    mb_vocabulary_t *classes;
    MB_TRY(mb_image_folder_list(m->base.path, mb_vocabularies_find(wants->form.known, "y"),
                                &m->folder));
    if (mb_image_formats() == NULL)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "%s: this build reads no images: install libpng and libjpeg-turbo "
                            "(Debian: libpng-dev libjpeg62-turbo-dev), then configure and build "
                            "again",
                            m->base.path);
    m->cache_bytes = wants->form.image_cache;
    MB_TRY(wants->n_inputs > 0 ? size_for_model(m, wants) : size_of_first(m, &wants->form));
    describe(m, wants);
    MB_TRY(digest(m));
    MB_TRY(mb_vocabulary_copy(m->folder.classes, &classes));
    return mb_source_take_words(&m->base, classes);
}

mb_status_t mb_source_open_images(const char *path, const mb_source_wants_t *wants,
                                  mb_source_t **out)
{
    mb_source_t *source = mb_source_allocate(&images_class, sizeof(images_t), path, 2);
    if (source == NULL)
        return mb_error_memory("a folder of images", sizeof(images_t));
    images_t *m = (images_t *)source;
    pthread_mutex_init(&m->reading, NULL);
    mb_status_t status = set_up(m, wants);
    if (status == MB_OK)
        *out = source;
    else
        images_close(source);
    return status;
}
