"""libmb for notebooks: the calls of <mb/mb.h> on NumPy arrays and mpi4py communicators, by ctypes.

    import mb
    context = mb.Context()                      # or mb.Context(comm) with a communicator of mpi4py's
    trainer = mb.Trainer(context, "model.h5")
    trainer.set(epochs=10, micro_batch=8)
    trainer.set_array("x", x)
    trainer.run()

What a call does, and whether it is collective, stands in <mb/mb.h>; a status other than MB_OK is raised as
mb.Error, which has the status and the library's message. Arrays are read in place where they are contiguous
and of a type that the library has, and kept alive as long as they are used; others are copied first.

The library is $MB_LIBRARY, or libmb.so beside the installation of this file, or what the loader finds.
Without mpi4py, mb.Context() starts MPI for this process and ends it at exit."""

import atexit
import ctypes
import ctypes.util
import json
import os
from ctypes import POINTER, byref, c_char_p, c_double, c_int, c_int64, c_uint64, c_void_p

import numpy

STATUS = {
    0: "OK", -1: "ERR_ARGUMENT", -2: "ERR_MEMORY", -3: "ERR_IO", -4: "ERR_FORMAT", -5: "ERR_UNSUPPORTED",
    -6: "ERR_SHAPE", -7: "ERR_DATA", -8: "ERR_NUMERIC", -9: "ERR_PEER", -10: "ERR_TIMEOUT", -11: "ERR_MPI",
    -12: "ERR_DEVICE", -13: "ERR_BUSY", -14: "ERR_STOPPED", -15: "ERR_INTERNAL"}
globals().update({name: value for value, name in STATUS.items()})
HOST, DEVICE = range(2)
LEVEL_DEBUG, LEVEL_INFO, LEVEL_WARNING = range(3)
MAX_DIMS = 8
TYPES = {numpy.dtype(name): number
         for number, name in enumerate(["float32", "float64", "int32", "int64", "uint8"])}

