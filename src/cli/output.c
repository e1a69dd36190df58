/* See output.h. */
#include "cli/output.h"

#include <sys/stat.h>
#include <unistd.h>

#include "train/export.h"

static bool is_same(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

mb_status_t mb_output_take(const mb_args_t *args, int n_inputs, const char *const *inputs,
                           const char **path)
{
    const char *to = mb_args_flag(args, "output");
    if (to == NULL)
        return mb_error_set(MB_ERR_ARGUMENT, "no file to write; use -o OUT.h5");
    if (mb_form_of(to) != MB_FORM_HDF5)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "%s: an HDF5 file is written here; name it OUT.h5, and let mbrun "
                            "convert make the other form of it",
                            to);
    for (int i = 0; i < n_inputs; i++) {
        if (is_same(to, inputs[i]))
            return mb_error_set(MB_ERR_ARGUMENT, "%s: the output is an input", to);
    }
    if (access(to, F_OK) == 0 && !mb_args_has(args, "force"))
        return mb_error_set(MB_ERR_ARGUMENT, "%s exists already; use --force to replace it", to);
    *path = to;
    return MB_OK;
}
