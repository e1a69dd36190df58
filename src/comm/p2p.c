/* Point-to-point messages on host memory, by whichever wire carries them (wire.h). */
#include "comm/state.h"

mb_status_t mb_comm_isend(mb_comm_t *comm, const void *data, size_t bytes, int peer, int tag,
                          mb_comm_request_t *request)
{
    MB_TRY(mb_comm_send_on(comm, MB_LINE_DATA, data, bytes, peer, tag, &request->request));
    request->active = true;
    return MB_OK;
}

mb_status_t mb_comm_irecv(mb_comm_t *comm, void *data, size_t bytes, int peer, int tag,
                          mb_comm_request_t *request)
{
    MB_TRY(mb_comm_receive_on(comm, MB_LINE_DATA, data, bytes, peer, tag, &request->request));
    request->active = true;
    return MB_OK;
}

mb_status_t mb_comm_test(mb_comm_t *comm, mb_comm_request_t *request, bool *done)
{
    *done = true;
    if (!request->active)
        return MB_OK;
    MB_TRY(comm->wire->test(comm, &request->request, 1, done));
    request->active = !*done;
    return MB_OK;
}

void mb_comm_cancel(mb_comm_t *comm, mb_comm_request_t *request)
{
    if (!request->active)
        return;
    mb_comm_drop(comm, &request->request);
    request->active = false;
}

typedef struct {
    mb_comm_t *comm;
    mb_comm_request_t *requests;
    int count;
} request_list_t;

static mb_status_t all_done(void *user, bool *done)
{
    request_list_t *list = user;
    *done = true;
    for (int i = 0; i < list->count; i++) {
        bool one;
        MB_TRY(mb_comm_test(list->comm, &list->requests[i], &one));
        *done = *done && one;
    }
    return MB_OK;
}

mb_status_t mb_comm_wait_requests(mb_comm_t *comm, mb_comm_request_t *requests, int count,
                                  const mb_comm_note_t *note)
{
    request_list_t list = {comm, requests, count};
    mb_status_t status = mb_comm_wait(comm, all_done, &list, note);
    for (int i = 0; i < count && status != MB_OK; i++)
        mb_comm_cancel(comm, &requests[i]);
    return status;
}
