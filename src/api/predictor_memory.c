/* Predictions in memory. The model is read and planned once, at the start; runs follow one another
 * on that. A rank alone works on the caller's arrays where they lie (infer/handed.h). Of several
 * ranks each computes what the layout gives it; results are gathered on rank 0, and handed to all.
 */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "api/predictor_private.h"
#include "api/trainer_private.h"
#include "base/log.h"
#include "train/handover.h"

void mb_api_predictor_stop(mb_predictor_t *predictor, bool failed)
{
    mb_handed_destroy(predictor->handed);
    mb_session_close(predictor->session, failed);
    mb_source_close(predictor->source);
    predictor->handed = NULL;
    predictor->session = NULL;
    predictor->source = NULL;
    predictor->taught = false;
}

mb_status_t mb_api_predictor_untaught(const mb_predictor_t *predictor, const char *function)
{
    if (!predictor->taught)
        return MB_OK;
    return mb_error_set(MB_ERR_UNSUPPORTED,
                        "%s reads the file '%s', but this predictor's weights came from "
                        "mb_predictor_load_trainer: write them by mb_trainer_save and make a "
                        "predictor of that file",
                        function, predictor->path);
}

static mb_status_t check_apart(const mb_predictor_t *predictor, int ranks)
{
    const char *name = NULL;
    for (int i = 0; i < predictor->arrays.count; i++)
        name = predictor->arrays.arrays[i].unseen ? predictor->arrays.arrays[i].name : name;
    for (int i = 0; i < predictor->outputs.count; i++)
        name = predictor->output_apart[i] ? predictor->outputs.outputs[i].name : name;
    if (name == NULL || ranks == 1)
        return MB_OK;
    return mb_error_set(MB_ERR_UNSUPPORTED,
                        "mb_predictor_run: '%s' is in a device's memory, and %d ranks predict "
                        "together: give host memory, or set independent to yes, so that each rank "
                        "predicts for itself",
                        name, ranks);
}

static mb_status_t check_given(const mb_predictor_t *predictor, int ranks)
{
    if (predictor->arrays.count == 0)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "mb_predictor_run: no arrays; give them by mb_predictor_set_array");
    if (predictor->outputs.count == 0)
        return mb_error_set(MB_ERR_ARGUMENT, "mb_predictor_run: no memory for an output; give it "
                                             "by mb_predictor_set_output");
    MB_TRY(mb_api_arrays_check(&predictor->arrays));
    return check_apart(predictor, ranks);
}

static mb_status_t open_all(mb_predictor_t *predictor, mb_comm_t *comm)
{
    mb_status_t status =
        predictor->arrays.count == 0
            ? mb_error_set(MB_ERR_ARGUMENT, "mb_predictor_start: no arrays, which say what is "
                                            "planned for; give them by mb_predictor_set_array")
            : mb_api_arrays_open(&predictor->arrays, &predictor->source);
    MB_TRY(mb_comm_agree(comm, status));
    MB_TRY(mb_api_predictor_same(predictor, predictor->source));
    mb_predict_options_t options = mb_api_predictor_options(predictor);
    options.source = predictor->source;
    MB_TRY(mb_session_open(&options, &predictor->session));
    status = mb_comm_size(comm) > 1
                 ? MB_OK
                 : mb_handed_create(predictor->session, predictor->source, &predictor->handed);
    return mb_comm_agree(comm, status);
}

static mb_status_t start(mb_predictor_t *predictor, mb_comm_t *comm)
{
    mb_api_predictor_stop(predictor, false);
    mb_api_kept_t kept = mb_api_enter();
    mb_status_t status = open_all(predictor, comm);
    mb_api_leave(&kept);
    if (status != MB_OK)
        mb_api_predictor_stop(predictor, true);
    predictor->stale = status != MB_OK;
    return status;
}

mb_status_t mb_predictor_start(mb_predictor_t *predictor)
{
    mb_comm_t *comm;
    MB_NEED(predictor);
    MB_TRY(mb_api_predictor_comm(predictor, __func__, &comm));
    return start(predictor, comm);
}

static mb_status_t refuse_to_forget(const mb_predictor_t *predictor)
{
    return mb_error_set(MB_ERR_ARGUMENT,
                        "mb_predictor_run: settings, or an array's type or shape, have changed "
                        "since mb_predictor_load_trainer, and starting anew takes the weights of "
                        "'%s': call mb_predictor_load_trainer again, or mb_predictor_start for "
                        "those",
                        predictor->path);
}

static mb_status_t start_if_needed(mb_predictor_t *predictor, mb_comm_t *comm)
{
    if (predictor->session != NULL && !predictor->stale)
        return MB_OK;
    if (predictor->taught)
        return mb_comm_agree(comm, refuse_to_forget(predictor));
    return start(predictor, comm);
}

static bool sees_host(const mb_predictor_t *predictor)
{
    mb_device_t *device = predictor->session->machine->device;
    return device->class_->host_visible(device);
}

/* A device writes float32 alone where nobody converts it. */
static mb_status_t check_type(const mb_predictor_t *predictor, int i)
{
    const mb_api_output_t *output = &predictor->outputs.outputs[i];
    const mb_graph_t *graph = predictor->session->model->graph;
    mb_dtype_t type = graph->nodes[graph->outputs[output->place].node].call.output_type;
    if (type == MB_F32 || !predictor->output_apart[i] || sees_host(predictor))
        return MB_OK;
    return mb_error_set(MB_ERR_UNSUPPORTED,
                        "mb_predictor_run: output '%s' is computed in %s, and only float32 is "
                        "written into a device's memory: give host memory by "
                        "mb_predictor_set_output",
                        output->name, mb_dtype_name(type));
}

