/* What a call returns. One list serves the enumeration and the names. */
#ifndef MB_STATUS_H
#define MB_STATUS_H

#include <stddef.h>
#include <stdint.h>

#define MB_STATUS_LIST(X)                                                                          \
    X(MB_OK, 0, "success")                                                                         \
    X(MB_ERR_ARGUMENT, -1, "wrong usage: an option, key or argument that cannot be obeyed")        \
    X(MB_ERR_MEMORY, -2, "out of memory")                                                          \
    X(MB_ERR_IO, -3, "a file could not be read or written")                                        \
    X(MB_ERR_FORMAT, -4, "a file is not what it should be")                                        \
    X(MB_ERR_UNSUPPORTED, -5, "a layer, key or operation that this build does not have")           \
    X(MB_ERR_SHAPE, -6, "shapes that do not fit together")                                         \
    X(MB_ERR_DATA, -7, "data that the model cannot take: labels, NaN, counts")                     \
    X(MB_ERR_NUMERIC, -8, "the computation left the finite numbers")                               \
    X(MB_ERR_PEER, -9, "another rank failed")                                                      \
    X(MB_ERR_TIMEOUT, -10, "a wait passed its deadline")                                           \
    X(MB_ERR_MPI, -11, "MPI reported an error")                                                    \
    X(MB_ERR_DEVICE, -12, "the device reported an error")                                          \
    X(MB_ERR_BUSY, -13,                                                                            \
      "in use: a run directory by another process, a context by steps under way")                  \
    X(MB_ERR_STOPPED, -14, "stopped on request, after a complete checkpoint where there are any")  \
    X(MB_ERR_INTERNAL, -15, "an invariant of the library does not hold: please report it")

/* What a call returns: success is zero, errors are negative. */
typedef enum {
#define MB_STATUS_ENUM(name, value, text) name = value,
    MB_STATUS_LIST(MB_STATUS_ENUM)
#undef MB_STATUS_ENUM
} mb_status_t;

#endif