_LOG = ctypes.CFUNCTYPE(None, c_void_p, c_int, c_char_p)
_STEP = ctypes.CFUNCTYPE(None, c_void_p, c_void_p)
_SAVE = ctypes.CFUNCTYPE(None, c_void_p, c_void_p, c_char_p)
_DIMS = POINTER(c_int64)
_LIST = POINTER(c_char_p)
# The functions of mb.h that return a status, with their arguments.
CALLS = {
    "mb_context_create_f": [c_int, POINTER(c_void_p)],
    "mb_context_set_log": [c_void_p, _LOG, c_void_p, c_int],
    "mb_context_load_plugin": [c_void_p, c_char_p],
    "mb_context_destroy": [c_void_p],
    "mb_model_create_preset": [c_void_p, c_char_p, c_char_p, c_char_p],
    "mb_model_load": [c_char_p, POINTER(c_void_p)],
    "mb_model_count_inputs": [c_void_p, POINTER(c_int)],
    "mb_model_count_outputs": [c_void_p, POINTER(c_int)],
    "mb_model_count_parameters": [c_void_p, POINTER(c_int64)],
    "mb_model_describe_input": [c_void_p, c_int, POINTER(c_char_p), POINTER(c_int), _DIMS],
    "mb_model_describe_output": [c_void_p, c_int, POINTER(c_char_p), POINTER(c_int), _DIMS],
    "mb_model_create": [c_char_p, POINTER(c_void_p)],
    "mb_model_add_input": [c_void_p, c_char_p, c_int, c_int, _DIMS],
    "mb_model_add": [c_void_p, c_char_p, c_char_p, c_char_p, c_int, POINTER(c_char_p)],
    "mb_model_call": [c_void_p, c_char_p, c_int, POINTER(c_char_p)],
    "mb_model_set_outputs": [c_void_p, c_int, POINTER(c_char_p)],
    "mb_model_set": [c_void_p, c_char_p, c_char_p],
    "mb_model_count_weights": [c_void_p, POINTER(c_int)],
    "mb_model_describe_weight": [c_void_p, c_int, POINTER(c_char_p), POINTER(c_int), _DIMS],
    "mb_model_get_weight": [c_void_p, c_char_p, c_int64, c_void_p],
    "mb_model_set_weight": [c_void_p, c_char_p, c_int64, c_void_p],
    "mb_model_summary": [c_void_p, POINTER(c_char_p)],
    "mb_model_save": [c_void_p, c_void_p, c_char_p],
    "mb_model_destroy": [c_void_p],
    "mb_trainer_create": [c_void_p, c_char_p, POINTER(c_void_p)],
    "mb_trainer_set": [c_void_p, c_char_p, c_char_p],
    "mb_trainer_set_array": [c_void_p, c_char_p, c_int, c_int, _DIMS, c_void_p],
    "mb_trainer_set_samples": [c_void_p, c_char_p, c_int, c_int, _DIMS, _DIMS, c_void_p, c_int],
    "mb_trainer_set_reservoir": [c_void_p, c_void_p],
    "mb_trainer_renew": [c_void_p],
    "mb_trainer_set_callback": [c_void_p, _STEP, c_void_p],
    "mb_trainer_set_evaluation_callback": [c_void_p, _STEP, c_void_p],
    "mb_trainer_set_save_callback": [c_void_p, _SAVE, c_void_p],
    "mb_trainer_start": [c_void_p],
    "mb_trainer_step": [c_void_p, POINTER(c_double), POINTER(c_int)],
    "mb_trainer_run": [c_void_p],
    "mb_trainer_run_for": [c_void_p, c_double, POINTER(c_int64)],
    "mb_trainer_submit": [c_void_p, c_int64],
    "mb_trainer_test": [c_void_p, c_double, POINTER(c_int)],
    "mb_trainer_wait": [c_void_p],
    "mb_trainer_stop": [c_void_p],
    "mb_trainer_get": [c_void_p, c_char_p, POINTER(c_double)],
    "mb_trainer_save": [c_void_p, c_char_p, c_int],
    "mb_trainer_destroy": [c_void_p],
    "mb_reservoir_create": [c_void_p, c_char_p, c_int64, c_uint64, POINTER(c_void_p)],
    "mb_reservoir_set_shape": [c_void_p, c_char_p, c_int, c_int, _DIMS],
    "mb_reservoir_add": [c_void_p, c_int64, POINTER(c_void_p)],
    "mb_reservoir_update": [c_void_p],
    "mb_reservoir_count": [c_void_p, POINTER(c_int64), POINTER(c_int64), POINTER(c_int64)],
    "mb_reservoir_get": [c_void_p, c_char_p, POINTER(c_int64), POINTER(c_void_p)],
    "mb_reservoir_destroy": [c_void_p],
    "mb_predictor_create": [c_void_p, c_char_p, POINTER(c_void_p)],
    "mb_predictor_set": [c_void_p, c_char_p, c_char_p],
    "mb_predictor_set_array": [c_void_p, c_char_p, c_int, c_int, _DIMS, c_void_p],
    "mb_predictor_set_output": [c_void_p, c_char_p, c_int64, c_void_p],
    "mb_predictor_set_device_array": [c_void_p, c_char_p, c_int, _DIMS, c_void_p],
    "mb_predictor_set_device_output": [c_void_p, c_char_p, c_int64, c_void_p],
    "mb_predictor_start": [c_void_p],
    "mb_predictor_load_trainer": [c_void_p, c_void_p],
    "mb_predictor_run": [c_void_p],
    "mb_predictor_run_file": [c_void_p, c_char_p, c_char_p],
    "mb_predictor_evaluate": [c_void_p],
    "mb_predictor_evaluate_file": [c_void_p, c_char_p],
    "mb_predictor_get": [c_void_p, c_char_p, POINTER(c_double)],
    "mb_predictor_destroy": [c_void_p],
    "mb_quantizer_create": [c_void_p, c_char_p, POINTER(c_void_p)],
    "mb_quantizer_set": [c_void_p, c_char_p, c_char_p],
    "mb_quantizer_run": [c_void_p, c_char_p],
    "mb_quantizer_get": [c_void_p, c_char_p, POINTER(c_double)],
    "mb_quantizer_destroy": [c_void_p],
    "mb_planner_create": [c_char_p, POINTER(c_void_p)],
    "mb_planner_set": [c_void_p, c_char_p, c_char_p],
    "mb_planner_run": [c_void_p],
    "mb_planner_simulate": [c_void_p],
    "mb_planner_get": [c_void_p, c_char_p, POINTER(c_double)],
    "mb_planner_get_stage": [c_void_p, c_int, c_char_p, POINTER(c_double)],
    "mb_planner_text": [c_void_p, POINTER(c_char_p)],
    "mb_planner_destroy": [c_void_p],
    "mb_checkpoint_inspect": [c_char_p, POINTER(c_void_p)],
    "mb_checkpoint_compare": [c_char_p, c_char_p, c_double, POINTER(c_int), POINTER(c_void_p)],
    "mb_checkpoint_list": [c_char_p, POINTER(c_void_p)],
    "mb_checkpoint_average": [c_int, _LIST, c_char_p, POINTER(c_int)],
    "mb_checkpoint_export": [c_char_p, c_int, _LIST, _LIST, c_char_p, POINTER(c_int), POINTER(c_int), POINTER(c_int)],
    "mb_checkpoint_convert": [c_char_p, c_int, _LIST, _LIST, c_char_p],
    "mb_checkpoint_configure": [c_char_p, c_int, _LIST, _LIST, c_char_p],
    "mb_data_build": [c_int, _LIST, c_int, _LIST, _LIST, c_char_p, POINTER(c_void_p)],
    "mb_text_free": [c_void_p],
    "mb_checkpoint_digest": [c_char_p, POINTER(c_uint64), POINTER(c_uint64)],
    "mb_checkpoint_verify": [c_char_p, POINTER(c_int)],
    "mb_checkpoint_get": [c_char_p, c_char_p, POINTER(c_int64)],
}


