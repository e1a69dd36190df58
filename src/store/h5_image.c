/* The image's pages, and HDF5's driver on top of them. */
#include "store/h5_image.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "store/io.h"
#if H5_VERSION_GE(1, 13, 0)
#include <H5FDdevelop.h>
#endif

#define PAGE_BYTES ((int64_t)4096)

typedef struct {
    int64_t first; /* its first byte's place in the file */
    unsigned char bytes[PAGE_BYTES];
} page_t;

/* What HDF5 holds of an open file. It may outlive the image. */
typedef struct {
    H5FD_t base;
    mb_h5_image_t *image;
    haddr_t allocated; /* HDF5's "end of address space" */
    bool has_data, ends_in_data;
} opened_t;

struct mb_h5_image {
    char *path;
    int fd;
    int64_t kept_bytes; /* of the file as it was: pages begin with these */
    int64_t bytes;      /* of the file as HDF5 sees it */
    int64_t align;      /* of data that stands apart; 0: HDF5 places it */
    page_t **pages;     /* in the order of the file */
    size_t count, capacity;
    mb_status_t failed; /* of a write, which HDF5 was not told */
    opened_t *opened;
    hid_t driver; /* H5I_INVALID_HID: none yet */
};

/* The first page at or behind FIRST. */
static size_t find_page(const mb_h5_image_t *image, int64_t first)
{
    size_t low = 0, high = image->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (image->pages[middle]->first < first)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static page_t *page_at(const mb_h5_image_t *image, int64_t first)
{
    size_t at = find_page(image, first);
    return at < image->count && image->pages[at]->first == first ? image->pages[at] : NULL;
}

static bool make_room(mb_h5_image_t *image)
{
    if (image->count < image->capacity)
        return true;
    size_t capacity = image->capacity * 2 + 64;
    page_t **pages = realloc(image->pages, capacity * sizeof(*pages));
    if (pages == NULL)
        return false;
    image->pages = pages;
    image->capacity = capacity;
    return true;
}

/* Bytes [from, from + count) of the file as it was; zeros behind its end. */
static mb_status_t read_kept(const mb_h5_image_t *image, int64_t from, int64_t count, void *to)
{
    int64_t kept = image->kept_bytes - from;
    kept = kept < 0 ? 0 : kept > count ? count : kept;
    memset((char *)to + kept, 0, (size_t)(count - kept));
    return kept == 0 ? MB_OK : mb_io_read(image->fd, to, (size_t)kept, from, image->path);
}

static page_t *insert(mb_h5_image_t *image, page_t *page)
{
    size_t at = find_page(image, page->first);
    memmove(image->pages + at + 1, image->pages + at, (image->count - at) * sizeof(*image->pages));
    image->pages[at] = page;
    image->count++;
    return page;
}

static page_t *add_page(mb_h5_image_t *image, int64_t first)
{
    page_t *page = make_room(image) ? malloc(sizeof(*page)) : NULL;
    mb_status_t status = page == NULL ? mb_error_memory("a file's layout", sizeof(*page))
                                      : read_kept(image, first, PAGE_BYTES, page->bytes);
    if (status != MB_OK) {
        image->failed = status;
        free(page);
        return NULL;
    }
    page->first = first;
    return insert(image, page);
}

/* COUNT bytes at FROM lie in one page. */
static mb_status_t read_part(const mb_h5_image_t *image, int64_t from, int64_t count, void *to)
{
    const page_t *page = page_at(image, from - from % PAGE_BYTES);
    if (page == NULL)
        return read_kept(image, from, count, to);
    memcpy(to, page->bytes + from % PAGE_BYTES, (size_t)count);
    return MB_OK;
}

static bool all_zero(const unsigned char *bytes, int64_t count)
{
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, (size_t)count - 1) == 0;
}

static void write_part(mb_h5_image_t *image, int64_t to, int64_t count, const unsigned char *bytes)
{
    int64_t first = to - to % PAGE_BYTES;
    page_t *page = page_at(image, first);
    if (page == NULL && first >= image->kept_bytes && all_zero(bytes, count))
        return;
    if (page == NULL)
        page = add_page(image, first);
    if (page != NULL)
        memcpy(page->bytes + to % PAGE_BYTES, bytes, (size_t)count);
}

static int64_t part_of(int64_t at, int64_t left)
{
    int64_t room = PAGE_BYTES - at % PAGE_BYTES;
    return left < room ? left : room;
}

