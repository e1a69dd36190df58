/* Optimizers against Keras' own trajectories; each rule left out must be seen. Also the dialects of
 * optimizer_config, and settings from the command line. */
#include "model/optimizer.h"
#include "unit/optim_refs.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PARAMS 4

typedef struct {
    bench_t bench;
    hid_t file;
    mb_arena_t *arena;
    int n_params;
    mb_param_t params[MAX_PARAMS];
    size_t total; /* elements of all parameters */
    size_t steps;
    float *weights, *gradients, *after;
} run_t;

static void run_open(run_t *run, const char *name)
{
    char path[64];
    size_t count;
    *run = (run_t){.file = refs_open("optimizers.h5"), .arena = mb_arena_create()};
    bench_open(&run->bench);
    run->weights = refs_floats(run->file, "weights", &run->total);
    run->gradients = refs_floats(run->file, "gradients", &count);
    run->steps = count / run->total;
    snprintf(path, sizeof(path), "%s/after", name);
    run->after = refs_floats(run->file, path, &count);
    hid_t sizes = H5Aopen(run->file, "sizes", H5P_DEFAULT);
    int32_t elements[MAX_PARAMS] = {0};
    H5Aread(sizes, H5T_NATIVE_INT32, elements);
    H5Aclose(sizes);
    for (; run->n_params < MAX_PARAMS && elements[run->n_params] > 0; run->n_params++)
        run->params[run->n_params] = (mb_param_t){
            .index = run->n_params, .elements = elements[run->n_params], .trainable = true};
}

static void run_close(run_t *run)
{
    free(run->weights);
    free(run->gradients);
    free(run->after);
    H5Fclose(run->file);
    bench_close(&run->bench);
    mb_arena_destroy(run->arena);
}

/* One parameter on the device. */
typedef struct {
    float *w, *g, *slots[MB_MAX_SLOTS];
} place_t;

/* The steps, and the vectors that clipping needs. */
typedef struct {
    mb_stepper_t *stepper;
    double *squares;
    float *scale;
} all_t;

static void put_weights(run_t *run, place_t places[MAX_PARAMS])
{
    const float *w = run->weights;
    for (int i = 0; i < run->n_params; i++) {
        size_t bytes = (size_t)run->params[i].elements * sizeof(float);
        places[i].w = bench_put(&run->bench, w, bytes);
        for (int k = 0; k < MB_MAX_SLOTS; k++)
            places[i].slots[k] = bench_put(&run->bench, NULL, bytes);
        w += run->params[i].elements;
    }
}

static void free_weights(run_t *run, place_t places[MAX_PARAMS])
{
    for (int i = 0; i < run->n_params; i++) {
        mb_device_free(run->bench.device, places[i].w);
        for (int k = 0; k < MB_MAX_SLOTS; k++)
            mb_device_free(run->bench.device, places[i].slots[k]);
    }
}

/* The whole vector of what one pointer of each place leads to. */
static void gather(run_t *run, const place_t places[MAX_PARAMS], int slot, float *out)
{
    for (int i = 0; i < run->n_params; i++) {
        size_t elements = (size_t)run->params[i].elements;
        const float *from = slot < 0 ? places[i].w : places[i].slots[slot];
        bench_get(&run->bench, out, from, elements * sizeof(float));
        out += elements;
    }
}

static void all_open(run_t *run, const mb_optimizer_t *optimizer, const place_t *places, all_t *all)
{
    mb_trained_t trained[MAX_PARAMS];
    for (int i = 0; i < run->n_params; i++) {
        trained[i] = (mb_trained_t){.param = &run->params[i], .w = places[i].w, .g = places[i].g};
        memcpy(trained[i].slots, places[i].slots, sizeof trained[i].slots);
    }
    run->bench.exec.planning = false; /* tables are made at once */
    ck_assert_int_eq(mb_stepper_create(optimizer, &run->bench.exec, trained, run->n_params,
                                       run->n_params, &all->stepper),
                     MB_OK);
    all->squares = bench_put(&run->bench, NULL, MAX_PARAMS * sizeof(double));
    all->scale = bench_put(&run->bench, NULL, MAX_PARAMS * sizeof(float));
}

