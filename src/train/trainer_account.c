/* --profile: where the time of the ranks went between the first step's beginning and the last one's
 * end, as a table by activities and one by operations, and as time.json. Each rank's parts add up
 * to its whole, so the means over ranks add up to the mean whole. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "engine/activity.h"
#include "store/io.h"
#include "train/trainer_private.h"

enum { NAME = 48, MOST_ROWS = 2 * MB_ACTIVITY_COUNT, MOST_OPERATIONS = MB_ACCOUNT_PLACES };

mb_status_t mb_training_take_account(mb_training_t *trainer)
{
    if (!mb_settings_on(trainer->settings, MB_SET_PROFILE))
        return MB_OK;
    trainer->account = calloc(1, sizeof *trainer->account);
    if (trainer->account == NULL)
        return mb_error_memory("a profile of the steps", sizeof *trainer->account);
    mb_comm_set_account(trainer->comm, trainer->account);
    return MB_OK;
}

void mb_training_drop_account(mb_training_t *trainer)
{
    if (trainer->account != NULL)
        mb_comm_set_account(trainer->comm, NULL);
    free(trainer->account);
    trainer->account = NULL;
}

/* ---- what one rank's account says */

static mb_account_cell_t add(mb_account_cell_t a, const mb_account_cell_t *b)
{
    return (mb_account_cell_t){a.count + b->count, a.seconds + b->seconds, a.flops + b->flops,
                               a.bytes + b->bytes};
}

/* What the rank did itself, in operations and around them. */
static mb_account_cell_t worked(const mb_account_t *account, int activity)
{
    mb_account_cell_t sum = account->cells[activity][MB_ACCOUNT_NEITHER];
    for (int op = 0; op < (int)MB_OP_COUNT; op++)
        sum.seconds += account->cells[activity][op].seconds;
    return sum;
}

static mb_account_cell_t of_place(const mb_account_t *account, int place)
{
    mb_account_cell_t sum = {0};
    for (int a = 0; a < MB_ACTIVITY_COUNT; a++)
        sum = add(sum, &account->cells[a][place]);
    if (place == MB_ACCOUNT_NEITHER)
        sum.count = 0;
    return sum;
}

/* ---- over all ranks */

typedef struct {
    mb_time_report_t report;
    const mb_account_t *all;
    int ranks;
    char names[MOST_ROWS + MOST_OPERATIONS][NAME];
    mb_time_row_t activities[MOST_ROWS], operations[MOST_OPERATIONS];
} tables_t;

typedef mb_account_cell_t (*part_t)(const mb_account_t *account, int what);

static mb_account_cell_t waited(const mb_account_t *account, int activity)
{
    return account->cells[activity][MB_ACCOUNT_WAIT];
}

/* Rates are of all ranks' work over all ranks' time. */
static mb_time_row_t row_of(const tables_t *t, part_t part, int what)
{
    mb_account_cell_t sum = {0};
    mb_time_row_t row = {0};
    for (int r = 0; r < t->ranks; r++) {
        mb_account_cell_t cell = part(&t->all[r], what);
        sum = add(sum, &cell);
        if (cell.seconds > row.most) {
            row.most = cell.seconds;
            row.most_rank = r;
        }
    }
    row.count = sum.count;
    row.mean = sum.seconds / t->ranks;
    row.flops = sum.seconds > 0 ? sum.flops / sum.seconds : 0;
    row.bytes = sum.seconds > 0 ? sum.bytes / sum.seconds : 0;
    return row;
}

static void add_row(mb_time_row_t *rows, int *n, const mb_time_row_t *row, char *name,
                    const char *lead, const char *what)
{
    if (row->count == 0 && row->mean <= 0)
        return;
    rows[*n] = *row;
    snprintf(name, NAME, "%s%s", lead, what);
    rows[(*n)++].name = name;
}

static void fill_activities(tables_t *t)
{
    int n = 0;
    for (int a = 0; a < MB_ACTIVITY_COUNT; a++) {
        mb_time_row_t row = row_of(t, worked, a), wait = row_of(t, waited, a);
        add_row(t->activities, &n, &row, t->names[n], "", mb_activity_name(a));
        add_row(t->activities, &n, &wait, t->names[n], "waits, ", mb_activity_name(a));
    }
    t->report.activities = t->activities;
    t->report.n_activities = n;
}

static int longest_first(const void *a, const void *b)
{
    const mb_time_row_t *x = a, *y = b;
    return (x->mean < y->mean) - (x->mean > y->mean);
}

