/* The wire between ranks of one process: both ends of a message meet in the box that the receiver
 * has for the sender; see virtual.h for when they move. */
#include "comm/virtual_private.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(mb_wire_request_t) >= sizeof(int), "a request has room for a number");

/* ---- letters */

static mb_status_t make_room(mb_virtual_t *world)
{
    if (world->free != 0 || world->n_letters + 1 < world->room_of_letters)
        return MB_OK;
    int room = world->room_of_letters == 0 ? 1024 : 2 * world->room_of_letters;
    mb_letter_t *letters = realloc(world->letters, (size_t)room * sizeof *letters);
    if (letters == NULL)
        return mb_error_memory("virtual messages", (size_t)room * sizeof *letters);
    world->letters = letters;
    world->room_of_letters = room;
    return MB_OK;
}

static mb_status_t take_letter(mb_virtual_t *world, const mb_letter_t *letter, int *out)
{
    MB_TRY(make_room(world));
    *out = world->free != 0 ? world->free : ++world->n_letters;
    if (world->free != 0)
        world->free = world->letters[world->free].next;
    world->letters[*out] = *letter;
    return MB_OK;
}

static void give_letter(mb_virtual_t *world, int number)
{
    mb_letter_t *letter = &world->letters[number];
    if (letter->is_copy)
        free(letter->data);
    letter->data = NULL;
    letter->is_copy = false;
    letter->next = world->free;
    world->free = number;
}

static void keep_number(int number, mb_wire_request_t *request)
{
    memset(request, 0, sizeof *request);
    memcpy(request, &number, sizeof number);
}

static int number_of(const mb_wire_request_t *request)
{
    int number;
    memcpy(&number, request, sizeof number);
    return number;
}

/* ---- boxes */

static mb_box_t *box_of(const mb_virtual_t *world, const mb_letter_t *letter)
{
    int to = letter->sends ? letter->peer : letter->owner;
    int from = letter->sends ? letter->owner : letter->peer;
    mb_virtual_end_t *end = world->ends[to];
    return letter->sends ? &end->sent[from % MB_BOXES] : &end->wanted[from % MB_BOXES];
}

static void put_in(mb_virtual_t *world, int number)
{
    mb_box_t *box = box_of(world, &world->letters[number]);
    world->letters[number].next = 0;
    if (box->first == 0)
        box->first = number;
    else
        world->letters[box->last].next = number;
    box->last = number;
}

/* NUMBER, or 0; BEFORE it stands in the box. */
static void take_out(mb_virtual_t *world, mb_box_t *box, int number, int before)
{
    int next = world->letters[number].next;
    if (before == 0)
        box->first = next;
    else
        world->letters[before].next = next;
    if (box->last == number)
        box->last = before;
}

static bool fits(const mb_letter_t *a, const mb_letter_t *b)
{
    return a->owner == b->peer && a->peer == b->owner && a->tag == b->tag && a->line == b->line;
}

/* The first that fits LETTER, out of its box; 0: there is none. */
static int find_other(mb_virtual_t *world, const mb_letter_t *letter)
{
    mb_letter_t other = *letter;
    other.owner = letter->peer;
    other.peer = letter->owner;
    other.sends = !letter->sends;
    mb_box_t *box = box_of(world, &other);
    for (int at = box->first, before = 0; at != 0; before = at, at = world->letters[at].next) {
        if (!fits(letter, &world->letters[at]))
            continue;
        take_out(world, box, at, before);
        return at;
    }
    return 0;
}

static void withdraw(mb_virtual_t *world, int number)
{
    mb_box_t *box = box_of(world, &world->letters[number]);
    for (int at = box->first, before = 0; at != 0; before = at, at = world->letters[at].next) {
        if (at != number)
            continue;
        take_out(world, box, at, before);
        return;
    }
}

/* ---- messages */

static bool takes_time(const mb_letter_t *letter)
{
    return letter->line == MB_LINE_DATA;
}

/* Numbers between steps, and control: their sender goes on. */
static bool leaves_at_once(const mb_letter_t *letter)
{
    return letter->line == MB_LINE_CONTROL || letter->tag >= MB_TAG_REDUCE_END;
}

static mb_status_t end_letter(mb_virtual_t *world, int number)
{
    mb_letter_t *letter = &world->letters[number];
    letter->over = true;
    letter->time = world->now;
    return mb_events_put(&world->events, world->now, MB_EVENT_WAKES, (uint32_t)letter->owner);
}