class Error(Exception):
    """What a call failed with, and the rank of the context where it arose (-1: not known)."""

    def __init__(self, status, message, rank=-1):
        super().__init__(message)
        self.status = status
        self.rank = rank


def _open():
    """Symbols of MPI are for all: it opens components that look for them."""
    root = os.path.dirname(os.path.abspath(__file__))
    prefix = os.path.normpath(os.path.join(root, "..", "..", ".."))
    names = [os.path.join(prefix, lib, "libmb.so") for lib in ("lib", "lib64")]
    name = os.environ.get("MB_LIBRARY") or next(filter(os.path.exists, names), None)
    name = name or ctypes.util.find_library("mb")
    if name is None:
        raise ImportError("no libmb.so in %s or where the loader looks; set MB_LIBRARY to its path"
                          % ", ".join(names))
    return ctypes.CDLL(name, ctypes.RTLD_GLOBAL)


def _declare(library):
    for name, arguments in CALLS.items():
        function = getattr(library, name)
        function.argtypes, function.restype = arguments, c_int
    for name, arguments in (("mb_error_message", []), ("mb_version", []), ("mb_status_name", [c_int])):
        function = getattr(library, name)
        function.argtypes, function.restype = arguments, c_char_p
    library.mb_error_rank.argtypes, library.mb_error_rank.restype = [], c_int
    return library


_lib = _declare(_open())


def _check(status):
    if status != 0:
        raise Error(status, _lib.mb_error_message().decode(), _lib.mb_error_rank())


def _text(value):
    """Texts and paths as they are, flags as the library's words, numbers in digits."""
    if isinstance(value, bool):
        value = "yes" if value else "no"
    return os.fsencode(value) if hasattr(value, "__fspath__") else str(value).encode()


def _type(name, dtype):
    if numpy.dtype(dtype) not in TYPES:
        raise Error(-1, "array '%s' is of %s; there are %s" % (name, dtype, ", ".join(map(str, TYPES))))
    return TYPES[numpy.dtype(dtype)]


def _dims(numbers):
    return (c_int64 * max(len(numbers), 1))(*numbers)


def version():
    return _lib.mb_version().decode()


def status_name(status):
    return _lib.mb_status_name(status).decode()


def _start_mpi():
    """COMM_WORLD of an MPI that this process has started, or starts here, as Fortran's integer."""
    flag, provided = c_int(), c_int()
    _lib.MPI_Initialized(byref(flag))
    if not flag.value:
        _lib.MPI_Init_thread(None, None, 1, byref(provided))
        atexit.register(_end_mpi)
    return 0 if hasattr(_lib, "ompi_mpi_comm_world") else 0x44000000


def _end_mpi():
    for context in list(_living):
        context.close()
    flag = c_int()
    _lib.MPI_Finalized(byref(flag))
    if not flag.value:
        _lib.MPI_Finalize()