static void fill_operations(tables_t *t)
{
    int n = 0;
    char(*names)[NAME] = t->names + MOST_ROWS;
    for (int place = 0; place < MB_ACCOUNT_PLACES; place++) {
        mb_time_row_t row = row_of(t, of_place, place);
        const char *name = place == MB_ACCOUNT_WAIT      ? "(waits)"
                           : place == MB_ACCOUNT_NEITHER ? "(between operations)"
                                                         : mb_op_name((mb_op_t)place);
        add_row(t->operations, &n, &row, names[n], "", name);
    }
    qsort(t->operations, (size_t)n, sizeof t->operations[0], longest_first);
    t->report.operations = t->operations;
    t->report.n_operations = n;
}

/* ---- time.json */

static void add_operations(mb_str_t *text, const mb_account_t *account, int activity)
{
    const char *comma = "";
    mb_str_add(text, ", \"operations\": {");
    for (int op = 0; op < (int)MB_OP_COUNT; op++) {
        const mb_account_cell_t *cell = &account->cells[activity][op];
        if (cell->count == 0)
            continue;
        mb_str_addf(text,
                    "%s\n      \"%s\": {\"count\": %lld, \"seconds\": %.9f, \"flops\": %.9g, "
                    "\"bytes\": %.9g}",
                    comma, mb_op_name((mb_op_t)op), (long long)cell->count, cell->seconds,
                    cell->flops, cell->bytes);
        comma = ",";
    }
    mb_str_add(text, "}");
}

static void add_rank(mb_str_t *text, const mb_account_t *account, int rank)
{
    const char *comma = "";
    mb_str_addf(text, "%s\n  {\"rank\": %d, \"seconds\": %.9f, \"activities\": {",
                rank == 0 ? "" : ",", rank, account->seconds);
    for (int a = 0; a < MB_ACTIVITY_COUNT; a++) {
        mb_account_cell_t own = worked(account, a), wait = waited(account, a);
        if (own.count == 0 && own.seconds + wait.seconds <= 0)
            continue;
        mb_str_addf(text,
                    "%s\n    \"%s\": {\"count\": %lld, \"seconds\": %.9f, \"waits\": %lld, "
                    "\"wait_seconds\": %.9f",
                    comma, mb_activity_name(a), (long long)own.count, own.seconds,
                    (long long)wait.count, wait.seconds);
        add_operations(text, account, a);
        mb_str_add(text, "}");
        comma = ",";
    }
    mb_str_add(text, "}}");
}

static mb_status_t write_file(const mb_training_t *trainer, const tables_t *t)
{
    mb_str_t text = {0};
    if (trainer->dir == NULL)
        return MB_OK;
    mb_str_addf(&text, "{\"steps\": %lld, \"ranks\": [", (long long)t->report.steps);
    for (int r = 0; r < t->ranks; r++)
        add_rank(&text, &t->all[r], r);
    mb_str_add(&text, "]}\n");
    char *path = mb_run_dir_file(trainer->dir, "time.json");
    mb_status_t status = path == NULL || text.failed ? mb_error_memory("time.json", text.length)
                                                     : mb_io_replace_text(path, text.text);
    free(path);
    mb_str_free(&text);
    return status;
}

static mb_status_t tell(mb_training_t *trainer, const mb_account_t *all)
{
    const mb_events_t *events = &trainer->options.events;
    tables_t *t = calloc(1, sizeof *t);
    if (t == NULL)
        return mb_error_memory("a profile of the steps", sizeof *t);
    t->all = all;
    t->ranks = mb_comm_size(trainer->comm);
    t->report.ranks = t->ranks;
    t->report.steps = trainer->state.step - trainer->begun_step;
    for (int r = 0; r < t->ranks; r++)
        t->report.seconds += all[r].seconds / t->ranks;
    fill_activities(t);
    fill_operations(t);
    mb_status_t status = write_file(trainer, t);
    if (status == MB_OK && events->profiled != NULL)
        events->profiled(events->user, &t->report);
    free(t);
    return status;
}

mb_status_t mb_training_tell_account(mb_training_t *trainer)
{
    size_t *bytes_of = NULL;
    void *all = NULL;
    if (trainer->account == NULL || trainer->state.step == trainer->begun_step)
        return MB_OK;
    mb_comm_doing(trainer->comm, "writing time.json");
    MB_TRY(mb_comm_gather(trainer->comm, trainer->account, sizeof *trainer->account, 0, &all,
                          &bytes_of));
    mb_status_t status = mb_comm_rank(trainer->comm) == 0 ? tell(trainer, all) : MB_OK;
    free(all);
    free(bytes_of);
    return mb_comm_agree(trainer->comm, status);
}
