/* What the files of the public interface share: the context's inside, and the checks that every
 * call begins with. */
#ifndef MB_API_API_H
#define MB_API_API_H

#include <locale.h>
#include <mb/mb.h>

#include "base/float_mode.h"
#include "comm/comm.h"
#include "data/source.h"

struct mb_context {
    mb_comm_t *comm;
    mb_log_t log;
    mb_log_callback_t write;
    void *user;
    int users; /* trainers, predictors and quantizers that need it */
    bool busy; /* steps are under way (submitted.h), on its communicator */
};

/* MB_ERR_ARGUMENT unless POINTER, which the message calls WHAT, is there. */
mb_status_t mb_api_need(const void *pointer, const char *function, const char *what);
#define MB_NEED(pointer) MB_TRY(mb_api_need((pointer), __func__, #pointer))

/* MB_ERR_BUSY, from FUNCTION, while steps are under way. */
mb_status_t mb_api_need_idle(const mb_context_t *context, const char *function);

/* The value named NAME in a table of names, the nearest of which is told when there is none. */
typedef struct {
    const char *name;
    double value;
} mb_api_number_t;
mb_status_t mb_api_number(const mb_api_number_t *numbers, int count, const char *name,
                          double *value);

/* What the host program may have set for its thread. */
typedef struct {
    locale_t locale;
    mb_float_mode_t mode;
} mb_api_kept_t;

/* Numbers in files and settings are written with a point, whatever the host program's locale says,
 * and computed as the standard says. Between the two calls this thread has the C locale and the
 * standard floating-point mode, which the threads that are started inherit. */
mb_api_kept_t mb_api_enter(void);
void mb_api_leave(const mb_api_kept_t *kept);

/* MB_ERR_ARGUMENT on every rank unless WORD, a digest of what all ranks must give alike, is the
 * same on all of them. Collective. */
mb_status_t mb_api_same(mb_comm_t *comm, uint64_t word, const char *what);

#endif
