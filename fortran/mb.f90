! libmb for Fortran: the calls of <mb/mb.h> by their own names, as subroutines.
!
!     use mpi_f08
!     use mb
!     type(mb_context_t) :: context
!     type(mb_trainer_t) :: trainer
!     real(c_float), target :: x(features, samples)
!
!     call mb_context_create(MPI_COMM_WORLD, context)         ! an integer of mpi's does, too
!     call mb_trainer_create(context, 'model.h5', trainer)
!     call mb_trainer_set_array(trainer, 'x', x, ierr)
!     if (ierr /= MB_OK) print *, mb_error_message()
!
! What a call does, whether it is collective and what errors it has stands in <mb/mb.h>. What is different:
!
! - ierr comes last and is optional: MB_OK or a negative status. Without it a failure writes its message
!   to the error unit and ends the program by ERROR STOP, as ALLOCATE does without STAT.
! - Arrays are in memory as C sees them, so dimensions are those of the model in reverse order, and the
!   last one counts samples. They are contiguous and, since they are not copied, have the TARGET
!   attribute. A type is taken by its kind; integer(int8) holds the bytes of MB_UINT8.
! - Trailing blanks of texts do not count; inputs and outputs of a model are counted from 1; what is 0 or
!   1 in C is a logical; a context or callback that may be NULL in C is one that was not created, or is left
!   out.
! - A handle may be copied, and is empty before its create and after its destroy.
module mb
  use, intrinsic :: iso_c_binding
  use, intrinsic :: iso_fortran_env, only: error_unit, int8, int32, int64, real32, real64
  use mpi_f08, only: MPI_Comm
  use mb_c
  implicit none
  private

  public :: MB_OK, MB_ERR_ARGUMENT, MB_ERR_MEMORY, MB_ERR_IO, MB_ERR_FORMAT, MB_ERR_UNSUPPORTED, &
    MB_ERR_SHAPE, MB_ERR_DATA, MB_ERR_NUMERIC, MB_ERR_PEER, MB_ERR_TIMEOUT, MB_ERR_MPI, &
    MB_ERR_DEVICE, MB_ERR_BUSY, MB_ERR_STOPPED, MB_ERR_INTERNAL
  public :: MB_FLOAT32, MB_FLOAT64, MB_INT32, MB_INT64, MB_UINT8, MB_HOST, MB_DEVICE
  public :: MB_LEVEL_DEBUG, MB_LEVEL_INFO, MB_LEVEL_WARNING, MB_MAX_DIMS
  public :: mb_error_message, mb_error_rank, mb_status_name, mb_version
  public :: mb_context_create, mb_context_set_log, mb_context_load_plugin, mb_context_destroy
  public :: mb_model_create_preset, mb_model_load, mb_model_count_inputs, mb_model_count_outputs, &
    mb_model_count_parameters, mb_model_describe_input, mb_model_describe_output, mb_model_destroy
  public :: mb_model_create, mb_model_add_input, mb_model_add, mb_model_call, mb_model_set_outputs, &
    mb_model_set, mb_model_count_weights, mb_model_describe_weight, mb_model_get_weight, &
    mb_model_set_weight, mb_model_summary, mb_model_save
  public :: mb_trainer_create, mb_trainer_set, mb_trainer_set_array, mb_trainer_set_callback, &
    mb_trainer_set_evaluation_callback, mb_trainer_set_save_callback, mb_trainer_start, &
    mb_trainer_step, mb_trainer_run, mb_trainer_stop, mb_trainer_get, &
    mb_trainer_save, mb_trainer_destroy
  public :: mb_trainer_set_samples, mb_trainer_set_reservoir, mb_trainer_renew, mb_trainer_run_for, &
    mb_trainer_submit, mb_trainer_test, mb_trainer_wait
  public :: mb_reservoir_create, mb_reservoir_set_shape, mb_reservoir_add, mb_reservoir_update, &
    mb_reservoir_count, mb_reservoir_get, mb_reservoir_destroy
  public :: mb_predictor_create, mb_predictor_set, mb_predictor_set_array, mb_predictor_set_output, &
    mb_predictor_run, mb_predictor_run_file, mb_predictor_evaluate, mb_predictor_evaluate_file, &
    mb_predictor_get, mb_predictor_destroy
  public :: mb_predictor_set_device_array, mb_predictor_set_device_output, mb_predictor_start, &
    mb_predictor_load_trainer
  public :: mb_quantizer_create, mb_quantizer_set, mb_quantizer_run, mb_quantizer_get, &
    mb_quantizer_destroy
  public :: mb_checkpoint_digest, mb_checkpoint_verify, mb_checkpoint_get, mb_checkpoint_inspect, &
    mb_checkpoint_compare, mb_checkpoint_list, mb_checkpoint_average, mb_checkpoint_export, &
    mb_checkpoint_convert, mb_checkpoint_configure, mb_data_build
  public :: mb_planner_create, mb_planner_set, mb_planner_run, mb_planner_simulate, mb_planner_get, &
    mb_planner_get_stage, mb_planner_text, mb_planner_destroy

  type, public :: mb_context_t
    private
    type(c_ptr) :: handle = c_null_ptr
    type(log_target), pointer :: log => null()
  end type
  type, public :: mb_model_t
    private
    type(c_ptr) :: handle = c_null_ptr
  end type
  type, public :: mb_trainer_t
    private
    type(c_ptr) :: handle = c_null_ptr
    type(step_target), pointer :: step => null(), evaluation => null(), save => null()
  end type
  type, public :: mb_reservoir_t
    private
    type(c_ptr) :: handle = c_null_ptr
  end type
  type, public :: mb_predictor_t
    private
    type(c_ptr) :: handle = c_null_ptr
  end type
  type, public :: mb_planner_t
    private
    type(c_ptr) :: handle = c_null_ptr
  end type
  type, public :: mb_quantizer_t
    private
    type(c_ptr) :: handle = c_null_ptr
  end type

  abstract interface
    ! Called with a line of the library's and its level, MB_LEVEL_DEBUG and so on.
    subroutine mb_log_callback(user, level, line)
      import :: c_ptr
      type(c_ptr), intent(in) :: user
      integer, intent(in) :: level
      character(*), intent(in) :: line
    end subroutine
    ! Called after a step of the trainer's, or after a validation; mb_trainer_get tells its numbers.
    subroutine mb_step_callback(user, trainer)
      import :: c_ptr, mb_trainer_t
      type(c_ptr), intent(in) :: user
      type(mb_trainer_t), intent(in) :: trainer
    end subroutine
    ! Called when a file of the trainer's run is complete.
    subroutine mb_save_callback(user, trainer, path)
      import :: c_ptr, mb_trainer_t
      type(c_ptr), intent(in) :: user
      type(mb_trainer_t), intent(in) :: trainer
      character(*), intent(in) :: path
    end subroutine
  end interface
  public :: mb_log_callback, mb_step_callback, mb_save_callback

  ! What C hands back to this module's own callbacks, which call the program's.
  type :: log_target
    procedure(mb_log_callback), pointer, nopass :: write => null()
    type(c_ptr) :: user = c_null_ptr
  end type
  type :: step_target
    procedure(mb_step_callback), pointer, nopass :: callback => null()
    procedure(mb_save_callback), pointer, nopass :: saved => null()
    type(c_ptr) :: user = c_null_ptr
  end type

  ! An array as C takes it.
  type :: view_t
    type(c_ptr) :: data = c_null_ptr
    integer(c_int) :: type = MB_FLOAT32, rank = 0
    integer(c_int64_t) :: shape(15) = 0
    logical :: contiguous = .false.
  end type

  interface mb_context_create
    module procedure context_create, context_create_f08
  end interface
  interface mb_trainer_set_array
    module procedure trainer_set_real32, trainer_set_real64, trainer_set_int32, trainer_set_int64, &
      trainer_set_int8
  end interface
  interface mb_trainer_set_samples
    module procedure samples_real32, samples_real64, samples_int32, samples_int64, samples_int8, &
      samples_pointer
  end interface
  interface mb_predictor_set_array
    module procedure predictor_set_real32, predictor_set_real64, predictor_set_int32, &
      predictor_set_int64, predictor_set_int8
  end interface
  interface view
    module procedure view_real32, view_real64, view_int32, view_int64, view_int8
  end interface

  ! What this module itself refused last; C knows nothing of it.
  character(len=:), allocatable, save :: refusal

