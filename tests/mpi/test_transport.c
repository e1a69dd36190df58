/* The MPI transport, straight from shared memory and staged from memory that is apart. */
#include "comm/transport.h"
#include "mpi/cases.h"
#include "mpi/devices.h"

#include <stdlib.h>
#include <string.h>

#define MOST_BYTES ((size_t)1 << 20)

typedef struct {
    mb_comm_t *comm;
    test_device_t device;
    mb_transport_t *transport;
} world_t;

static const mb_comm_note_t note = {"moving a message", 0, -1, -1, -1, false};

static void open_world(world_t *world, const char *device, int max_requests, size_t max_bytes)
{
    world->comm = cases_comm(20);
    devices_open(device, &world->device);
    EXPECT_OK(mb_transport_mpi_create(world->comm, &world->device.exec, max_requests, max_bytes,
                                      &world->transport));
}

static void close_world(world_t *world)
{
    mb_transport_destroy(world->transport);
    devices_close(&world->device);
    mb_comm_destroy(world->comm);
}

static void each_device(void (*run)(world_t *world), int max_requests, size_t max_bytes)
{
    for (int i = 0; i < 2; i++) {
        world_t world;
        open_world(&world, devices_names[i], max_requests, max_bytes);
        run(&world);
        close_world(&world);
    }
}

static int next_rank(void)
{
    return (cases_rank + 1) % cases_size;
}

static int rank_before(void)
{
    return (cases_rank + cases_size - 1) % cases_size;
}

static void fill(uint32_t *data, size_t n, uint32_t seed)
{
    for (size_t i = 0; i < n; i++)
        data[i] = (uint32_t)i * 2654435761U + seed;
}

static void ring_once(world_t *world, size_t bytes, void *out, void *in, uint32_t *host)
{
    size_t n = (bytes + 3) / 4;
    uint32_t *expected = malloc(n * 4 + 4);
    mb_request_t *send = NULL, *receive = NULL;
    fill(host, n, (uint32_t)cases_rank);
    devices_write(&world->device, out, host, bytes);
    EXPECT_OK(mb_transport_irecv(world->transport, in, bytes, rank_before(), 9, &receive));
    EXPECT_OK(mb_transport_isend(world->transport, out, bytes, next_rank(), 9, &send));
    EXPECT_OK(mb_transport_wait(world->transport, world->comm, &receive, &note));
    EXPECT_OK(mb_transport_wait(world->transport, world->comm, &send, &note));
    EXPECT(send == NULL && receive == NULL);
    EXPECT_OK(mb_transport_wait(world->transport, world->comm, &send, &note));
    fill(expected, n, (uint32_t)rank_before());
    devices_read(&world->device, host, in, bytes);
    EXPECT(memcmp(host, expected, bytes) == 0);
    free(expected);
}

static void send_all_sizes(world_t *world)
{
    static const size_t sizes[] = {0, 1, 4, 1000, 4096, 65535, 65536, 70000, MOST_BYTES};
    uint32_t *host = malloc(MOST_BYTES + 4);
    void *out = devices_alloc(&world->device, MOST_BYTES);
    void *in = devices_alloc(&world->device, MOST_BYTES);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        ring_once(world, sizes[i], out, in, host);
    mb_device_free(world->device.device, out);
    mb_device_free(world->device.device, in);
    free(host);
}

static void messages_of_all_sizes_arrive_whole(void)
{
    each_device(send_all_sizes, 2, MOST_BYTES);
}

#define MANY 40
#define MANY_FLOATS 6000

