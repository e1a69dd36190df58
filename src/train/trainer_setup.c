/* Sets a run up. The order matters: the model and its data first (they are what a user gets wrong),
 * then the directory and what it holds, then the layout, then memory. */
#include "base/host_memory.h"
#include "train/offload.h"
#include "train/trainer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train/trainer_private.h"

static mb_status_t open_model(mb_training_t *trainer)
{
    const mb_training_options_t *options = &trainer->options;
    MB_TRY(options->file == NULL ? mb_model_open(options->model, &trainer->model)
                                 : mb_model_open_file(options->file, &trainer->model));
    MB_TRY(mb_model_refuse_quantized(trainer->model->file));
    MB_TRY(mb_settings_take_file(trainer->settings, trainer->model->file));
    return mb_training_take_formats(trainer);
}

/* Training data and validation data may each take so much: together a quarter of what a rank has.
 */
static int64_t image_cache(const mb_training_t *trainer)
{
    if (mb_settings_has(trainer->settings, MB_SET_IMAGE_CACHE))
        return (int64_t)mb_settings_real(trainer->settings, MB_SET_IMAGE_CACHE);
    return mb_host_memory() / 8 / mb_comm_local_size(trainer->comm);
}

static mb_status_t open_source(mb_training_t *trainer, const char *path,
                               const mb_vocabularies_t *known, mb_source_t **out)
{
    const mb_graph_t *graph = trainer->model->graph;
    mb_shape_t shapes[MB_MAX_INPUTS];
    const char *names[MB_MAX_INPUTS];
    if (graph->n_inputs > MB_MAX_INPUTS || graph->n_outputs > MB_MAX_INPUTS)
        return mb_error_set(MB_ERR_UNSUPPORTED, "%s: more than %d inputs or outputs",
                            trainer->options.model, MB_MAX_INPUTS);
    mb_source_wants_t wants = mb_model_wants(trainer->model, shapes);
    for (int o = 0; o < graph->n_outputs; o++)
        names[o] = graph->outputs[o].name;
    wants.output_names = names;
    wants.n_outputs = graph->n_outputs;
    wants.form.label = mb_settings_text(trainer->settings, MB_SET_LABEL);
    wants.form.known = known;
    wants.form.image_cache = image_cache(trainer);
    return mb_source_open(path, &wants, out);
}

mb_status_t mb_training_split_data(mb_training_t *trainer)
{
    const mb_settings_t *settings = trainer->settings;
    int64_t samples = trainer->whole->samples, held = 0;
    if (mb_settings_has(settings, MB_SET_VAL_SPLIT))
        held = (int64_t)ceil((double)samples * mb_settings_real(settings, MB_SET_VAL_SPLIT) - 1e-9);
    if (held > 0 && mb_settings_has(settings, MB_SET_VAL))
        return mb_error_set(MB_ERR_ARGUMENT, "val and val-split together: use one of them");
    if (held > 0 && trainer->whole->by_class)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "%s: val-split holds out the last samples, and a folder of images is "
                            "in the order of its classes: give a folder of its own by --val",
                            trainer->whole->path);
    if (samples - held < 1)
        return mb_error_set(MB_ERR_DATA, "%s: %lld samples leave none to train on",
                            trainer->whole->path, (long long)samples);
    MB_TRY(mb_source_slice(trainer->whole, 0, samples - held, &trainer->data));
    if (held > 0)
        return mb_source_slice(trainer->whole, samples - held, held, &trainer->val);
    if (mb_settings_has(settings, MB_SET_VAL))
        return open_source(trainer, mb_settings_text(settings, MB_SET_VAL), &trainer->whole->words,
                           &trainer->val);
    return MB_OK;
}

/* A model that was trained on words goes on with the same ones. */
static mb_status_t open_training_source(mb_training_t *trainer)
{
    mb_vocabularies_t words;
    bool present;
    MB_TRY(mb_model_words(trainer->model->file, &words, &present));
    mb_status_t status = open_source(trainer, mb_settings_text(trainer->settings, MB_SET_DATA),
                                     present ? &words : NULL, &trainer->whole);
    mb_vocabularies_free(&words);
    return status;
}

