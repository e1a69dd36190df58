/* What the bits of a result depend on beside the run's own settings, as a line of parts with commas
 * between them: build, instruction set, libraries, processor. */
#ifndef MB_ENGINE_SIGNATURE_H
#define MB_ENGINE_SIGNATURE_H

#include "comm/comm.h"
#include "device/device.h"

#define MB_SIGNATURE_TEXT 256

/* This rank's, on DEVICE. */
void mb_signature_make(mb_device_t *device, char *text, size_t capacity);
/* The parts of A that B does not have in their place. "": none. */
void mb_signature_unlike(const char *a, const char *b, char *text, size_t capacity);
/* Collective. MB_ERR_UNSUPPORTED, naming two ranks and what differs, unless all ranks have OWN. */
mb_status_t mb_signature_compare(mb_comm_t *comm, const char *own);

#endif
