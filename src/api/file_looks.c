/* What files and runs hold, as JSON. */
#include <math.h>

#include "api/options.h"
#include "engine/inspection.h"
#include "engine/model_variables.h"
#include "store/compare_json.h"
#include "store/run_list_json.h"

mb_status_t mb_checkpoint_inspect(const char *path, char **json)
{
    mb_inspection_t seen = {.arena = NULL};
    MB_NEED(path);
    MB_NEED(json);
    mb_api_kept_t kept = mb_api_enter();
    mb_status_t status = mb_inspect(path, &seen);
    if (status == MB_OK)
        status = mb_api_json(mb_inspection_json(&seen), json);
    mb_inspection_free(&seen);
    mb_api_leave(&kept);
    return status;
}

static mb_status_t compare(const char *a, const char *b, double tolerance, int *equal, char **json)
{
    mb_model_file_t *one = NULL, *other = NULL;
    mb_comparison_t found = {.arena = NULL};
    mb_status_t status = mb_model_file_open_arranged(a, &one);
    if (status == MB_OK)
        status = mb_model_file_open_arranged(b, &other);
    if (status == MB_OK)
        status = mb_compare(one, other, tolerance, &found);
    if (status == MB_OK && json != NULL)
        status = mb_api_json(mb_comparison_json(&found, a, b), json);
    if (status == MB_OK)
        *equal = mb_comparison_equal(&found);
    mb_comparison_free(&found);
    mb_model_file_close(one);
    mb_model_file_close(other);
    return status;
}

mb_status_t mb_checkpoint_compare(const char *a, const char *b, double tolerance, int *equal,
                                  char **json)
{
    MB_NEED(a);
    MB_NEED(b);
    MB_NEED(equal);
    if (!isfinite(tolerance) || tolerance < 0)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "mb_checkpoint_compare: tolerance is %g; a number of 0 or more is "
                            "wanted",
                            tolerance);
    mb_api_kept_t kept = mb_api_enter();
    mb_status_t status = compare(a, b, tolerance, equal, json);
    mb_api_leave(&kept);
    return status;
}

mb_status_t mb_checkpoint_list(const char *run, char **json)
{
    mb_run_list_t list = {.arena = NULL};
    MB_NEED(run);
    MB_NEED(json);
    mb_api_kept_t kept = mb_api_enter();
    mb_status_t status = mb_run_list(run, &list);
    if (status == MB_OK)
        status = mb_api_json(mb_run_list_json(&list, run), json);
    mb_run_list_free(&list);
    mb_api_leave(&kept);
    return status;
}