static mb_status_t check_label(const mb_training_t *trainer)
{
    bool table = mb_source_is_table(trainer->whole) ||
                 (trainer->val != NULL && mb_source_is_table(trainer->val));
    if (trainer->settings->origin[MB_SET_LABEL] == MB_FROM_USER && !table &&
        mb_settings_has(trainer->settings, MB_SET_LABEL))
        return mb_source_refuse_label(trainer->whole->path);
    return MB_OK;
}

static mb_status_t take_resets(mb_training_t *trainer)
{
    const char *when = mb_settings_text(trainer->settings, MB_SET_RESET_STATES);
    trainer->resets_states = strcmp(when, "epoch") == 0;
    if (!trainer->resets_states && strcmp(when, "never") != 0)
        return mb_error_set(MB_ERR_ARGUMENT, "reset-states=%s: there are never and epoch", when);
    if (trainer->resets_states && !trainer->model->graph->keeps_states)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "reset-states: %s has no layer that keeps states (stateful)",
                            trainer->options.model);
    return MB_OK;
}

/* Sequences go on in the rows of the next batch, where layers keep states: samples stay in their
 * order unless somebody says otherwise. */
static mb_status_t take_order(mb_training_t *trainer)
{
    mb_settings_t *settings = trainer->settings;
    MB_TRY(take_resets(trainer));
    if (!trainer->model->graph->keeps_states)
        return MB_OK;
    MB_TRY(mb_model_check_batches(trainer->model, trainer->data));
    if (trainer->val != NULL)
        MB_TRY(mb_model_check_batches(trainer->model, trainer->val));
    if (settings->origin[MB_SET_SHUFFLE] > MB_FROM_DEFAULT)
        return MB_OK;
    mb_training_note(trainer,
                     "layers keep their states from batch to batch (stateful): samples are "
                     "taken in the data's order, as with --shuffle none");
    return mb_settings_set(settings, "shuffle", "none", MB_FROM_KERAS);
}

static mb_status_t open_data(mb_training_t *trainer)
{
    trainer->whole = trainer->options.source;
    if (trainer->whole == NULL && !mb_settings_has(trainer->settings, MB_SET_DATA))
        return mb_error_set(MB_ERR_ARGUMENT,
                            "%s: no data to train on; use --data FILE, or record it in the model "
                            "with mbrun configure",
                            trainer->options.model);
    if (trainer->whole == NULL) {
        MB_TRY(open_training_source(trainer));
        trainer->owns_whole = true;
    }
    MB_TRY(mb_training_split_data(trainer));
    MB_TRY(check_label(trainer));
    MB_TRY(mb_model_compute_in(trainer->model, mb_settings_text(trainer->settings, MB_SET_DTYPE)));
    MB_TRY(mb_model_bind(trainer->model, trainer->data));
    return take_order(trainer);
}

static mb_status_t set_optimizer_key(mb_training_t *trainer, mb_setting_id_t id, const char *key)
{
    if (!mb_settings_has(trainer->settings, id))
        return MB_OK;
    return mb_optimizer_set(trainer->optimizer, key, mb_settings_text(trainer->settings, id),
                            trainer->arena);
}

/* Gradients below 2^-24 are zero in float16. */
static bool computes_in_float16(const mb_graph_t *graph)
{
    for (int i = 0; i < graph->n_layers; i++) {
        if (graph->layers[i]->type == MB_F16)
            return true;
    }
    return false;
}

static mb_status_t take_loss_scale(mb_training_t *trainer)
{
    if (computes_in_float16(trainer->model->graph))
        mb_optimizer_scale_loss(trainer->optimizer);
    if (trainer->optimizer->scales_loss &&
        mb_settings_on(trainer->settings, MB_SET_KERAS_OPTIMIZER))
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "keras-optimizer: the state of a LossScaleOptimizer is not written as "
                            "Keras does; leave it away, mbrun's own checkpoints have it");
    return MB_OK;
}