static void all_close(run_t *run, all_t *all)
{
    mb_stepper_destroy(all->stepper);
    mb_device_free(run->bench.device, all->squares);
    mb_device_free(run->bench.device, all->scale);
}

static mb_status_t update(run_t *run, const mb_optimizer_t *optimizer, const all_t *all,
                          size_t step, size_t schedule_step)
{
    mb_exec_t *exec = &run->bench.exec;
    bool clips = mb_optimizer_needs_norms(optimizer);
    mb_norms_args_t norms = {*mb_stepper_table(all->stepper), all->squares};
    if (clips) {
        MB_TRY(mb_run_norms(exec, &norms));
        MB_TRY(mb_optimizer_clip(optimizer, exec, run->n_params, all->squares, all->scale));
    }
    return mb_stepper_step(all->stepper, (int64_t)step,
                           mb_optimizer_lr(optimizer, (int64_t)schedule_step),
                           clips ? all->scale : NULL);
}

static void take_step(run_t *run, const mb_optimizer_t *optimizer, place_t places[MAX_PARAMS],
                      size_t step, size_t schedule_step)
{
    all_t all;
    const float *g = run->gradients + step * run->total;
    for (int i = 0; i < run->n_params; i++) {
        places[i].g = bench_put(&run->bench, g, (size_t)run->params[i].elements * sizeof(float));
        g += run->params[i].elements;
    }
    all_open(run, optimizer, places, &all);
    BENCH_RUN(&run->bench, update(run, optimizer, &all, step, schedule_step));
    all_close(run, &all);
    for (int i = 0; i < run->n_params; i++)
        mb_device_free(run->bench.device, places[i].g);
}

/* Largest |w - Keras' w| over all steps, in units of what rounding may do: each step rounds w and
 * the step a few times, and a step's terms carry errors relative to themselves (norms and moments:
 * up to 16 eps). So after n steps: n eps 2 |w| + 16 eps (sum of |steps|), and no more. */
static double disagreement(run_t *run, const mb_optimizer_t *optimizer, size_t shift,
                           place_t places[MAX_PARAMS])
{
    float *w = malloc(run->total * sizeof(float));
    double *moved = calloc(run->total, sizeof(double));
    double *largest = calloc(run->total, sizeof(double));
    const float *before = run->weights;
    double worst = 0.0;
    put_weights(run, places);
    for (size_t step = 0; step < run->steps; step++) {
        const float *wanted = run->after + step * run->total;
        take_step(run, optimizer, places, step, step + shift);
        gather(run, places, -1, w);
        for (size_t i = 0; i < run->total; i++) {
            moved[i] += fabs((double)wanted[i] - (double)before[i]);
            largest[i] = fmax(largest[i], fabs((double)before[i]));
            double bound = EPS * ((double)(step + 1) * 2 * largest[i] + 16 * moved[i]);
            worst = fmax(worst, fabs((double)w[i] - (double)wanted[i]) / bound);
        }
        before = wanted;
    }
    free(w);
    free(moved);
    free(largest);
    return worst;
}

static mb_optimizer_t *create(run_t *run, const json_t *config)
{
    mb_optimizer_t *optimizer = NULL;
    ck_assert_msg(mb_optimizer_create(config, NULL, "file.h5", run->arena, &optimizer) == MB_OK,
                  "%s", mb_error_get());
    return optimizer;
}

static void check_slots(run_t *run, const char *name, const mb_optimizer_t *optimizer,
                        const place_t places[MAX_PARAMS])
{
    float *found = malloc(run->total * sizeof(float));
    for (int k = 0; k < optimizer->n_slots; k++) {
        char path[128];
        size_t count;
        double norm = 0.0;
        double worst = 0.0;
        snprintf(path, sizeof(path), "%s/slot_%s", name, optimizer->slot_names[k]);
        float *wanted = refs_floats(run->file, path, &count);
        gather(run, places, k, found);
        for (size_t i = 0; i < count; i++) {
            norm = fmax(norm, fabs((double)wanted[i]));
            worst = fmax(worst, fabs((double)(found[i] - wanted[i])));
        }
        /* ten steps of at most four roundings each, clipping's 16 eps among them */
        ck_assert_msg(worst <= 64 * EPS * norm, "%s: %g of %g", path, worst, norm);
        free(wanted);
    }
    free(found);
}

