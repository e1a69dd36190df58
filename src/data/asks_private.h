/* The two sides of asks.h: a parcel is what one expectation brings, a reply what one ask is
 * answered by. */
#ifndef MB_DATA_ASKS_PRIVATE_H
#define MB_DATA_ASKS_PRIVATE_H

#include "data/asks.h"

enum { MB_ASK_MOST = 256, MB_ASK_BYTES = 256 << 10 };

typedef struct {
    int32_t asker, field, count, unused;
    int64_t samples[MB_ASK_MOST];
} mb_ask_t;

/* What one owner sends at a time. */
typedef struct {
    int owner;
    int64_t first; /* its first sample's place in the parcel */
    mb_ask_t ask;
    mb_comm_request_t asked, arrives;
} mb_ask_part_t;

typedef struct mb_parcel mb_parcel_t;
struct mb_parcel {
    mb_parcel_t *next;
    int field;
    int64_t count, capacity;
    int64_t *samples;
    int64_t *order; /* scratch: a sample's part and place in it */
    const char **at;
    size_t bytes;
    char *memory;
    int n_parts, most_parts;
    mb_ask_part_t *parts;
};

typedef struct mb_reply mb_reply_t;
struct mb_reply {
    mb_reply_t *next;
    mb_comm_request_t request;
    size_t bytes;
    char *memory;
};

struct mb_asks {
    mb_comm_t *comm;
    int rank;
    mb_asks_hooks_t hooks;
    mb_parcel_t *expected, *last, *spare, *taken;
    int *open_part; /* [ranks] of the parcel being made; -1: none */
    mb_ask_t arriving;
    mb_comm_request_t incoming;
    mb_reply_t *replies, *spare_replies;
    int64_t sent, received;
};

/* asks_parcel.c: fills a parcel with what is wanted, whose parts are then asked for. */
mb_status_t mb_parcel_plan(mb_asks_t *asks, mb_parcel_t *parcel, int field, const int64_t *samples,
                           int64_t count);
void mb_parcel_free(mb_parcel_t *parcel);

/* asks_serve.c: answers what has come; a source of progress. */
mb_status_t mb_asks_listen(mb_asks_t *asks);
mb_status_t mb_asks_serve(void *asks);
void mb_asks_stop_serving(mb_asks_t *asks);
/* True when nothing of this rank's replies is on its way. */
bool mb_asks_all_sent(const mb_asks_t *asks);

#endif