/* Of what makes the weights anew from its moments: what rounds them rounds the model. */
static mb_status_t check_moments(const mb_training_t *trainer)
{
    mb_rule_t rule = trainer->optimizer->rule;
    if (!trainer->moments_in_8_bits || (rule != MB_RULE_FTRL && rule != MB_RULE_SCHEDULE_FREE))
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT,
                        "moments int8: %s makes the weights from its moments in every step, so "
                        "they must stay fp32",
                        trainer->optimizer->class_name);
}

static mb_status_t make_optimizer(mb_training_t *trainer)
{
    const json_t *training = trainer->model->training;
    MB_TRY(mb_optimizer_create(json_object_get(training, "optimizer_config"),
                               mb_settings_text(trainer->settings, MB_SET_OPTIMIZER),
                               trainer->options.model, trainer->arena, &trainer->optimizer));
    MB_TRY(set_optimizer_key(trainer, MB_SET_LR, "lr"));
    MB_TRY(set_optimizer_key(trainer, MB_SET_LR_SCHEDULE, "lr_schedule"));
    MB_TRY(set_optimizer_key(trainer, MB_SET_WEIGHT_DECAY, "weight_decay"));
    MB_TRY(set_optimizer_key(trainer, MB_SET_CLIP, "clip"));
    MB_TRY(check_moments(trainer));
    return take_loss_scale(trainer);
}

/* training_config as checkpoints carry it: the model's own with this run's optimizer. */
mb_status_t mb_training_make_training_config(mb_training_t *trainer)
{
    free(trainer->training_config);
    json_t *config =
        trainer->model->training == NULL ? json_object() : json_deep_copy(trainer->model->training);
    bool good = config != NULL;
    if (trainer->model->training == NULL) {
        good = good && json_object_set_new(config, "loss",
                                           json_string(trainer->model->losses[0].name)) == 0;
        good = good && json_object_set_new(config, "metrics", json_null()) == 0;
        good = good && json_object_set_new(config, "loss_weights", json_null()) == 0;
        good = good && json_object_set_new(config, "weighted_metrics", json_null()) == 0;
    }
    good = good && json_object_set(config, "optimizer_config", trainer->optimizer->config) == 0;
    trainer->training_config = good ? json_dumps(config, JSON_REAL_PRECISION(17)) : NULL;
    json_decref(config);
    return trainer->training_config == NULL ? mb_error_memory("training_config", 0) : MB_OK;
}

static mb_status_t weigh(mb_training_t *trainer)
{
    MB_TRY(mb_model_weigh(trainer->model, trainer->data));
    if (trainer->val != NULL)
        MB_TRY(mb_model_weigh(trainer->model, trainer->val));
    return mb_model_weigh_classes(
        trainer->model, mb_settings_text(trainer->settings, MB_SET_CLASS_WEIGHT), trainer->data);
}

static mb_status_t compile(mb_training_t *trainer)
{
    MB_TRY(mb_model_compile(trainer->model, mb_settings_text(trainer->settings, MB_SET_LOSS)));
    MB_TRY(weigh(trainer));
    MB_TRY(make_optimizer(trainer));
    return mb_training_make_training_config(trainer);
}

void mb_training_take_totals(mb_training_t *trainer)
{
    trainer->steps_per_epoch = mb_sampler_steps(&trainer->sampler);
    trainer->total_steps =
        trainer->sampler.first_step +
        (mb_settings_has(trainer->settings, MB_SET_STEPS)
             ? mb_settings_int(trainer->settings, MB_SET_STEPS)
             : trainer->steps_per_epoch * mb_settings_int(trainer->settings, MB_SET_EPOCHS));
}

