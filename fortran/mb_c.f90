! The functions of <mb/mb.h> as C has them, for the module mb, which gives them Fortran's texts, arrays and
! optional arguments. Arguments are named and ordered as in the header.
module mb_c
  use, intrinsic :: iso_c_binding, only: c_char, c_double, c_funptr, c_int, c_int64_t, c_ptr, c_size_t
  implicit none
  public

  integer, parameter :: MB_OK = 0, MB_ERR_ARGUMENT = -1, MB_ERR_MEMORY = -2, MB_ERR_IO = -3, &
    MB_ERR_FORMAT = -4, MB_ERR_UNSUPPORTED = -5, MB_ERR_SHAPE = -6, MB_ERR_DATA = -7, &
    MB_ERR_NUMERIC = -8, MB_ERR_PEER = -9, MB_ERR_TIMEOUT = -10, MB_ERR_MPI = -11, &
    MB_ERR_DEVICE = -12, MB_ERR_BUSY = -13, MB_ERR_STOPPED = -14, MB_ERR_INTERNAL = -15
  integer, parameter :: MB_FLOAT32 = 0, MB_FLOAT64 = 1, MB_INT32 = 2, MB_INT64 = 3, MB_UINT8 = 4
  integer, parameter :: MB_HOST = 0, MB_DEVICE = 1
  integer, parameter :: MB_LEVEL_DEBUG = 0, MB_LEVEL_INFO = 1, MB_LEVEL_WARNING = 2
  integer, parameter :: MB_MAX_DIMS = 8

  interface
    function c_strlen(text) bind(C, name="strlen") result(length)
      import :: c_ptr, c_size_t
      type(c_ptr), value :: text
      integer(c_size_t) :: length
    end function

    function c_error_message() bind(C, name="mb_error_message") result(text)
      import :: c_ptr
      type(c_ptr) :: text
    end function
    function c_error_rank() bind(C, name="mb_error_rank") result(rank)
      import :: c_int
      integer(c_int) :: rank
    end function
    function c_status_name(status) bind(C, name="mb_status_name") result(text)
      import :: c_int, c_ptr
      integer(c_int), value :: status
      type(c_ptr) :: text
    end function
    function c_version() bind(C, name="mb_version") result(text)
      import :: c_ptr
      type(c_ptr) :: text
    end function

    ! Context

    function c_context_create(comm, context) bind(C, name="mb_context_create_f") result(status)
      import :: c_int, c_ptr
      integer, value :: comm
      type(c_ptr), intent(inout) :: context
      integer(c_int) :: status
    end function
    function c_context_set_log(context, write, user, least) bind(C, name="mb_context_set_log") &
      result(status)
      import :: c_funptr, c_int, c_ptr
      type(c_ptr), value :: context, user
      type(c_funptr), value :: write
      integer(c_int), value :: least
      integer(c_int) :: status
    end function
    function c_context_load_plugin(context, path) bind(C, name="mb_context_load_plugin") &
      result(status)
      import :: c_char, c_int, c_ptr
      type(c_ptr), value :: context
      character(kind=c_char), intent(in) :: path(*)
      integer(c_int) :: status
    end function
    function c_context_destroy(context) bind(C, name="mb_context_destroy") result(status)
      import :: c_int, c_ptr
      type(c_ptr), value :: context
      integer(c_int) :: status
    end function

    ! Model

    function c_model_create_preset(context, preset, settings, path) &
      bind(C, name="mb_model_create_preset") result(status)
      import :: c_char, c_int, c_ptr
      type(c_ptr), value :: context
      character(kind=c_char), intent(in) :: preset(*), settings(*), path(*)
      integer(c_int) :: status
    end function
    function c_model_load(path, model) bind(C, name="mb_model_load") result(status)
      import :: c_char, c_int, c_ptr
      character(kind=c_char), intent(in) :: path(*)
      type(c_ptr), intent(inout) :: model
      integer(c_int) :: status
    end function
    function c_model_count_inputs(model, count) bind(C, name="mb_model_count_inputs") result(status)
      import :: c_int, c_ptr
      type(c_ptr), value :: model
      integer(c_int), intent(inout) :: count
      integer(c_int) :: status
    end function
    function c_model_count_outputs(model, count) bind(C, name="mb_model_count_outputs") &
      result(status)
      import :: c_int, c_ptr
      type(c_ptr), value :: model
      integer(c_int), intent(inout) :: count
      integer(c_int) :: status
    end function
    function c_model_count_parameters(model, count) bind(C, name="mb_model_count_parameters") &
      result(status)
      import :: c_int, c_int64_t, c_ptr
      type(c_ptr), value :: model
      integer(c_int64_t), intent(inout) :: count
      integer(c_int) :: status
    end function
    function c_model_describe_input(model, index, name, rank, shape) &
      bind(C, name="mb_model_describe_input") result(status)
      import :: c_int, c_int64_t, c_ptr
      type(c_ptr), value :: model
      integer(c_int), value :: index
      type(c_ptr), intent(inout) :: name
      integer(c_int), intent(inout) :: rank
      integer(c_int64_t), intent(inout) :: shape(*)
      integer(c_int) :: status
    end function
    function c_model_describe_output(model, index, name, rank, shape) &
      bind(C, name="mb_model_describe_output") result(status)
      import :: c_int, c_int64_t, c_ptr
      type(c_ptr), value :: model
      integer(c_int), value :: index
      type(c_ptr), intent(inout) :: name
      integer(c_int), intent(inout) :: rank
      integer(c_int64_t), intent(inout) :: shape(*)
      integer(c_int) :: status
    end function
    function c_model_create(name, model) bind(C, name="mb_model_create") result(status)
      import :: c_char, c_int, c_ptr
      character(kind=c_char), intent(in) :: name(*)
      type(c_ptr), intent(inout) :: model
      integer(c_int) :: status
    end function
    function c_model_add_input(model, name, type, rank, shape) bind(C, name="mb_model_add_input") &
      result(status)
      import :: c_char, c_int, c_int64_t, c_ptr
      type(c_ptr), value :: model
      character(kind=c_char), intent(in) :: name(*)
      integer(c_int), value :: type, rank
      integer(c_int64_t), intent(in) :: shape(*)
      integer(c_int) :: status
    end function
    function c_model_add(model, class_name, name, config, count, inputs) &
      bind(C, name="mb_model_add") result(status)
      import :: c_char, c_int, c_ptr
      type(c_ptr), value :: model
      character(kind=c_char), intent(in) :: class_name(*)
      character(kind=c_char), intent(in), optional :: name(*), config(*)
      integer(c_int), value :: count
      type(c_ptr), intent(in), optional :: inputs(*)
      integer(c_int) :: status
    end function
    function c_model_call(model, name, count, inputs) bind(C, name="mb_model_call") result(status)
      import :: c_char, c_int, c_ptr
      type(c_ptr), value :: model
      character(kind=c_char), intent(in) :: name(*)
      integer(c_int), value :: count
      type(c_ptr), intent(in), optional :: inputs(*)
      integer(c_int) :: status
    end function
    function c_model_set_outputs(model, count, names) bind(C, name="mb_model_set_outputs") &
      result(status)
      import :: c_int, c_ptr
      type(c_ptr), value :: model
      integer(c_int), value :: count
      type(c_ptr), intent(in) :: names(*)
      integer(c_int) :: status
    end function
    function c_model_set(model, key, value) bind(C, name="mb_model_set") result(status)
      import :: c_char, c_int, c_ptr
      type(c_ptr), value :: model
      character(kind=c_char), intent(in) :: key(*), value(*)
      integer(c_int) :: status
    end function
    function c_model_count_weights(model, count) bind(C, name="mb_model_count_weights") &
      result(status)
      import :: c_int, c_ptr
      type(c_ptr), value :: model
      integer(c_int), intent(inout) :: count
      integer(c_int) :: status
    end function
    function c_model_describe_weight(model, index, name, rank, shape) &
      bind(C, name="mb_model_describe_weight") result(status)
      import :: c_int, c_int64_t, c_ptr
      type(c_ptr), value :: model
      integer(c_int), value :: index
      type(c_ptr), intent(inout) :: name
      integer(c_int), intent(inout) :: rank
      integer(c_int64_t), intent(inout) :: shape(*)
      integer(c_int) :: status
    end function
    function c_model_get_weight(model, name, count, values) bind(C, name="mb_model_get_weight") &
      result(status)
      import :: c_char, c_int, c_int64_t, c_ptr
      type(c_ptr), value :: model, values
      character(kind=c_char), intent(in) :: name(*)
      integer(c_int64_t), value :: count
      integer(c_int) :: status
    end function
    function c_model_set_weight(model, name, count, values) bind(C, name="mb_model_set_weight") &
      result(status)
      import :: c_char, c_int, c_int64_t, c_ptr
      type(c_ptr), value :: model, values
      character(kind=c_char), intent(in) :: name(*)
      integer(c_int64_t), value :: count
      integer(c_int) :: status
    end function
    function c_model_summary(model, text) bind(C, name="mb_model_summary") result(status)
      import :: c_int, c_ptr
      type(c_ptr), value :: model
      type(c_ptr), intent(inout) :: text
      integer(c_int) :: status
    end function
    function c_model_save(model, context, path) bind(C, name="mb_model_save") result(status)
      import :: c_char, c_int, c_ptr
      type(c_ptr), value :: model, context
      character(kind=c_char), intent(in) :: path(*)
      integer(c_int) :: status
    end function
    function c_model_destroy(model) bind(C, name="mb_model_destroy") result(status)
      import :: c_int, c_ptr
      type(c_ptr), value :: model
      integer(c_int) :: status
    end function

    ! Trainer

    function c_trainer_create(context, path, trainer) bind(C, name="mb_trainer_create") &
      result(status)
      import :: c_char, c_int, c_ptr
      type(c_ptr), value :: context
      character(kind=c_char), intent(in) :: path(*)
      type(c_ptr), intent(inout) :: trainer
      integer(c_int) :: status
    end function
    function c_trainer_set(trainer, key, value) bind(C, name="mb_trainer_set") result(status)
      import :: c_char, c_int, c_ptr
      type(c_ptr), value :: trainer
      character(kind=c_char), intent(in) :: key(*), value(*)
      integer(c_int) :: status
    end function
    function c_trainer_set_array(trainer, name, type, rank, shape, data) &
      bind(C, name="mb_trainer_set_array") result(status)
      import :: c_char, c_int, c_int64_t, c_ptr
      type(c_ptr), value :: trainer, data
      character(kind=c_char), intent(in) :: name(*)
      integer(c_int), value :: type, rank
      integer(c_int64_t), intent(in) :: shape(*)
      integer(c_int) :: status
    end function
    function c_trainer_set_samples(trainer, name, type, rank, shape, strides, data, where) &
      bind(C, name="mb_trainer_set_samples") result(status)
      import :: c_char, c_int, c_int64_t, c_ptr
      type(c_ptr), value :: trainer, data
      character(kind=c_char), intent(in) :: name(*)
      integer(c_int), value :: type, rank, where
      integer(c_int64_t), intent(in) :: shape(*)
      integer(c_int64_t), intent(in), optional :: strides(*)
      integer(c_int) :: status
    end function
    function c_trainer_set_reservoir(trainer, reservoir) bind(C, name="mb_trainer_set_reservoir") &
      result(status)
      import :: c_int, c_ptr
      type(c_ptr), value :: trainer, reservoir
      integer(c_int) :: status
    end function
    function c_trainer_renew(trainer) bind(C, name="mb_trainer_renew") result(status)
      import :: c_int, c_ptr
      type(c_ptr), value :: trainer
      integer(c_int) :: status
    end function
    function c_trainer_set_callback(trainer, callback, user) &
      bind(C, name="mb_trainer_set_callback") result(status)
      import :: c_funptr, c_int, c_ptr
      type(c_ptr), value :: trainer, user
      type(c_funptr), value :: callback
      integer(c_int) :: status
    end function
    function c_trainer_set_evaluation_callback(trainer, callback, user) &
      bind(C, name="mb_trainer_set_evaluation_callback") result(status)
      import :: c_funptr, c_int, c_ptr
      type(c_ptr), value :: trainer, user
      type(c_funptr), value :: callback
      integer(c_int) :: status
    end function
    function c_trainer_set_save_callback(trainer, callback, user) &
      bind(C, name="mb_trainer_set_save_callback") result(status)
      import :: c_funptr, c_int, c_ptr
      type(c_ptr), value :: trainer, user
      type(c_funptr), value :: callback
      integer(c_int) :: status
    end function
    function c_trainer_start(trainer) bind(C, name="mb_trainer_start") result(status)
      import :: c_int, c_ptr
      type(c_ptr), value :: trainer
      integer(c_int) :: status
    end function
    function c_trainer_step(trainer, loss, done) bind(C, name="mb_trainer_step") result(status)
      import :: c_double, c_int, c_ptr
      type(c_ptr), value :: trainer
      real(c_double), intent(inout) :: loss
      integer(c_int), intent(inout) :: done
      integer(c_int) :: status
    end function
    function c_trainer_run(trainer) bind(C, name="mb_trainer_run") result(status)
      import :: c_int, c_ptr
      type(c_ptr), value :: trainer
      integer(c_int) :: status
    end function
    function c_trainer_run_for(trainer, seconds, steps) bind(C, name="mb_trainer_run_for") &
      result(status)
      import :: c_double, c_int, c_int64_t, c_ptr
      type(c_ptr), value :: trainer
      real(c_double), value :: seconds
      integer(c_int64_t), intent(inout) :: steps
      integer(c_int) :: status
    end function
    function c_trainer_submit(trainer, steps) bind(C, name="mb_trainer_submit") result(status)
      import :: c_int, c_int64_t, c_ptr
      type(c_ptr), value :: trainer
      integer(c_int64_t), value :: steps
      integer(c_int) :: status
    end function
    function c_trainer_test(trainer, seconds, done) bind(C, name="mb_trainer_test") result(status)
      import :: c_double, c_int, c_ptr
      type(c_ptr), value :: trainer
      real(c_double), value :: seconds
      integer(c_int), intent(inout) :: done
      integer(c_int) :: status
    end function
    function c_trainer_wait(trainer) bind(C, name="mb_trainer_wait") result(status)
      import :: c_int, c_ptr
      type(c_ptr), value :: trainer
      integer(c_int) :: status
    end function
    function c_trainer_stop(trainer) bind(C, name="mb_trainer_stop") result(status)
      import :: c_int, c_ptr
      type(c_ptr), value :: trainer
      integer(c_int) :: status
    end function
    function c_trainer_get(trainer, name, value) bind(C, name="mb_trainer_get") result(status)
      import :: c_char, c_double, c_int, c_ptr
      type(c_ptr), value :: trainer
      character(kind=c_char), intent(in) :: name(*)
      real(c_double), intent(inout) :: value
      integer(c_int) :: status
    end function
    function c_trainer_save(trainer, path, state) bind(C, name="mb_trainer_save") result(status)
      import :: c_char, c_int, c_ptr
      type(c_ptr), value :: trainer
      character(kind=c_char), intent(in) :: path(*)
      integer(c_int), value :: state
      integer(c_int) :: status
    end function
    function c_trainer_destroy(trainer) bind(C, name="mb_trainer_destroy") result(status)
      import :: c_int, c_ptr
      type(c_ptr), value :: trainer
      integer(c_int) :: status
    end function

    ! Reservoir

    function c_reservoir_create(context, policy, capacity, seed, reservoir) &
      bind(C, name="mb_reservoir_create") result(status)
      import :: c_char, c_int, c_int64_t, c_ptr
      type(c_ptr), value :: context
      character(kind=c_char), intent(in) :: policy(*)
      integer(c_int64_t), value :: capacity, seed
      type(c_ptr), intent(inout) :: reservoir
      integer(c_int) :: status
    end function
    function c_reservoir_set_shape(reservoir, name, type, rank, shape) &
      bind(C, name="mb_reservoir_set_shape") result(status)
      import :: c_char, c_int, c_int64_t, c_ptr
      type(c_ptr), value :: reservoir
      character(kind=c_char), intent(in) :: name(*)
      integer(c_int), value :: type, rank
      integer(c_int64_t), intent(in) :: shape(*)
      integer(c_int) :: status
    end function
    function c_reservoir_add(reservoir, count, data) bind(C, name="mb_reservoir_add") result(status)
      import :: c_int, c_int64_t, c_ptr
      type(c_ptr), value :: reservoir
      integer(c_int64_t), value :: count
      type(c_ptr), intent(in) :: data(*)
      integer(c_int) :: status
    end function
    function c_reservoir_update(reservoir) bind(C, name="mb_reservoir_update") result(status)
      import :: c_int, c_ptr
      type(c_ptr), value :: reservoir
      integer(c_int) :: status
    end function
    function c_reservoir_count(reservoir, own, all, stream) bind(C, name="mb_reservoir_count") &
      result(status)
      import :: c_int, c_int64_t, c_ptr
      type(c_ptr), value :: reservoir
      integer(c_int64_t), intent(inout), optional :: own, all, stream
      integer(c_int) :: status
    end function
    function c_reservoir_get(reservoir, name, count, data) bind(C, name="mb_reservoir_get") &
      result(status)
      import :: c_char, c_int, c_int64_t, c_ptr
      type(c_ptr), value :: reservoir
      character(kind=c_char), intent(in) :: name(*)
      integer(c_int64_t), intent(inout) :: count
      type(c_ptr), intent(inout) :: data
      integer(c_int) :: status
    end function
    function c_reservoir_destroy(reservoir) bind(C, name="mb_reservoir_destroy") result(status)
      import :: c_int, c_ptr
      type(c_ptr), value :: reservoir
      integer(c_int) :: status
    end function

    ! Predictor

    function c_predictor_create(context, path, predictor) bind(C, name="mb_predictor_create") &
      result(status)
      import :: c_char, c_int, c_ptr
      type(c_ptr), value :: context
      character(kind=c_char), intent(in) :: path(*)
      type(c_ptr), intent(inout) :: predictor
      integer(c_int) :: status
    end function
    function c_predictor_set(predictor, key, value) bind(C, name="mb_predictor_set") result(status)
      import :: c_char, c_int, c_ptr
      type(c_ptr), value :: predictor
      character(kind=c_char), intent(in) :: key(*), value(*)
      integer(c_int) :: status
    end function
    function c_predictor_set_array(predictor, name, type, rank, shape, data) &
      bind(C, name="mb_predictor_set_array") result(status)
      import :: c_char, c_int, c_int64_t, c_ptr
      type(c_ptr), value :: predictor, data
      character(kind=c_char), intent(in) :: name(*)
      integer(c_int), value :: type, rank
      integer(c_int64_t), intent(in) :: shape(*)
      integer(c_int) :: status
    end function
    function c_predictor_set_output(predictor, name, count, values) &
      bind(C, name="mb_predictor_set_output") result(status)
      import :: c_char, c_int, c_int64_t, c_ptr
      type(c_ptr), value :: predictor, values
      character(kind=c_char), intent(in) :: name(*)
      integer(c_int64_t), value :: count
      integer(c_int) :: status
    end function
    function c_predictor_set_device_array(predictor, name, rank, shape, data) &
      bind(C, name="mb_predictor_set_device_array") result(status)
      import :: c_char, c_int, c_int64_t, c_ptr
      type(c_ptr), value :: predictor, data
      character(kind=c_char), intent(in) :: name(*)
      integer(c_int), value :: rank
      integer(c_int64_t), intent(in) :: shape(*)
      integer(c_int) :: status
    end function
    function c_predictor_set_device_output(predictor, name, count, values) &
      bind(C, name="mb_predictor_set_device_output") result(status)
      import :: c_char, c_int, c_int64_t, c_ptr
      type(c_ptr), value :: predictor, values
      character(kind=c_char), intent(in) :: name(*)
      integer(c_int64_t), value :: count
      integer(c_int) :: status
    end function
    function c_predictor_start(predictor) bind(C, name="mb_predictor_start") result(status)
      import :: c_int, c_ptr
      type(c_ptr), value :: predictor
      integer(c_int) :: status
    end function
    function c_predictor_load_trainer(predictor, trainer) bind(C, name="mb_predictor_load_trainer") &
      result(status)
      import :: c_int, c_ptr
      type(c_ptr), value :: predictor, trainer
      integer(c_int) :: status
    end function
    function c_predictor_run(predictor) bind(C, name="mb_predictor_run") result(status)
      import :: c_int, c_ptr
      type(c_ptr), value :: predictor
      integer(c_int) :: status
    end function
    function c_predictor_run_file(predictor, data, output) bind(C, name="mb_predictor_run_file") &
      result(status)
      import :: c_char, c_int, c_ptr
      type(c_ptr), value :: predictor
      character(kind=c_char), intent(in) :: data(*), output(*)
      integer(c_int) :: status
    end function
    function c_predictor_evaluate(predictor) bind(C, name="mb_predictor_evaluate") result(status)
      import :: c_int, c_ptr
      type(c_ptr), value :: predictor
      integer(c_int) :: status
    end function
    function c_predictor_evaluate_file(predictor, data) &
      bind(C, name="mb_predictor_evaluate_file") result(status)
      import :: c_char, c_int, c_ptr
      type(c_ptr), value :: predictor
      character(kind=c_char), intent(in) :: data(*)
      integer(c_int) :: status
    end function
    function c_predictor_get(predictor, name, value) bind(C, name="mb_predictor_get") result(status)
      import :: c_char, c_double, c_int, c_ptr
      type(c_ptr), value :: predictor
      character(kind=c_char), intent(in) :: name(*)
      real(c_double), intent(inout) :: value
      integer(c_int) :: status
    end function
    function c_predictor_destroy(predictor) bind(C, name="mb_predictor_destroy") result(status)
      import :: c_int, c_ptr
      type(c_ptr), value :: predictor
      integer(c_int) :: status
    end function

    ! Quantizer

    function c_quantizer_create(context, path, quantizer) bind(C, name="mb_quantizer_create") &
      result(status)
      import :: c_char, c_int, c_ptr
      type(c_ptr), value :: context
      character(kind=c_char), intent(in) :: path(*)
      type(c_ptr), intent(inout) :: quantizer
      integer(c_int) :: status
    end function
    function c_quantizer_set(quantizer, key, value) bind(C, name="mb_quantizer_set") result(status)
      import :: c_char, c_int, c_ptr
      type(c_ptr), value :: quantizer
      character(kind=c_char), intent(in) :: key(*), value(*)
      integer(c_int) :: status
    end function
    function c_quantizer_run(quantizer, output) bind(C, name="mb_quantizer_run") result(status)
      import :: c_char, c_int, c_ptr
      type(c_ptr), value :: quantizer
      character(kind=c_char), intent(in), optional :: output(*)
      integer(c_int) :: status
    end function
    function c_quantizer_get(quantizer, name, value) bind(C, name="mb_quantizer_get") result(status)
      import :: c_char, c_double, c_int, c_ptr
      type(c_ptr), value :: quantizer
      character(kind=c_char), intent(in) :: name(*)
      real(c_double), intent(inout) :: value
      integer(c_int) :: status
    end function
    function c_quantizer_destroy(quantizer) bind(C, name="mb_quantizer_destroy") result(status)
      import :: c_int, c_ptr
      type(c_ptr), value :: quantizer
      integer(c_int) :: status
    end function

    ! Planner

    function c_planner_create(path, planner) &
      bind(C, name="mb_planner_create") result(status)
      import :: c_char, c_int, c_ptr
      character(kind=c_char), intent(in) :: path(*)
      type(c_ptr), intent(inout) :: planner
      integer(c_int) :: status
    end function
    function c_planner_set(planner, key, value) &
      bind(C, name="mb_planner_set") result(status)
      import :: c_char, c_int, c_ptr
      type(c_ptr), value :: planner
      character(kind=c_char), intent(in) :: key(*), value(*)
      integer(c_int) :: status
    end function
    function c_planner_run(planner) &
      bind(C, name="mb_planner_run") result(status)
      import :: c_int, c_ptr
      type(c_ptr), value :: planner
      integer(c_int) :: status
    end function
    function c_planner_simulate(planner) &
      bind(C, name="mb_planner_simulate") result(status)
      import :: c_int, c_ptr
      type(c_ptr), value :: planner
      integer(c_int) :: status
    end function
    function c_planner_destroy(planner) &
      bind(C, name="mb_planner_destroy") result(status)
      import :: c_int, c_ptr
      type(c_ptr), value :: planner
      integer(c_int) :: status
    end function
    function c_planner_get(planner, name, value) &
      bind(C, name="mb_planner_get") result(status)
      import :: c_char, c_double, c_int, c_ptr
      type(c_ptr), value :: planner
      character(kind=c_char), intent(in) :: name(*)
      real(c_double), intent(inout) :: value
      integer(c_int) :: status
    end function
    function c_planner_get_stage(planner, stage, name, value) &
      bind(C, name="mb_planner_get_stage") result(status)
      import :: c_char, c_double, c_int, c_ptr
      type(c_ptr), value :: planner
      integer(c_int), value :: stage
      character(kind=c_char), intent(in) :: name(*)
      real(c_double), intent(inout) :: value
      integer(c_int) :: status
    end function
    function c_planner_text(planner, json) &
      bind(C, name="mb_planner_text") result(status)
      import :: c_int, c_ptr
      type(c_ptr), value :: planner
      type(c_ptr), intent(inout) :: json
      integer(c_int) :: status
    end function

    ! Checkpoint

    function c_checkpoint_digest(path, weights, full) bind(C, name="mb_checkpoint_digest") &
      result(status)
      import :: c_char, c_int, c_int64_t
      character(kind=c_char), intent(in) :: path(*)
      integer(c_int64_t), intent(inout) :: weights, full
      integer(c_int) :: status
    end function
    function c_checkpoint_verify(path, sealed) bind(C, name="mb_checkpoint_verify") result(status)
      import :: c_char, c_int
      character(kind=c_char), intent(in) :: path(*)
      integer(c_int), intent(inout) :: sealed
      integer(c_int) :: status
    end function
    function c_checkpoint_get(path, name, value) bind(C, name="mb_checkpoint_get") result(status)
      import :: c_char, c_int, c_int64_t
      character(kind=c_char), intent(in) :: path(*), name(*)
      integer(c_int64_t), intent(inout) :: value
      integer(c_int) :: status
    end function

    ! Files

    function c_checkpoint_inspect(path, json) &
      bind(C, name="mb_checkpoint_inspect") result(status)
      import :: c_char, c_int, c_ptr
      character(kind=c_char), intent(in) :: path(*)
      type(c_ptr), intent(inout) :: json
      integer(c_int) :: status
    end function
    function c_checkpoint_compare(a, b, tolerance, equal, json) &
      bind(C, name="mb_checkpoint_compare") result(status)
      import :: c_char, c_double, c_int, c_ptr
      character(kind=c_char), intent(in) :: a(*), b(*)
      real(c_double), value :: tolerance
      integer(c_int), intent(inout) :: equal
      type(c_ptr), intent(inout) :: json
      integer(c_int) :: status
    end function
    function c_checkpoint_list(run, json) &
      bind(C, name="mb_checkpoint_list") result(status)
      import :: c_char, c_int, c_ptr
      character(kind=c_char), intent(in) :: run(*)
      type(c_ptr), intent(inout) :: json
      integer(c_int) :: status
    end function
    function c_checkpoint_average(count, paths, output, weights) &
      bind(C, name="mb_checkpoint_average") result(status)
      import :: c_char, c_int, c_ptr
      integer(c_int), value :: count
      type(c_ptr), intent(in) :: paths(*)
      character(kind=c_char), intent(in) :: output(*)
      integer(c_int), intent(inout), optional :: weights
      integer(c_int) :: status
    end function
    function c_checkpoint_export(path, count, keys, values, output, weights, moments, model) &
      bind(C, name="mb_checkpoint_export") result(status)
      import :: c_char, c_int, c_ptr
      character(kind=c_char), intent(in) :: path(*)
      integer(c_int), value :: count
      type(c_ptr), intent(in), optional :: keys(*), values(*)
      character(kind=c_char), intent(in) :: output(*)
      integer(c_int), intent(inout), optional :: weights, moments, model
      integer(c_int) :: status
    end function
    function c_checkpoint_convert(path, count, keys, values, output) &
      bind(C, name="mb_checkpoint_convert") result(status)
      import :: c_char, c_int, c_ptr
      character(kind=c_char), intent(in) :: path(*)
      integer(c_int), value :: count
      type(c_ptr), intent(in), optional :: keys(*), values(*)
      character(kind=c_char), intent(in) :: output(*)
      integer(c_int) :: status
    end function
    function c_checkpoint_configure(path, count, keys, values, output) &
      bind(C, name="mb_checkpoint_configure") result(status)
      import :: c_char, c_int, c_ptr
      character(kind=c_char), intent(in) :: path(*)
      integer(c_int), value :: count
      type(c_ptr), intent(in), optional :: keys(*), values(*)
      character(kind=c_char), intent(in), optional :: output(*)
      integer(c_int) :: status
    end function
    function c_data_build(count, inputs, n, keys, values, output, json) &
      bind(C, name="mb_data_build") result(status)
      import :: c_char, c_int, c_ptr
      integer(c_int), value :: count, n
      type(c_ptr), intent(in) :: inputs(*)
      type(c_ptr), intent(in), optional :: keys(*), values(*)
      character(kind=c_char), intent(in) :: output(*)
      type(c_ptr), intent(inout) :: json
      integer(c_int) :: status
    end function
    function c_text_free(text) &
      bind(C, name="mb_text_free") result(status)
      import :: c_int, c_ptr
      type(c_ptr), value :: text
      integer(c_int) :: status
    end function
  end interface
end module
