/* Contexts, and what every call needs of them: the last error, names of statuses, checks. */
#include "api/api.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "config.h"
#include "plugin/load.h"
#include "plugin/register.h"

enum { MAX_NUMBERS = 32 };

const char *mb_error_message(void)
{
    return mb_error_get();
}

int mb_error_rank(void)
{
    return mb_error_get_rank();
}

const char *mb_status_name(mb_status_t status)
{
    switch (status) {
#define STATUS_CASE(name, value, text)                                                             \
    case name:                                                                                     \
        return text;
        MB_STATUS_LIST(STATUS_CASE)
#undef STATUS_CASE
    }
    return "not a status of this library";
}

const char *mb_version(void)
{
    return PACKAGE_VERSION;
}

static void write_line(void *user, mb_log_level_t level, const char *line)
{
    const mb_context_t *context = user;
    if (context->write != NULL)
        context->write(context->user, (mb_level_t)level, line);
}

static mb_status_t check_mpi(MPI_Comm comm)
{
    int running = 0, ended = 0, between = 0;
    MPI_Initialized(&running);
    if (running)
        MPI_Finalized(&ended);
    if (!running || ended)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "mb_context_create: MPI %s; call it between "
                            "MPI_Init_thread and MPI_Finalize",
                            running ? "has ended" : "was not started");
    if (comm == MPI_COMM_NULL)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "mb_context_create: MPI_COMM_NULL; only ranks that are in a "
                            "communicator can make a context of it");
    MPI_Comm_test_inter(comm, &between);
    if (between)
        return mb_error_set(MB_ERR_ARGUMENT, "mb_context_create: an inter-communicator; merge it "
                                             "first (MPI_Intercomm_merge)");
    return MB_OK;
}

mb_status_t mb_context_create(MPI_Comm comm, mb_context_t **out)
{
    MB_TRY(mb_api_need(out, __func__, "context"));
    MB_TRY(check_mpi(comm));
    mb_context_t *context = calloc(1, sizeof *context);
    if (context == NULL)
        return mb_error_memory("a context", sizeof *context);
    context->log = (mb_log_t){.write = write_line, .user = context, .least = MB_LOG_WARNING};
    mb_comm_options_t options = {.log = &context->log};
    mb_status_t status = mb_comm_create(comm, &options, &context->comm);
    if (status != MB_OK) {
        free(context);
        return status;
    }
    *out = context;
    return MB_OK;
}

mb_status_t mb_context_create_f(MPI_Fint comm, mb_context_t **out)
{
    MB_TRY(mb_api_need(out, __func__, "context"));
    int running = 0;
    MPI_Initialized(&running);
    return mb_context_create(running ? MPI_Comm_f2c(comm) : MPI_COMM_NULL, out);
}

mb_status_t mb_context_set_log(mb_context_t *context, mb_log_callback_t write, void *user,
                               mb_level_t least)
{
    MB_NEED(context);
    context->write = write;
    context->user = user;
    context->log.least = (mb_log_level_t)least;
    return MB_OK;
}

mb_status_t mb_context_load_plugin(mb_context_t *context, const char *path)
{
    MB_NEED(context);
    MB_NEED(path);
    MB_TRY(mb_api_need_idle(context, __func__));
    return mb_plugins_load_all(context->comm, path);
}

mb_status_t mb_context_register(mb_context_t *context, mb_register_callback_t entry)
{
    MB_NEED(context);
    if (entry == NULL)
        return mb_error_set(MB_ERR_ARGUMENT, "mb_context_register: entry is NULL");
    return mb_plugins_register_all(context->comm, entry);
}

mb_status_t mb_context_destroy(mb_context_t *context)
{
    int ended = 0;
    if (context == NULL)
        return MB_OK;
    MPI_Finalized(&ended);
    if (ended)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "mb_context_destroy: MPI has ended; destroy contexts before "
                            "MPI_Finalize");
    if (context->users > 0)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "mb_context_destroy: %d of its trainers and predictors still live; "
                            "destroy them first",
                            context->users);
    mb_comm_destroy(context->comm);
    free(context);
    return MB_OK;
}

mb_api_kept_t mb_api_enter(void)
{
    locale_t ours = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    return (mb_api_kept_t){.locale = uselocale(ours), .mode = mb_float_mode_enter()};
}

void mb_api_leave(const mb_api_kept_t *kept)
{
    locale_t ours = uselocale(kept->locale);
    if (ours != kept->locale && ours != LC_GLOBAL_LOCALE)
        freelocale(ours);
    mb_float_mode_leave(&kept->mode);
}

mb_status_t mb_api_need(const void *pointer, const char *function, const char *what)
{
    if (pointer != NULL)
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT, "%s: %s is NULL", function, what);
}

mb_status_t mb_api_need_idle(const mb_context_t *context, const char *function)
{
    if (!context->busy)
        return MB_OK;
    return mb_error_set(MB_ERR_BUSY,
                        "%s: submitted steps are under way on this context; call mb_trainer_wait "
                        "first",
                        function);
}

mb_status_t mb_api_number(const mb_api_number_t *numbers, int count, const char *name,
                          double *value)
{
    const char *names[MAX_NUMBERS];
    for (int i = 0; i < count && i < MAX_NUMBERS; i++) {
        names[i] = numbers[i].name;
        if (strcmp(name, numbers[i].name) != 0)
            continue;
        *value = numbers[i].value;
        return MB_OK;
    }
    const char *nearest = mb_str_nearest(name, names, (size_t)count);
    return mb_error_set(MB_ERR_ARGUMENT, "there is no number '%s'%s%s%s", name,
                        nearest == NULL ? "" : ": do you mean '", nearest == NULL ? "" : nearest,
                        nearest == NULL ? "" : "'?");
}

mb_status_t mb_api_same(mb_comm_t *comm, uint64_t word, const char *what)
{
    uint64_t first = word;
    mb_status_t status = MB_OK;
    MB_TRY(mb_comm_broadcast(comm, &first, sizeof first, 0));
    if (word != first)
        status = mb_error_set(MB_ERR_ARGUMENT,
                              "rank %d's %s are not those of rank 0; every rank gives the same",
                              mb_comm_rank(comm), what);
    return mb_comm_agree(comm, status);
}
