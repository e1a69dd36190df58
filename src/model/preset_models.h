/* The presets' model configs from their settings; new references. */
#ifndef MB_MODEL_PRESET_MODELS_H
#define MB_MODEL_PRESET_MODELS_H

#include <jansson.h>
#include "model/preset_settings.h"

mb_status_t mb_preset_mlp(const mb_preset_settings_t *settings, json_t **out);
mb_status_t mb_preset_cnn(const mb_preset_settings_t *settings, json_t **out);
mb_status_t mb_preset_unet(const mb_preset_settings_t *settings, json_t **out);
mb_status_t mb_preset_mobilenet(const mb_preset_settings_t *settings, json_t **out);
mb_status_t mb_preset_resnet(const mb_preset_settings_t *settings, json_t **out);
mb_status_t mb_preset_vit(const mb_preset_settings_t *settings, json_t **out);
mb_status_t mb_preset_gpt(const mb_preset_settings_t *settings, json_t **out);
mb_status_t mb_preset_lstm(const mb_preset_settings_t *settings, json_t **out);

#endif