mb_status_t mb_virtual_arrive(mb_virtual_t *world, uint32_t number)
{
    mb_letter_t *sent = &world->letters[number];
    int other = sent->other;
    bool gone = sent->dropped || (sent->is_copy && other != 0);
    sent->moves = false;
    sent->other = 0;
    sent->over = true;
    if (!gone && !sent->is_copy)
        MB_TRY(end_letter(world, (int)number));
    if (other != 0) {
        world->letters[other].moves = false;
        MB_TRY(end_letter(world, other));
    }
    if (gone)
        give_letter(world, (int)number);
    return MB_OK;
}

static mb_status_t begin_to_move(mb_virtual_t *world, int number)
{
    mb_letter_t *sent = &world->letters[number];
    const mb_virtual_times_t *times = &world->times;
    if (!takes_time(sent) || times->move == NULL)
        return mb_virtual_arrive(world, (uint32_t)number);
    sent->moves = true;
    return times->move(times->user, world->now, sent->owner, sent->peer, sent->tag, sent->bytes,
                       (uint32_t)number);
}

static void count(mb_virtual_t *world, const mb_letter_t *sent)
{
    mb_virtual_traffic_t *ends[] = {&world->ends[sent->owner]->traffic,
                                    &world->ends[sent->peer]->traffic};
    for (int i = 0; i < 2; i++) {
        ends[i]->messages++;
        ends[i]->bytes += (int64_t)sent->bytes;
    }
}

/* Both ends are there. */
static mb_status_t join(mb_virtual_t *world, int sent, int wanted)
{
    mb_letter_t *from = &world->letters[sent], *to = &world->letters[wanted];
    if (from->bytes > to->bytes)
        return mb_error_set(MB_ERR_MPI,
                            "rank %d: receiving a message failed: rank %d sent %zu bytes of tag "
                            "%d, and there is room for %zu",
                            to->owner, from->owner, from->bytes, from->tag, to->bytes);
    if (from->bytes > 0)
        memcpy(to->data, from->data, from->bytes);
    count(world, from);
    bool was_there = from->is_copy && !from->moves;
    to->moves = true;
    to->other = sent;
    from->other = wanted;
    if (was_there)
        return mb_virtual_arrive(world, (uint32_t)sent);
    return from->moves ? MB_OK : begin_to_move(world, sent);
}

static mb_status_t copy_data(mb_letter_t *letter)
{
    void *copy = malloc(letter->bytes + 1);
    if (copy == NULL)
        return mb_error_memory("a virtual message", letter->bytes);
    if (letter->bytes > 0)
        memcpy(copy, letter->data, letter->bytes);
    letter->data = copy;
    letter->is_copy = true;
    return MB_OK;
}

static mb_status_t post(mb_virtual_t *world, mb_letter_t *letter, mb_wire_request_t *request)
{
    int number;
    *request = MPI_REQUEST_NULL;
    if (letter->sends && leaves_at_once(letter))
        MB_TRY(copy_data(letter));
    MB_TRY(take_letter(world, letter, &number));
    if (!letter->is_copy)
        keep_number(number, request);
    else
        MB_TRY(begin_to_move(world, number));
    int other = find_other(world, letter);
    if (other != 0)
        return letter->sends ? join(world, number, other) : join(world, other, number);
    put_in(world, number);
    return MB_OK;
}

static mb_status_t send(mb_comm_t *comm, mb_line_t line, const void *data, size_t bytes, int peer,
                        int tag, mb_wire_request_t *request)
{
    mb_letter_t letter = {.owner = comm->rank,
                          .peer = peer,
                          .tag = tag,
                          .line = line,
                          .sends = true,
                          .bytes = bytes,
                          .data = (void *)(uintptr_t)data};
    return post(comm->end->world, &letter, request);
}

static mb_status_t receive(mb_comm_t *comm, mb_line_t line, void *data, size_t bytes, int peer,
                           int tag, mb_wire_request_t *request)
{
    mb_letter_t letter = {
        .owner = comm->rank, .peer = peer, .tag = tag, .line = line, .bytes = bytes, .data = data};
    return post(comm->end->world, &letter, request);
}

