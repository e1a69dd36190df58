/* A file under HDF5 of which HDF5 writes nothing: what it writes is kept in memory, and goes into
 * the file in one piece after HDF5 has closed it. HDF5 1.10 keeps a file object whose write failed,
 * and crashes on it when the process ends; so it never sees a write fail. Memory is taken for what
 * HDF5 itself writes (not for zeros), never for datasets whose bytes come from elsewhere.
 *
 *     mb_h5_image_open(path, fresh, &image);
 *     mb_h5_image_use(image, access_list);     then H5Fcreate or H5Fopen, and H5Fclose
 *     mb_h5_image_save(image);
 *     mb_h5_image_free(image);
 *
 * One that was saved may go on: mb_h5_image_move gives it another file, and HDF5 opens it as it
 * was.
 */
#ifndef MB_STORE_H5_IMAGE_H
#define MB_STORE_H5_IMAGE_H

#include <hdf5.h>
#include "base/error.h"
#include "base/types.h"

typedef struct mb_h5_image mb_h5_image_t;

/* FRESH: HDF5 begins with an empty file, and PATH, if it is there, holds nothing but zeros.
 * Otherwise PATH is what HDF5 reads. NULL: there is no file yet. */
mb_status_t mb_h5_image_open(const char *path, bool fresh, mb_h5_image_t **image);
/* Large data begins on a multiple where that costs an eighth at most. */
#define MB_SPREAD_LARGE 8
/* Before it is used, of one that is FRESH: data of tensors stands apart. Each begins on a page
 * (4096 bytes) that holds nothing else, so that no two writers meet in one; what has
 * MB_SPREAD_LARGE times ALIGN bytes at least begins on a multiple of ALIGN, which is one of 4096.
 * The first stays near the file's start. */
void mb_h5_image_spread(mb_h5_image_t *image, int64_t align);
/* Makes a file that is opened or created with ACCESS, under any name, be the image. */
bool mb_h5_image_use(mb_h5_image_t *image, hid_t access);
/* What went wrong below HDF5, which HDF5 itself cannot tell: MB_OK, or the error with its message.
 */
mb_status_t mb_h5_image_failed(const mb_h5_image_t *image);
/* The file, after it was saved, or for the first time, of an image that is fresh. */
mb_status_t mb_h5_image_move(mb_h5_image_t *image, const char *path);
/* Puts what HDF5 wrote into the file, if there is one, and cuts that to HDF5's length. Not synced.
 */
mb_status_t mb_h5_image_save(mb_h5_image_t *image);
/* Also after a failed H5Fclose: what HDF5 still does to its file then has no effect. */
void mb_h5_image_free(mb_h5_image_t *image);

#endif