static void check_trajectory(hid_t file, const char *name)
{
    (void)file;
    run_t run;
    place_t places[MAX_PARAMS] = {0};
    run_open(&run, name);
    json_t *config = refs_json(run.file, name, "config");
    mb_optimizer_t *optimizer = create(&run, config);
    double worst = disagreement(&run, optimizer, 0, places);
    ck_assert_msg(worst <= 1.0, "%s: %g times what rounding explains", name, worst);
    check_slots(&run, name, optimizer, places);
    free_weights(&run, places);
    mb_optimizer_destroy(optimizer);
    json_decref(config);
    run_close(&run);
}

START_TEST(every_optimizer_follows_keras)
{
    hid_t file = refs_open("optimizers.h5");
    refs_each(file, false, check_trajectory);
    H5Fclose(file);
}
END_TEST

static void check_without(const char *name, const json_t *config, json_t *without)
{
    run_t run;
    place_t places[MAX_PARAMS] = {0};
    run_open(&run, name);
    json_t *changed = json_deep_copy(config);
    json_object_update(json_object_get(changed, "config"), without);
    mb_optimizer_t *optimizer = create(&run, changed);
    double worst = disagreement(&run, optimizer, 0, places);
    char *shown = json_dumps(without, 0);
    ck_assert_msg(worst > 100.0, "%s with %s is only %g times rounding away from Keras", name,
                  shown, worst);
    free(shown);
    free_weights(&run, places);
    mb_optimizer_destroy(optimizer);
    json_decref(changed);
    run_close(&run);
}

static void check_rules(hid_t file, const char *name)
{
    json_t *config = refs_json(file, name, "config");
    json_t *list = refs_json(file, name, "without");
    for (size_t i = 0; i < json_array_size(list); i++)
        check_without(name, config, json_array_get(list, i));
    json_decref(list);
    json_decref(config);
}

START_TEST(each_rule_left_out_is_seen)
{
    hid_t file = refs_open("optimizers.h5");
    refs_each(file, false, check_rules);
    H5Fclose(file);
}
END_TEST

START_TEST(a_schedule_that_sees_the_next_step_is_seen)
{
    run_t run;
    place_t places[MAX_PARAMS] = {0};
    run_open(&run, "adam_schedule");
    json_t *config = refs_json(run.file, "adam_schedule", "config");
    mb_optimizer_t *optimizer = create(&run, config);
    ck_assert_double_gt(disagreement(&run, optimizer, 1, places), 100.0);
    free_weights(&run, places);
    mb_optimizer_destroy(optimizer);
    json_decref(config);
    run_close(&run);
}
END_TEST

static mb_status_t read_text(mb_arena_t *arena, const char *text, mb_optimizer_t **out)
{
    json_t *config = json_of(text);
    mb_status_t status = mb_optimizer_create(config, NULL, "file.h5", arena, out);
    json_decref(config);
    return status;
}

