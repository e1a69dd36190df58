/* Whether what was planned for one call of an operation serves another. */
#ifndef TESTS_SUPPORT_STRICT_SHAPE_H
#define TESTS_SUPPORT_STRICT_SHAPE_H

#include "device/ops.h"

/* False: the table lacks the operation, and any call would serve any other. */
bool strict_shape_is_known(mb_op_t op);
bool strict_shape_serves(mb_op_t op, const void *planned, const void *wanted);

#endif