static mb_status_t make_sampler(mb_training_t *trainer)
{
    const char *shuffle = mb_settings_text(trainer->settings, MB_SET_SHUFFLE);
    trainer->sampler = (mb_sampler_t){.shuffle = MB_SHUFFLE_FULL,
                                      .samples = trainer->data->samples,
                                      .batch = trainer->layout.batch,
                                      .seed = mb_settings_seed(trainer->settings, MB_SET_SEED)};
    if (strcmp(shuffle, "none") == 0)
        trainer->sampler.shuffle = MB_SHUFFLE_NONE;
    if (strncmp(shuffle, "block:", 6) == 0) {
        trainer->sampler.shuffle = MB_SHUFFLE_BLOCK;
        trainer->sampler.block = strtoll(shuffle + 6, NULL, 10);
    }
    mb_training_take_totals(trainer);
    trainer->cadence = mb_settings_cadence(trainer->settings, MB_SET_CHECKPOINT_EVERY);
    return MB_OK;
}

static mb_status_t choose_layout(mb_training_t *trainer)
{
    if (trainer->options.layout != NULL) {
        trainer->layout = *trainer->options.layout;
        return MB_OK;
    }
    const mb_layout_ranks_t ranks = {mb_comm_size(trainer->comm), mb_comm_local_size(trainer->comm),
                                     (double)mb_machine_memory(trainer->machine)};
    return mb_layout_choose(trainer->model, trainer->settings, &ranks, &trainer->layout);
}

static mb_status_t obey_layout(mb_training_t *trainer)
{
    MB_TRY(mb_layout_check_zero(trainer->model, trainer->settings, &trainer->layout));
    MB_TRY(
        mb_model_check_micro(trainer->model, trainer->layout.batch, trainer->layout.micro_batch));
    MB_TRY(make_sampler(trainer));
    MB_TRY(mb_training_make_record(trainer));
    return mb_training_check_record(trainer);
}

static void note_layout(mb_training_t *trainer)
{
    const mb_layout_t *layout = &trainer->layout;
    const mb_graph_t *graph = trainer->model->graph;
    if (layout->why[0] != '\0' && !mb_settings_has(trainer->settings, MB_SET_MEMORY))
        mb_training_note(trainer, "layout: %s", layout->why);
    if (trainer->machine->sums_by_link)
        mb_training_note(trainer, "gradients are summed over replicas in NCCL's own order "
                                  "(--reduce nccl): their bits depend on the number of ranks");
    if (layout->idle > 0)
        mb_training_note(
            trainer,
            "%d of %d ranks stay idle: %d stage%s and %d replica%s use %d; --replicas %d in a "
            "new run, or other --stages, would use more",
            layout->idle, mb_comm_size(trainer->comm), layout->stages,
            layout->stages == 1 ? "" : "s", layout->replicas, layout->replicas == 1 ? "" : "s",
            layout->stages * layout->groups, mb_comm_size(trainer->comm) / layout->stages);
    for (int i = 0; i < graph->n_nodes; i++) {
        if (graph->nodes[i].is_input || !mb_call_has_statistics(&graph->nodes[i].call) ||
            layout->micro_batch >= layout->batch)
            continue;
        mb_training_note(
            trainer,
            "batch normalization normalises over a micro-batch of %lld samples, not over "
            "the batch of %lld; moving statistics are those of the whole batch",
            (long long)layout->micro_batch, (long long)layout->batch);
        break;
    }
}

static void note_loss_scale(mb_training_t *trainer)
{
    const mb_optimizer_t *optimizer = trainer->optimizer;
    if (!optimizer->scales_loss && optimizer->loss_scale_factor > 0.0)
        mb_training_note(trainer, "the loss is scaled by %.9g", optimizer->loss_scale_factor);
    if (!optimizer->scales_loss)
        return;
    if (optimizer->fixed_scale)
        mb_training_note(trainer, "the loss is scaled by %.9g", optimizer->initial_scale);
    else
        mb_training_note(trainer,
                         "the loss is scaled, from %.9g: doubled after %lld steps, halved where "
                         "gradients overflow, and such a step is left out",
                         optimizer->initial_scale, (long long)optimizer->growth_steps);
}

static void note_average(mb_training_t *trainer)
{
    if (trainer->optimizer->averages)
        mb_training_note(trainer, "final.h5 gets the averages of the weights over steps (use_ema), "
                                  "as Keras' fit leaves them; step checkpoints have the weights");
}

