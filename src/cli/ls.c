/* mbrun ls: what lies in a run's directory. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/str.h"
#include "cli/command.h"
#include "cli/say.h"
#include "store/run_list_json.h"

enum { TIME_TEXT = 32 };

static char *time_text(int64_t seconds, char buffer[TIME_TEXT])
{
    time_t at = (time_t)seconds;
    struct tm parts;
    if (localtime_r(&at, &parts) == NULL ||
        strftime(buffer, TIME_TEXT, "%Y-%m-%d %H:%M:%S", &parts) == 0)
        snprintf(buffer, TIME_TEXT, "?");
    return buffer;
}

static void print_entry(const mb_run_entry_t *entry)
{
    char bytes[32], when[TIME_TEXT], step[24] = "", epoch[48] = "";
    mb_str_bytes((double)entry->bytes, bytes, sizeof bytes);
    if (entry->step >= 0)
        snprintf(step, sizeof step, "%" PRId64, entry->step);
    if (entry->has_state)
        snprintf(epoch, sizeof epoch, "%" PRId64 " + %" PRId64, entry->epoch, entry->step_in_epoch);
    printf("%-20s%10s%14s%12s  %s  ", entry->name, step, epoch, bytes,
           time_text(entry->modified, when));
    if (entry->holds)
        printf("seal holds, %s\n", entry->stored);
    else
        printf("passed over: %s\n", entry->why);
}

static void print_lease(const mb_lease_view_t *lease)
{
    char age[32];
    mb_str_seconds(lease->age < 0 ? 0 : lease->age, age, sizeof age);
    if (lease->mark == MB_LEASE_NONE)
        printf("%-12snobody runs here\n", "lease");
    else if (lease->mark == MB_LEASE_UNREADABLE)
        printf("%-12scannot be read; if no run is active, remove it\n", "lease");
    else
        printf("%-12sprocess %lld on %s%s%s, renewed %s ago%s\n", "lease", lease->owner.pid,
               lease->owner.host, strcmp(lease->owner.job, "-") == 0 ? "" : ", job ",
               strcmp(lease->owner.job, "-") == 0 ? "" : lease->owner.job, age,
               lease->mark == MB_LEASE_HELD ? "" : ": it is gone, and the next start takes over");
}

static void print_list(const mb_run_list_t *list)
{
    if (list->n_entries > 0)
        printf("%-20s%10s%14s%12s  %-19s\n", "file", "step", "epochs+steps", "size", "written");
    for (int i = 0; i < list->n_entries; i++)
        print_entry(&list->entries[i]);
    for (int i = 0; i < list->n_leftovers; i++)
        printf("%-20s left over from a write that did not end; the next start removes it\n",
               list->leftovers[i]);
    print_lease(&list->lease);
    printf("%-12s%s%s%s\n", "resume", list->next == NULL ? "" : list->next,
           list->next == NULL ? "" : ": ", list->why);
}

static mb_status_t show(const mb_args_t *args)
{
    mb_run_list_t list;
    mb_status_t status = mb_run_list(args->words[0], &list);
    if (status == MB_OK && mb_args_has(args, "json"))
        status = mb_say_json(mb_run_list_json(&list, args->words[0]));
    else if (status == MB_OK)
        print_list(&list);
    mb_run_list_free(&list);
    return status;
}

static int run_ls(const mb_args_t *args)
{
    return mb_say_end(show(args));
}

static const mb_flag_t flags[] = {{"json", '\0', NULL, "one JSON object instead of text"},
                                  {.name = NULL}};

const mb_command_t mb_command_ls = {
    .name = "ls",
    .usage = "RUN [--json]",
    .title = "Show a run's checkpoints, who runs there, and what a start would go on from",
    .detail =
        "Of each checkpoint: step, whole epochs and steps into the next, size, when it was "
        "written,\n"
        "whether its seal holds (every byte is read), and whether its numbers are exact, averages\n"
        "or rounded. Then what writes that did not end have left, the lease (which process runs "
        "in\n"
        "the directory, or ran and is gone), and the file that a start would go on from, with the\n"
        "reason. Nothing is changed.\n",
    .flags = flags,
    .least_words = 1,
    .most_words = 1,
    .words = "a run's directory",
    .run = run_ls};
