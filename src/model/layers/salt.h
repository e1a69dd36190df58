/* The key "salt" of layers that hash: two numbers that SipHash64 begins with, or one for both. */
#ifndef MB_MODEL_LAYERS_SALT_H
#define MB_MODEL_LAYERS_SALT_H

#include "model/layers/layers.h"

/* *SALTED false: there is none, and hashes are FarmHash64's. */
mb_status_t mb_salt_take(mb_config_t *config, bool *salted, uint64_t salt[2]);

#endif
