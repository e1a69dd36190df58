/* The CPU as a device that takes planning at its word, so that no processor hides a gap: what a
 * stream was not planned for, this very operation in this very shape, it refuses, also where this
 * processor needs no workspace for it; and an operation gets a workspace of exactly the bytes that
 * it asked for, filled with NaN, with a mark behind them that it must not touch. */
#ifndef TESTS_SUPPORT_STRICT_DEVICE_H
#define TESTS_SUPPORT_STRICT_DEVICE_H

#include "device/device.h"

extern const mb_device_class_t mb_device_strict;

#endif