class _Object:
    """A handle, closed by close(), at the end of a with, or when nothing refers to it."""

    def __init__(self, create, destroy, *arguments):
        self._handle = None
        self._destroy = destroy
        handle = c_void_p()
        _check(create(*arguments, byref(handle)))
        self._handle = handle

    def close(self):
        if self._handle is not None:
            _check(self._destroy(self._handle))
            self._handle = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __del__(self):
        if getattr(self, "_handle", None) is not None:
            self._destroy(self._handle)


_living = set()


class Context(_Object):
    """The ranks that work together: those of a communicator of mpi4py's, or of COMM_WORLD."""

    def __init__(self, comm=None):
        number = _start_mpi() if comm is None else comm.py2f()
        self._thrown = None
        self._made = []
        super().__init__(_lib.mb_context_create_f, _lib.mb_context_destroy, number)
        _living.add(self)

    def close(self):
        for made in reversed(self._made[:]):
            made.close()
        super().close()
        _living.discard(self)

    def set_log(self, write, least=LEVEL_WARNING):
        """write(level, line), or None."""
        def line(_, level, text):
            self._keep(write, level, text.decode())
        log = _LOG(line) if write else _LOG()
        self._check(_lib.mb_context_set_log(self._handle, log, None, least))
        self._log = log

    def load_plugin(self, path):
        self._check(_lib.mb_context_load_plugin(self._handle, _text(path)))

    def _keep(self, function, *arguments):
        """Exceptions cannot pass through C: what a callback raised comes out of the call around it."""
        try:
            function(*arguments)
            return True
        except BaseException as thrown:  # pylint: disable=broad-except
            self._thrown = self._thrown or thrown
            return False

    def _check(self, status):
        thrown, self._thrown = self._thrown, None
        if thrown is not None:
            raise thrown
        _check(status)


class _Made(_Object):
    """What is made from a context and a model file, and has settings and numbers."""

    def __init__(self, kind, context, path):
        self._context = context
        self._kind = "mb_%s_" % kind
        super().__init__(self._call("create"), self._call("destroy"), context._handle, _text(path))
        context._made.append(self)
        self._arrays = {}

    def close(self):
        super().close()
        if self in self._context._made:
            self._context._made.remove(self)

    def _call(self, verb):
        return getattr(_lib, self._kind + verb)

    def _check(self, status):
        self._context._check(status)

    def set(self, *pair, **settings):
        """set("val-split", 0.1), or set(val_split=0.1, epochs=5)."""
        given = [pair] if pair else []
        for key, value in given + [(key.replace("_", "-"), value) for key, value in settings.items()]:
            self._check(self._call("set")(self._handle, _text(key), _text(value)))

    def get(self, name):
        value = c_double()
        self._check(self._call("get")(self._handle, _text(name), byref(value)))
        return value.value

    def set_array(self, name, array):
        """The first dimension counts samples."""
        array = numpy.ascontiguousarray(array)
        self._check(self._call("set_array")(self._handle, _text(name), _type(name, array.dtype), array.ndim,
                                            _dims(array.shape), array.ctypes.data))
        self._arrays[name] = array