static void post_many(world_t *world, uint32_t *out, uint32_t *in, mb_request_t **requests)
{
    uint32_t *host = malloc(MANY_FLOATS * 4);
    for (int i = 0; i < MANY; i++) {
        size_t at = (size_t)i * MANY_FLOATS, bytes = i % 4 == 0 ? MANY_FLOATS * 4 : 8;
        fill(host, MANY_FLOATS, (uint32_t)(cases_rank * 100 + i));
        devices_write(&world->device, out + at, host, MANY_FLOATS * 4);
        EXPECT_OK(mb_transport_irecv(world->transport, in + at, bytes, rank_before(), 3,
                                     &requests[2 * i]));
        EXPECT_OK(mb_transport_isend(world->transport, out + at, bytes, next_rank(), 3,
                                     &requests[2 * i + 1]));
    }
    free(host);
}

/* Waited for in reverse: the order of completion must not matter. */
static void send_many(world_t *world)
{
    mb_request_t *requests[2 * MANY] = {NULL};
    uint32_t *out = devices_alloc(&world->device, MANY * MANY_FLOATS * 4);
    uint32_t *in = devices_alloc(&world->device, MANY * MANY_FLOATS * 4);
    post_many(world, out, in, requests);
    for (int i = 2 * MANY - 1; i >= 0; i--)
        EXPECT_OK(mb_transport_wait(world->transport, world->comm, &requests[i], &note));
    for (int i = 0; i < MANY; i++) {
        uint32_t first[2];
        devices_read(&world->device, first, in + (size_t)i * MANY_FLOATS, sizeof(first));
        EXPECT(first[0] == (uint32_t)(rank_before() * 100 + i));
    }
    mb_device_free(world->device.device, out);
    mb_device_free(world->device.device, in);
}

static void many_outstanding_messages_with_one_tag_keep_their_order(void)
{
    each_device(send_many, 2 * MANY, MANY_FLOATS * 4);
}

/* A chain on one stream: what is received is added to itself and sent on, without the host ever
 * waiting for the device. */
static void pass_along(world_t *world)
{
    float *value = devices_alloc(&world->device, 64), start = 1, end = 0;
    mb_add_args_t twice = {.count = 1, .a = value, .b = value, .y = value};
    mb_request_t *request = NULL;
    if (cases_rank == 0)
        devices_write(&world->device, value, &start, sizeof(start));
    for (int round = 0; round < 3; round++) {
        if (cases_rank > 0 || round > 0) {
            EXPECT_OK(mb_transport_irecv(world->transport, value, 4, rank_before(), 1, &request));
            EXPECT_OK(mb_transport_wait(world->transport, world->comm, &request, &note));
        }
        EXPECT_OK(mb_run_add(&world->device.exec, &twice));
        EXPECT_OK(mb_transport_isend(world->transport, value, 4, next_rank(), 1, &request));
        if (cases_size > 1 || round == 2)
            EXPECT_OK(mb_transport_wait(world->transport, world->comm, &request, &note));
        else
            request = NULL; /* the only rank sends to itself and receives above */
    }
    if (cases_rank == 0 && cases_size > 1) {
        EXPECT_OK(mb_transport_irecv(world->transport, value, 4, rank_before(), 1, &request));
        EXPECT_OK(mb_transport_wait(world->transport, world->comm, &request, &note));
        devices_read(&world->device, &end, value, sizeof(end));
        EXPECT(end == (float)(1 << (3 * cases_size)));
    }
    mb_device_free(world->device.device, value);
}

static void operations_after_a_receive_see_its_data(void)
{
    if (cases_size > 1)
        each_device(pass_along, 4, 64);
}

static void overfill(world_t *world)
{
    mb_request_t *requests[4] = {NULL};
    char *buffer = devices_alloc(&world->device, 256);
    int n = 0;
    mb_status_t status = MB_OK;
    for (; n < 4 && status == MB_OK; n++)
        status = mb_transport_irecv(world->transport, buffer, 16, cases_rank, 5, &requests[n]);
    if (world->device.device->class_->host_visible(world->device.device))
        EXPECT(n == 3);
    EXPECT(n == 4 || (status == MB_ERR_INTERNAL && strstr(mb_error_get(), "outstanding") != NULL));
    for (int i = 0; i < 4; i++) {
        if (requests[i] != NULL)
            world->transport->class_->cancel(world->transport, requests[i]);
    }
    mb_device_free(world->device.device, buffer);
}

