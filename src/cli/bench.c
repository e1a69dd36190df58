/* mbrun bench: what devices and links do here, as a hardware file for mbrun plan, and how near to
 * it the operations come. */
#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"
#include "cli/bench_profile.h"
#include "cli/command.h"
#include "cli/job.h"
#include "cli/say.h"
#include "engine/kernels.h"
#include "engine/rates.h"
#include "store/io.h"
#include "train/layout.h"

static void print_link(const char *what, const mb_hardware_link_t *link, bool measured)
{
    char latency[32], bandwidth[32];
    printf("%-11s%s, %s a second%s\n", what, mb_str_seconds(link->latency, latency, sizeof latency),
           mb_str_bytes(link->bandwidth, bandwidth, sizeof bandwidth),
           measured ? "" : " (not measured: no two ranks that have it)");
}

static void print_rates(const mb_hardware_t *hw, bool inside, bool between)
{
    char memory[32], bandwidth[32], overhead[32];
    printf("device     %s\n", hw->name);
    printf("products   %.1f GFLOP/s\n", hw->flops * 1e-9);
    printf("memory     %s, %s a second\n", mb_str_bytes((double)hw->memory, memory, sizeof memory),
           mb_str_bytes(hw->memory_bandwidth, bandwidth, sizeof bandwidth));
    printf("a call     %s\n", mb_str_seconds(hw->overhead, overhead, sizeof overhead));
    print_link("in a node", &hw->inside, inside);
    print_link("between", &hw->between, between);
}

static void rate(double amount, double seconds, char text[16])
{
    if (amount > 0)
        snprintf(text, 16, "%.1f", amount / seconds * 1e-9);
    else
        snprintf(text, 16, "-");
}

static void print_kernel(const mb_kernel_time_t *kernel)
{
    char seconds[32], flops[16], bytes[16], share[16] = "-";
    rate(kernel->flops, kernel->seconds, flops);
    rate(kernel->bytes, kernel->seconds, bytes);
    if (kernel->allowed > 0)
        snprintf(share, sizeof share, "%.0f %%", 100 * kernel->allowed / kernel->seconds);
    printf("%-25s%-19s%10s%9s%9s%10s\n", kernel->name, kernel->shape,
           mb_str_seconds(kernel->seconds, seconds, sizeof seconds), flops, bytes, share);
}

/* Through shared memory a message is read and written once. */
static mb_kernel_time_t message_of(const mb_hardware_t *limits)
{
    double bytes = 1 << 20;
    return (mb_kernel_time_t){.name = "message in the node",
                              .shape = "1 MiB",
                              .seconds = mb_hardware_link_seconds(&limits->inside, bytes),
                              .bytes = 2 * bytes,
                              .allowed = 2 * bytes / limits->memory_bandwidth};
}

static void print_kernels(const mb_kernel_time_t *kernels, int n)
{
    printf("\n%-25s%-19s%10s%9s%9s%10s\n", "operation", "shape", "time", "GFLOP/s", "GB/s",
           "of limit");
    for (int i = 0; i < n; i++)
        print_kernel(&kernels[i]);
}

/* INSIDE: messages between ranks of a node were measured. */
static mb_status_t bench_kernels(const mb_job_t *job, mb_machine_t *machine, mb_hardware_t *limits,
                                 bool inside)
{
    int n;
    bool sums;
    mb_kernel_time_t kernels[MB_MOST_KERNELS + 2];
    MB_TRY(mb_kernels_measure(machine, limits, kernels, &n));
    if (inside)
        kernels[n++] = message_of(limits);
    MB_TRY(mb_kernel_sum(machine, limits, &kernels[n], &sums));
    if (job->rank == 0)
        print_kernels(kernels, n + sums);
    return MB_OK;
}

static mb_status_t write_rates(const char *path, const mb_hardware_t *hw)
{
    char *text = mb_hardware_text(hw);
    if (text == NULL)
        return mb_error_memory("a hardware file", 0);
    mb_status_t status = mb_io_replace_text(path, text);
    free(text);
    return status;
}