START_TEST(keras_2_dialects_are_read)
{
    mb_arena_t *arena = mb_arena_create();
    mb_optimizer_t *o = NULL;
    ck_assert_int_eq(read_text(arena,
                               "{'class_name': 'Adam', 'config': {'name': 'Adam', 'lr': 0.01, "
                               "'beta_1': 0.8, 'beta_2': 0.99, 'decay': 0.0, 'epsilon': null, "
                               "'amsgrad': false}}",
                               &o),
                     MB_OK);
    ck_assert_str_eq(o->name, "Adam");
    ck_assert_double_eq(o->learning_rate, 0.01);
    ck_assert_double_eq(o->epsilon, 1e-7);
    mb_optimizer_destroy(o);
    ck_assert_int_eq(
        read_text(arena,
                  "{'class_name': 'Custom>SGD', 'module': 'keras.optimizers', 'registered_name': "
                  "null, 'config': {'name': 'SGD', 'weight_decay': null, 'clipnorm': null, "
                  "'global_clipnorm': null, 'clipvalue': null, 'use_ema': false, 'ema_momentum': "
                  "0.99, 'ema_overwrite_frequency': null, 'jit_compile': true, "
                  "'is_legacy_optimizer': false, 'learning_rate': {'class_name': "
                  "'ExponentialDecay', 'config': {'initial_learning_rate': 0.5, 'decay_steps': 10, "
                  "'decay_rate': 0.5, 'staircase': true, 'name': null}}, 'momentum': 0.5, "
                  "'nesterov': true}}",
                  &o),
        MB_OK);
    ck_assert_str_eq(o->class_name, "SGD");
    ck_assert_float_eq(mb_optimizer_lr(o, 10), 0.25f);
    ck_assert_int_eq(o->n_slots, 1);
    mb_optimizer_destroy(o);
    mb_arena_destroy(arena);
}
END_TEST

#define INNER "'inner_optimizer': {'class_name': 'Adam', 'config': {'learning_rate': 0.5}}"