contains

  ! Texts and errors

  function mb_error_message() result(text)
    character(len=:), allocatable :: text
    if (allocated(refusal)) then
      text = refusal
    else
      text = fortran_text(c_error_message())
    end if
  end function

  integer function mb_error_rank()
    mb_error_rank = c_error_rank()
    if (allocated(refusal)) mb_error_rank = -1
  end function

  function mb_status_name(status) result(text)
    integer, intent(in) :: status
    character(len=:), allocatable :: text
    text = fortran_text(c_status_name(int(status, c_int)))
  end function

  function mb_version() result(text)
    character(len=:), allocatable :: text
    text = fortran_text(c_version())
  end function

  function fortran_text(pointer) result(text)
    type(c_ptr), intent(in) :: pointer
    character(len=:), allocatable :: text
    character(kind=c_char), pointer :: characters(:)
    integer :: i
    call c_f_pointer(pointer, characters, [c_strlen(pointer)])
    allocate (character(len=size(characters)) :: text)
    do i = 1, size(characters)
      text(i:i) = characters(i)
    end do
  end function

  pure function c_text(text)
    character(*), intent(in) :: text
    character(len=:, kind=c_char), allocatable :: c_text
    c_text = trim(text)//c_null_char
  end function

  ! Texts as an array of C's pointers, which live as long as TEXTS.
  subroutine c_names(names, texts, pointers)
    character(*), intent(in) :: names(:)
    character(kind=c_char), allocatable, target, intent(inout) :: texts(:, :)
    type(c_ptr), allocatable, intent(inout) :: pointers(:)
    integer :: i, k
    allocate (texts(len(names) + 1, size(names)), pointers(size(names)))
    texts = c_null_char
    do i = 1, size(names)
      do k = 1, len_trim(names(i))
        texts(k, i) = names(i) (k:k)
      end do
      pointers(i) = c_loc(texts(1, i))
    end do
  end subroutine

  ! The same of keys or values that may be left out; a blank value is C's NULL.
  subroutine c_list(names, texts, pointers, count)
    character(*), intent(in), optional :: names(:)
    character(kind=c_char), allocatable, target, intent(inout) :: texts(:, :)
    type(c_ptr), allocatable, intent(inout) :: pointers(:)
    integer(c_int), intent(out) :: count
    integer :: i
    count = 0
    if (.not. present(names)) return
    count = size(names, kind=c_int)
    call c_names(names, texts, pointers)
    do i = 1, size(names)
      if (len_trim(names(i)) == 0) pointers(i) = c_null_ptr
    end do
  end subroutine

  ! A text that C gives away: here it is copied, and given back (mb_text_free).
  subroutine take_text(status, given, text)
    integer(c_int), intent(in) :: status
    type(c_ptr), intent(in) :: given
    character(len=:), allocatable, intent(inout) :: text
    integer(c_int) :: freed
    if (status /= MB_OK) return
    text = fortran_text(given)
    freed = c_text_free(given)
  end subroutine

  subroutine finish(status, ierr)
    integer(c_int), intent(in) :: status
    integer, intent(out), optional :: ierr
    if (allocated(refusal)) deallocate (refusal)
    call report(status, ierr)
  end subroutine

  subroutine refuse(message, ierr)
    character(*), intent(in) :: message
    integer, intent(out), optional :: ierr
    refusal = message
    call report(int(MB_ERR_ARGUMENT, c_int), ierr)
  end subroutine

  subroutine report(status, ierr)
    integer(c_int), intent(in) :: status
    integer, intent(out), optional :: ierr
    if (present(ierr)) then
      ierr = int(status)
    else if (status /= MB_OK) then
      write (error_unit, '(a)') 'mb: '//mb_error_message()
      error stop 1
    end if
  end subroutine

  ! Arrays

  function view_of(data, type, shape, contiguous) result(view)
    type(c_ptr), intent(in) :: data
    integer, intent(in) :: type
    integer(c_int64_t), intent(in) :: shape(:)
    logical, intent(in) :: contiguous
    type(view_t) :: view
    view = view_t(data, int(type, c_int), size(shape, kind=c_int), contiguous=contiguous)
    view%shape(:size(shape)) = shape(size(shape):1:-1)
  end function

  function view_real32(array) result(view)
    real(real32), intent(in), target :: array(..)
    type(view_t) :: view
    view = view_of(c_loc(array), MB_FLOAT32, shape(array, c_int64_t), is_contiguous(array))
  end function

  function view_real64(array) result(view)
    real(real64), intent(in), target :: array(..)
    type(view_t) :: view
    view = view_of(c_loc(array), MB_FLOAT64, shape(array, c_int64_t), is_contiguous(array))
  end function

  function view_int32(array) result(view)
    integer(int32), intent(in), target :: array(..)
    type(view_t) :: view
    view = view_of(c_loc(array), MB_INT32, shape(array, c_int64_t), is_contiguous(array))
  end function

  function view_int64(array) result(view)
    integer(int64), intent(in), target :: array(..)
    type(view_t) :: view
    view = view_of(c_loc(array), MB_INT64, shape(array, c_int64_t), is_contiguous(array))
  end function

  function view_int8(array) result(view)
    integer(int8), intent(in), target :: array(..)
    type(view_t) :: view
    view = view_of(c_loc(array), MB_UINT8, shape(array, c_int64_t), is_contiguous(array))
  end function

  function scattered(call, name) result(message)
    character(*), intent(in) :: call, name
    character(len=:), allocatable :: message
    message = call//": array '"//trim(name)//"' is not contiguous, and libmb reads arrays in place; "// &
      'give it a whole array, or a copy that lives as long as it is used'
  end function

  ! Context

  subroutine context_create(comm, context, ierr)
    integer, intent(in) :: comm
    type(mb_context_t), intent(inout) :: context
    integer, intent(out), optional :: ierr
    call finish(c_context_create(comm, context%handle), ierr)
  end subroutine

  subroutine context_create_f08(comm, context, ierr)
    type(MPI_Comm), intent(in) :: comm
    type(mb_context_t), intent(inout) :: context
    integer, intent(out), optional :: ierr
    call finish(c_context_create(comm%MPI_VAL, context%handle), ierr)
  end subroutine

  subroutine mb_context_set_log(context, write, user, least, ierr)
    type(mb_context_t), intent(inout) :: context
    procedure(mb_log_callback), optional :: write
    type(c_ptr), intent(in), optional :: user
    integer, intent(in), optional :: least
    integer, intent(out), optional :: ierr
    type(log_target), pointer :: target
    type(c_funptr) :: called
    integer(c_int) :: level, status
    allocate (target)
    if (present(user)) target%user = user
    called = c_null_funptr
    if (present(write)) then
      target%write => write
      called = c_funloc(pass_line)
    end if
    level = MB_LEVEL_WARNING
    if (present(least)) level = int(least, c_int)
    status = c_context_set_log(context%handle, called, c_loc(target), level)
    if (status /= MB_OK) then
      deallocate (target)
    else
      if (associated(context%log)) deallocate (context%log)
      context%log => target
    end if
    call finish(status, ierr)
  end subroutine

  subroutine pass_line(user, level, line) bind(C)
    type(c_ptr), value :: user, line
    integer(c_int), value :: level
    type(log_target), pointer :: target
    call c_f_pointer(user, target)
    call target%write(target%user, int(level), fortran_text(line))
  end subroutine

  subroutine mb_context_load_plugin(context, path, ierr)
    type(mb_context_t), intent(in) :: context
    character(*), intent(in) :: path
    integer, intent(out), optional :: ierr
    call finish(c_context_load_plugin(context%handle, c_text(path)), ierr)
  end subroutine

  subroutine mb_context_destroy(context, ierr)
    type(mb_context_t), intent(inout) :: context
    integer, intent(out), optional :: ierr
    integer(c_int) :: status
    status = c_context_destroy(context%handle)
    if (status == MB_OK) then
      context%handle = c_null_ptr
      if (associated(context%log)) deallocate (context%log)
    end if
    call finish(status, ierr)
  end subroutine

  ! Model

  subroutine mb_model_create_preset(context, preset, settings, path, ierr)
    type(mb_context_t), intent(in) :: context
    character(*), intent(in) :: preset, settings, path
    integer, intent(out), optional :: ierr
    call finish(c_model_create_preset(context%handle, c_text(preset), c_text(settings), &
                                      c_text(path)), ierr)
  end subroutine

  subroutine mb_model_load(path, model, ierr)
    character(*), intent(in) :: path
    type(mb_model_t), intent(inout) :: model
    integer, intent(out), optional :: ierr
    call finish(c_model_load(c_text(path), model%handle), ierr)
  end subroutine

  subroutine mb_model_count_inputs(model, count, ierr)
    type(mb_model_t), intent(in) :: model
    integer, intent(inout) :: count
    integer, intent(out), optional :: ierr
    call finish(c_model_count_inputs(model%handle, count), ierr)
  end subroutine

  subroutine mb_model_count_outputs(model, count, ierr)
    type(mb_model_t), intent(in) :: model
    integer, intent(inout) :: count
    integer, intent(out), optional :: ierr
    call finish(c_model_count_outputs(model%handle, count), ierr)
  end subroutine

  subroutine mb_model_count_parameters(model, count, ierr)
    type(mb_model_t), intent(in) :: model
    integer(c_int64_t), intent(inout) :: count
    integer, intent(out), optional :: ierr
    call finish(c_model_count_parameters(model%handle, count), ierr)
  end subroutine

  ! The shape of a sample in Fortran's order: an array of samples has it, and their number behind it.
  subroutine mb_model_describe_input(model, index, name, shape, ierr)
    type(mb_model_t), intent(in) :: model
    integer, intent(in) :: index
    character(len=:), allocatable, intent(inout) :: name
    integer(c_int64_t), allocatable, intent(inout) :: shape(:)
    integer, intent(out), optional :: ierr
    type(c_ptr) :: c_name
    integer(c_int) :: rank, status
    integer(c_int64_t) :: c_shape(MB_MAX_DIMS)
    status = c_model_describe_input(model%handle, int(index - 1, c_int), c_name, rank, c_shape)
    if (status == MB_OK) then
      name = fortran_text(c_name)
      shape = c_shape(rank:1:-1)
    end if
    call finish(status, ierr)
  end subroutine

  subroutine mb_model_describe_output(model, index, name, shape, ierr)
    type(mb_model_t), intent(in) :: model
    integer, intent(in) :: index
    character(len=:), allocatable, intent(inout) :: name
    integer(c_int64_t), allocatable, intent(inout) :: shape(:)
    integer, intent(out), optional :: ierr
    type(c_ptr) :: c_name
    integer(c_int) :: rank, status
    integer(c_int64_t) :: c_shape(MB_MAX_DIMS)
    status = c_model_describe_output(model%handle, int(index - 1, c_int), c_name, rank, c_shape)
    if (status == MB_OK) then
      name = fortran_text(c_name)
      shape = c_shape(rank:1:-1)
    end if
    call finish(status, ierr)
  end subroutine

  ! Building

  subroutine mb_model_create(name, model, ierr)
    character(*), intent(in) :: name
    type(mb_model_t), intent(inout) :: model
    integer, intent(out), optional :: ierr
    call finish(c_model_create(c_text(name), model%handle), ierr)
  end subroutine

  ! The shape of a sample in Fortran's order.
  subroutine mb_model_add_input(model, name, type, shape, ierr)
    type(mb_model_t), intent(in) :: model
    character(*), intent(in) :: name
    integer, intent(in) :: type, shape(:)
    integer, intent(out), optional :: ierr
    call finish(c_model_add_input(model%handle, c_text(name), int(type, c_int), size(shape, kind=c_int), &
                                  int(shape(size(shape):1:-1), c_int64_t)), ierr)
  end subroutine

  subroutine mb_model_add(model, class_name, name, config, inputs, ierr)
    type(mb_model_t), intent(in) :: model
    character(*), intent(in) :: class_name
    character(*), intent(in), optional :: name, config, inputs(:)
    integer, intent(out), optional :: ierr
    character(len=:, kind=c_char), allocatable :: c_name, c_config
    character(kind=c_char), allocatable, target :: texts(:, :)
    type(c_ptr), allocatable :: pointers(:)
    integer(c_int) :: count
    count = 0
    if (present(name)) c_name = c_text(name)
    if (present(config)) c_config = c_text(config)
    if (present(inputs)) then
      count = size(inputs, kind=c_int)
      call c_names(inputs, texts, pointers)
    end if
    call finish(c_model_add(model%handle, c_text(class_name), c_name, c_config, count, pointers), ierr)
  end subroutine

  subroutine mb_model_call(model, name, inputs, ierr)
    type(mb_model_t), intent(in) :: model
    character(*), intent(in) :: name
    character(*), intent(in), optional :: inputs(:)
    integer, intent(out), optional :: ierr
    character(kind=c_char), allocatable, target :: texts(:, :)
    type(c_ptr), allocatable :: pointers(:)
    integer(c_int) :: count
    count = 0
    if (present(inputs)) then
      count = size(inputs, kind=c_int)
      call c_names(inputs, texts, pointers)
    end if
    call finish(c_model_call(model%handle, c_text(name), count, pointers), ierr)
  end subroutine

  subroutine mb_model_set_outputs(model, names, ierr)
    type(mb_model_t), intent(in) :: model
    character(*), intent(in) :: names(:)
    integer, intent(out), optional :: ierr
    character(kind=c_char), allocatable, target :: texts(:, :)
    type(c_ptr), allocatable :: pointers(:)
    call c_names(names, texts, pointers)
    call finish(c_model_set_outputs(model%handle, size(names, kind=c_int), pointers), ierr)
  end subroutine

  subroutine mb_model_set(model, key, value, ierr)
    type(mb_model_t), intent(in) :: model
    character(*), intent(in) :: key, value
    integer, intent(out), optional :: ierr
    call finish(c_model_set(model%handle, c_text(key), c_text(value)), ierr)
  end subroutine

  subroutine mb_model_count_weights(model, count, ierr)
    type(mb_model_t), intent(in) :: model
    integer, intent(inout) :: count
    integer, intent(out), optional :: ierr
    call finish(c_model_count_weights(model%handle, count), ierr)
  end subroutine

  subroutine mb_model_describe_weight(model, index, name, shape, ierr)
    type(mb_model_t), intent(in) :: model
    integer, intent(in) :: index
    character(len=:), allocatable, intent(inout) :: name
    integer(c_int64_t), allocatable, intent(inout) :: shape(:)
    integer, intent(out), optional :: ierr
    type(c_ptr) :: c_name
    integer(c_int) :: rank, status
    integer(c_int64_t) :: c_shape(MB_MAX_DIMS)
    status = c_model_describe_weight(model%handle, int(index - 1, c_int), c_name, rank, c_shape)
    if (status == MB_OK) then
      name = fortran_text(c_name)
      shape = c_shape(rank:1:-1)
    end if
    call finish(status, ierr)
  end subroutine

  subroutine mb_model_get_weight(model, name, values, ierr)
    type(mb_model_t), intent(in) :: model
    character(*), intent(in) :: name
    real(real32), intent(inout), target :: values(..)
    integer, intent(out), optional :: ierr
    if (is_contiguous(values)) then
      call finish(c_model_get_weight(model%handle, c_text(name), size(values, kind=c_int64_t), &
                                     c_loc(values)), ierr)
    else
      call refuse(scattered('mb_model_get_weight', name), ierr)
    end if
  end subroutine

  subroutine mb_model_set_weight(model, name, values, ierr)
    type(mb_model_t), intent(in) :: model
    character(*), intent(in) :: name
    real(real32), intent(in), target :: values(..)
    integer, intent(out), optional :: ierr
    if (is_contiguous(values)) then
      call finish(c_model_set_weight(model%handle, c_text(name), size(values, kind=c_int64_t), &
                                     c_loc(values)), ierr)
    else
      call refuse(scattered('mb_model_set_weight', name), ierr)
    end if
  end subroutine

  subroutine mb_model_summary(model, text, ierr)
    type(mb_model_t), intent(in) :: model
    character(len=:), allocatable, intent(inout) :: text
    integer, intent(out), optional :: ierr
    type(c_ptr) :: c_summary
    integer(c_int) :: status
    status = c_model_summary(model%handle, c_summary)
    if (status == MB_OK) text = fortran_text(c_summary)
    call finish(status, ierr)
  end subroutine

  subroutine mb_model_save(model, context, path, ierr)
    type(mb_model_t), intent(in) :: model
    type(mb_context_t), intent(in) :: context
    character(*), intent(in) :: path
    integer, intent(out), optional :: ierr
    call finish(c_model_save(model%handle, context%handle, c_text(path)), ierr)
  end subroutine

  subroutine mb_model_destroy(model, ierr)
    type(mb_model_t), intent(inout) :: model
    integer, intent(out), optional :: ierr
    integer(c_int) :: status
    status = c_model_destroy(model%handle)
    if (status == MB_OK) model%handle = c_null_ptr
    call finish(status, ierr)
  end subroutine

  ! Trainer

  subroutine mb_trainer_create(context, path, trainer, ierr)
    type(mb_context_t), intent(in) :: context
    character(*), intent(in) :: path
    type(mb_trainer_t), intent(inout) :: trainer
    integer, intent(out), optional :: ierr
    call finish(c_trainer_create(context%handle, c_text(path), trainer%handle), ierr)
  end subroutine

  subroutine mb_trainer_set(trainer, key, value, ierr)
    type(mb_trainer_t), intent(in) :: trainer
    character(*), intent(in) :: key, value
    integer, intent(out), optional :: ierr
    call finish(c_trainer_set(trainer%handle, c_text(key), c_text(value)), ierr)
  end subroutine

  subroutine trainer_set_view(trainer, name, array, ierr)
    type(mb_trainer_t), intent(in) :: trainer
    character(*), intent(in) :: name
    type(view_t), intent(in) :: array
    integer, intent(out), optional :: ierr
    if (array%contiguous) then
      call finish(c_trainer_set_array(trainer%handle, c_text(name), array%type, array%rank, &
                                      array%shape, array%data), ierr)
    else
      call refuse(scattered('mb_trainer_set_array', name), ierr)
    end if
  end subroutine

  subroutine trainer_set_real32(trainer, name, array, ierr)
    type(mb_trainer_t), intent(in) :: trainer
    character(*), intent(in) :: name
    real(real32), intent(in), target :: array(..)
    integer, intent(out), optional :: ierr
    call trainer_set_view(trainer, name, view(array), ierr)
  end subroutine

  subroutine trainer_set_real64(trainer, name, array, ierr)
    type(mb_trainer_t), intent(in) :: trainer
    character(*), intent(in) :: name
    real(real64), intent(in), target :: array(..)
    integer, intent(out), optional :: ierr
    call trainer_set_view(trainer, name, view(array), ierr)
  end subroutine

  subroutine trainer_set_int32(trainer, name, array, ierr)
    type(mb_trainer_t), intent(in) :: trainer
    character(*), intent(in) :: name
    integer(int32), intent(in), target :: array(..)
    integer, intent(out), optional :: ierr
    call trainer_set_view(trainer, name, view(array), ierr)
  end subroutine

  subroutine trainer_set_int64(trainer, name, array, ierr)
    type(mb_trainer_t), intent(in) :: trainer
    character(*), intent(in) :: name
    integer(int64), intent(in), target :: array(..)
    integer, intent(out), optional :: ierr
    call trainer_set_view(trainer, name, view(array), ierr)
  end subroutine

  subroutine trainer_set_int8(trainer, name, array, ierr)
    type(mb_trainer_t), intent(in) :: trainer
    character(*), intent(in) :: name
    integer(int8), intent(in), target :: array(..)
    integer, intent(out), optional :: ierr
    call trainer_set_view(trainer, name, view(array), ierr)
  end subroutine

  ! This rank's own samples; an array whose last dimension is 0 where it has none.
  subroutine set_samples(trainer, name, array, ierr)
    type(mb_trainer_t), intent(in) :: trainer
    character(*), intent(in) :: name
    type(view_t), intent(in) :: array
    integer, intent(out), optional :: ierr
    if (array%contiguous) then
      call finish(c_trainer_set_samples(trainer%handle, c_text(name), array%type, array%rank, &
                                        array%shape, data=array%data, where=int(MB_HOST, c_int)), ierr)
    else
      call refuse(scattered('mb_trainer_set_samples', name)//', or its address and strides', ierr)
    end if
  end subroutine

  ! Samples at any address, with shape and strides (in bytes) in Fortran's order.
  subroutine samples_pointer(trainer, name, data, type, shape, strides, where, ierr)
    type(mb_trainer_t), intent(in) :: trainer
    character(*), intent(in) :: name
    type(c_ptr), intent(in) :: data
    integer, intent(in) :: type, where
    integer(c_int64_t), intent(in) :: shape(:), strides(:)
    integer, intent(out), optional :: ierr
    if (size(shape) /= size(strides)) then
      call refuse('mb_trainer_set_samples: as many strides as dimensions are wanted', ierr)
    else
      call finish(c_trainer_set_samples(trainer%handle, c_text(name), int(type, c_int), &
                                        size(shape, kind=c_int), shape(size(shape):1:-1), &
                                        strides(size(shape):1:-1), data, int(where, c_int)), ierr)
    end if
  end subroutine

  subroutine samples_real32(trainer, name, array, ierr)
    type(mb_trainer_t), intent(in) :: trainer
    character(*), intent(in) :: name
    real(real32), intent(in), target :: array(..)
    integer, intent(out), optional :: ierr
    call set_samples(trainer, name, view(array), ierr)
  end subroutine

  subroutine samples_real64(trainer, name, array, ierr)
    type(mb_trainer_t), intent(in) :: trainer
    character(*), intent(in) :: name
    real(real64), intent(in), target :: array(..)
    integer, intent(out), optional :: ierr
    call set_samples(trainer, name, view(array), ierr)
  end subroutine

  subroutine samples_int32(trainer, name, array, ierr)
    type(mb_trainer_t), intent(in) :: trainer
    character(*), intent(in) :: name
    integer(int32), intent(in), target :: array(..)
    integer, intent(out), optional :: ierr
    call set_samples(trainer, name, view(array), ierr)
  end subroutine

  subroutine samples_int64(trainer, name, array, ierr)
    type(mb_trainer_t), intent(in) :: trainer
    character(*), intent(in) :: name
    integer(int64), intent(in), target :: array(..)
    integer, intent(out), optional :: ierr
    call set_samples(trainer, name, view(array), ierr)
  end subroutine

  subroutine samples_int8(trainer, name, array, ierr)
    type(mb_trainer_t), intent(in) :: trainer
    character(*), intent(in) :: name
    integer(int8), intent(in), target :: array(..)
    integer, intent(out), optional :: ierr
    call set_samples(trainer, name, view(array), ierr)
  end subroutine

  subroutine mb_trainer_set_reservoir(trainer, reservoir, ierr)
    type(mb_trainer_t), intent(in) :: trainer
    type(mb_reservoir_t), intent(in) :: reservoir
    integer, intent(out), optional :: ierr
    call finish(c_trainer_set_reservoir(trainer%handle, reservoir%handle), ierr)
  end subroutine

  subroutine mb_trainer_renew(trainer, ierr)
    type(mb_trainer_t), intent(in) :: trainer
    integer, intent(out), optional :: ierr
    call finish(c_trainer_renew(trainer%handle), ierr)
  end subroutine

  subroutine mb_trainer_set_callback(trainer, callback, user, ierr)
    type(mb_trainer_t), intent(inout) :: trainer
    procedure(mb_step_callback), optional :: callback
    type(c_ptr), intent(in), optional :: user
    integer, intent(out), optional :: ierr
    type(step_target), pointer :: target
    type(c_funptr) :: called
    integer(c_int) :: status
    allocate (target)
    if (present(user)) target%user = user
    called = c_null_funptr
    if (present(callback)) then
      target%callback => callback
      called = c_funloc(pass_step)
    end if
    status = c_trainer_set_callback(trainer%handle, called, c_loc(target))
    call keep_target(trainer%step, target, status)
    call finish(status, ierr)
  end subroutine

  subroutine mb_trainer_set_evaluation_callback(trainer, callback, user, ierr)
    type(mb_trainer_t), intent(inout) :: trainer
    procedure(mb_step_callback), optional :: callback
    type(c_ptr), intent(in), optional :: user
    integer, intent(out), optional :: ierr
    type(step_target), pointer :: target
    type(c_funptr) :: called
    integer(c_int) :: status
    allocate (target)
    if (present(user)) target%user = user
    called = c_null_funptr
    if (present(callback)) then
      target%callback => callback
      called = c_funloc(pass_step)
    end if
    status = c_trainer_set_evaluation_callback(trainer%handle, called, c_loc(target))
    call keep_target(trainer%evaluation, target, status)
    call finish(status, ierr)
  end subroutine

  subroutine mb_trainer_set_save_callback(trainer, callback, user, ierr)
    type(mb_trainer_t), intent(inout) :: trainer
    procedure(mb_save_callback), optional :: callback
    type(c_ptr), intent(in), optional :: user
    integer, intent(out), optional :: ierr
    type(step_target), pointer :: target
    type(c_funptr) :: called
    integer(c_int) :: status
    allocate (target)
    if (present(user)) target%user = user
    called = c_null_funptr
    if (present(callback)) then
      target%saved => callback
      called = c_funloc(pass_save)
    end if
    status = c_trainer_set_save_callback(trainer%handle, called, c_loc(target))
    call keep_target(trainer%save, target, status)
    call finish(status, ierr)
  end subroutine

  ! The one in use stays where the new one was refused.
  subroutine keep_target(kept, given, status)
    type(step_target), pointer, intent(inout) :: kept, given
    integer(c_int), intent(in) :: status
    if (status /= MB_OK) then
      deallocate (given)
    else
      if (associated(kept)) deallocate (kept)
      kept => given
    end if
  end subroutine

  subroutine pass_step(user, trainer) bind(C)
    type(c_ptr), value :: user, trainer
    type(step_target), pointer :: target
    call c_f_pointer(user, target)
    call target%callback(target%user, mb_trainer_t(trainer))
  end subroutine

  subroutine pass_save(user, trainer, path) bind(C)
    type(c_ptr), value :: user, trainer, path
    type(step_target), pointer :: target
    call c_f_pointer(user, target)
    call target%saved(target%user, mb_trainer_t(trainer), fortran_text(path))
  end subroutine

  subroutine mb_trainer_start(trainer, ierr)
    type(mb_trainer_t), intent(in) :: trainer
    integer, intent(out), optional :: ierr
    call finish(c_trainer_start(trainer%handle), ierr)
  end subroutine

  subroutine mb_trainer_step(trainer, loss, done, ierr)
    type(mb_trainer_t), intent(in) :: trainer
    real(c_double), intent(inout), optional :: loss
    logical, intent(inout), optional :: done
    integer, intent(out), optional :: ierr
    real(c_double) :: found
    integer(c_int) :: ended, status
    status = c_trainer_step(trainer%handle, found, ended)
    if (status == MB_OK) then
      if (present(loss)) loss = found
      if (present(done)) done = ended /= 0
    end if
    call finish(status, ierr)
  end subroutine

  subroutine mb_trainer_run(trainer, ierr)
    type(mb_trainer_t), intent(in) :: trainer
    integer, intent(out), optional :: ierr
    call finish(c_trainer_run(trainer%handle), ierr)
  end subroutine

  subroutine mb_trainer_run_for(trainer, seconds, steps, ierr)
    type(mb_trainer_t), intent(in) :: trainer
    real(c_double), intent(in) :: seconds
    integer(c_int64_t), intent(inout), optional :: steps
    integer, intent(out), optional :: ierr
    integer(c_int64_t) :: made
    integer(c_int) :: status
    status = c_trainer_run_for(trainer%handle, seconds, made)
    if (status == MB_OK .and. present(steps)) steps = made
    call finish(status, ierr)
  end subroutine

  subroutine mb_trainer_submit(trainer, steps, ierr)
    type(mb_trainer_t), intent(in) :: trainer
    integer(c_int64_t), intent(in) :: steps
    integer, intent(out), optional :: ierr
    call finish(c_trainer_submit(trainer%handle, steps), ierr)
  end subroutine

  subroutine mb_trainer_test(trainer, seconds, done, ierr)
    type(mb_trainer_t), intent(in) :: trainer
    real(c_double), intent(in) :: seconds
    logical, intent(inout) :: done
    integer, intent(out), optional :: ierr
    integer(c_int) :: ended, status
    status = c_trainer_test(trainer%handle, seconds, ended)
    if (status == MB_OK) done = ended /= 0
    call finish(status, ierr)
  end subroutine

  subroutine mb_trainer_wait(trainer, ierr)
    type(mb_trainer_t), intent(in) :: trainer
    integer, intent(out), optional :: ierr
    call finish(c_trainer_wait(trainer%handle), ierr)
  end subroutine

  subroutine mb_trainer_stop(trainer, ierr)
    type(mb_trainer_t), intent(in) :: trainer
    integer, intent(out), optional :: ierr
    call finish(c_trainer_stop(trainer%handle), ierr)
  end subroutine

  subroutine mb_trainer_get(trainer, name, value, ierr)
    type(mb_trainer_t), intent(in) :: trainer
    character(*), intent(in) :: name
    real(c_double), intent(inout) :: value
    integer, intent(out), optional :: ierr
    call finish(c_trainer_get(trainer%handle, c_text(name), value), ierr)
  end subroutine

  subroutine mb_trainer_save(trainer, path, state, ierr)
    type(mb_trainer_t), intent(in) :: trainer
    character(*), intent(in) :: path
    logical, intent(in) :: state
    integer, intent(out), optional :: ierr
    call finish(c_trainer_save(trainer%handle, c_text(path), merge(1_c_int, 0_c_int, state)), ierr)
  end subroutine

  subroutine mb_trainer_destroy(trainer, ierr)
    type(mb_trainer_t), intent(inout) :: trainer
    integer, intent(out), optional :: ierr
    integer(c_int) :: status
    status = c_trainer_destroy(trainer%handle)
    if (status == MB_OK) then
      trainer%handle = c_null_ptr
      if (associated(trainer%step)) deallocate (trainer%step)
      if (associated(trainer%evaluation)) deallocate (trainer%evaluation)
      if (associated(trainer%save)) deallocate (trainer%save)
    end if
    call finish(status, ierr)
  end subroutine

  ! Reservoir

  subroutine mb_reservoir_create(context, policy, capacity, seed, reservoir, ierr)
    type(mb_context_t), intent(in) :: context
    character(*), intent(in) :: policy
    integer(c_int64_t), intent(in) :: capacity, seed
    type(mb_reservoir_t), intent(inout) :: reservoir
    integer, intent(out), optional :: ierr
    call finish(c_reservoir_create(context%handle, c_text(policy), capacity, seed, reservoir%handle), &
                ierr)
  end subroutine

  ! The shape of a sample in Fortran's order; an empty one where a sample is one number.
  subroutine mb_reservoir_set_shape(reservoir, name, type, shape, ierr)
    type(mb_reservoir_t), intent(in) :: reservoir
    character(*), intent(in) :: name
    integer, intent(in) :: type, shape(:)
    integer, intent(out), optional :: ierr
    call finish(c_reservoir_set_shape(reservoir%handle, c_text(name), int(type, c_int), &
                                      size(shape, kind=c_int), &
                                      int(shape(size(shape):1:-1), c_int64_t)), ierr)
  end subroutine

  ! Addresses of as many samples of each array: [c_loc(x), c_loc(y)].
  subroutine mb_reservoir_add(reservoir, count, data, ierr)
    type(mb_reservoir_t), intent(in) :: reservoir
    integer(c_int64_t), intent(in) :: count
    type(c_ptr), intent(in) :: data(:)
    integer, intent(out), optional :: ierr
    call finish(c_reservoir_add(reservoir%handle, count, data), ierr)
  end subroutine

  subroutine mb_reservoir_update(reservoir, ierr)
    type(mb_reservoir_t), intent(in) :: reservoir
    integer, intent(out), optional :: ierr
    call finish(c_reservoir_update(reservoir%handle), ierr)
  end subroutine

  subroutine mb_reservoir_count(reservoir, own, all, stream, ierr)
    type(mb_reservoir_t), intent(in) :: reservoir
    integer(c_int64_t), intent(inout), optional :: own, all, stream
    integer, intent(out), optional :: ierr
    call finish(c_reservoir_count(reservoir%handle, own, all, stream), ierr)
  end subroutine

  ! The address of what this rank keeps of an array, for c_f_pointer.
  subroutine mb_reservoir_get(reservoir, name, count, data, ierr)
    type(mb_reservoir_t), intent(in) :: reservoir
    character(*), intent(in) :: name
    integer(c_int64_t), intent(inout) :: count
    type(c_ptr), intent(inout) :: data
    integer, intent(out), optional :: ierr
    call finish(c_reservoir_get(reservoir%handle, c_text(name), count, data), ierr)
  end subroutine

  subroutine mb_reservoir_destroy(reservoir, ierr)
    type(mb_reservoir_t), intent(inout) :: reservoir
    integer, intent(out), optional :: ierr
    integer(c_int) :: status
    status = c_reservoir_destroy(reservoir%handle)
    if (status == MB_OK) reservoir%handle = c_null_ptr
    call finish(status, ierr)
  end subroutine

  ! Predictor

  subroutine mb_predictor_create(context, path, predictor, ierr)
    type(mb_context_t), intent(in) :: context
    character(*), intent(in) :: path
    type(mb_predictor_t), intent(inout) :: predictor
    integer, intent(out), optional :: ierr
    call finish(c_predictor_create(context%handle, c_text(path), predictor%handle), ierr)
  end subroutine

  subroutine mb_predictor_set(predictor, key, value, ierr)
    type(mb_predictor_t), intent(in) :: predictor
    character(*), intent(in) :: key, value
    integer, intent(out), optional :: ierr
    call finish(c_predictor_set(predictor%handle, c_text(key), c_text(value)), ierr)
  end subroutine

  subroutine predictor_set_view(predictor, name, array, ierr)
    type(mb_predictor_t), intent(in) :: predictor
    character(*), intent(in) :: name
    type(view_t), intent(in) :: array
    integer, intent(out), optional :: ierr
    if (array%contiguous) then
      call finish(c_predictor_set_array(predictor%handle, c_text(name), array%type, array%rank, &
                                        array%shape, array%data), ierr)
    else
      call refuse(scattered('mb_predictor_set_array', name), ierr)
    end if
  end subroutine

  subroutine predictor_set_real32(predictor, name, array, ierr)
    type(mb_predictor_t), intent(in) :: predictor
    character(*), intent(in) :: name
    real(real32), intent(in), target :: array(..)
    integer, intent(out), optional :: ierr
    call predictor_set_view(predictor, name, view(array), ierr)
  end subroutine

  subroutine predictor_set_real64(predictor, name, array, ierr)
    type(mb_predictor_t), intent(in) :: predictor
    character(*), intent(in) :: name
    real(real64), intent(in), target :: array(..)
    integer, intent(out), optional :: ierr
    call predictor_set_view(predictor, name, view(array), ierr)
  end subroutine

  subroutine predictor_set_int32(predictor, name, array, ierr)
    type(mb_predictor_t), intent(in) :: predictor
    character(*), intent(in) :: name
    integer(int32), intent(in), target :: array(..)
    integer, intent(out), optional :: ierr
    call predictor_set_view(predictor, name, view(array), ierr)
  end subroutine

  subroutine predictor_set_int64(predictor, name, array, ierr)
    type(mb_predictor_t), intent(in) :: predictor
    character(*), intent(in) :: name
    integer(int64), intent(in), target :: array(..)
    integer, intent(out), optional :: ierr
    call predictor_set_view(predictor, name, view(array), ierr)
  end subroutine

  subroutine predictor_set_int8(predictor, name, array, ierr)
    type(mb_predictor_t), intent(in) :: predictor
    character(*), intent(in) :: name
    integer(int8), intent(in), target :: array(..)
    integer, intent(out), optional :: ierr
    call predictor_set_view(predictor, name, view(array), ierr)
  end subroutine

  subroutine mb_predictor_set_output(predictor, name, values, ierr)
    type(mb_predictor_t), intent(in) :: predictor
    character(*), intent(in) :: name
    real(real32), intent(in), target :: values(..)
    integer, intent(out), optional :: ierr
    if (is_contiguous(values)) then
      call finish(c_predictor_set_output(predictor%handle, c_text(name), size(values, kind=c_int64_t), &
                                         c_loc(values)), ierr)
    else
      call refuse(scattered('mb_predictor_set_output', name), ierr)
    end if
  end subroutine

  ! An array in the memory of the device, with its shape in Fortran's order.
  subroutine mb_predictor_set_device_array(predictor, name, shape, data, ierr)
    type(mb_predictor_t), intent(in) :: predictor
    character(*), intent(in) :: name
    integer(c_int64_t), intent(in) :: shape(:)
    type(c_ptr), intent(in) :: data
    integer, intent(out), optional :: ierr
    call finish(c_predictor_set_device_array(predictor%handle, c_text(name), size(shape, kind=c_int), &
                                             shape(size(shape):1:-1), data), ierr)
  end subroutine

  subroutine mb_predictor_set_device_output(predictor, name, count, values, ierr)
    type(mb_predictor_t), intent(in) :: predictor
    character(*), intent(in) :: name
    integer(c_int64_t), intent(in) :: count
    type(c_ptr), intent(in) :: values
    integer, intent(out), optional :: ierr
    call finish(c_predictor_set_device_output(predictor%handle, c_text(name), count, values), ierr)
  end subroutine

  subroutine mb_predictor_start(predictor, ierr)
    type(mb_predictor_t), intent(in) :: predictor
    integer, intent(out), optional :: ierr
    call finish(c_predictor_start(predictor%handle), ierr)
  end subroutine

  subroutine mb_predictor_load_trainer(predictor, trainer, ierr)
    type(mb_predictor_t), intent(in) :: predictor
    type(mb_trainer_t), intent(in) :: trainer
    integer, intent(out), optional :: ierr
    call finish(c_predictor_load_trainer(predictor%handle, trainer%handle), ierr)
  end subroutine

  subroutine mb_predictor_run(predictor, ierr)
    type(mb_predictor_t), intent(in) :: predictor
    integer, intent(out), optional :: ierr
    call finish(c_predictor_run(predictor%handle), ierr)
  end subroutine

  subroutine mb_predictor_run_file(predictor, data, output, ierr)
    type(mb_predictor_t), intent(in) :: predictor
    character(*), intent(in) :: data, output
    integer, intent(out), optional :: ierr
    call finish(c_predictor_run_file(predictor%handle, c_text(data), c_text(output)), ierr)
  end subroutine

  subroutine mb_predictor_evaluate(predictor, ierr)
    type(mb_predictor_t), intent(in) :: predictor
    integer, intent(out), optional :: ierr
    call finish(c_predictor_evaluate(predictor%handle), ierr)
  end subroutine

  subroutine mb_predictor_evaluate_file(predictor, data, ierr)
    type(mb_predictor_t), intent(in) :: predictor
    character(*), intent(in) :: data
    integer, intent(out), optional :: ierr
    call finish(c_predictor_evaluate_file(predictor%handle, c_text(data)), ierr)
  end subroutine

  subroutine mb_predictor_get(predictor, name, value, ierr)
    type(mb_predictor_t), intent(in) :: predictor
    character(*), intent(in) :: name
    real(c_double), intent(inout) :: value
    integer, intent(out), optional :: ierr
    call finish(c_predictor_get(predictor%handle, c_text(name), value), ierr)
  end subroutine

  subroutine mb_predictor_destroy(predictor, ierr)
    type(mb_predictor_t), intent(inout) :: predictor
    integer, intent(out), optional :: ierr
    integer(c_int) :: status
    status = c_predictor_destroy(predictor%handle)
    if (status == MB_OK) predictor%handle = c_null_ptr
    call finish(status, ierr)
  end subroutine

  ! Quantizer

  subroutine mb_quantizer_create(context, path, quantizer, ierr)
    type(mb_context_t), intent(in) :: context
    character(*), intent(in) :: path
    type(mb_quantizer_t), intent(inout) :: quantizer
    integer, intent(out), optional :: ierr
    call finish(c_quantizer_create(context%handle, c_text(path), quantizer%handle), ierr)
  end subroutine

  subroutine mb_quantizer_set(quantizer, key, value, ierr)
    type(mb_quantizer_t), intent(in) :: quantizer
    character(*), intent(in) :: key, value
    integer, intent(out), optional :: ierr
    call finish(c_quantizer_set(quantizer%handle, c_text(key), c_text(value)), ierr)
  end subroutine

  subroutine mb_quantizer_run(quantizer, output, ierr)
    type(mb_quantizer_t), intent(in) :: quantizer
    character(*), intent(in), optional :: output
    integer, intent(out), optional :: ierr
    if (present(output)) then
      call finish(c_quantizer_run(quantizer%handle, c_text(output)), ierr)
    else
      call finish(c_quantizer_run(quantizer%handle), ierr)
    end if
  end subroutine

  subroutine mb_quantizer_get(quantizer, name, value, ierr)
    type(mb_quantizer_t), intent(in) :: quantizer
    character(*), intent(in) :: name
    real(c_double), intent(inout) :: value
    integer, intent(out), optional :: ierr
    call finish(c_quantizer_get(quantizer%handle, c_text(name), value), ierr)
  end subroutine

  subroutine mb_quantizer_destroy(quantizer, ierr)
    type(mb_quantizer_t), intent(inout) :: quantizer
    integer, intent(out), optional :: ierr
    integer(c_int) :: status
    status = c_quantizer_destroy(quantizer%handle)
    if (status == MB_OK) quantizer%handle = c_null_ptr
    call finish(status, ierr)
  end subroutine

  ! Planner

  subroutine mb_planner_create(path, planner, ierr)
    character(*), intent(in) :: path
    type(mb_planner_t), intent(inout) :: planner
    integer, intent(out), optional :: ierr
    call finish(c_planner_create(c_text(path), planner%handle), ierr)
  end subroutine

  subroutine mb_planner_set(planner, key, value, ierr)
    type(mb_planner_t), intent(in) :: planner
    character(*), intent(in) :: key, value
    integer, intent(out), optional :: ierr
    call finish(c_planner_set(planner%handle, c_text(key), c_text(value)), ierr)
  end subroutine

  subroutine mb_planner_run(planner, ierr)
    type(mb_planner_t), intent(in) :: planner
    integer, intent(out), optional :: ierr
    call finish(c_planner_run(planner%handle), ierr)
  end subroutine

  subroutine mb_planner_simulate(planner, ierr)
    type(mb_planner_t), intent(in) :: planner
    integer, intent(out), optional :: ierr
    call finish(c_planner_simulate(planner%handle), ierr)
  end subroutine

  subroutine mb_planner_get(planner, name, value, ierr)
    type(mb_planner_t), intent(in) :: planner
    character(*), intent(in) :: name
    real(c_double), intent(inout) :: value
    integer, intent(out), optional :: ierr
    call finish(c_planner_get(planner%handle, c_text(name), value), ierr)
  end subroutine

  ! Stages are counted from 0, as ranks are.
  subroutine mb_planner_get_stage(planner, stage, name, value, ierr)
    type(mb_planner_t), intent(in) :: planner
    integer, intent(in) :: stage
    character(*), intent(in) :: name
    real(c_double), intent(inout) :: value
    integer, intent(out), optional :: ierr
    call finish(c_planner_get_stage(planner%handle, int(stage, c_int), c_text(name), value), ierr)
  end subroutine

  subroutine mb_planner_text(planner, json, ierr)
    type(mb_planner_t), intent(in) :: planner
    character(len=:), allocatable, intent(inout) :: json
    integer, intent(out), optional :: ierr
    type(c_ptr) :: given
    integer(c_int) :: status
    status = c_planner_text(planner%handle, given)
    if (status == MB_OK) json = fortran_text(given)
    call finish(status, ierr)
  end subroutine

  subroutine mb_planner_destroy(planner, ierr)
    type(mb_planner_t), intent(inout) :: planner
    integer, intent(out), optional :: ierr
    integer(c_int) :: status
    status = c_planner_destroy(planner%handle)
    if (status == MB_OK) planner%handle = c_null_ptr
    call finish(status, ierr)
  end subroutine

  ! Checkpoint

  subroutine mb_checkpoint_digest(path, weights, full, ierr)
    character(*), intent(in) :: path
    integer(c_int64_t), intent(inout) :: weights, full
    integer, intent(out), optional :: ierr
    call finish(c_checkpoint_digest(c_text(path), weights, full), ierr)
  end subroutine

  subroutine mb_checkpoint_verify(path, sealed, ierr)
    character(*), intent(in) :: path
    logical, intent(inout) :: sealed
    integer, intent(out), optional :: ierr
    integer(c_int) :: found, status
    status = c_checkpoint_verify(c_text(path), found)
    if (status == MB_OK) sealed = found /= 0
    call finish(status, ierr)
  end subroutine

  subroutine mb_checkpoint_get(path, name, value, ierr)
    character(*), intent(in) :: path, name
    integer(c_int64_t), intent(inout) :: value
    integer, intent(out), optional :: ierr
    call finish(c_checkpoint_get(c_text(path), c_text(name), value), ierr)
  end subroutine

  ! Files

  subroutine mb_checkpoint_inspect(path, json, ierr)
    character(*), intent(in) :: path
    character(len=:), allocatable, intent(inout) :: json
    integer, intent(out), optional :: ierr
    type(c_ptr) :: given
    integer(c_int) :: status
    status = c_checkpoint_inspect(c_text(path), given)
    call take_text(status, given, json)
    call finish(status, ierr)
  end subroutine

  subroutine mb_checkpoint_compare(a, b, tolerance, equal, json, ierr)
    character(*), intent(in) :: a, b
    real(c_double), intent(in) :: tolerance
    logical, intent(inout) :: equal
    character(len=:), allocatable, intent(inout) :: json
    integer, intent(out), optional :: ierr
    type(c_ptr) :: given
    integer(c_int) :: status
    integer(c_int) :: found
    status = c_checkpoint_compare(c_text(a), c_text(b), tolerance, found, given)
    if (status == MB_OK) equal = found /= 0
    call take_text(status, given, json)
    call finish(status, ierr)
  end subroutine

  subroutine mb_checkpoint_list(run, json, ierr)
    character(*), intent(in) :: run
    character(len=:), allocatable, intent(inout) :: json
    integer, intent(out), optional :: ierr
    type(c_ptr) :: given
    integer(c_int) :: status
    status = c_checkpoint_list(c_text(run), given)
    call take_text(status, given, json)
    call finish(status, ierr)
  end subroutine

  subroutine mb_checkpoint_average(paths, output, weights, ierr)
    character(*), intent(in) :: paths(:), output
    integer, intent(inout), optional :: weights
    integer, intent(out), optional :: ierr
    character(kind=c_char), allocatable, target :: texts(:, :)
    type(c_ptr), allocatable :: pointers(:)
    call c_names(paths, texts, pointers)
    call finish(c_checkpoint_average(size(paths, kind=c_int), pointers, c_text(output), weights), ierr)
  end subroutine

  ! Keys and values, of which there are as many, may be left out.
  subroutine mb_checkpoint_export(path, output, keys, values, weights, moments, model, ierr)
    character(*), intent(in) :: path, output
    character(*), intent(in), optional :: keys(:), values(:)
    integer, intent(inout), optional :: weights, moments, model
    integer, intent(out), optional :: ierr
    character(kind=c_char), allocatable, target :: key_texts(:, :), value_texts(:, :)
    type(c_ptr), allocatable :: key_pointers(:), value_pointers(:)
    integer(c_int) :: count, given
    call c_list(keys, key_texts, key_pointers, count)
    call c_list(values, value_texts, value_pointers, given)
    if (count /= given) then
      call refuse('mb_checkpoint_export: as many values as keys are wanted', ierr)
      return
    end if
    call finish(c_checkpoint_export(c_text(path), count, key_pointers, value_pointers, c_text(output), &
                                    weights, moments, model), ierr)
  end subroutine

  subroutine mb_checkpoint_convert(path, output, keys, values, ierr)
    character(*), intent(in) :: path, output
    character(*), intent(in), optional :: keys(:), values(:)
    integer, intent(out), optional :: ierr
    character(kind=c_char), allocatable, target :: key_texts(:, :), value_texts(:, :)
    type(c_ptr), allocatable :: key_pointers(:), value_pointers(:)
    integer(c_int) :: count, given
    call c_list(keys, key_texts, key_pointers, count)
    call c_list(values, value_texts, value_pointers, given)
    if (count /= given) then
      call refuse('mb_checkpoint_convert: as many values as keys are wanted', ierr)
      return
    end if
    call finish(c_checkpoint_convert(c_text(path), count, key_pointers, value_pointers, c_text(output)), &
                ierr)
  end subroutine

  ! A blank value: the setting is no longer recorded. Without an output the file itself is changed.
  subroutine mb_checkpoint_configure(path, keys, values, output, ierr)
    character(*), intent(in) :: path, keys(:), values(:)
    character(*), intent(in), optional :: output
    integer, intent(out), optional :: ierr
    character(kind=c_char), allocatable, target :: key_texts(:, :), value_texts(:, :)
    type(c_ptr), allocatable :: key_pointers(:), value_pointers(:)
    character(len=:, kind=c_char), allocatable :: c_output
    integer(c_int) :: count, given
    call c_list(keys, key_texts, key_pointers, count)
    call c_list(values, value_texts, value_pointers, given)
    if (count /= given) then
      call refuse('mb_checkpoint_configure: as many values as keys are wanted', ierr)
      return
    end if
    if (present(output)) c_output = c_text(output)
    call finish(c_checkpoint_configure(c_text(path), count, key_pointers, value_pointers, c_output), ierr)
  end subroutine

  subroutine mb_data_build(inputs, output, keys, values, json, ierr)
    character(*), intent(in) :: inputs(:), output
    character(*), intent(in), optional :: keys(:), values(:)
    character(len=:), allocatable, intent(inout), optional :: json
    integer, intent(out), optional :: ierr
    character(kind=c_char), allocatable, target :: texts(:, :)
    type(c_ptr), allocatable :: pointers(:)
    character(kind=c_char), allocatable, target :: key_texts(:, :), value_texts(:, :)
    type(c_ptr), allocatable :: key_pointers(:), value_pointers(:)
    integer(c_int) :: count, given
    character(len=:), allocatable :: found
    type(c_ptr) :: text
    integer(c_int) :: status
    call c_list(keys, key_texts, key_pointers, count)
    call c_list(values, value_texts, value_pointers, given)
    if (count /= given) then
      call refuse('mb_data_build: as many values as keys are wanted', ierr)
      return
    end if
    call c_names(inputs, texts, pointers)
    status = c_data_build(size(inputs, kind=c_int), pointers, count, key_pointers, value_pointers, &
                          c_text(output), text)
    call take_text(status, text, found)
    if (status == MB_OK .and. present(json)) json = found
    call finish(status, ierr)
  end subroutine
end module