/* With a rank alone nothing is to be agreed on, and nothing allocated. */
static mb_status_t run_alone(mb_predictor_t *predictor)
{
    const void *inputs[MB_API_MAX_ARRAYS];
    mb_handed_output_t outputs[MB_API_MAX_ARRAYS];
    bool unseen[MB_API_MAX_ARRAYS];
    int64_t copied;
    for (int i = 0; i < predictor->arrays.count; i++) {
        inputs[i] = predictor->arrays.arrays[i].data;
        unseen[i] = predictor->arrays.arrays[i].unseen;
    }
    MB_TRY(mb_api_outputs_ready(&predictor->outputs, predictor->session->model->graph));
    for (int i = 0; i < predictor->outputs.count; i++) {
        const mb_api_output_t *output = &predictor->outputs.outputs[i];
        MB_TRY(check_type(predictor, i));
        outputs[i] =
            (mb_handed_output_t){output->place, output->values, predictor->output_apart[i]};
    }
    mb_handed_arrays_t arrays = {predictor->outputs.samples, inputs, unseen,
                                 predictor->outputs.count, outputs};
    double begun = mb_time_seconds();
    mb_api_kept_t kept = mb_api_enter();
    mb_status_t status = mb_handed_run(predictor->handed, &arrays, &copied);
    mb_api_leave(&kept);
    MB_TRY(status);
    predictor->samples = (double)arrays.samples;
    predictor->seconds = mb_time_seconds() - begun;
    predictor->copied = (double)copied;
    return MB_OK;
}

/* The arrays of this run; of all ranks the same. */
static mb_status_t run_on(mb_predictor_t *predictor, mb_comm_t *comm, mb_source_t *source)
{
    mb_predict_report_t report;
    mb_predict_options_t options = mb_api_predictor_options(predictor);
    options.user = &predictor->outputs;
    options.ready = mb_api_outputs_ready;
    options.write = mb_api_outputs_write;
    MB_TRY(mb_api_same(comm, source->digest, "arrays"));
    mb_api_kept_t kept = mb_api_enter();
    mb_status_t status = mb_predict_in(predictor->session, source, &options, &report);
    mb_api_leave(&kept);
    MB_TRY(status);
    double numbers[2] = {(double)report.samples, report.seconds};
    MB_TRY(mb_comm_broadcast(comm, numbers, sizeof numbers, 0));
    predictor->samples = numbers[0];
    predictor->seconds = numbers[1];
    predictor->copied = NAN;
    return mb_api_outputs_share(&predictor->outputs, comm);
}

static mb_status_t run_together(mb_predictor_t *predictor, mb_comm_t *comm)
{
    mb_source_t *source = NULL;
    MB_TRY(mb_comm_agree(comm, mb_api_arrays_open(&predictor->arrays, &source)));
    mb_status_t status = run_on(predictor, comm, source);
    mb_api_outputs_forget(&predictor->outputs);
    mb_source_close(source);
    return status;
}

mb_status_t mb_predictor_run(mb_predictor_t *predictor)
{
    mb_comm_t *comm;
    MB_NEED(predictor);
    MB_TRY(mb_api_predictor_comm(predictor, __func__, &comm));
    int ranks = mb_comm_size(comm);
    mb_status_t status = check_given(predictor, ranks);
    MB_TRY(ranks == 1 ? status : mb_comm_agree(comm, status));
    MB_TRY(start_if_needed(predictor, comm));
    predictor->outputs.samples = predictor->arrays.samples[0];
    MB_TRY(ranks == 1 ? run_alone(predictor) : run_together(predictor, comm));
    predictor->loss = predictor->accuracy = NAN;
    predictor->metrics.n = 0;
    predictor->computed = true;
    return MB_OK;
}

static mb_status_t check_trainer(const mb_predictor_t *predictor, const mb_trainer_t *trainer)
{
    if (trainer->context != predictor->context)
        return mb_error_set(MB_ERR_ARGUMENT, "mb_predictor_load_trainer: trainer and predictor are "
                                             "of two contexts; make both of one");
    if (trainer->ranks != NULL && !predictor->independent)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "mb_predictor_load_trainer: the ranks that compute, by the trainer's "
                            "setting 'ranks', are not all that predict; make the predictor with "
                            "'independent' yes, on these ranks");
    if (trainer->training == NULL)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "mb_predictor_load_trainer: the training has not started; "
                            "there are no weights yet");
    return MB_OK;
}

static mb_status_t start_to_load(mb_predictor_t *predictor)
{
    mb_comm_t *comm;
    MB_TRY(mb_api_predictor_comm(predictor, __func__, &comm));
    return predictor->session != NULL && !predictor->stale ? MB_OK : start(predictor, comm);
}

mb_status_t mb_predictor_load_trainer(mb_predictor_t *predictor, mb_trainer_t *trainer)
{
    MB_NEED(predictor);
    MB_NEED(trainer);
    MB_TRY(mb_api_need_idle(trainer->context, __func__));
    MB_TRY(check_trainer(predictor, trainer));
    MB_TRY(mb_comm_agree(mb_api_trainer_comm(trainer), start_to_load(predictor)));
    mb_api_kept_t kept = mb_api_enter();
    mb_status_t status = mb_training_hand_over(trainer->training, predictor->session);
    mb_api_leave(&kept);
    predictor->taught = predictor->taught || status == MB_OK;
    return status;
}