static mb_status_t feed_hook(void *user, const mb_micro_t *micro, int index)
{
    mb_training_t *trainer = user;
    return mb_feed_micro(trainer->feed, micro, index);
}

static mb_status_t update_hook(void *user, const mb_step_info_t *info, float *gradients,
                               double *sums)
{
    mb_training_t *trainer = user;
    MB_TRY(mb_training_await_copy(trainer));
    if (!trainer->engine->exec.planning) {
        MB_TRY(mb_check_end(trainer->check, info));
        mb_training_expect_copy(trainer);
    }
    return mb_update_step(trainer->update, info, gradients, sums);
}

/* Whether a moment of the same name is a copy of the weights to one optimizer and not to the other:
 * Adam's momentum must not be taken for ScheduleFreeAdamW's. */
static bool differ_in_copies(const mb_optimizer_t *a, const mb_optimizer_t *b)
{
    for (int i = 0; i < a->n_slots; i++) {
        for (int j = 0; j < b->n_slots; j++) {
            if (a->slot_copies[i] != b->slot_copies[j] &&
                strcmp(a->slot_names[i], b->slot_names[j]) == 0)
                return true;
        }
    }
    return false;
}

static mb_status_t read_moments(mb_training_t *trainer)
{
    const mb_model_file_t *file = trainer->resume != NULL ? trainer->resume : trainer->model->file;
    const json_t *config = json_object_get(trainer->model->training, "optimizer_config");
    mb_optimizer_t *was = NULL;
    bool differs = trainer->resume == NULL && config != NULL &&
                   mb_optimizer_create(config, NULL, file->path, trainer->arena, &was) == MB_OK &&
                   differ_in_copies(was, trainer->optimizer);
    if (differs && (file->n_moments > 0 || file->n_optimizer > 0))
        mb_training_note(trainer,
                         "the state of %s in %s is left out: %s begins anew, with a momentum of "
                         "another kind",
                         was->class_name, file->path, trainer->optimizer->class_name);
    mb_optimizer_destroy(was);
    return differs ? MB_OK : mb_state_read_moments(file, trainer->update);
}

mb_status_t mb_training_make_check(mb_training_t *trainer)
{
    if (!mb_settings_has(trainer->settings, MB_SET_CHECK_EVERY) || mb_engine_idle(trainer->engine))
        return MB_OK;
    const mb_check_options_t options = {.engine = trainer->engine,
                                        .model = trainer->model,
                                        .source = trainer->data,
                                        .update = trainer->update,
                                        .sampler = trainer->sampler,
                                        .every =
                                            mb_settings_int(trainer->settings, MB_SET_CHECK_EVERY)};
    return mb_check_create(&options, &trainer->check);
}

static mb_status_t load_values(mb_training_t *trainer)
{
    MB_TRY(mb_model_load_values(trainer->model, trainer->engine));
    MB_TRY(mb_score_create(trainer->engine, trainer->model, &trainer->score));
    mb_score_restore_metrics(trainer->score, trainer->state.metrics, trainer->state.n_metrics);
    mb_offload_t offload;
    MB_TRY(mb_offload_read(trainer->settings, &offload));
    MB_TRY(mb_update_create(trainer->engine, trainer->optimizer, trainer->score, offload.moments,
                            &trainer->update));
    MB_TRY(read_moments(trainer));
    mb_training_post_guard(trainer);
    MB_TRY(mb_training_make_check(trainer));
    return trainer->resume == NULL ? MB_OK : mb_kept_read(trainer->resume, trainer->engine);
}

static mb_status_t create_engine(mb_training_t *trainer, mb_engine_options_t *options)
{
    mb_profile_t *profile;
    options->profile = trainer->options.profile;
    if (options->profile != NULL)
        return mb_engine_create(options, &trainer->engine);
    MB_TRY(mb_training_take_profile(trainer, options, &profile));
    options->profile = profile;
    mb_status_t status = mb_engine_create(options, &trainer->engine);
    mb_profile_destroy(profile);
    return status;
}

