/* Room is given out in the order in which images come. */
#define _DEFAULT_SOURCE
#include "data/image_cache.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { ABSENT = 0, PASSED_OVER = -1 }; /* others: the place in the room, from 1 */

struct mb_image_cache {
    char *room;
    size_t each;
    int64_t places;
    _Atomic int64_t taken;
    _Atomic int64_t *place_of; /* by image */
};

/* MAP_NORESERVE: what the images of the first epoch have not filled yet is nobody's loss. */
static bool make_room(mb_image_cache_t *cache, int64_t images)
{
    size_t bytes = (size_t)cache->places * cache->each;
    cache->place_of = calloc((size_t)images, sizeof(*cache->place_of));
    if (cache->place_of == NULL)
        return false;
    void *room = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    cache->room = room == MAP_FAILED ? NULL : room;
    return cache->room != NULL;
}

mb_image_cache_t *mb_image_cache_create(int64_t images, size_t each, int64_t limit)
{
    int64_t fit = each == 0 ? 0 : limit / (int64_t)each;
    mb_image_cache_t *cache = fit <= 0 || images <= 0 ? NULL : calloc(1, sizeof(*cache));
    if (cache == NULL)
        return NULL;
    cache->each = each;
    cache->places = fit < images ? fit : images;
    if (make_room(cache, images))
        return cache;
    mb_image_cache_destroy(cache);
    return NULL;
}

void mb_image_cache_destroy(mb_image_cache_t *cache)
{
    if (cache == NULL)
        return;
    if (cache->room != NULL)
        munmap(cache->room, (size_t)cache->places * cache->each);
    free(cache->place_of);
    free(cache);
}

static char *at(const mb_image_cache_t *cache, int64_t place)
{
    return cache->room + (size_t)(place - 1) * cache->each;
}

bool mb_image_cache_get(const mb_image_cache_t *cache, int64_t image, void *to)
{
    int64_t place = cache == NULL
                        ? ABSENT
                        : atomic_load_explicit(&cache->place_of[image], memory_order_acquire);
    if (place <= 0)
        return false;
    memcpy(to, at(cache, place), cache->each);
    return true;
}

/* An image twice in one batch comes from two threads: the first keeps it. */
void mb_image_cache_put(mb_image_cache_t *cache, int64_t image, const void *from)
{
    int64_t absent = ABSENT;
    if (cache == NULL ||
        !atomic_compare_exchange_strong(&cache->place_of[image], &absent, PASSED_OVER))
        return;
    int64_t place = atomic_fetch_add(&cache->taken, 1) + 1;
    if (place > cache->places)
        return;
    memcpy(at(cache, place), from, cache->each);
    atomic_store_explicit(&cache->place_of[image], place, memory_order_release);
}
