/* A folder of folders of images, one a class, listed as Keras' image_dataset_from_directory does.
 */
#ifndef MB_DATA_IMAGE_FOLDER_H
#define MB_DATA_IMAGE_FOLDER_H

#include "data/vocabulary.h"

typedef struct {
    char *path;
    int32_t class_;
} mb_image_file_t;

typedef struct {
    mb_vocabulary_t *classes; /* named "y" */
    mb_image_file_t *files;
    int64_t n, capacity;
} mb_image_folder_t;

/* The folder has folders in it. */
bool mb_image_folder_looks_like(const char *path);

/* Classes are the folders in PATH, sorted by the bytes of their names, hidden ones left out, or
 * those that are KNOWN (NULL: any). Images are the files below them that end in .png, .jpg or
 * .jpeg, in the order of their folders and names. Files of Keras' other formats are refused; all
 * else is passed over. */
mb_status_t mb_image_folder_list(const char *path, const mb_vocabulary_t *known,
                                 mb_image_folder_t *out);
void mb_image_folder_free(mb_image_folder_t *folder);

#endif