static void note_segments(mb_training_t *trainer)
{
    int asked = trainer->layout.schedule.segments;
    int there = trainer->engine->plan->schedule.segments;
    if (asked > there)
        mb_training_note(trainer,
                         "recompute=full:%d: %d segments, as many as the chunk with the fewest "
                         "nodes has",
                         asked, there);
}

static void note_order(mb_training_t *trainer)
{
    const mb_plan_t *plan = trainer->engine->plan;
    if (plan->turns != NULL)
        mb_training_note(trainer,
                         "%s: micro-batches go back out of order, and gradients are summed as they "
                         "come: their bits depend on this schedule",
                         plan->schedule.path);
}

static mb_status_t make_engine(mb_training_t *trainer)
{
    mb_offload_t offload;
    mb_engine_options_t options;
    MB_TRY(mb_offload_read(trainer->settings, &offload));
    MB_TRY(mb_comm_agree(trainer->comm, mb_offload_check(trainer->machine->device, &offload)));
    MB_TRY(mb_comm_agree(trainer->comm, mb_training_take_account(trainer)));
    MB_TRY(mb_layout_engine(trainer->model, trainer->settings, &trainer->layout, &options));
    options.machine = trainer->machine;
    options.round_to = trainer->trains_rounded ? &trainer->round_to : NULL;
    options.records = mb_settings_on(trainer->settings, MB_SET_TRACE);
    options.account = trainer->account;
    options.hooks = (mb_hooks_t){.user = trainer, .feed = feed_hook, .update = update_hook};
    MB_TRY(create_engine(trainer, &options));
    note_segments(trainer);
    note_order(trainer);
    MB_TRY(mb_comm_agree(trainer->comm, load_values(trainer)));
    MB_TRY(mb_training_take_snapshot(trainer));
    MB_TRY(mb_engine_prepare(trainer->engine));
    if (trainer->val == NULL)
        return MB_OK;
    return mb_evaluator_create(trainer->machine, trainer->model, &trainer->layout, trainer->engine,
                               trainer->val, &trainer->evaluator);
}

/* A checkpoint to go on from replaces the model's values; the graph is the same. */
static mb_status_t take_checkpoint(mb_training_t *trainer)
{
    mb_model_t *model = trainer->model;
    if (trainer->resume == NULL) {
        trainer->state = (mb_run_state_t){.present = true, .best_metric = NAN, .best_step = -1};
        return MB_OK;
    }
    mb_model_file_t *given = model->file;
    const char *path = trainer->resume->path;
    if (strcmp(given->model_config, trainer->resume->model_config) != 0)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "the run in %s was begun with another model than %s (%s differs): use "
                            "--run NEW for another run, or --restart to begin again",
                            mb_run_dir_path(trainer->dir), trainer->options.model, path);
    trainer->state = trainer->resume->state;
    return mb_model_use_weights(model, trainer->resume);
}

static void write_note(void *user, mb_log_level_t level, const char *message)
{
    (void)level;
    mb_training_note(user, "%s", message);
}

/* What a run begins with; one that goes on has its own. */
static mb_status_t take_weights(mb_training_t *trainer)
{
    mb_weights_request_t request;
    const mb_log_t notes = {write_note, trainer, MB_LOG_INFO};
    MB_TRY(mb_settings_weights(trainer->settings, &request));
    if (trainer->resume != NULL)
        return MB_OK;
    MB_TRY(mb_model_take_weights(trainer->model, &request, &notes));
    if (trainer->model->other != NULL)
        MB_TRY(mb_model_refuse_quantized(trainer->model->other));
    if (trainer->model->file->left_out != NULL)
        mb_training_note(trainer, "%s", trainer->model->file->left_out);
    return MB_OK;
}

/* A run whose step checkpoints are gone has only a final.h5, and that may be quantized or hold
 * averages. */