static bool is_over(const mb_comm_t *comm, const mb_wire_request_t *request)
{
    if (*request == MPI_REQUEST_NULL)
        return true;
    const mb_letter_t *letter = &comm->end->world->letters[number_of(request)];
    return letter->over && letter->time <= comm->end->clock;
}

static mb_status_t test(mb_comm_t *comm, mb_wire_request_t *requests, int count, bool *done)
{
    *done = true;
    for (int i = 0; i < count && *done; i++)
        *done = is_over(comm, &requests[i]);
    for (int i = 0; i < count && *done; i++) {
        if (requests[i] != MPI_REQUEST_NULL)
            give_letter(comm->end->world, number_of(&requests[i]));
        requests[i] = MPI_REQUEST_NULL;
    }
    return MB_OK;
}

static void drop(mb_comm_t *comm, mb_wire_request_t *request)
{
    mb_virtual_t *world = comm->end->world;
    int number = number_of(request);
    mb_letter_t *letter = &world->letters[number];
    *request = MPI_REQUEST_NULL;
    if (letter->moves && letter->sends) {
        letter->dropped = true;
        return;
    }
    if (letter->moves)
        world->letters[letter->other].other = 0;
    else if (!letter->over)
        withdraw(world, number);
    give_letter(world, number);
}

/* ---- votes */

static mb_status_t close_vote(mb_virtual_t *world, mb_virtual_vote_t *vote)
{
    for (int rank = 0; rank < world->size; rank++) {
        int number = world->ends[rank]->vote;
        memcpy(world->letters[number].data, &vote->flags, sizeof vote->flags);
        MB_TRY(end_letter(world, number));
    }
    return MB_OK;
}

/* After a failure a rank may be gone that took part, and with it what it waited in. */
static mb_status_t unite(mb_comm_t *comm, const uint32_t *own, uint32_t *all,
                         mb_wire_request_t *request)
{
    mb_virtual_end_t *end = comm->end;
    mb_virtual_t *world = end->world;
    mb_virtual_vote_t *vote = &world->votes[end->votes++ % 2];
    mb_letter_t letter = {.owner = comm->rank, .line = MB_LINE_CONTROL, .data = all};
    if (vote->arrived == world->size)
        *vote = (mb_virtual_vote_t){0};
    MB_TRY(take_letter(world, &letter, &end->vote));
    keep_number(end->vote, request);
    vote->flags |= *own;
    if (++vote->arrived < world->size || world->first.rank != INT_MAX)
        return MB_OK;
    return close_vote(world, vote);
}

/* ---- time */

static mb_status_t rest(mb_comm_t *comm, const mb_comm_note_t *note)
{
    mb_virtual_end_t *end = comm->end;
    if (end->world->stands_still)
        return mb_error_set(MB_ERR_PEER, "%s", end->world->first.text);
    const mb_virtual_times_t *times = &end->world->times;
    if (times->idle != NULL)
        times->idle(times->user, comm->rank);
    end->state = MB_END_WAITS;
    end->note = note;
    mb_fiber_yield();
    end->note = NULL;
    return MB_OK;
}

static void tell(mb_comm_t *comm)
{
    mb_virtual_t *world = comm->end->world;
    for (int rank = 0; rank < world->size; rank++) {
        mb_end_state_t state = world->ends[rank]->state;
        if (state == MB_END_WAITS || state == MB_END_LOST)
            mb_events_put(&world->events, world->now, MB_EVENT_WAKES, (uint32_t)rank);
    }
}

static double clock_of(const mb_comm_t *comm)
{
    return comm->end->clock;
}

static void work(mb_comm_t *comm, int kind, int chunk, double part)
{
    mb_virtual_end_t *end = comm->end;
    const mb_virtual_times_t *times = &end->world->times;
    if (times->work == NULL)
        return;
    double seconds = times->work(times->user, end->clock, comm->rank, kind, chunk, part);
    if (!(seconds > 0) || mb_events_put(&end->world->events, end->clock + seconds, MB_EVENT_GOES_ON,
                                        (uint32_t)comm->rank))
        return;
    end->state = MB_END_GOES_ON;
    mb_fiber_yield();
}

const mb_wire_class_t mb_wire_virtual = {.size = sizeof mb_wire_virtual,
                                         .send = send,
                                         .receive = receive,
                                         .test = test,
                                         .drop = drop,
                                         .unite = unite,
                                         .rest = rest,
                                         .tell = tell,
                                         .clock = clock_of,
                                         .work = work};
