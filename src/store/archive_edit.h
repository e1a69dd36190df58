/* Changing the weights' file inside a .keras archive. */
#ifndef MB_STORE_ARCHIVE_EDIT_H
#define MB_STORE_ARCHIVE_EDIT_H

#include "base/error.h"

/* Changes the HDF5 file at TEMPORARY; messages name PATH. */
typedef mb_status_t (*mb_archive_change_t)(void *user, const char *temporary, const char *path);

/* OUT_PATH, which may be PATH, becomes the archive PATH with its weights' file changed and its
 * other members as they were. It appears as a whole. */
mb_status_t mb_archive_edit(const char *path, const char *out_path, mb_archive_change_t change,
                            void *user);

#endif
