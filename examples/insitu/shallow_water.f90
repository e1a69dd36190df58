! A shallow-water solver that learns a surrogate of itself while it runs, and is then replaced by it: shallow_water.c
! in Fortran, where the method and its sources are told.
!
!     mpirun -np 4 ./shallow_water_f [cells=256] [share=0.3] [steps=4000] [use=120] [each=0]
module shallow_water
  use, intrinsic :: iso_c_binding
  use mpi_f08
  use mb
  implicit none

  integer, parameter :: dp = c_double, sp = c_float
  integer, parameter :: halo = 2, stride = 2, along = 4, beside = 3, patch = along*beside*3
  integer, parameter :: taken = 128, kept = 65536, renew = 50, drop_every = 10, solved = 4
  real(dp), parameter :: gravity = 1, courant = 0.4_dp, fastest = 1.8_dp, scale = 0.1_dp, ruffle = 0.01_dp
  ! The pressure of water at rest pushes from both sides of a cell, and is left out.
  real(dp), parameter :: at_rest(3) = [0.0_dp, 0.5_dp, 0.0_dp]

  ! The block of cells that this rank holds, and its neighbours.
  type(MPI_Comm) :: comm
  type(MPI_Datatype) :: sent(2, 2), received(2, 2)
  integer :: process, cells, nx, ny, x0, y0, faces, down(2), up(2)
  real(dp) :: dx, dt

  ! Depth and momenta of the block and its halo, as they are and as they were before a large step; and the fluxes through
  ! the faces in front of cells, across x and across y, summed over its small steps.
  type :: water
    real(dp), allocatable :: q(:, :, :), before(:, :, :), f(:, :, :, :)
    integer :: drops = 0, steps = 0
  end type

  type(mb_context_t) :: context
  type(mb_reservoir_t) :: reservoir
  type(mb_trainer_t) :: trainer
  type(mb_predictor_t) :: predictor
  real(sp), allocatable, target :: patches(:, :), fluxes(:, :)
  real(sp), target :: shown(patch, taken), told(3, taken)