class Trainer(_Made):
    """A training run."""

    def __init__(self, context, path):
        super().__init__("trainer", context, path)

    def set_samples(self, name, array):
        """This rank's own, of any strides; the first dimension counts samples and may be 0."""
        self._check(_lib.mb_trainer_set_samples(
            self._handle, _text(name), _type(name, array.dtype), array.ndim, _dims(array.shape),
            _dims(array.strides), array.ctypes.data, HOST))
        self._arrays[name] = array

    def set_reservoir(self, reservoir):
        self._check(_lib.mb_trainer_set_reservoir(self._handle, reservoir._handle))
        self._reservoir = reservoir

    def renew(self):
        self._check(_lib.mb_trainer_renew(self._handle))

    def set_callback(self, callback):
        """callback(trainer) after each step on rank 0, or None."""
        self._set_callback("callback", _STEP, callback)

    def set_evaluation_callback(self, callback):
        """callback(trainer) after each validation on rank 0, or None."""
        self._set_callback("evaluation_callback", _STEP, callback)

    def set_save_callback(self, callback):
        """callback(trainer, path) on rank 0 when a file of the run is complete, or None."""
        self._set_callback("save_callback", _SAVE, callback)

    def _set_callback(self, name, kind, callback):
        def call(_, __, *path):
            if not self._context._keep(callback, self, *(text.decode() for text in path)):
                _lib.mb_trainer_stop(self._handle)
        called = kind(call) if callback else kind()
        self._check(self._call("set_" + name)(self._handle, called, None))
        setattr(self, "_" + name, called)

    def start(self):
        self._check(_lib.mb_trainer_start(self._handle))

    def step(self):
        """Loss of the step, and whether the total is reached."""
        loss, done = c_double(), c_int()
        self._check(_lib.mb_trainer_step(self._handle, byref(loss), byref(done)))
        return loss.value, bool(done.value)

    def run(self):
        self._check(_lib.mb_trainer_run(self._handle))

    def run_for(self, seconds):
        """Within so many seconds, and the setting share; how many steps it made."""
        steps = c_int64()
        self._check(_lib.mb_trainer_run_for(self._handle, seconds, byref(steps)))
        return steps.value

    def submit(self, steps):
        """Steps that go on beside the program, until wait()."""
        self._check(_lib.mb_trainer_submit(self._handle, steps))

    def test(self, seconds=0):
        done = c_int()
        self._check(_lib.mb_trainer_test(self._handle, seconds, byref(done)))
        return bool(done.value)

    def wait(self):
        self._check(_lib.mb_trainer_wait(self._handle))

    def stop(self):
        self._check(_lib.mb_trainer_stop(self._handle))

    def save(self, path, state=True):
        self._check(_lib.mb_trainer_save(self._handle, _text(path), int(state)))


class Reservoir(_Object):
    """A bounded choice of a stream of samples: "uniform" or "newest", of named arrays (type, shape of a sample)."""

    def __init__(self, context, policy, capacity, seed=0, **arrays):
        self._context = context
        super().__init__(_lib.mb_reservoir_create, _lib.mb_reservoir_destroy, context._handle, _text(policy),
                         capacity, seed)
        context._made.append(self)
        self._arrays = {name: (numpy.dtype(dtype), tuple(shape)) for name, (dtype, shape) in arrays.items()}
        for name, (dtype, shape) in self._arrays.items():
            context._check(_lib.mb_reservoir_set_shape(self._handle, _text(name), _type(name, dtype),
                                                       len(shape), _dims(shape)))

    def close(self):
        super().close()
        if self in self._context._made:
            self._context._made.remove(self)

    def add(self, **arrays):
        """Copied. As many samples of each array."""
        given = [numpy.ascontiguousarray(arrays[name], dtype) for name, (dtype, _) in self._arrays.items()]
        if len(set(map(len, given))) != 1:
            raise Error(-6, "arrays of %s samples; each has as many" % ", ".join(str(len(one)) for one in given))
        data = (c_void_p * len(given))(*(array.ctypes.data for array in given))
        self._context._check(_lib.mb_reservoir_add(self._handle, len(given[0]), data))

    def update(self):
        self._context._check(_lib.mb_reservoir_update(self._handle))

    def count(self):
        """Samples kept here, by all ranks, and of the stream so far."""
        own, every, stream = c_int64(), c_int64(), c_int64()
        self._context._check(_lib.mb_reservoir_count(self._handle, byref(own), byref(every), byref(stream)))
        return own.value, every.value, stream.value

    def get(self, name):
        """A copy of what this rank keeps of an array."""
        count, data = c_int64(), c_void_p()
        self._context._check(_lib.mb_reservoir_get(self._handle, _text(name), byref(count), byref(data)))
        dtype, shape = self._arrays[name]
        kept = numpy.empty((count.value,) + shape, dtype)
        if count.value > 0:
            ctypes.memmove(kept.ctypes.data, data, kept.nbytes)
        return kept