static H5FD_t *driver_open(const char *name, unsigned flags, hid_t access, haddr_t limit)
{
    (void)name, (void)flags, (void)limit;
    mb_h5_image_t *const *image = H5Pget_driver_info(access);
    opened_t *opened = calloc(1, sizeof(*opened));
    if (image == NULL || opened == NULL) {
        if (image != NULL)
            (*image)->failed = MB_ERR_MEMORY;
        free(opened);
        return NULL;
    }
    opened->image = *image;
    opened->image->opened = opened;
    return &opened->base;
}

static herr_t driver_close(H5FD_t *file)
{
    opened_t *opened = (opened_t *)file;
    if (opened->image != NULL)
        opened->image->opened = NULL;
    free(opened);
    return 0;
}

/* Those of HDF5's own driver for files, so that objects get the same places. */
static herr_t driver_query(const H5FD_t *file, unsigned long *flags)
{
    (void)file;
    *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_AGGREGATE_SMALLDATA | H5FD_FEAT_DATA_SIEVE;
    return 0;
}

/* Small data is not put into one block. */
static herr_t driver_query_spread(const H5FD_t *file, unsigned long *flags)
{
    (void)file;
    *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_DATA_SIEVE;
    return 0;
}

static haddr_t driver_allocated(const H5FD_t *file, H5FD_mem_t type)
{
    (void)type;
    return ((const opened_t *)file)->allocated;
}

static herr_t driver_allocate(H5FD_t *file, H5FD_mem_t type, haddr_t end)
{
    (void)type;
    ((opened_t *)file)->allocated = end;
    return 0;
}

static haddr_t round_up(haddr_t at, int64_t unit)
{
    return (at + (haddr_t)unit - 1) / (haddr_t)unit * (haddr_t)unit;
}

/* HDF5's own alignment knows no difference between data and the rest. */
static haddr_t driver_place(H5FD_t *file, H5FD_mem_t type, hid_t transfer, hsize_t bytes)
{
    (void)transfer;
    opened_t *opened = (opened_t *)file;
    bool is_data = type == H5FD_MEM_DRAW;
    if (opened->image == NULL)
        return HADDR_UNDEF;
    int64_t align = opened->image->align, unit = is_data || opened->ends_in_data ? PAGE_BYTES : 1;
    if (is_data && opened->has_data && bytes / MB_SPREAD_LARGE >= (hsize_t)align)
        unit = align;
    haddr_t at = round_up(opened->allocated, unit);
    opened->allocated = at + bytes;
    opened->ends_in_data = is_data;
    opened->has_data = opened->has_data || is_data;
    return at;
}

static haddr_t driver_end(const H5FD_t *file, H5FD_mem_t type)
{
    (void)type;
    const mb_h5_image_t *image = ((const opened_t *)file)->image;
    return image == NULL ? 0 : (haddr_t)image->bytes;
}

static herr_t driver_read(H5FD_t *file, H5FD_mem_t type, hid_t transfer, haddr_t from, size_t count,
                          void *to)
{
    (void)type, (void)transfer;
    const mb_h5_image_t *image = ((const opened_t *)file)->image;
    int64_t at = (int64_t)from, end = (int64_t)(from + count);
    if (image == NULL)
        return -1;
    for (char *next = to; at < end;) {
        int64_t part = part_of(at, end - at);
        if (read_part(image, at, part, next) != MB_OK)
            return -1;
        next += part;
        at += part;
    }
    return 0;
}

/* Never fails: see h5_image.h. */
static herr_t driver_write(H5FD_t *file, H5FD_mem_t type, hid_t transfer, haddr_t to, size_t count,
                           const void *from)
{
    (void)type, (void)transfer;
    mb_h5_image_t *image = ((opened_t *)file)->image;
    int64_t at = (int64_t)to, end = (int64_t)(to + count);
    if (image == NULL)
        return 0;
    for (const unsigned char *next = from; at < end;) {
        int64_t part = part_of(at, end - at);
        write_part(image, at, part, next);
        next += part;
        at += part;
    }
    image->bytes = end > image->bytes ? end : image->bytes;
    return 0;
}

static herr_t driver_truncate(H5FD_t *file, hid_t transfer, hbool_t closing)
{
    (void)transfer, (void)closing;
    const opened_t *opened = (const opened_t *)file;
    if (opened->image != NULL)
        opened->image->bytes = (int64_t)opened->allocated;
    return 0;
}

