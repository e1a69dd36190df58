! The module mb as a program uses it. Arguments: the digest that the tool has for the same points; or `fail`.
module test_callbacks
  use, intrinsic :: iso_c_binding
  use mb
  implicit none
contains
  subroutine count_line(user, level, line)
    type(c_ptr), intent(in) :: user
    integer, intent(in) :: level
    character(*), intent(in) :: line
    integer, pointer :: count
    call c_f_pointer(user, count)
    if (level <= MB_LEVEL_WARNING .and. len(line) > 0) count = count + 1
  end subroutine

  subroutine count_step(user, trainer)
    type(c_ptr), intent(in) :: user
    type(mb_trainer_t), intent(in) :: trainer
    integer, pointer :: count
    real(c_double) :: step
    call c_f_pointer(user, count)
    call mb_trainer_get(trainer, 'step', step)
    if (nint(step) == count + 1) count = count + 1
  end subroutine

  subroutine count_validation(user, trainer)
    type(c_ptr), intent(in) :: user
    type(mb_trainer_t), intent(in) :: trainer
    integer, pointer :: count
    real(c_double) :: loss
    call c_f_pointer(user, count)
    call mb_trainer_get(trainer, 'val_loss', loss)
    if (loss > 0) count = count + 1
  end subroutine

  subroutine count_file(user, trainer, path)
    type(c_ptr), intent(in) :: user
    type(mb_trainer_t), intent(in) :: trainer
    character(*), intent(in) :: path
    integer, pointer :: count
    real(c_double) :: epoch
    call c_f_pointer(user, count)
    call mb_trainer_get(trainer, 'epoch', epoch)
    if (index(path, 'final.h5') > 0 .and. epoch >= 2) count = count + 1
  end subroutine
end module

program test_fortran
  use, intrinsic :: iso_c_binding
  use mpi_f08
  use mb
  use test_callbacks
  implicit none
  integer, parameter :: samples = 64
  real(c_float), target :: x(2, samples), logits(2, samples)
  integer(c_int32_t), target :: y(samples)
  type(mb_context_t) :: context
  integer, target :: steps_seen = 0, lines_seen = 0, validations_seen = 0, files_seen = 0
  integer :: provided, process
  character(64) :: wanted

  call get_command_argument(1, wanted)
  call MPI_Init_thread(MPI_THREAD_FUNNELED, provided)
  call MPI_Comm_rank(MPI_COMM_WORLD, process)
  call make_points
  if (wanted == 'fail') call fail
  call test_context
  call test_model
  call test_building
  call test_run_callbacks
  call test_training
  call test_samples
  call test_reservoir
  call test_beside
  call test_predictor
  call test_errors
  call test_quantizer
  call test_files
  call mb_context_destroy(context)
  call mb_context_destroy(context)
  call MPI_Finalize

