/* The deferred device defers, keeps its memory closed, and computes the CPU's bits. */
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "support/deferred_device.h"
#include "support/op_check.h"

typedef struct {
    mb_device_t *device;
    mb_exec_t exec;
} deferred_t;

static void open_deferred(deferred_t *d)
{
    mb_device_options_t options = {.size = sizeof options, .threads = 2};
    ck_assert_int_eq(mb_device_open("deferred", &options, &d->device), MB_OK);
    ck_assert_int_eq(mb_exec_create(d->device, &d->exec), MB_OK);
}

static void close_deferred(deferred_t *d)
{
    mb_exec_destroy(&d->exec);
    mb_device_close(d->device);
}

static void *device_memory(deferred_t *d, size_t bytes)
{
    void *memory = NULL;
    ck_assert_int_eq(mb_device_alloc(d->device, bytes, &memory), MB_OK);
    return memory;
}

/* The kernel refuses to read closed memory for the host, as the processor would, but by an error.
 */
static bool host_can_read(const void *memory)
{
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    ssize_t written = write(ends[1], memory, 4);
    ck_assert(written == 4 || errno == EFAULT);
    close(ends[0]);
    close(ends[1]);
    return written == 4;
}

START_TEST(host_cannot_read_device_memory)
{
    deferred_t d;
    float host = 1.0f;
    open_deferred(&d);
    ck_assert(!d.device->class_->host_visible(d.device));
    void *memory = device_memory(&d, 64);
    ck_assert(host_can_read(&host));
    ck_assert(!host_can_read(memory));
    mb_device_free(d.device, memory);
    close_deferred(&d);
}
END_TEST

START_TEST(new_memory_holds_not_a_number)
{
    deferred_t d;
    open_deferred(&d);
    float host[16] = {0};
    float *memory = device_memory(&d, sizeof host);
    ck_assert_int_eq(mb_exec_allocate(&d.exec), MB_OK);
    ck_assert_int_eq(mb_exec_copy(&d.exec, host, memory, sizeof host, MB_COPY_TO_HOST), MB_OK);
    ck_assert_int_eq(mb_exec_sync(&d.exec), MB_OK);
    for (int i = 0; i < 16; i++)
        ck_assert(host[i] != host[i]);
    mb_device_free(d.device, memory);
    close_deferred(&d);
}
END_TEST

START_TEST(operations_run_later_in_order_with_the_bits_of_the_cpu)
{
    enum { SIZE = 70, COUNT = SIZE * SIZE };
    op_t cpu;
    op_open(&cpu, 1, 1);
    float *a = op_random(&cpu, COUNT, -1, 1), *c = op_floats(&cpu, COUNT);
    mb_gemm_args_t args = {.m = SIZE, .n = SIZE, .k = SIZE, .lda = SIZE, .ldb = SIZE, .ldc = SIZE};
    args.a = args.b = a;
    args.c = c;
    OP_RUN(&cpu, GEMM, &args);
    args.a = c;
    args.c = op_floats(&cpu, COUNT);
    OP_RUN(&cpu, GEMM, &args);

    deferred_t d;
    open_deferred(&d);
    float result[COUNT];
    float *da = device_memory(&d, sizeof result), *dc = device_memory(&d, sizeof result);
    float *dd = device_memory(&d, sizeof result);
    mb_gemm_args_t later = args;
    later.a = later.b = da;
    later.c = dc;
    ck_assert_int_eq(mb_run_gemm(&d.exec, &later), MB_OK);
    ck_assert_int_eq(mb_exec_allocate(&d.exec), MB_OK);
    ck_assert_int_eq(mb_exec_copy(&d.exec, da, a, sizeof result, MB_COPY_TO_DEVICE), MB_OK);
    ck_assert_int_eq(mb_run_gemm(&d.exec, &later), MB_OK);
    later.a = dc;
    later.c = dd;
    ck_assert_int_eq(mb_run_gemm(&d.exec, &later), MB_OK);
    memset(&later, 0, sizeof later); /* arguments were copied */
    ck_assert_int_eq(mb_exec_copy(&d.exec, result, dd, sizeof result, MB_COPY_TO_HOST), MB_OK);
    ck_assert_int_eq(mb_exec_sync(&d.exec), MB_OK);
    ck_assert_mem_eq(result, args.c, sizeof result);
    mb_device_free(d.device, da);
    mb_device_free(d.device, dc);
    mb_device_free(d.device, dd);
    close_deferred(&d);
    op_close(&cpu);
}
END_TEST

/* A copy reads host memory only when the worker comes to it: overwriting it earlier shows. */
START_TEST(copies_read_host_memory_late)
{
    deferred_t d;
    mb_exec_t other;
    mb_event_t *event = NULL;
    open_deferred(&d);
    const mb_device_class_t *class_ = d.device->class_;
    ck_assert_int_eq(mb_exec_create(d.device, &other), MB_OK);
    ck_assert_int_eq(mb_exec_allocate(&d.exec), MB_OK);
    ck_assert_int_eq(mb_exec_allocate(&other), MB_OK);
    ck_assert_int_eq(class_->event_create(d.device, &event), MB_OK);
    enum { COUNT = 1 << 22 };
    float *big = device_memory(&d, 4 * COUNT), *small = device_memory(&d, 4);
    float from = 1.0f, to = 0.0f;
    bool done = true;
    mb_fill_args_t fill = {MB_F32, COUNT, 1.0f, big};
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(mb_run_fill(&d.exec, &fill), MB_OK);
    ck_assert_int_eq(class_->event_record(event, d.exec.stream), MB_OK);
    ck_assert_int_eq(class_->stream_wait_event(other.stream, event), MB_OK);
    ck_assert_int_eq(mb_exec_copy(&other, small, &from, 4, MB_COPY_TO_DEVICE), MB_OK);
    ck_assert_int_eq(class_->event_query(event, &done), MB_OK);
    ck_assert(!done);
    from = 2.0f;
    ck_assert_int_eq(mb_exec_copy(&other, &to, small, 4, MB_COPY_TO_HOST), MB_OK);
    ck_assert_int_eq(mb_exec_sync(&other), MB_OK);
    ck_assert_float_eq(to, 2.0f);
    ck_assert_int_eq(class_->event_query(event, &done), MB_OK);
    ck_assert(done);
    class_->event_destroy(event);
    mb_device_free(d.device, big);
    mb_device_free(d.device, small);
    mb_exec_destroy(&other);
    close_deferred(&d);
}
END_TEST

START_TEST(failures_show_at_synchronization)
{
    deferred_t d;
    open_deferred(&d);
    ck_assert_int_eq(mb_exec_allocate(&d.exec), MB_OK);
    mb_sum_args_t args = {.count = 10};
    ck_assert_int_eq(mb_run_sum(&d.exec, &args), MB_OK);
    ck_assert_int_eq(mb_exec_sync(&d.exec), MB_ERR_INTERNAL);
    ck_assert_ptr_nonnull(strstr(mb_error_get(), "sum"));
    ck_assert_int_eq(mb_exec_sync(&d.exec), MB_OK);
    close_deferred(&d);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("op_deferred");
    TCase *t = tcase_create("deferred");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, host_cannot_read_device_memory);
    tcase_add_test(t, new_memory_holds_not_a_number);
    tcase_add_test(t, operations_run_later_in_order_with_the_bits_of_the_cpu);
    tcase_add_test(t, copies_read_host_memory_late);
    tcase_add_test(t, failures_show_at_synchronization);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return op_main(suite());
}
