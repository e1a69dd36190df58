/* Samples on their way to a device that keeps its memory apart: gathered in pinned memory, copied
 * on a stream of their own while the device computes something else, and put in place when the
 * computing comes to them. The host waits only when all buffers are on their way.
 *
 *     host      gather 0, gather 1 ..
 *     lane        copy 0    copy 1 ..
 *     exec        ...    place 0, F0,  place 1, F1 ..                                            */
#ifndef MB_ENGINE_UPLOAD_H
#define MB_ENGINE_UPLOAD_H

#include "device/lane.h"

typedef struct mb_upload mb_upload_t;

/* bytes: of one round of samples. */
mb_status_t mb_upload_create(mb_exec_t *exec, size_t bytes, int most_items, mb_upload_t **out);
void mb_upload_destroy(mb_upload_t *upload);
/* A round: begin, add each item (its source may be reused at once), end. */
mb_status_t mb_upload_begin(mb_upload_t *upload);
mb_status_t mb_upload_add(mb_upload_t *upload, void *to, const void *from, size_t bytes);
mb_status_t mb_upload_end(mb_upload_t *upload);

#endif