contains

  subroutine expect(holds, name)
    logical, intent(in) :: holds
    character(*), intent(in) :: name
    logical :: all_hold
    call MPI_Allreduce(holds, all_hold, 1, MPI_LOGICAL, MPI_LAND, MPI_COMM_WORLD)
    if (process == 0) print '(a)', trim(merge('ok    ', 'not ok', all_hold))//' '//name
  end subroutine

  subroutine make_points
    integer :: i
    do i = 0, samples - 1
      x(:, i + 1) = [mod(i*37, 64), mod(i*53 + 11, 64)]/32.0 - 1.0
      y(i + 1) = merge(1, 0, sum(x(:, i + 1)**2) < 0.5)
    end do
  end subroutine

  subroutine fail
    type(mb_model_t) :: model
    call mb_model_load('absent.h5', model)
  end subroutine

  subroutine test_context
    type(mb_context_t) :: other
    type(MPI_Comm) :: comm
    integer :: ierr
    call MPI_Comm_split(MPI_COMM_WORLD, 0, -process, comm)
    call mb_context_create(comm, context, ierr)
    call expect(ierr == MB_OK, 'a communicator of mpi_f08 makes a context')
    call mb_context_create(comm%MPI_VAL, other, ierr)
    call expect(ierr == MB_OK, 'a communicator of mpi makes a context')
    call MPI_Comm_free(comm)
    call mb_context_set_log(other, count_line, c_loc(lines_seen), MB_LEVEL_DEBUG)
    call mb_context_set_log(other)
    call mb_context_load_plugin(other, 'absent.so', ierr)
    call expect(ierr == MB_ERR_IO .and. index(mb_error_message(), 'absent.so') > 0, &
                'a plugin that is not there is an error')
    call mb_context_destroy(other)
    call expect(mb_status_name(MB_OK) == 'success' .and. len(mb_version()) >= 5, &
                'statuses and the version are texts')
    call mb_context_set_log(context, count_line, c_loc(lines_seen), MB_LEVEL_DEBUG)
  end subroutine

  subroutine test_model
    type(mb_model_t) :: model
    character(:), allocatable :: name
    integer(c_int64_t), allocatable :: shape(:)
    integer(c_int64_t) :: parameters
    integer :: inputs, outputs
    logical :: described
    call mb_model_create_preset(context, 'mlp', 'input=2 hidden=8 classes=2   ', 'start.h5')
    call MPI_Barrier(MPI_COMM_WORLD)
    call mb_model_load('start.h5', model)
    call mb_model_count_inputs(model, inputs)
    call mb_model_count_outputs(model, outputs)
    call mb_model_count_parameters(model, parameters)
    call expect(inputs == 1 .and. outputs == 1 .and. parameters == 42, 'a model has its counts')
    call mb_model_describe_input(model, 1, name, shape)
    described = len(name) > 0 .and. size(shape) == 1 .and. all(shape == [2])
    call mb_model_describe_output(model, 1, name, shape)
    call expect(described .and. len(name) > 0 .and. all(shape == [2]), 'inputs and outputs are described from 1')
    call mb_model_destroy(model)
    call MPI_Barrier(MPI_COMM_WORLD)

    call mb_model_create_preset(context, 'cnn', 'input=4x6x3', 'images.h5')
    call MPI_Barrier(MPI_COMM_WORLD)
    call mb_model_load('images.h5', model)
    call mb_model_describe_input(model, 1, name, shape)
    call expect(size(shape) == 3 .and. all(shape == [3, 6, 4]), "shapes are in Fortran's order")
    call mb_model_destroy(model)
  end subroutine

  subroutine test_building
    type(mb_model_t) :: model, saved
    character(:), allocatable :: name, text
    integer(c_int64_t), allocatable :: shape(:)
    real(c_float), target :: kernel(3, 2), read(3, 2)
    integer :: weights, i
    kernel = reshape([(real(i), i=1, 6)], [3, 2])
    call mb_model_create('built', model)
    call mb_model_add_input(model, 'points', MB_FLOAT32, [2])
    call mb_model_add(model, 'Dense', config='units=3 activation=tanh', name='hidden')
    call mb_model_add(model, 'Dense', 'left', 'units=1', [character(6) :: 'hidden'])
    call mb_model_add(model, 'Dense', 'right', 'units=1', [character(6) :: 'hidden'])
    call mb_model_call(model, 'right', [character(6) :: 'hidden'])
    call mb_model_add(model, 'Add', 'sum', inputs=[character(8) :: 'left', 'right', 'right:1'])
    call mb_model_set_outputs(model, ['sum'])
    call mb_model_set(model, 'loss', 'mse')
    call mb_model_set_weight(model, 'hidden/kernel', kernel)
    call mb_model_count_weights(model, weights)
    call mb_model_describe_weight(model, 1, name, shape)
    call mb_model_summary(model, text)
    call expect(weights == 6 .and. name == 'hidden/kernel' .and. all(shape == [3, 2]) .and. &
                index(text, 'hidden') > 0, 'a model is built layer by layer')
    call mb_model_save(model, context, 'built.h5')
    call mb_model_destroy(model)
    call MPI_Barrier(MPI_COMM_WORLD)
    call mb_model_load('built.h5', saved)
    call mb_model_get_weight(saved, 'hidden/kernel', read)
    call expect(all(read == kernel), 'a weight that was set is in the file')
    call mb_model_destroy(saved)
  end subroutine

  ! Two epochs with validation, and the files of a run.
  subroutine test_run_callbacks
    type(mb_trainer_t) :: trainer
    call mb_trainer_create(context, 'start.h5', trainer)
    call mb_trainer_set(trainer, 'epochs', '2')
    call mb_trainer_set(trainer, 'val-split', '0.5')
    call mb_trainer_set(trainer, 'run', 'run')
    call mb_trainer_set_array(trainer, 'x', x)
    call mb_trainer_set_array(trainer, 'y', y)
    call mb_trainer_set_evaluation_callback(trainer, count_validation, c_loc(validations_seen))
    call mb_trainer_set_save_callback(trainer, count_file, c_loc(files_seen))
    call mb_trainer_run(trainer)
    call mb_trainer_destroy(trainer)
    call expect(validations_seen == merge(2, 0, process == last()) .and. &
                files_seen == merge(1, 0, process == last()), 'validations and files are called back')
  end subroutine

  subroutine test_training
    type(mb_trainer_t) :: trainer
    real(c_double) :: loss, steps
    integer(c_int64_t) :: weights, full, counted
    integer :: ierr
    logical :: done, sealed
    character(16) :: found
    call mb_trainer_create(context, 'start.h5', trainer)
    call mb_trainer_set(trainer, 'steps', '12')
    call mb_trainer_set(trainer, 'batch', '16')
    call mb_trainer_set(trainer, 'replicas', '2')
    call mb_trainer_set(trainer, 'micro-batch', '4')
    call mb_trainer_set_array(trainer, 'x', x)
    call mb_trainer_set_array(trainer, 'y', y)
    call mb_trainer_set_callback(trainer, count_step, c_loc(steps_seen))
    call mb_trainer_start(trainer)
    call mb_trainer_step(trainer, loss, done)
    call mb_trainer_get(trainer, 'step', steps)
    call expect(loss > 0 .and. .not. done .and. nint(steps) == 1, 'a step tells its loss')
    call mb_trainer_stop(trainer)
    call mb_trainer_run(trainer, ierr)
    call expect(ierr == MB_ERR_STOPPED, 'a run stops when it is asked to')
    call mb_trainer_run(trainer)
    call mb_trainer_save(trainer, 'trained.h5', .true.)
    call mb_trainer_destroy(trainer)
    call expect(steps_seen == merge(12, 0, process == last()), 'a callback sees every step')
    call expect(lines_seen > 0 .or. process /= last(), 'the log gets the library''s lines')
    call mb_checkpoint_digest('trained.h5', weights, full)
    write (found, '(z16.16)') weights
    call expect(lower(found) == wanted, 'the weights have the digest that the tool has')
    call mb_checkpoint_verify('trained.h5', sealed)
    call mb_checkpoint_get('trained.h5', 'step', counted)
    call expect(sealed .and. counted == 12, 'a checkpoint has its seal and counters')
  end subroutine

  ! Of two ranks the context's first has 24 samples; classes stand in every third integer.
  subroutine test_samples
    type(mb_trainer_t) :: trainer
    integer(c_int32_t), target :: classes(3, samples)
    integer(c_int64_t) :: weights, apart, full
    integer :: first, behind, ierr
    first = merge(1, 25, process == last())
    behind = merge(24, samples, process == last())
    classes(2, :) = y
    call mb_trainer_create(context, 'start.h5', trainer)
    call mb_trainer_set(trainer, 'steps', '12')
    call mb_trainer_set(trainer, 'batch', '16')
    call mb_trainer_set(trainer, 'replicas', '2')
    call mb_trainer_set(trainer, 'micro-batch', '4')
    call mb_trainer_set_samples(trainer, 'x', x(:, first:behind))
    call mb_trainer_set_samples(trainer, 'y', classes(2, first:behind), ierr)
    call expect(ierr == MB_ERR_ARGUMENT, 'samples with gaps want their strides')
    call mb_trainer_set_samples(trainer, 'y', c_loc(classes(2, first)), MB_INT32, &
                                [behind - first + 1_c_int64_t], [12_c_int64_t], MB_HOST)
    call mb_trainer_run(trainer)
    call mb_trainer_save(trainer, 'apart.h5', .true.)
    call mb_trainer_destroy(trainer)
    call mb_checkpoint_digest('trained.h5', weights, full)
    call mb_checkpoint_digest('apart.h5', apart, full)
    call expect(weights == apart, 'samples where they lie give the same bits')
  end subroutine

  subroutine test_reservoir
    type(mb_reservoir_t) :: reservoir
    type(mb_trainer_t) :: trainer
    type(c_ptr) :: place
    real(c_double) :: step
    integer(c_int64_t) :: own, all, stream, kept
    real(c_float), pointer :: points(:, :)
    call mb_reservoir_create(context, 'uniform', 16_c_int64_t, 3_c_int64_t, reservoir)
    call mb_reservoir_set_shape(reservoir, 'x', MB_FLOAT32, [2])
    call mb_reservoir_set_shape(reservoir, 'y', MB_INT32, [integer ::])
    call mb_reservoir_add(reservoir, int(samples, c_int64_t), [c_loc(x), c_loc(y)])
    call mb_reservoir_update(reservoir)
    call mb_trainer_create(context, 'start.h5', trainer)
    call mb_trainer_set(trainer, 'steps', '2')
    call mb_trainer_set_reservoir(trainer, reservoir)
    call mb_trainer_run(trainer)
    call mb_reservoir_add(reservoir, 3_c_int64_t, [c_loc(x), c_loc(y)])
    call mb_trainer_renew(trainer)
    call mb_trainer_run(trainer)
    call mb_trainer_get(trainer, 'step', step)
    call mb_reservoir_count(reservoir, own, all, stream)
    call expect(all == 16 .and. stream == 2*(samples + 3) .and. nint(step) == 4, &
                'a reservoir keeps a part of a stream and is renewed')
    call mb_reservoir_get(reservoir, 'x', kept, place)
    call c_f_pointer(place, points, [2_c_int64_t, kept])
    call expect(kept == own .and. (kept == 0 .or. maxval(abs(points)) <= 1), 'what a rank keeps can be read')
    call mb_trainer_destroy(trainer)
    call mb_reservoir_destroy(reservoir)
  end subroutine

  ! Rank 0 of the context, whose ranks are those of the world in reverse.
  function last() result(process)
    integer :: process, ranks
    call MPI_Comm_size(MPI_COMM_WORLD, ranks)
    process = ranks - 1
  end function

  function lower(text) result(small)
    character(*), intent(in) :: text
    character(len(text)) :: small
    integer :: i, at
    do i = 1, len(text)
      at = index('ABCDEF', text(i:i))
      small(i:i) = text(i:i)
      if (at > 0) small(i:i) = 'abcdef'(at:at)
    end do
  end function

  ! Steps beside the program, and the weights from memory as from the file.
  subroutine test_beside
    type(mb_trainer_t) :: trainer
    type(mb_predictor_t) :: predictor
    real(c_float), target :: memory(2, samples)
    real(c_double) :: submitted
    integer(c_int64_t) :: steps
    logical :: done
    call mb_trainer_create(context, 'start.h5', trainer)
    call mb_trainer_set(trainer, 'steps', '12')
    call mb_trainer_set(trainer, 'batch', '16')
    call mb_trainer_set(trainer, 'replicas', '2')
    call mb_trainer_set(trainer, 'micro-batch', '4')
    call mb_trainer_set_array(trainer, 'x', x)
    call mb_trainer_set_array(trainer, 'y', y)
    call mb_trainer_start(trainer)
    call mb_trainer_submit(trainer, 5_c_int64_t)
    done = .false.
    do while (.not. done)
      call mb_trainer_test(trainer, 0.01_c_double, done)
    end do
    call mb_trainer_wait(trainer)
    call mb_trainer_get(trainer, 'step', submitted)
    call mb_trainer_run_for(trainer, 60.0_c_double, steps)
    call expect(nint(submitted) == 5 .and. steps == 7, 'steps go on beside the program, and for a time')
    call mb_predictor_create(context, 'start.h5', predictor)
    call mb_predictor_set(predictor, 'independent', 'yes')
    call mb_predictor_set_device_array(predictor, 'x', [2_c_int64_t, int(samples, c_int64_t)], c_loc(x))
    call mb_predictor_set_device_output(predictor, 'y', size(memory, kind=c_int64_t), c_loc(memory))
    call mb_predictor_load_trainer(predictor, trainer)
    call mb_predictor_run(predictor)
    call mb_predictor_destroy(predictor)
    call mb_trainer_destroy(trainer)
    call mb_predictor_create(context, 'trained.h5', predictor)
    call mb_predictor_set(predictor, 'independent', 'yes')
    call mb_predictor_set_array(predictor, 'x', x)
    call mb_predictor_set_output(predictor, 'y', logits)
    call mb_predictor_start(predictor)
    call mb_predictor_run(predictor)
    call mb_predictor_destroy(predictor)
    call expect(all(memory == logits), 'a predictor takes a trainer''s weights from memory')
  end subroutine

  subroutine test_predictor
    type(mb_predictor_t) :: predictor
    real(c_double) :: right, counted
    call mb_predictor_create(context, 'trained.h5', predictor)
    call mb_predictor_set(predictor, 'batch', '32')
    call mb_predictor_set_array(predictor, 'x', x)
    call mb_predictor_set_array(predictor, 'y', y)
    call mb_predictor_set_output(predictor, 'y', logits)
    call mb_predictor_run(predictor)
    call mb_predictor_evaluate(predictor)
    call mb_predictor_get(predictor, 'accuracy', right)
    call expect(count((logits(2, :) > logits(1, :)) .eqv. y == 1) == nint(right*samples), &
                'predictions are those that the evaluation counts')
    call mb_predictor_evaluate_file(predictor, 'points.h5')
    call mb_predictor_get(predictor, 'samples', counted)
    call mb_predictor_run_file(predictor, 'points.h5', 'answers.h5')
    call expect(nint(counted) == samples, 'files are evaluated and predicted')
    call mb_predictor_destroy(predictor)
  end subroutine

  subroutine test_errors
    type(mb_trainer_t) :: trainer
    type(mb_predictor_t) :: nothing
    integer :: ierr
    real(c_float), target :: wide(4, samples)
    call mb_trainer_create(context, 'start.h5', trainer)
    call mb_trainer_set(trainer, 'epoch', '1', ierr)
    call expect(ierr == MB_ERR_ARGUMENT .and. index(mb_error_message(), 'epochs') > 0, &
                'an unknown key is refused with the nearest one')
    wide = 0
    call mb_trainer_set_array(trainer, 'x', wide(1:2, :), ierr)
    call expect(ierr == MB_ERR_ARGUMENT .and. index(mb_error_message(), 'contiguous') > 0, &
                'an array with gaps is refused by name')
    call mb_trainer_set(trainer, 'epochs', 'many', ierr)
    call expect(ierr == MB_ERR_ARGUMENT .and. index(mb_error_message(), 'contiguous') == 0, &
                'the next failure has a message of its own')
    call mb_trainer_destroy(trainer)
    call mb_predictor_run(nothing, ierr)
    call expect(ierr == MB_ERR_ARGUMENT, 'an empty handle is refused')
  end subroutine

  ! What one process does alone.
  subroutine test_files
    type(mb_planner_t) :: planner
    real(c_double) :: ranks, work, seconds
    integer :: averaged, exported, ierr
    logical :: planned, done, equal
    character(:), allocatable :: plan, json, difference, listed, built
    planned = .true.
    done = .true.
    if (process == 0) then
      call mb_planner_create('start.h5', planner)
      call mb_planner_set(planner, 'ranks', '4')
      call mb_planner_run(planner)
      call mb_planner_simulate(planner)
      call mb_planner_get(planner, 'ranks', ranks)
      call mb_planner_get_stage(planner, 0, 'work', work)
      call mb_planner_get(planner, 'simulated_seconds', seconds)
      call mb_planner_text(planner, plan)
      call mb_planner_destroy(planner)
      planned = nint(ranks) == 4 .and. work > 0 .and. seconds > 0 .and. plan(1:1) == '{'
      call mb_checkpoint_inspect('trained.h5', json)
      call mb_checkpoint_compare('trained.h5', 'trained.h5', 0.0_c_double, equal, difference)
      call mb_checkpoint_list('run', listed)
      call mb_checkpoint_average([character(10) :: 'trained.h5', 'apart.h5'], 'mean.h5', averaged)
      call mb_checkpoint_export('trained.h5', 'part.h5', weights=exported)
      call mb_checkpoint_convert('trained.h5', 'trained.keras')
      call mb_checkpoint_configure('start.h5', ['epochs'], ['3'], 'configured.h5')
      call mb_checkpoint_configure('configured.h5', ['epochs'], [' '])
      call mb_data_build(['points.csv'], 'again.h5', ['label'], ['label'], built)
      done = json(1:1) == '{' .and. equal .and. listed(1:1) == '{' .and. averaged == 4 .and. exported == 4 .and. &
             built(1:1) == '{'
      call mb_checkpoint_inspect('absent.h5', json, ierr)
      done = done .and. ierr == MB_ERR_IO .and. mb_error_rank() == -1
    end if
    call expect(planned, 'a planner plans and simulates')
    call expect(done, 'files are looked at, averaged, exported, converted and configured')
  end subroutine

  subroutine test_quantizer
    type(mb_quantizer_t) :: quantizer
    real(c_double) :: before, after
    call mb_quantizer_create(context, 'trained.h5', quantizer)
    call mb_quantizer_set(quantizer, 'format', 'fp16')
    call mb_quantizer_run(quantizer)
    call mb_quantizer_run(quantizer, 'small.h5')
    call mb_quantizer_get(quantizer, 'bytes_before', before)
    call mb_quantizer_get(quantizer, 'bytes_after', after)
    call expect(after < before, 'a quantizer makes a smaller file')
    call mb_quantizer_destroy(quantizer)
  end subroutine
end program
