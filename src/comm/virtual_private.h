/* The inside of a virtual wire. Not for other folders. */
#ifndef MB_COMM_VIRTUAL_PRIVATE_H
#define MB_COMM_VIRTUAL_PRIVATE_H

#include "base/events.h"
#include "base/fiber.h"
#include "comm/state.h"
#include "comm/virtual.h"

enum { MB_BOXES = 16 }; /* of a rank, by sender: a gathering rank has a message of each */

typedef enum {
    MB_END_GOES_ON = 0, /* is there, or on its way, by an event of its own */
    MB_END_WAITS,       /* any event of its messages may end that */
    MB_END_LOST,
    MB_END_ENDED
} mb_end_state_t;

/* One end of a message, or a rank's part in a vote. The numbers of all ranks' are places in one
 * table, since a request has no room for more; 0: none. */
typedef struct {
    int next;        /* in a box, or of those that are free */
    int owner, peer; /* ranks */
    int tag;
    mb_line_t line;
    bool sends, over;
    bool moves, dropped; /* is between both ends; its owner has gone on */
    int other;           /* while it moves: the other end; 0: none yet, or no more */
    size_t bytes;
    void *data;   /* what is sent, or where it goes */
    bool is_copy; /* DATA is the wire's: its owner has gone on */
    double time;  /* OVER: from when on */
} mb_letter_t;

typedef struct {
    int first, last;
} mb_box_t;

typedef struct mb_virtual_end { /* a rank */
    mb_virtual_t *world;
    mb_comm_t comm;
    mb_fiber_t *fiber;
    mb_end_state_t state;
    double clock;
    const mb_comm_note_t *note;                /* while it waits */
    const char *why;                           /* while it is lost */
    mb_box_t sent[MB_BOXES], wanted[MB_BOXES]; /* to it, by it: those whose other end lacks */
    mb_virtual_traffic_t traffic;
    int votes, vote; /* that it took part in, and the letter of the last */
} mb_virtual_end_t;

enum { MB_EVENT_GOES_ON, MB_EVENT_WAKES }; /* of a rank: whoever waits is woken */

typedef struct {
    uint32_t flags;
    int arrived;
} mb_virtual_vote_t;

struct mb_virtual {
    int size;
    mb_virtual_times_t times;
    mb_status_t (*body)(void *user, mb_comm_t *comm);
    void *user;
    mb_virtual_end_t **ends;
    mb_comm_notice_t first; /* that all ranks share */
    bool stands_still;
    int told_by; /* the lowest rank that has failed, and what it said */
    mb_status_t status;
    mb_error_message_t message;
    double now;
    mb_events_t events;
    mb_letter_t *letters;
    int n_letters, room_of_letters, free;
    mb_virtual_vote_t votes[2]; /* one may be open while the one before is still being read */
};

/* virtual_wire.c */
extern const mb_wire_class_t mb_wire_virtual;
/* Message NUMBER is there. */
mb_status_t mb_virtual_arrive(mb_virtual_t *world, uint32_t number);

/* virtual_stuck.c: who waits for whom. Returns MB_ERR_TIMEOUT. */
mb_status_t mb_virtual_stuck(const mb_virtual_t *world);

#endif
