/* HDF5's driver for h5_part.h: reads only. */
#include "store/h5_part.h"

#include <stdlib.h>
#include "store/io.h"
#if H5_VERSION_GE(1, 13, 0)
#include <H5FDdevelop.h>
#endif

/* What HDF5 holds of an open file. */
typedef struct {
    H5FD_t base;
    const mb_h5_part_t *part;
    haddr_t allocated; /* HDF5's "end of address space" */
} opened_t;

static H5FD_t *driver_open(const char *name, unsigned flags, hid_t access, haddr_t limit)
{
    (void)name, (void)limit;
    const mb_h5_part_t *const *part = H5Pget_driver_info(access);
    opened_t *opened = calloc(1, sizeof(*opened));
    if (part == NULL || opened == NULL || (flags & H5F_ACC_RDWR) != 0) {
        free(opened);
        return NULL;
    }
    opened->part = *part;
    return &opened->base;
}

static herr_t driver_close(H5FD_t *file)
{
    free(file);
    return 0;
}

static herr_t driver_query(const H5FD_t *file, unsigned long *flags)
{
    (void)file;
    *flags = H5FD_FEAT_DATA_SIEVE;
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

static haddr_t driver_end(const H5FD_t *file, H5FD_mem_t type)
{
    (void)type;
    return (haddr_t)((const opened_t *)file)->part->bytes;
}

static herr_t driver_read(H5FD_t *file, H5FD_mem_t type, hid_t transfer, haddr_t from, size_t count,
                          void *to)
{
    (void)type, (void)transfer;
    const mb_h5_part_t *part = ((const opened_t *)file)->part;
    if (from > (haddr_t)part->bytes || count > (haddr_t)part->bytes - from)
        return -1;
    return mb_io_read(part->fd, to, count, part->base + (int64_t)from, part->path) == MB_OK ? 0
                                                                                            : -1;
}

static herr_t driver_write(H5FD_t *file, H5FD_mem_t type, hid_t transfer, haddr_t to, size_t count,
                           const void *from)
{
    (void)file, (void)type, (void)transfer, (void)to, (void)count, (void)from;
    return -1;
}

static const H5FD_class_t driver = {
#if H5_VERSION_GE(1, 13, 0)
    .version = H5FD_CLASS_VERSION,
    .value = 510, /* beside h5_image.c's */
#endif
    .name = "mb_part",
    .maxaddr = (haddr_t)INT64_MAX,
    .fc_degree = H5F_CLOSE_WEAK,
    .fapl_size = sizeof(const mb_h5_part_t *),
    .open = driver_open,
    .close = driver_close,
    .query = driver_query,
    .get_eoa = driver_allocated,
    .set_eoa = driver_allocate,
    .get_eof = driver_end,
    .read = driver_read,
    .write = driver_write,
    .fl_map = H5FD_FLMAP_DICHOTOMY,
};

/* HDF5 1.10 gives up a file's driver before it calls that to close (H5FD_close), so somebody else
 * must hold it for as long. */
bool mb_h5_part_use(const mb_h5_part_t *part, hid_t access, hid_t *held)
{
    *held = H5FDregister(&driver);
    return *held >= 0 && H5Pset_driver(access, *held, &part) >= 0;
}

void mb_h5_part_leave(hid_t held)
{
    if (held >= 0)
        H5FDunregister(held);
}