class Predictor(_Made):
    """A model put to use."""

    def __init__(self, context, path):
        super().__init__("predictor", context, path)
        self._outputs = {}

    def set_output(self, name, values):
        """A contiguous array of float32, which run() fills."""
        if values.dtype != numpy.float32 or not values.flags.c_contiguous or not values.flags.writeable:
            raise Error(-1, "output '%s' goes into a contiguous, writable array of float32" % name)
        self._check(_lib.mb_predictor_set_output(self._handle, _text(name), values.size,
                                                 values.ctypes.data))
        self._outputs[name] = values

    def set_device_array(self, name, address, shape):
        """float32 in the memory of the device that the predictor computes on, at an address."""
        self._check(_lib.mb_predictor_set_device_array(self._handle, _text(name), len(shape), _dims(shape),
                                                       address))

    def set_device_output(self, name, address, count):
        self._check(_lib.mb_predictor_set_device_output(self._handle, _text(name), count, address))

    def start(self):
        self._check(_lib.mb_predictor_start(self._handle))

    def load(self, trainer):
        """The weights of a trainer as they are between its steps."""
        self._check(_lib.mb_predictor_load_trainer(self._handle, trainer._handle))

    def run(self):
        self._check(_lib.mb_predictor_run(self._handle))

    def run_file(self, data, output):
        self._check(_lib.mb_predictor_run_file(self._handle, _text(data), _text(output)))

    def evaluate(self):
        self._check(_lib.mb_predictor_evaluate(self._handle))

    def evaluate_file(self, data):
        self._check(_lib.mb_predictor_evaluate_file(self._handle, _text(data)))


class Quantizer(_Made):
    """A model file stored smaller, and what that costs."""

    def __init__(self, context, path):
        super().__init__("quantizer", context, path)

    def run(self, output=None):
        """Without a file to write it only measures."""
        self._check(_lib.mb_quantizer_run(self._handle, None if output is None else _text(output)))


class Model(_Object):
    """A model of a file, or built layer by layer by Model.create: inputs, outputs and weights are lists of
    (name, shape)."""

    def __init__(self, path, make=_lib.mb_model_load):
        super().__init__(lambda out: make(_text(path), out), _lib.mb_model_destroy)

    @classmethod
    def create(cls, name):
        return cls(name, _lib.mb_model_create)

    @property
    def parameters(self):
        return self._count(_lib.mb_model_count_parameters, c_int64())

    @property
    def inputs(self):
        return self._describe(_lib.mb_model_count_inputs, _lib.mb_model_describe_input)

    @property
    def outputs(self):
        return self._describe(_lib.mb_model_count_outputs, _lib.mb_model_describe_output)

    @property
    def weights(self):
        return self._describe(_lib.mb_model_count_weights, _lib.mb_model_describe_weight)

    def _count(self, call, number):
        _check(call(self._handle, byref(number)))
        return number.value

    def _describe(self, count, describe):
        found = []
        for index in range(self._count(count, c_int())):
            name, rank, shape = c_char_p(), c_int(), (c_int64 * MAX_DIMS)()
            _check(describe(self._handle, index, byref(name), byref(rank), shape))
            found.append((name.value.decode(), tuple(shape[:rank.value])))
        return found

    def add_input(self, name, shape, dtype="float32"):
        _check(_lib.mb_model_add_input(self._handle, _text(name), _type(name, dtype), len(shape), _dims(shape)))

    def add(self, class_name, config="", inputs=(), name=None):
        """Without inputs it takes what was added last; without a name it has Keras' own."""
        _check(_lib.mb_model_add(self._handle, _text(class_name), None if name is None else _text(name),
                                 _text(config) if config else None, *self._names(inputs)))

    def call(self, name, inputs=()):
        _check(_lib.mb_model_call(self._handle, _text(name), *self._names(inputs)))

    def set_outputs(self, *names):
        _check(_lib.mb_model_set_outputs(self._handle, *self._names(names)))

    @staticmethod
    def _names(names):
        return len(names), (c_char_p * len(names))(*map(_text, names)) if names else None

    def set(self, **settings):
        """set(loss="mse", optimizer="sgd:lr=0.1")."""
        for key, value in settings.items():
            _check(_lib.mb_model_set(self._handle, _text(key.replace("_", "-")), _text(value)))

    def get_weight(self, name):
        values = numpy.empty(dict(self.weights).get(name, ()), numpy.float32)
        _check(_lib.mb_model_get_weight(self._handle, _text(name), values.size, values.ctypes.data))
        return values

    def set_weight(self, name, values):
        values = numpy.ascontiguousarray(values, numpy.float32)
        _check(_lib.mb_model_set_weight(self._handle, _text(name), values.size, values.ctypes.data))

    def summary(self):
        text = c_char_p()
        _check(_lib.mb_model_summary(self._handle, byref(text)))
        return text.value.decode()

    def save(self, path, context=None):
        """By rank 0 of a context, or by this process alone."""
        _check(_lib.mb_model_save(self._handle, None if context is None else context._handle, _text(path)))