static mb_status_t check_exact(const mb_training_t *trainer)
{
    const mb_model_file_t *file = trainer->resume;
    bool quantized = file != NULL && file->quantized != NULL;
    if (!quantized && (file == NULL || file->state.averaged == 0))
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT,
                        "%s: its weights are %s%s%s, and the exact step-*.h5 that the run "
                        "would go on from is gone: use --run NEW for another run, or --restart to "
                        "begin again",
                        file->path, quantized ? "quantized (" : "averages over steps (use_ema",
                        quantized ? file->quantized : "", ")");
}

static mb_status_t open_feed(mb_training_t *trainer)
{
    mb_feed_span_t span = {.sampler = trainer->sampler,
                           .first_step = trainer->state.step,
                           .end_step = trainer->total_steps};
    trainer->finished = trainer->state.step >= trainer->total_steps;
    MB_TRY(mb_training_resume_callbacks(trainer));
    trainer->begun_step = trainer->rate_step = trainer->state.step;
    trainer->saved_step = trainer->resume != NULL ? trainer->state.step : -1;
    if (trainer->finished && (trainer->dir == NULL || trainer->final_step == trainer->state.step))
        return MB_OK;
    MB_TRY(check_exact(trainer));
    if (trainer->finished)
        return MB_OK;
    MB_TRY(mb_feed_create(trainer->engine, trainer->model, trainer->data, &span, &trainer->feed));
    if (mb_comm_rank(trainer->comm) == 0 && trainer->dir != NULL)
        return mb_metrics_log_open(trainer->dir, trainer->state.step, &trainer->metrics);
    return MB_OK;
}

/* What the run was begun with may say more on formats than the user does now. */
static mb_status_t take_record(mb_training_t *trainer)
{
    MB_TRY(mb_training_take_record(trainer));
    MB_TRY(mb_training_take_formats(trainer));
    return mb_training_check_output(trainer);
}

mb_status_t mb_training_set_up(mb_training_t *trainer)
{
    mb_comm_t *comm = trainer->comm;
    const mb_settings_t *settings = trainer->settings;
    mb_comm_doing(comm, "opening the model");
    MB_TRY(mb_comm_agree(comm, open_model(trainer)));
    if (settings->origin[MB_SET_DEADLINE] >= MB_FROM_FILE)
        mb_comm_set_deadline(comm, mb_settings_real(settings, MB_SET_DEADLINE));
    mb_comm_doing(comm, "opening the run's directory");
    MB_TRY(mb_training_open_directory(trainer));
    MB_TRY(mb_comm_agree(comm, take_record(trainer)));
    mb_comm_doing(comm, "opening the data");
    MB_TRY(mb_comm_agree(comm, open_data(trainer)));
    MB_TRY(mb_comm_agree(comm, compile(trainer)));
    MB_TRY(mb_comm_agree(comm, take_checkpoint(trainer)));
    MB_TRY(mb_comm_agree(comm, take_weights(trainer)));
    MB_TRY(mb_comm_agree(comm, mb_training_take_callbacks(trainer)));
    MB_TRY(mb_comm_agree(comm, mb_training_take_saves(trainer)));
    MB_TRY(mb_training_take_io(trainer));
    mb_machine_options_t machine = mb_layout_machine(settings);
    machine.lent = trainer->options.device;
    MB_TRY(mb_machine_open(comm, &machine, &trainer->machine));
    MB_TRY(mb_comm_agree(comm, choose_layout(trainer)));
    if (trainer->options.layout == NULL)
        MB_TRY(mb_training_fit_layout(trainer));
    MB_TRY(mb_comm_agree(comm, obey_layout(trainer)));
    note_layout(trainer);
    note_loss_scale(trainer);
    note_average(trainer);
    mb_training_note_formats(trainer);
    trainer->resident_before = mb_host_memory_resident();
    MB_TRY(make_engine(trainer));
    MB_TRY(mb_comm_agree(comm, open_feed(trainer)));
    MB_TRY(mb_comm_agree(comm, mb_training_take_limit(trainer)));
    MB_TRY(mb_comm_agree(comm, mb_training_take_pace(trainer)));
    MB_TRY(mb_training_begin_local(trainer));
    return mb_training_report_start(trainer);
}