/* What both drivers do; H5FD_class_t cannot be copied in a constant. */
#define DRIVER_CALLS                                                                               \
    .maxaddr = (haddr_t)INT64_MAX, .fc_degree = H5F_CLOSE_WEAK,                                    \
    .fapl_size = sizeof(mb_h5_image_t *), .open = driver_open, .close = driver_close,              \
    .get_eoa = driver_allocated, .set_eoa = driver_allocate, .get_eof = driver_end,                \
    .read = driver_read, .write = driver_write, .truncate = driver_truncate,                       \
    .fl_map = H5FD_FLMAP_DICHOTOMY

/* Numbers: the last of those that need no registration. */
static const H5FD_class_t driver = {
#if H5_VERSION_GE(1, 13, 0)
    .version = H5FD_CLASS_VERSION,
    .value = 511,
#endif
    .name = "mb_image",
    .query = driver_query,
    DRIVER_CALLS,
};
static const H5FD_class_t spreading_driver = {
#if H5_VERSION_GE(1, 13, 0)
    .version = H5FD_CLASS_VERSION,
    .value = 510,
#endif
    .name = "mb_image_spread",
    .query = driver_query_spread,
    .alloc = driver_place,
    DRIVER_CALLS,
};

void mb_h5_image_spread(mb_h5_image_t *image, int64_t align)
{
    image->align = align;
}

/* HDF5 1.10 gives up a file's driver before it calls that to close (H5FD_close), so somebody else
 * must hold it for as long. */
bool mb_h5_image_use(mb_h5_image_t *image, hid_t access)
{
    if (image->driver < 0)
        image->driver = H5FDregister(image->align > 0 ? &spreading_driver : &driver);
    return image->driver >= 0 && H5Pset_driver(access, image->driver, &image) >= 0;
}

static mb_status_t open_file(mb_h5_image_t *image, bool fresh)
{
    image->fd = open(image->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | (fresh ? O_CREAT : 0), 0666);
    if (image->fd < 0)
        return mb_io_error(fresh ? "create" : "open", image->path);
    if (fresh)
        return MB_OK;
    MB_TRY(mb_io_size(image->fd, image->path, &image->kept_bytes));
    image->bytes = image->kept_bytes;
    return MB_OK;
}

static mb_status_t use_file(mb_h5_image_t *image, const char *path, bool fresh)
{
    free(image->path);
    image->path = strdup(path);
    return image->path == NULL ? mb_error_memory("a path", strlen(path)) : open_file(image, fresh);
}

mb_status_t mb_h5_image_open(const char *path, bool fresh, mb_h5_image_t **out)
{
    mb_h5_image_t *image = calloc(1, sizeof(*image));
    if (image == NULL)
        return mb_error_memory("a file's layout", sizeof(*image));
    image->fd = -1;
    image->driver = H5I_INVALID_HID;
    mb_status_t status = path == NULL ? MB_OK : use_file(image, path, fresh);
    if (status != MB_OK) {
        mb_h5_image_free(image);
        return status;
    }
    *out = image;
    return MB_OK;
}

mb_status_t mb_h5_image_move(mb_h5_image_t *image, const char *path)
{
    return use_file(image, path, true);
}

static mb_status_t save_page(const mb_h5_image_t *image, const page_t *page)
{
    int64_t left = image->bytes - page->first;
    int64_t bytes = left < PAGE_BYTES ? left : PAGE_BYTES;
    return bytes <= 0
               ? MB_OK
               : mb_io_write(image->fd, page->bytes, (size_t)bytes, page->first, image->path);
}

mb_status_t mb_h5_image_failed(const mb_h5_image_t *image)
{
    if (image->failed == MB_ERR_MEMORY)
        return mb_error_memory("a file's layout", (image->count + 1) * sizeof(page_t));
    if (image->failed != MB_OK)
        return mb_error_set(image->failed, "cannot read '%s' while it is changed", image->path);
    return MB_OK;
}

mb_status_t mb_h5_image_save(mb_h5_image_t *image)
{
    MB_TRY(mb_h5_image_failed(image));
    if (image->fd < 0)
        return MB_OK;
    for (size_t i = 0; i < image->count; i++)
        MB_TRY(save_page(image, image->pages[i]));
    MB_TRY(mb_io_cut(image->fd, image->bytes, image->path));
    return mb_io_close(&image->fd, image->path);
}

void mb_h5_image_free(mb_h5_image_t *image)
{
    if (image == NULL)
        return;
    if (image->opened != NULL)
        image->opened->image = NULL;
    else if (image->driver >= 0)
        H5FDunregister(image->driver);
    if (image->fd >= 0)
        close(image->fd);
    for (size_t i = 0; i < image->count; i++)
        free(image->pages[i]);
    free(image->pages);
    free(image->path);
    free(image);
}