def create_preset(preset, path, context=None, **settings):
    """Writes a model file: create_preset("mlp", "model.h5", input=2, hidden="32,32", classes=2)."""
    text = " ".join("%s=%s" % pair for pair in settings.items())
    handle = None if context is None else context._handle
    _check(_lib.mb_model_create_preset(handle, _text(preset), _text(text), _text(path)))


def digest(path):
    """Digests of a model file: of its weights, and of weights, moments and step."""
    weights, full = c_uint64(), c_uint64()
    _check(_lib.mb_checkpoint_digest(_text(path), byref(weights), byref(full)))
    return weights.value, full.value


def verify(path):
    """Whether the file has a seal, which then holds."""
    sealed = c_int()
    _check(_lib.mb_checkpoint_verify(_text(path), byref(sealed)))
    return bool(sealed.value)


def counter(path, name):
    """A counter of a checkpoint's state: step, epoch and so on."""
    value = c_int64()
    _check(_lib.mb_checkpoint_get(_text(path), _text(name), byref(value)))
    return value.value


class Planner(_Object):
    """What a run on so many ranks would do; it needs no context."""

    def __init__(self, path, **settings):
        super().__init__(lambda out: _lib.mb_planner_create(_text(path), out), _lib.mb_planner_destroy)
        self.set(**settings)

    def set(self, **settings):
        for key, value in settings.items():
            _check(_lib.mb_planner_set(self._handle, _text(key.replace("_", "-")), _text(value)))

    def run(self):
        _check(_lib.mb_planner_run(self._handle))

    def simulate(self):
        _check(_lib.mb_planner_simulate(self._handle))

    def get(self, name, stage=None):
        value = c_double()
        if stage is None:
            _check(_lib.mb_planner_get(self._handle, _text(name), byref(value)))
        else:
            _check(_lib.mb_planner_get_stage(self._handle, stage, _text(name), byref(value)))
        return value.value

    def text(self):
        """All of the last plan."""
        text = c_char_p()
        _check(_lib.mb_planner_text(self._handle, byref(text)))
        return json.loads(text.value)


def _taken(call):
    """JSON that C gives away."""
    text = c_void_p()
    _check(call(byref(text)))
    try:
        return json.loads(ctypes.string_at(text))
    finally:
        _lib.mb_text_free(text)


def _lists(settings):
    """Their number, keys and values; None is C's NULL."""
    keys = [_text(key.replace("_", "-")) for key in settings]
    values = [None if value is None else _text(value) for value in settings.values()]
    return len(keys), (c_char_p * len(keys))(*keys), (c_char_p * len(keys))(*values)


def inspect(path):
    """Layers, weights, settings and state of a file."""
    return _taken(lambda out: _lib.mb_checkpoint_inspect(_text(path), out))


def compare(a, b, tolerance=0.0):
    """Whether two files are equal, and what they do not have in common."""
    equal = c_int()
    found = _taken(lambda out: _lib.mb_checkpoint_compare(_text(a), _text(b), tolerance, byref(equal), out))
    return bool(equal.value), found


def checkpoints(run):
    """Of a run's directory."""
    return _taken(lambda out: _lib.mb_checkpoint_list(_text(run), out))


def average(paths, output):
    weights = c_int()
    _check(_lib.mb_checkpoint_average(*Model._names(paths), _text(output), byref(weights)))
    return weights.value


def export(path, output, **settings):
    """How many weights and moments were written, and whether the file is a model."""
    weights, moments, model = c_int(), c_int(), c_int()
    _check(_lib.mb_checkpoint_export(_text(path), *_lists(settings), _text(output), byref(weights), byref(moments),
                                     byref(model)))
    return weights.value, moments.value, bool(model.value)


def convert(path, output, **settings):
    _check(_lib.mb_checkpoint_convert(_text(path), *_lists(settings), _text(output)))


def configure(path, output=None, **settings):
    """Records settings in a copy, or in the file itself; None: a setting is recorded no longer."""
    _check(_lib.mb_checkpoint_configure(_text(path), *_lists(settings), None if output is None else _text(output)))


def build_data(inputs, output, **settings):
    """A data file of tables, arrays, images or text; what it has."""
    return _taken(lambda out: _lib.mb_data_build(*Model._names(inputs), *_lists(settings), _text(output), out))