/* Into a file, or, without one, with the operations beside them. */
static mb_status_t bench_rates(const mb_job_t *job, mb_machine_t *machine, const char *path)
{
    mb_hardware_t hw;
    bool inside = false, between = false;
    mb_status_t status = mb_rates_measure(machine, &hw, &inside, &between);
    MB_TRY(status);
    if (job->rank == 0 && path != NULL)
        status = write_rates(path, &hw);
    MB_TRY(mb_comm_agree(job->comm, status));
    if (job->rank == 0)
        print_rates(&hw, inside, between);
    return path == NULL ? bench_kernels(job, machine, &hw, inside) : MB_OK;
}

static mb_status_t check(const mb_args_t *args)
{
    bool model = args->n_words > 0, profile = mb_args_has(args, "profile");
    if (model != profile)
        return mb_error_set(MB_ERR_ARGUMENT,
                            model
                                ? "no file for what the layers of %s take; use --profile FILE.json"
                                : "--profile is of a model's layers: name the model%s",
                            model ? args->words[0] : "");
    if (profile && !mb_settings_has(args->settings, MB_SET_DATA))
        return mb_error_set(MB_ERR_ARGUMENT,
                            "no data, which the model's shapes are taken from; use --data FILE");
    return MB_OK;
}

static mb_status_t bench(const mb_job_t *job, const mb_args_t *args)
{
    mb_machine_t *machine;
    const char *hardware = mb_args_flag(args, "hardware"), *profile = mb_args_flag(args, "profile");
    mb_machine_options_t options = mb_layout_machine(args->settings);
    MB_TRY(mb_comm_agree(job->comm, check(args)));
    MB_TRY(mb_machine_open(job->comm, &options, &machine));
    bool rates = hardware != NULL || profile == NULL;
    mb_status_t status = rates ? bench_rates(job, machine, hardware) : MB_OK;
    if (status == MB_OK && profile != NULL)
        status = mb_bench_profile(job, args, machine, profile);
    if (status != MB_OK)
        mb_machine_give_up(machine);
    mb_machine_close(machine);
    return status;
}

static int run_bench(const mb_args_t *args)
{
    mb_job_t job;
    int code;
    if (!mb_job_start(&job, args, &code))
        return code;
    mb_status_t status = bench(&job, args);
    mb_job_report(&job, status);
    return mb_job_end(&job, status);
}

static const mb_flag_t flags[] = {
    {"hardware", '\0', "FILE.json", "where the rates are written"},
    {"profile", '\0', "FILE.json", "where it is written what the model's layers take"},
    MB_FLAG_PLUGIN,
    {.name = NULL}};

static const mb_setting_id_t settings[] = {
    MB_SET_DATA,    MB_SET_LABEL, MB_SET_BATCH,    MB_SET_MICRO_BATCH, MB_SET_REPLICAS,
    MB_SET_STAGES,  MB_SET_LOSS,  MB_SET_DTYPE,    MB_SET_DEVICE,      MB_SET_SHARE_DEVICE,
    MB_SET_THREADS, MB_SET_BIND,  MB_SET_TRANSPORT};

const mb_command_t mb_command_bench = {
    .name = "bench",
    .usage = "[--hardware FILE.json]   or   MODEL.h5 --data D --profile FILE.json",
    .title = "Measure devices, links, operations and a model's layers",
    .detail =
        "With --hardware or --profile a file is written for mbrun plan and mbrun simulate.\n"
        "Without, operations on shapes of common models are shown beside what the best rates\n"
        "of products and memory allow. All ranks compute at once, as in training. Messages\n"
        "go between rank 0 and another rank of its node, and one of another node: start two\n"
        "on each of two nodes to have both. A model is measured in the stages and\n"
        "micro-batches that a run would have.\n",
    .flags = flags,
    .settings = settings,
    .n_settings = sizeof settings / sizeof settings[0],
    .most_words = 1,
    .words = "a model file",
    .parallel = true,
    .run = run_bench};