/* Keras 3's wrapper, with the keys that earlier ones wrote, and Keras 2's two. */
START_TEST(wrappers_that_scale_the_loss_are_read)
{
    const struct {
        const char *text;
        double initial;
        int64_t growth;
        bool fixed;
    } cases[] = {
        {"{'class_name': 'LossScaleOptimizer', 'config': {'name': 'l', 'initial_scale': 64.0, "
         "'dynamic_growth_steps': 7, 'weight_decay': null, 'use_ema': false, "
         "'loss_scale_factor': null, " INNER "}}",
         64.0, 7, false},
        {"{'class_name': 'LossScaleOptimizer', 'config': {'dynamic': true, " INNER "}}", 32768.0,
         2000, false},
        {"{'class_name': 'Custom>LossScaleOptimizerV3', 'config': {'dynamic': false, "
         "'initial_scale': 8.0, 'dynamic_growth_steps': null, " INNER "}}",
         8.0, 2000, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        mb_arena_t *arena = mb_arena_create();
        mb_optimizer_t *o = NULL;
        ck_assert_msg(read_text(arena, cases[i].text, &o) == MB_OK, "%s", mb_error_get());
        ck_assert(o->scales_loss && o->fixed_scale == cases[i].fixed);
        ck_assert_double_eq(o->initial_scale, cases[i].initial);
        ck_assert_int_eq(o->growth_steps, cases[i].growth);
        ck_assert_str_eq(o->class_name, "Adam");
        ck_assert_double_eq(o->learning_rate, 0.5);
        mb_optimizer_destroy(o);
        mb_arena_destroy(arena);
    }
}
END_TEST

START_TEST(a_setting_changes_the_optimizer_inside_its_wrapper)
{
    mb_arena_t *arena = mb_arena_create();
    mb_optimizer_t *o = NULL;
    ck_assert_int_eq(
        read_text(arena,
                  "{'class_name': 'LossScaleOptimizer', 'config': {'initial_scale': 64.0, " INNER
                  "}}",
                  &o),
        MB_OK);
    ck_assert_int_eq(mb_optimizer_set(o, "lr", "0.25", arena), MB_OK);
    ck_assert_float_eq(mb_optimizer_lr(o, 0), 0.25f);
    ck_assert_double_eq(o->initial_scale, 64.0);
    json_t *wanted = json_of("{'class_name': 'LossScaleOptimizer', 'config': {'initial_scale': "
                             "64.0, 'inner_optimizer': {'class_name': 'Adam', 'config': "
                             "{'learning_rate': 0.25}}}}");
    ck_assert(json_equal(o->config, wanted));
    json_decref(wanted);
    mb_optimizer_destroy(o);
    mb_arena_destroy(arena);
}
END_TEST

static void check_refused(const char *text, mb_status_t status, const char *words)
{
    mb_arena_t *arena = mb_arena_create();
    mb_optimizer_t *o = NULL;
    ck_assert_int_eq(read_text(arena, text, &o), status);
    ck_assert_msg(strstr(mb_error_get(), words) != NULL, "'%s' does not say '%s'", mb_error_get(),
                  words);
    mb_arena_destroy(arena);
}

START_TEST(what_cannot_be_obeyed_is_refused_by_name)
{
    check_refused("{'class_name': 'ScheduleFreeAdam', 'config': {}}", MB_ERR_UNSUPPORTED,
                  "optimizer 'ScheduleFreeAdam'");
    check_refused("{'class_name': 'ScheduleFreeAdamW', 'config': {'beta_1': 0.0}}", MB_ERR_ARGUMENT,
                  "'beta_1' is 0");
    check_refused("{'class_name': 'ScheduleFreeAdamW', 'config': {'warmup_steps': -1}}",
                  MB_ERR_ARGUMENT, "'warmup_steps' is -1");
    check_refused("{'class_name': 'Adam', 'config': {'use_ema': true, 'ema_momentum': 1.5}}",
                  MB_ERR_ARGUMENT, "'ema_momentum' is 1.5");
    check_refused("{'class_name': 'Adam', 'config': {'use_ema': true, 'ema_overwrite_frequency': "
                  "0}}",
                  MB_ERR_ARGUMENT, "'ema_overwrite_frequency' is 0");
    check_refused("{'class_name': 'Adam', 'config': {'gradient_accumulation_steps': 1}}",
                  MB_ERR_ARGUMENT, "'gradient_accumulation_steps' is 1");
    check_refused("{'class_name': 'Adam', 'config': {'loss_scale_factor': 0.0}}", MB_ERR_ARGUMENT,
                  "'loss_scale_factor' is 0");
    check_refused("{'class_name': 'AdamW', 'config': {'weight_decay': null}}", MB_ERR_ARGUMENT,
                  "'weight_decay' is null");
    check_refused("{'class_name': 'Lion', 'config': {'beta_1': 0.0}}", MB_ERR_ARGUMENT,
                  "'beta_1' is 0");
    check_refused("{'class_name': 'Ftrl', 'config': {'learning_rate_power': 0.5}}", MB_ERR_ARGUMENT,
                  "'learning_rate_power' is 0.5");
    check_refused("{'class_name': 'Muon', 'config': {'exclude_layers': ['head(?=x)']}}",
                  MB_ERR_UNSUPPORTED, "the pattern 'head(?=x)'");
    check_refused("{'class_name': 'Muon', 'config': {'exclude_layers': ['a\\\\d']}}",
                  MB_ERR_UNSUPPORTED, "the pattern 'a\\d'");
    check_refused("{'class_name': 'Muon', 'config': {'exclude_layers': 'head'}}", MB_ERR_FORMAT,
                  "must be a list");
    check_refused("{'class_name': 'Adam', 'config': {'decay': 0.1}}", MB_ERR_UNSUPPORTED,
                  "'decay' is 0.1");
    check_refused("{'class_name': 'Adam', 'config': {'clipnorm': 1.0, 'clipvalue': 1.0}}",
                  MB_ERR_UNSUPPORTED, "only one of");
    check_refused("{'class_name': 'Adam', 'config': {'nesterov': true}}", MB_ERR_UNSUPPORTED,
                  "'nesterov' is not known");
    check_refused("{'class_name': 'SGD', 'config': {'momentum': 1.5}}", MB_ERR_ARGUMENT,
                  "'momentum' is 1.5");
    check_refused("{'class_name': 'SGD', 'config': {'learning_rate': 'fast'}}", MB_ERR_FORMAT,
                  "must be a number");
    check_refused("{'class_name': 'SGD', 'config': {'learning_rate': -1.0}}", MB_ERR_ARGUMENT,
                  "'learning_rate' is -1");
    check_refused("{'class_name': 'LossScaleOptimizer', 'config': {'clipnorm': 1.0, " INNER "}}",
                  MB_ERR_UNSUPPORTED, "'clipnorm' is 1.0");
    check_refused("{'class_name': 'LossScaleOptimizer', 'config': {'loss_scale': 2, " INNER "}}",
                  MB_ERR_UNSUPPORTED, "'loss_scale' is not known");
    check_refused("{'class_name': 'LossScaleOptimizer', 'config': {'initial_scale': 0.0, " INNER
                  "}}",
                  MB_ERR_ARGUMENT, "'initial_scale' is 0");
    check_refused("{'class_name': 'LossScaleOptimizer', 'config': {}}", MB_ERR_FORMAT,
                  "'inner_optimizer' is missing");
    check_refused("{'class_name': 'SGD'}", MB_ERR_FORMAT, "must be a JSON object");
    check_refused("[]", MB_ERR_FORMAT, "class_name");
    check_refused("null", MB_ERR_ARGUMENT, "--optimizer");
}
END_TEST

static mb_optimizer_t *from_spec(mb_arena_t *arena, const char *spec)
{
    mb_optimizer_t *o = NULL;
    ck_assert_msg(mb_optimizer_create(NULL, spec, "file.h5", arena, &o) == MB_OK, "%s",
                  mb_error_get());
    return o;
}

START_TEST(a_spec_gives_keras_defaults_and_the_keys_named)
{
    mb_arena_t *arena = mb_arena_create();
    mb_optimizer_t *o = from_spec(arena, "adamw:weight_decay=0.01,beta_2=0.95,lr=1");
    ck_assert_str_eq(o->class_name, "AdamW");
    ck_assert_double_eq(o->weight_decay, 0.01);
    ck_assert_double_eq(o->beta1, 0.9);
    ck_assert_double_eq(o->beta2, 0.95);
    json_t *config = json_object_get(o->config, "config");
    ck_assert(json_is_real(json_object_get(config, "learning_rate")));
    ck_assert_str_eq(json_string_value(json_object_get(config, "name")), "adam_w");
    mb_optimizer_destroy(o);
    o = from_spec(arena, "sgd:momentum=.9,nesterov=true");
    ck_assert_double_eq(o->learning_rate, 0.01);
    ck_assert(o->nesterov);
    mb_optimizer_destroy(o);
    mb_optimizer_t *none = NULL;
    ck_assert_int_eq(mb_optimizer_create(NULL, "sgd:momentun=1", "f", arena, &none),
                     MB_ERR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(mb_error_get(), "momentum"));
    ck_assert_int_eq(mb_optimizer_create(NULL, "adagrat", "f", arena, &none), MB_ERR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(mb_error_get(), "adagrad"));
    ck_assert_int_eq(mb_optimizer_create(NULL, "sgd:nesterov=3", "f", arena, &none), MB_ERR_FORMAT);
    mb_arena_destroy(arena);
}
END_TEST

START_TEST(a_spec_keeps_counts_whole_and_takes_a_pattern)
{
    mb_arena_t *arena = mb_arena_create();
    mb_optimizer_t *o = from_spec(
        arena, "muon:gradient_accumulation_steps=3,use_ema=true,ema_overwrite_frequency=5,"
               "exclude_layers=head|gate,ns_steps=4,adam_lr_ratio=2");
    ck_assert_int_eq(o->accumulated_steps, 3);
    ck_assert_int_eq(o->overwrite_every, 5);
    ck_assert_int_eq(o->muon.steps, 4);
    json_t *config = json_object_get(o->config, "config");
    ck_assert(json_is_integer(json_object_get(config, "gradient_accumulation_steps")));
    ck_assert(json_is_real(json_object_get(config, "adam_lr_ratio")));
    ck_assert_uint_eq(json_array_size(json_object_get(config, "exclude_layers")), 1);
    mb_optimizer_destroy(o);
    mb_arena_destroy(arena);
}
END_TEST

static void set(mb_optimizer_t *o, const char *key, const char *value, mb_arena_t *arena)
{
    ck_assert_msg(mb_optimizer_set(o, key, value, arena) == MB_OK, "%s", mb_error_get());
}

START_TEST(single_settings_change_what_runs_and_what_is_written)
{
    mb_arena_t *arena = mb_arena_create();
    mb_optimizer_t *o = from_spec(arena, "adam:clipnorm=0.5");
    set(o, "lr", "0.5", arena);
    ck_assert_float_eq(mb_optimizer_lr(o, 7), 0.5f);
    set(o, "clip", "2", arena);
    ck_assert_double_eq(o->global_clipnorm, 2.0);
    ck_assert_double_eq(o->clipnorm, 0.0);
    set(o, "clip", "0", arena);
    ck_assert(!mb_optimizer_needs_norms(o));
    set(o, "weight_decay", "0.1", arena);
    ck_assert_double_eq(o->weight_decay, 0.1);
    set(o, "lr_schedule", "cosine:steps=100,warmup=10", arena);
    ck_assert_float_eq(mb_optimizer_lr(o, 10), 0.5f);
    ck_assert_float_eq(mb_optimizer_lr(o, 0), 0.0f);
    set(o, "lr_schedule", "exponential:steps=1,rate=0.5", arena);
    ck_assert_float_eq(mb_optimizer_lr(o, 1), 0.25f);
    set(o, "lr_schedule", "constant", arena);
    ck_assert_float_eq(mb_optimizer_lr(o, 1), 0.5f);
    set(o, "lr_schedule", "cosine:steps=100", arena);
    set(o, "lr", "0.125", arena);
    ck_assert_ptr_null(o->schedule);
    mb_optimizer_t *again = NULL;
    ck_assert_int_eq(mb_optimizer_create(o->config, NULL, "file.h5", arena, &again), MB_OK);
    ck_assert_float_eq(mb_optimizer_lr(again, 3), 0.125f);
    mb_optimizer_destroy(again);
    mb_optimizer_destroy(o);
    mb_arena_destroy(arena);
}
END_TEST

START_TEST(a_setting_that_fails_leaves_the_optimizer_as_it_was)
{
    static const char *const wrong[][2] = {{"lr", "fast"},
                                           {"lr", "-1"},
                                           {"clip", "-0.5"},
                                           {"weight_decay", "no"},
                                           {"lr_schedule", "cosine"},
                                           {"lr_schedule", "exponential:steps=0,rate=1"},
                                           {"moment", "1"}};
    mb_arena_t *arena = mb_arena_create();
    mb_optimizer_t *o = from_spec(arena, "adam");
    json_t *before = json_deep_copy(o->config);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        ck_assert_int_ne(mb_optimizer_set(o, wrong[i][0], wrong[i][1], arena), MB_OK);
        ck_assert(json_equal(o->config, before));
        ck_assert_float_eq(mb_optimizer_lr(o, 1), 0.001f);
    }
    json_decref(before);
    mb_optimizer_destroy(o);
    mb_arena_destroy(arena);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("optimizer");
    TCase *t = tcase_create("optimizer");
    tcase_add_test(t, every_optimizer_follows_keras);
    tcase_add_test(t, each_rule_left_out_is_seen);
    tcase_add_test(t, a_schedule_that_sees_the_next_step_is_seen);
    tcase_add_test(t, keras_2_dialects_are_read);
    tcase_add_test(t, wrappers_that_scale_the_loss_are_read);
    tcase_add_test(t, a_setting_changes_the_optimizer_inside_its_wrapper);
    tcase_add_test(t, what_cannot_be_obeyed_is_refused_by_name);
    tcase_add_test(t, a_spec_gives_keras_defaults_and_the_keys_named);
    tcase_add_test(t, a_spec_keeps_counts_whole_and_takes_a_pattern);
    tcase_add_test(t, single_settings_change_what_runs_and_what_is_written);
    tcase_add_test(t, a_setting_that_fails_leaves_the_optimizer_as_it_was);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    SRunner *r = srunner_create(suite());
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? 0 : 1;
}
