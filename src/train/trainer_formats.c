/* What a run stores its weights and moments as, and what it rounds weights to while it trains. */
#include <string.h>

#include "train/trainer_private.h"

static mb_status_t parse(mb_training_t *trainer, mb_setting_id_t id, mb_format_t *out)
{
    mb_settings_t *settings = trainer->settings;
    const char *key = mb_setting_info(id)->key;
    char text[MB_FORMAT_TEXT];
    mb_status_t status = mb_format_parse(mb_settings_text(settings, id), out);
    if (status != MB_OK)
        return mb_error_prefix(status, "setting '%s': ", key);
    mb_format_text(out, text, sizeof text);
    return mb_settings_set(settings, key, text, settings->origin[id]);
}

static mb_status_t take_final(mb_training_t *trainer)
{
    MB_TRY(parse(trainer, MB_SET_CHECKPOINT_DTYPE, &trainer->final_format));
    if (trainer->final_format.number != MB_NUMBER_U8)
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT,
                        "setting 'checkpoint-dtype': %s has no sign, and weights have; use int8",
                        mb_number_name(MB_NUMBER_U8));
}

static mb_status_t take_moments(mb_training_t *trainer)
{
    const char *text = mb_settings_text(trainer->settings, MB_SET_MOMENTS);
    trainer->moments_in_8_bits = strcmp(text, "int8") == 0;
    if (!trainer->moments_in_8_bits && strcmp(text, "fp32") != 0)
        return mb_error_set(MB_ERR_ARGUMENT, "setting 'moments': '%s' is not fp32 or int8", text);
    if (trainer->moments_in_8_bits && mb_settings_on(trainer->settings, MB_SET_KERAS_OPTIMIZER))
        return mb_error_set(MB_ERR_ARGUMENT,
                            "keras-optimizer writes the moments where Keras reads them, and Keras "
                            "reads float32 there: it does not go with moments int8");
    return MB_OK;
}

static mb_status_t take_qat(mb_training_t *trainer)
{
    const char *text = mb_settings_text(trainer->settings, MB_SET_QAT);
    trainer->trains_rounded = text != NULL;
    if (text == NULL)
        return MB_OK;
    MB_TRY(parse(trainer, MB_SET_QAT, &trainer->round_to));
    if (trainer->round_to.number == MB_NUMBER_I8 || trainer->round_to.number == MB_NUMBER_I4)
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT,
                        "setting 'qat': weights are rounded to int8 or int4 without an offset "
                        "while they train (int8, int8:block=64, int4 ...), not to %s",
                        mb_settings_text(trainer->settings, MB_SET_QAT));
}

mb_status_t mb_training_take_formats(mb_training_t *trainer)
{
    if (trainer->settings->origin[MB_SET_ACTIVATIONS] == MB_FROM_USER)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "setting 'activations' is for predictions and evaluation: training "
                            "computes in float32");
    MB_TRY(take_final(trainer));
    MB_TRY(take_moments(trainer));
    return take_qat(trainer);
}

static bool is_qat(const mb_training_t *trainer, const mb_format_t *format)
{
    return trainer->trains_rounded && mb_format_equal(format, &trainer->round_to);
}

const mb_format_t *mb_training_final_format(const mb_training_t *trainer, mb_method_t *method)
{
    const mb_format_t *format = &trainer->final_format;
    bool scaled = !mb_format_is_float(format) || format->number == MB_NUMBER_E3M4;
    *method = scaled && !is_qat(trainer, format) ? MB_METHOD_MSE : MB_METHOD_NEAREST;
    return format->number == MB_NUMBER_F32 && format->kept_bits == 0 ? NULL : format;
}

void mb_training_note_formats(mb_training_t *trainer)
{
    const char *final = mb_settings_text(trainer->settings, MB_SET_CHECKPOINT_DTYPE);
    const char *qat = mb_settings_text(trainer->settings, MB_SET_QAT);
    mb_method_t method;
    bool small = mb_training_final_format(trainer, &method) != NULL;
    if (trainer->moments_in_8_bits)
        mb_training_note(trainer,
                         "checkpoints keep the optimizer's moments in 8 bits: a run that stops and "
                         "goes on comes close to one that never stopped, but not to its bits");
    if (trainer->trains_rounded && !small)
        mb_training_note(
            trainer,
            "the run trains through weights rounded to %s, and final.h5 stays float32: "
            "--checkpoint-dtype %s stores the rounded ones",
            qat, qat);
    else if (trainer->trains_rounded)
        mb_training_note(trainer,
                         "the run trains through weights rounded to %s, and final.h5 stores %s",
                         qat, is_qat(trainer, &trainer->final_format) ? "just these" : final);
    else if (small)
        mb_training_note(trainer, "final.h5 stores matrices as %s; step checkpoints stay exact",
                         final);
}
