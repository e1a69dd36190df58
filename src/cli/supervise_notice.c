/* See supervise_notice.h. */
#include "cli/supervise_notice.h"

#include <stdio.h>
#include <string.h>

/* mpirun noticed that process rank 1 with PID 412 on node n2 exited on signal 9 (Killed). */
static bool read_mpirun(const char *line, mb_notice_t *out)
{
    int number;
    char name[32];
    const char *at = strstr(line, "noticed that process rank ");
    out->kind = MB_NOTICE_KILLED;
    if (at == NULL || sscanf(at,
                             "noticed that process rank %63s with PID %*s on node %255s exited on "
                             "signal %d (%31[^)]",
                             out->ranks, out->host, &number, name) != 4)
        return false;
    snprintf(out->signal, sizeof out->signal, "%d (%s)", number, name);
    return true;
}

/* Below "ORTE has lost communication with a remote daemon" and "ORTE does not know how to route a
 * message". */
static bool read_daemon(const char *line, mb_notice_t *out)
{
    const char *remote = strstr(line, "Remote daemon:"), *target = strstr(line, "target node:");
    out->kind = MB_NOTICE_HOST_LOST;
    if (remote != NULL && (remote = strstr(remote, " on node ")) != NULL)
        return sscanf(remote, " on node %255s", out->host) == 1;
    return target != NULL && sscanf(target, "target node: %255s", out->host) == 1;
}

/* ssh: connect to host n2 port 22: No route to host */
static bool read_ssh(const char *line, mb_notice_t *out)
{
    out->kind = MB_NOTICE_HOST_LOST;
    return sscanf(line, "ssh: connect to host %255s port", out->host) == 1 ||
           sscanf(line, "ssh: Could not resolve hostname %255[^: ]", out->host) == 1;
}

/* srun: error: n1: tasks 0-3: Segmentation fault (core dumped) */
static bool read_task(const char *line, mb_notice_t *out)
{
    char name[MB_NOTICE_TEXT];
    out->kind = MB_NOTICE_KILLED;
    if (sscanf(line, "srun: error: %255[^: ]: task%*[s ]%63[^: ]: %62[^\r\n]", out->host,
               out->ranks, name) != 3 ||
        strncmp(name, "Exited with", 11) == 0)
        return false;
    snprintf(out->signal, sizeof out->signal, "%s", name);
    return true;
}

/* srun: error: Node failure on n2 */
static bool read_node(const char *line, mb_notice_t *out)
{
    out->kind = MB_NOTICE_HOST_LOST;
    return sscanf(line, "srun: error: Node failure on %255s", out->host) == 1;
}

/* Hydra tells host and signal on lines of their own:
 *     =   PID 412 RUNNING AT n2
 *     YOUR APPLICATION TERMINATED WITH THE EXIT STRING: Killed (signal 9) */
static bool read_hydra(mb_notice_reader_t *reader, const char *line, mb_notice_t *out)
{
    int number;
    char name[32];
    const char *at = strstr(line, "WITH THE EXIT STRING: ");
    sscanf(line, "= PID %*d RUNNING AT %255s", reader->host);
    out->kind = MB_NOTICE_KILLED;
    if (at == NULL || sscanf(at, "WITH THE EXIT STRING: %31[^(](signal %d)", name, &number) != 2)
        return false;
    name[strcspn(name, " ")] = '\0';
    snprintf(out->signal, sizeof out->signal, "%d (%s)", number, name);
    snprintf(out->host, sizeof out->host, "%s", reader->host);
    return true;
}

static bool read_busy(const char *line, mb_notice_t *out)
{
    out->kind = MB_NOTICE_BUSY;
    return strstr(line, "mbrun: error") != NULL && strstr(line, "is in use by process") != NULL;
}

typedef bool reader_t(const char *line, mb_notice_t *out);

bool mb_notice_read(mb_notice_reader_t *reader, const char *line, mb_notice_t *out)
{
    static reader_t *const readers[] = {read_mpirun, read_daemon, read_ssh,
                                        read_task,   read_node,   read_busy};
    for (size_t i = 0; i < sizeof readers / sizeof readers[0]; i++) {
        *out = (mb_notice_t){0};
        if (readers[i](line, out))
            return true;
    }
    *out = (mb_notice_t){0};
    return read_hydra(reader, line, out);
}