contains

  ! The grid

  function border(axis, first) result(type)
    integer, intent(in) :: axis, first
    type(MPI_Datatype) :: type
    integer :: sizes(3), lengths(3), starts(3)
    sizes = [nx + 2*halo, ny + 2*halo, 3]
    lengths = sizes
    starts = 0
    lengths(axis) = halo
    starts(axis) = first
    call MPI_Type_create_subarray(3, sizes, lengths, starts, MPI_ORDER_FORTRAN, MPI_DOUBLE_PRECISION, type)
    call MPI_Type_commit(type)
  end function

  subroutine make_grid
    integer :: ranks, axis, length, dims(2), place(2)
    call MPI_Comm_size(MPI_COMM_WORLD, ranks)
    dims = 0
    call MPI_Dims_create(ranks, 2, dims)
    call MPI_Cart_create(MPI_COMM_WORLD, 2, dims, [.true., .true.], .false., comm)
    call MPI_Comm_rank(comm, process)
    call MPI_Cart_coords(comm, process, 2, place)
    x0 = cells*place(1)/dims(1)
    y0 = cells*place(2)/dims(2)
    nx = cells*(place(1) + 1)/dims(1) - x0
    ny = cells*(place(2) + 1)/dims(2) - y0
    faces = (nx + 1)*ny + nx*(ny + 1)
    dx = 1.0_dp/cells
    dt = courant*dx/fastest
    do axis = 1, 2
      length = merge(nx, ny, axis == 1)
      call MPI_Cart_shift(comm, axis - 1, 1, down(axis), up(axis))
      sent(axis, :) = [border(axis, halo), border(axis, length)]
      received(axis, :) = [border(axis, 0), border(axis, length + halo)]
    end do
  end subroutine

  ! Along x first, then along y with the halos of x, so that the corners come too.
  subroutine exchange(q)
    real(dp), intent(inout) :: q(-halo + 1:, -halo + 1:, :)
    integer :: axis
    do axis = 1, 2
      call MPI_Sendrecv(q, 1, sent(axis, 2), up(axis), 0, q, 1, received(axis, 1), down(axis), 0, comm, &
                        MPI_STATUS_IGNORE)
      call MPI_Sendrecv(q, 1, sent(axis, 1), down(axis), 1, q, 1, received(axis, 2), up(axis), 1, comm, &
                        MPI_STATUS_IGNORE)
    end do
  end subroutine

  subroutine make_water(w)
    type(water), intent(out) :: w
    allocate (w%q(-halo + 1:nx + halo, -halo + 1:ny + halo, 3))
    allocate (w%before, mold=w%q)
    allocate (w%f(nx + 1, ny + 1, 3, 2))
    w%q = 0
    w%q(:, :, 1) = 1
  end subroutine

  ! A hump at a place and of a height that the count of drops gives; as much water evaporates everywhere.
  subroutine drop(w)
    type(water), intent(inout) :: w
    real(dp), parameter :: pi = acos(-1.0_dp), width = 0.06_dp
    real(dp) :: x, y, a, b, height
    integer :: i, j
    x = mod(w%drops*0.7548776662_dp + 0.3_dp, 1.0_dp)
    y = mod(w%drops*0.5698402910_dp + 0.6_dp, 1.0_dp)
    height = 0.1_dp + 0.2_dp*mod(w%drops*0.6180339887_dp, 1.0_dp)
    do j = 1, ny
      do i = 1, nx
        a = (x0 + i - 0.5_dp)*dx - x
        b = (y0 + j - 0.5_dp)*dx - y
        a = a - anint(a)
        b = b - anint(b)
        w%q(i, j, 1) = w%q(i, j, 1) + height*(exp(-(a*a + b*b)/(2*width**2)) - 2*pi*width**2)
      end do
    end do
    w%drops = w%drops + 1
  end subroutine

  ! Before each large step: now and then a large drop, and always a shower that ruffles every cell.
  subroutine rain(w)
    type(water), intent(inout) :: w
    real(dp) :: chance(nx, ny, 3)
    if (mod(w%steps, drop_every) == 0) call drop(w)
    w%steps = w%steps + 1
    call random_number(chance)
    w%q(1:nx, 1:ny, :) = w%q(1:nx, 1:ny, :) + ruffle*(2*chance - 1)
  end subroutine

  ! The solver

  ! Flux of depth, of momentum across the face and of momentum along it, of one side.
  pure function side_flux(u) result(f)
    real(dp), intent(in) :: u(3)
    real(dp) :: f(3)
    f = [u(2), u(2)**2/u(1) + 0.5_dp*gravity*u(1)**2, u(2)*u(3)/u(1)]
  end function

  pure function hll(l, r) result(f)
    real(dp), intent(in) :: l(3), r(3)
    real(dp) :: f(3), slow, fast
    slow = min(l(2)/l(1) - sqrt(gravity*l(1)), r(2)/r(1) - sqrt(gravity*r(1)), 0.0_dp)
    fast = max(l(2)/l(1) + sqrt(gravity*l(1)), r(2)/r(1) + sqrt(gravity*r(1)), 0.0_dp)
    f = (fast*side_flux(l) - slow*side_flux(r) + slow*fast*(r - l))/(fast - slow)
  end function

  subroutine add_fluxes(w)
    type(water), intent(inout) :: w
    integer, parameter :: turned(3) = [1, 3, 2]
    integer :: i, j
    do j = 1, ny + 1
      do i = 1, nx + 1
        w%f(i, j, :, 1) = w%f(i, j, :, 1) + hll(w%q(i - 1, j, :), w%q(i, j, :))
        w%f(i, j, turned, 2) = w%f(i, j, turned, 2) + hll(w%q(i, j - 1, turned), w%q(i, j, turned))
      end do
    end do
  end subroutine

  subroutine begin(w)
    type(water), intent(inout) :: w
    call exchange(w%q)
    w%before = w%q
    w%f = 0
  end subroutine

  ! What has come through the faces since the large step began.
  subroutine apply(w)
    type(water), intent(inout) :: w
    w%q(1:nx, 1:ny, :) = w%before(1:nx, 1:ny, :) - dt/dx* &
                         (w%f(2:, 1:ny, :, 1) - w%f(1:nx, 1:ny, :, 1) + w%f(1:nx, 2:, :, 2) - w%f(1:nx, 1:ny, :, 2))
  end subroutine

  ! What has begun, by small steps.
  subroutine go_on(w)
    type(water), intent(inout) :: w
    integer :: n
    do n = 1, stride
      if (n > 1) call exchange(w%q)
      call add_fluxes(w)
      call apply(w)
    end do
  end subroutine

  ! A large step.
  subroutine solve(w)
    type(water), intent(inout) :: w
    call begin(w)
    call go_on(w)
  end subroutine

  ! What the surrogate sees of a face, and what it says

  ! The axis across face NUMBER, and the cell behind it.
  pure subroutine find_face(number, axis, i, j)
    integer, intent(in) :: number
    integer, intent(out) :: axis, i, j
    integer :: row, place
    axis = merge(1, 2, number <= (nx + 1)*ny)
    row = merge(nx + 1, nx, axis == 1)
    place = number - 1 - merge(0, (nx + 1)*ny, axis == 1)
    i = mod(place, row) + 1
    j = place/row + 1
  end subroutine

  subroutine see(q, number, seen)
    real(dp), intent(in) :: q(-halo + 1:, -halo + 1:, :)
    integer, intent(in) :: number
    real(sp), intent(out) :: seen(3, beside, along)
    integer :: axis, i, j, a, b, ci, cj
    call find_face(number, axis, i, j)
    do a = 1, along
      do b = 1, beside
        ci = i + merge(a - 1 - along/2, b - 1 - beside/2, axis == 1)
        cj = j + merge(b - 1 - beside/2, a - 1 - along/2, axis == 1)
        seen(:, b, a) = real([q(ci, cj, 1) - 1, q(ci, cj, 1 + axis), q(ci, cj, 4 - axis)]/scale, sp)
      end do
    end do
  end subroutine

  pure function component(axis) result(list)
    integer, intent(in) :: axis
    integer :: list(3)
    list = [1, 1 + axis, 4 - axis]
  end function

  function mean_flux(w, number) result(flux)
    type(water), intent(in) :: w
    integer, intent(in) :: number
    real(sp) :: flux(3)
    integer :: axis, i, j
    call find_face(number, axis, i, j)
    flux = real((w%f(i, j, component(axis), axis)/stride - at_rest)/scale, sp)
  end function

  subroutine take_flux(w, number, flux)
    type(water), intent(inout) :: w
    integer, intent(in) :: number
    real(sp), intent(in) :: flux(3)
    integer :: axis, i, j
    call find_face(number, axis, i, j)
    w%f(i, j, component(axis), axis) = stride*(flux*scale + at_rest)
  end subroutine

  ! Learning

  ! A linear part, as waves of small height are linear, and what a hidden layer adds to it.
  subroutine make_model(path)
    character(*), intent(in) :: path
    type(mb_model_t) :: model
    call mb_model_create('surrogate', model)
    call mb_model_add_input(model, 'patch', MB_FLOAT32, [patch])
    call mb_model_add(model, 'Dense', 'linear', 'units=3', ['patch'])
    call mb_model_add(model, 'Dense', 'hidden', 'units=32 activation=tanh', ['patch'])
    call mb_model_add(model, 'Dense', 'curved', 'units=3', ['hidden'])
    call mb_model_add(model, 'Add', 'flux', inputs=['linear', 'curved'])
    call mb_model_set(model, 'loss', 'mean_squared_error')
    call mb_model_set(model, 'optimizer', 'adam')
    call mb_model_set(model, 'lr', '0.004')
    call mb_model_save(model, context, path)
    call mb_model_destroy(model)
  end subroutine

  subroutine make_surrogate(share, steps)
    character(*), intent(in) :: share, steps
    call mb_context_create(comm, context)
    call make_model('surrogate.h5')
    call MPI_Barrier(comm)
    call mb_reservoir_create(context, 'uniform', int(kept, c_int64_t), 1_c_int64_t, reservoir)
    call mb_reservoir_set_shape(reservoir, 'patch', MB_FLOAT32, [patch])
    call mb_reservoir_set_shape(reservoir, 'flux', MB_FLOAT32, [3])

    call mb_trainer_create(context, 'surrogate.h5', trainer)
    call mb_trainer_set(trainer, 'epochs', '1000')
    call mb_trainer_set(trainer, 'lr-schedule', 'cosine:steps='//steps)
    call mb_trainer_set(trainer, 'batch', '256')
    call mb_trainer_set(trainer, 'threads', '1')
    call mb_trainer_set(trainer, 'share', share)
    call mb_trainer_set_reservoir(trainer, reservoir)

    call mb_predictor_create(context, 'surrogate.h5', predictor)
    call mb_predictor_set(predictor, 'independent', 'yes')
    call mb_predictor_set(predictor, 'batch', '512')
    call mb_predictor_set(predictor, 'threads', '1')
    allocate (patches(patch, faces), fluxes(3, faces))
  end subroutine

  ! A large step of the solver's, of which some faces go to the reservoir.
  subroutine solve_and_show(w)
    type(water), intent(inout) :: w
    real :: chance(taken)
    integer :: numbers(taken), k
    call random_number(chance)
    numbers = min(int(chance*faces) + 1, faces)
    call begin(w)
    do k = 1, taken
      call see(w%q, numbers(k), shown(:, k))
    end do
    call go_on(w)
    do k = 1, taken
      told(:, k) = mean_flux(w, numbers(k))
    end do
    call mb_reservoir_add(reservoir, int(taken, c_int64_t), [c_loc(shown), c_loc(told)])
  end subroutine

  ! A large step of the surrogate's.
  subroutine predict(w)
    type(water), intent(inout) :: w
    integer :: n
    call begin(w)
    do n = 1, faces
      call see(w%q, n, patches(:, n))
    end do
    call mb_predictor_run(predictor)
    do n = 1, faces
      call take_flux(w, n, fluxes(:, n))
    end do
    call apply(w)
  end subroutine

  ! Large steps by the solver alone; the seconds of one.
  function run_alone(w, steps) result(seconds)
    type(water), intent(inout) :: w
    integer, intent(in) :: steps
    real(dp) :: seconds, start
    integer :: n
    start = MPI_Wtime()
    do n = 1, steps
      call rain(w)
      call solve(w)
    end do
    seconds = (MPI_Wtime() - start)/steps
  end function

  ! Steps of the training, EACH of them or, for none, as many as its share allows.
  function train(each) result(made)
    integer, intent(in) :: each
    integer(c_int64_t) :: made
    integer :: k
    made = each
    do k = 1, each
      call mb_trainer_step(trainer)
    end do
    if (each == 0) call mb_trainer_run_for(trainer, huge(1.0_dp), made)
  end function

  ! The solver runs on, and the training beside it, until it has made STEPS steps; the seconds of a large step, all that
  ! belongs to the training included.
  function learn(w, steps, each) result(seconds)
    type(water), intent(inout) :: w
    integer, intent(in) :: steps, each
    real(dp) :: seconds, start
    integer(c_int64_t) :: done
    integer :: n
    do n = 1, renew
      call rain(w)
      call solve_and_show(w)
    end do
    call mb_trainer_start(trainer)
    start = MPI_Wtime()
    done = 0
    n = 0
    do while (done < steps)
      if (n > 0 .and. mod(n, renew) == 0) call mb_trainer_renew(trainer)
      call rain(w)
      call solve_and_show(w)
      done = done + train(each)
      n = n + 1
    end do
    seconds = (MPI_Wtime() - start)/n
    if (process == 0) print '(i0,a,i0,a)', n, ' large steps of the solver, ', done, ' steps of the training beside them'
  end function

  ! Using what was learnt

  function total(own) result(all)
    real(dp), intent(in) :: own
    real(dp) :: all
    call MPI_Allreduce(own, all, 1, MPI_DOUBLE_PRECISION, MPI_SUM, comm)
  end function

  function mass(w)
    type(water), intent(in) :: w
    real(dp) :: mass
    mass = total(sum(w%q(1:nx, 1:ny, 1)))*dx**2
  end function

  ! Root of the mean square of what depths differ by.
  function distance(w, other)
    type(water), intent(in) :: w, other
    real(dp) :: distance
    distance = sqrt(total(sum((w%q(1:nx, 1:ny, 1) - other%q(1:nx, 1:ny, 1))**2)))*dx
  end function

  ! Depths of the whole square, a row a line.
  subroutine write_depths(w, path)
    type(water), intent(in) :: w
    character(*), intent(in) :: path
    real(dp) :: own(cells, cells), all(cells, cells)
    integer :: unit
    own = 0
    own(x0 + 1:x0 + nx, y0 + 1:y0 + ny) = w%q(1:nx, 1:ny, 1)
    call MPI_Reduce(own, all, size(own), MPI_DOUBLE_PRECISION, MPI_SUM, 0, comm)
    if (process /= 0) return
    open (newunit=unit, file=path, action='write')
    write (unit, '('//text(cells)//'(f0.4,1x))') all
    close (unit)
  end subroutine

  function text(number)
    integer, intent(in) :: number
    character(:), allocatable :: text
    character(12) :: digits
    write (digits, '(i0)') number
    text = trim(digits)
  end function

  ! Whether the surrogate is nearer to the solver in the end than water that stands still.
  function use_surrogate(w, steps) result(better)
    type(water), intent(inout) :: w
    integer, intent(in) :: steps
    logical :: better
    type(water) :: still, alone, mixed, level
    real(dp) :: depth, lost, waves, off(3), seconds, start
    integer :: n, unit
    depth = mass(w)
    call make_water(level)
    level%q(:, :, 1) = depth
    still = w
    alone = w
    mixed = w
    call mb_predictor_set_array(predictor, 'patch', patches)
    call mb_predictor_set_output(predictor, 'flux', fluxes)
    call mb_predictor_load_trainer(predictor, trainer)
    if (process == 0) then
      open (newunit=unit, file='shallow_water.csv', action='write')
      write (unit, '(a)') 'time,surrogate,mixed,still,mass'
    end if
    seconds = 0
    off = 0
    do n = 1, steps
      call solve(w)
      start = MPI_Wtime()
      call predict(alone)
      seconds = seconds + MPI_Wtime() - start
      if (mod(n, solved) == 0) then
        call solve(mixed)
      else
        call predict(mixed)
      end if
      waves = distance(w, level)
      off = [distance(alone, w), distance(mixed, w), distance(still, w)]/waves
      lost = mass(alone)/depth - 1
      if (process == 0) write (unit, '(4(f0.5,","),es10.2)') n*stride*dt, off, lost
    end do
    if (process == 0) then
      close (unit)
      print '(a,i0,3(a,f0.2),a,es8.1,a)', 'after ', steps, ' large steps of ', 1e3*seconds/steps, &
        ' ms the surrogate is off by ', 100*off(1), ' % of the waves, with the solver in between by ', 100*off(2), &
        ' %; it gained ', lost, ' of the water'
    end if
    call write_depths(w, 'shallow_water.solver')
    call write_depths(alone, 'shallow_water.surrogate')
    better = off(1) < off(3)
  end function

  ! The value of KEY=VALUE among the arguments.
  function option(key, default) result(value)
    character(*), intent(in) :: key, default
    character(:), allocatable :: value
    character(64) :: argument
    integer :: i
    value = default
    do i = 1, command_argument_count()
      call get_command_argument(i, argument)
      if (index(argument, key//'=') == 1) value = trim(argument(len(key) + 2:))
    end do
  end function

  function number(key, default)
    character(*), intent(in) :: key, default
    real(dp) :: number
    character(:), allocatable :: value
    value = option(key, default)
    read (value, *) number
  end function
end module

program main
  use shallow_water
  implicit none
  type(water) :: w
  real(dp) :: alone, together
  logical :: better
  integer :: provided, length, each
  integer, allocatable :: seed(:)

  call MPI_Init_thread(MPI_THREAD_FUNNELED, provided)
  cells = nint(number('cells', '256'))
  call make_grid
  call make_water(w)
  call make_surrogate(option('share', '0.3'), option('steps', '4000'))
  call random_seed(size=length)
  allocate (seed(length))
  seed = process + 1
  call random_seed(put=seed)

  alone = run_alone(w, renew) ! pages are taken, caches filled
  alone = run_alone(w, 4*renew)
  each = nint(number('each', '0'))
  together = learn(w, nint(number('steps', '4000')), each)
  alone = (alone + run_alone(w, 4*renew))/2
  ! A fixed number of steps asks for no share.
  if (process == 0 .and. each == 0) print '(2(a,f0.2),2(a,f0.1),a)', &
    'a large step takes ', 1e3*alone, ' ms alone and ', 1e3*together, &
    ' ms beside the training: slower by ', 100*(together/alone - 1), ' %, asked for were ', 100*number('share', '0.3'), ' %'
  better = use_surrogate(w, nint(number('use', '120')))

  call mb_predictor_destroy(predictor)
  call mb_trainer_destroy(trainer)
  call mb_reservoir_destroy(reservoir)
  call mb_context_destroy(context)
  call MPI_Finalize
  if (.not. better) error stop 1
end program
