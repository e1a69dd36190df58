/* See account.h. */
#include "device/account.h"

#include <string.h>

#include "base/log.h"
#include "device/op_work.h"

static bool runs(const mb_account_t *account)
{
    return account != NULL && account->runs;
}

static mb_account_cell_t *cell_of(mb_account_t *account)
{
    return &account->cells[account->activity][account->place];
}

static void settle(mb_account_t *account)
{
    double now = mb_time_seconds();
    cell_of(account)->seconds += now - account->since;
    account->seconds += now - account->since;
    account->since = now;
}

void mb_account_start(mb_account_t *account, int activity)
{
    if (account == NULL)
        return;
    memset(account, 0, sizeof *account);
    account->runs = true;
    account->activity = activity;
    account->place = MB_ACCOUNT_NEITHER;
    account->since = mb_time_seconds();
}

void mb_account_stop(mb_account_t *account)
{
    if (!runs(account))
        return;
    settle(account);
    account->runs = false;
}

int mb_account_enter(mb_account_t *account, int activity)
{
    if (!runs(account))
        return 0;
    int before = account->activity;
    settle(account);
    account->activity = activity;
    return before;
}

int mb_account_begin(mb_account_t *account, int activity)
{
    if (runs(account))
        account->cells[activity][MB_ACCOUNT_NEITHER].count++;
    return mb_account_enter(account, activity);
}

static int go_to(mb_account_t *account, int place)
{
    int before = account->place;
    settle(account);
    account->place = place;
    return before;
}

int mb_account_wait_begin(mb_account_t *account)
{
    if (!runs(account) || account->place != MB_ACCOUNT_NEITHER)
        return MB_ACCOUNT_PLACES;
    int before = go_to(account, MB_ACCOUNT_WAIT);
    cell_of(account)->count++;
    return before;
}

void mb_account_wait_end(mb_account_t *account, int before)
{
    if (runs(account) && before < MB_ACCOUNT_PLACES)
        go_to(account, before);
}

static mb_status_t run(mb_exec_t *exec, mb_op_t op, const void *args, size_t args_bytes)
{
    MB_TRY(exec->device->class_->run(exec, op, args, args_bytes));
    return exec->device->class_->host_visible(exec->device) ? MB_OK : mb_exec_sync(exec);
}

mb_status_t mb_account_run(mb_exec_t *exec, mb_op_t op, const void *args, size_t args_bytes)
{
    mb_account_t *account = exec->account;
    if (!runs(account) || exec->planning)
        return exec->device->class_->run(exec, op, args, args_bytes);
    int before = go_to(account, (int)op);
    mb_status_t status = run(exec, op, args, args_bytes);
    mb_work_t work = mb_op_work(op, args, exec->device->class_->host_visible(exec->device));
    mb_account_cell_t *cell = cell_of(account);
    cell->count++;
    cell->flops += work.flops;
    cell->bytes += work.bytes;
    go_to(account, before);
    return status;
}