static void more_requests_than_planned_are_an_error(void)
{
    each_device(overfill, 2, 16);
}

static void wait_in_vain(world_t *world)
{
    char *buffer = devices_alloc(&world->device, 256);
    mb_request_t *request = NULL;
    EXPECT_OK(mb_transport_irecv(world->transport, buffer, 16, rank_before(), 8, &request));
    if (cases_rank == 0)
        mb_comm_fail(world->comm, mb_error_set(MB_ERR_DATA, "bad label"));
    EXPECT(mb_transport_wait(world->transport, world->comm, &request, &note) == MB_ERR_PEER);
    EXPECT(request != NULL);
    EXPECT(mb_comm_settle(world->comm, 5));
    world->transport->class_->cancel(world->transport, request);
    mb_device_free(world->device.device, buffer);
}

static void a_failure_ends_a_wait_and_the_transport_can_be_freed(void)
{
    each_device(wait_in_vain, 2, 16);
}

/* A kernel's callback moves staged sends on while nobody waits. */
static void progress_by_callback(world_t *world)
{
    static const char text[16] = "hello";
    char got[16] = "";
    char *out = devices_alloc(&world->device, 16), *in = devices_alloc(&world->device, 16);
    mb_request_t *send = NULL, *receive = NULL;
    bool done = false;
    devices_write(&world->device, out, text, sizeof(text));
    EXPECT_OK(mb_transport_irecv(world->transport, in, 16, rank_before(), 2, &receive));
    EXPECT_OK(mb_transport_isend(world->transport, out, 16, next_rank(), 2, &send));
    for (double end = mb_time_seconds() + 10; !done && mb_time_seconds() < end;) {
        mb_comm_progress(world->comm);
        EXPECT_OK(world->transport->class_->progress(world->transport));
        EXPECT_OK(world->transport->class_->test(world->transport, receive, &done));
    }
    EXPECT(done);
    EXPECT_OK(mb_transport_wait(world->transport, world->comm, &send, &note));
    devices_read(&world->device, got, in, sizeof(got));
    EXPECT(strcmp(got, "hello") == 0);
    mb_device_free(world->device.device, out);
    mb_device_free(world->device.device, in);
}

static void progress_moves_messages_without_a_wait(void)
{
    each_device(progress_by_callback, 2, 16);
}

static void the_way_follows_from_the_devices_memory(void)
{
    world_t world;
    open_world(&world, "cpu", 1, 16);
    EXPECT(strcmp(world.transport->class_->name, "mpi") == 0);
    close_world(&world);
    open_world(&world, "deferred", 1, 16);
    EXPECT(strcmp(world.transport->class_->name, "mpi staged") == 0);
    mb_request_t *request;
    char *buffer = devices_alloc(&world.device, 64);
    EXPECT(mb_transport_isend(world.transport, buffer, 17, 0, 1, &request) == MB_ERR_INTERNAL);
    mb_device_free(world.device.device, buffer);
    close_world(&world);
}

#define CASE(name)                                                                                 \
    {                                                                                              \
#name, name                                                                                \
    }

int main(int argc, char **argv)
{
    static const case_t cases[] = {
        CASE(the_way_follows_from_the_devices_memory),
        CASE(messages_of_all_sizes_arrive_whole),
        CASE(many_outstanding_messages_with_one_tag_keep_their_order),
        CASE(operations_after_a_receive_see_its_data),
        CASE(progress_moves_messages_without_a_wait),
        CASE(more_requests_than_planned_are_an_error),
        CASE(a_failure_ends_a_wait_and_the_transport_can_be_freed),
    };
    return cases_main(argc, argv, cases, (int)(sizeof(cases) / sizeof(cases[0])));
}
