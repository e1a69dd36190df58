/* Images as the model takes them, kept from one epoch to the next: as many as memory is given for.
 * Each is read once an epoch, so that none is worth more than another and what is kept stays. */
#ifndef MB_DATA_IMAGE_CACHE_H
#define MB_DATA_IMAGE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct mb_image_cache mb_image_cache_t;

/* For images 0 to IMAGES - 1 of EACH bytes, within LIMIT bytes, which are taken from the system as
 * they are filled. NULL where none fits or memory is not to be had: the others take NULL and keep
 * nothing. */
mb_image_cache_t *mb_image_cache_create(int64_t images, size_t each, int64_t limit);
void mb_image_cache_destroy(mb_image_cache_t *cache);

/* From any threads at once. False: IMAGE is not kept. */
bool mb_image_cache_get(const mb_image_cache_t *cache, int64_t image, void *to);
void mb_image_cache_put(mb_image_cache_t *cache, int64_t image, const void *from);

#endif
