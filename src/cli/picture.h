/* A picture's file. */
#ifndef MB_CLI_PICTURE_H
#define MB_CLI_PICTURE_H

#include "base/error.h"

/* The SVG as it is; as a PNG where PATH ends with .png, which rsvg-convert draws. MB_ERR_IO,
 * MB_ERR_UNSUPPORTED (without that program): then PATH is as it was, or gone. Not collective. */
mb_status_t mb_picture_write(const char *path, const char *svg);

#endif
