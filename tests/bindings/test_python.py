"""mb.py as a notebook uses it, on the ranks of mpi4py where it is there, else on one. Argument: the digest that the
tool has for the same points."""
import os
import sys

import numpy

try:
    from mpi4py import MPI
    comm = MPI.COMM_WORLD
except ImportError:
    comm = None
import mb

rank = 0 if comm is None else comm.rank
ranks = "one rank" if comm is None else "a communicator of mpi4py's"


def expect(holds, name):
    if comm is not None:
        holds = comm.allreduce(bool(holds), MPI.LAND)
    if rank == 0:
        print("%s %s" % ("ok" if holds else "not ok", name), flush=True)


def barrier():
    if comm is not None:
        comm.Barrier()


def failure(call, *arguments):
    try:
        call(*arguments)
    except mb.Error as error:
        return error
    return mb.Error(mb.OK, "")


i = numpy.arange(64)
x = (numpy.stack([i * 37 % 64, (i * 53 + 11) % 64], 1) / 32 - 1).astype(numpy.float32)
y = ((x ** 2).sum(1) < 0.5).astype(numpy.int32)
lines, steps = [], []


def trainer_of(context, own=None):
    trainer = mb.Trainer(context, "start.h5")
    trainer.set(steps=12, batch=16, replicas=2, micro_batch=4)
    give, part = (trainer.set_array, slice(None)) if own is None else (trainer.set_samples, own)
    give("x", x[part])
    give("y", y[part])
    return trainer


def test_model(context):
    mb.create_preset("mlp", "start.h5", context, input=2, hidden=8, classes=2)
    barrier()
    with mb.Model("start.h5") as model:
        expect(model.parameters == 42 and model.inputs[0][1] == (2,) and model.outputs[0][1] == (2,),
               "a model tells its size, inputs and outputs")
    barrier()


def test_building(context):
    kernel = numpy.arange(6, dtype=numpy.float32).reshape(2, 3)
    model = mb.Model.create("built")
    model.add_input("points", (2,))
    model.add("Dense", "units=3 activation=tanh", name="hidden")
    model.add("Dense", "units=1", ["hidden"], "left")
    model.add("Dense", "units=1", ["hidden"], "right")
    model.call("right", ["hidden"])
    model.add("Add", inputs=["left", "right", "right:1"], name="sum")
    model.set_outputs("sum")
    model.set(loss="mse")
    model.set_weight("hidden/kernel", kernel)
    expect(model.weights[0] == ("hidden/kernel", (2, 3)) and "hidden" in model.summary(),
           "a model is built layer by layer")
    model.save("built.h5", context)
    barrier()
    expect((mb.Model("built.h5").get_weight("hidden/kernel") == kernel).all(), "a weight that was set is in the file")


def test_run_callbacks(context):
    validated, files = [], []
    trainer = mb.Trainer(context, "start.h5")
    trainer.set(epochs=2, val_split=0.5, run="run")
    trainer.set_array("x", x)
    trainer.set_array("y", y)
    trainer.set_evaluation_callback(lambda of: validated.append(of.get("val_loss")))
    trainer.set_save_callback(lambda of, path: files.append(path))
    trainer.run()
    trainer.close()
    expect(rank != 0 or len(validated) == 2 and "final.h5" in files[-1], "validations and files are called back")


def test_training(context):
    def each(trainer):
        steps.append(trainer.get("step"))
        if len(steps) == 5:
            trainer.stop()
    trainer = trainer_of(context)
    trainer.set(recompute="auto")  # without a limit to the memory it means nothing, which the log is told
    trainer.set_callback(each)
    trainer.start()
    loss, done = trainer.step()
    expect(loss > 0 and not done, "a step tells its loss")
    expect(failure(trainer.run).status == mb.ERR_STOPPED and trainer.get("step") < 12, "a callback stops a run")
    trainer.run()
    expect(len(steps) == (12 if rank == 0 else 0), "a callback sees every step")
    trainer.save("trained.h5")
    trainer.close()
    expect("%016x" % mb.digest("trained.h5")[0] == sys.argv[1], "on %s weights have the tool's digest" % ranks)
    expect(mb.verify("trained.h5") and mb.counter("trained.h5", "step") == 12, "a checkpoint has its seal and counters")


def test_samples(context):
    size = 1 if comm is None else comm.size
    end = 64 if rank == size - 1 else 24 * (rank + 1)
    with trainer_of(context, slice(24 * rank, end)) as trainer:
        trainer.run()
        trainer.save("apart.h5")
    expect(mb.digest("apart.h5")[0] == mb.digest("trained.h5")[0], "samples where they lie give the same bits")
    with mb.Reservoir(context, "uniform", 16, 3, x=("float32", (2,)), y=("int32", ())) as kept:
        kept.add(x=x, y=y)
        with mb.Trainer(context, "start.h5") as trainer:
            trainer.set(steps=2)
            trainer.set_reservoir(kept)
            trainer.run()
            kept.add(x=x[:3], y=y[:3])
            trainer.renew()
            trainer.run()
            own, every, stream = kept.count()
            expect(every == 16 and stream == 67 * size and trainer.get("step") == 4,
                   "a reservoir keeps a part of a stream and is renewed")
            expect(kept.get("x").shape == (own, 2), "what a rank keeps can be read")


def test_beside(context):
    memory, file = numpy.empty((2, 64, 2), numpy.float32)
    with trainer_of(context) as trainer:
        trainer.start()
        trainer.submit(5)
        while not trainer.test(0.01):
            pass
        trainer.wait()
        submitted = trainer.get("step") == 5
        expect(trainer.run_for(60) == 7 and submitted, "steps go on beside the program, and for a time")
        with mb.Predictor(context, "start.h5") as predictor, mb.Predictor(context, "trained.h5") as other:
            predictor.set(independent=True)
            predictor.set_device_array("x", x.ctypes.data, x.shape)
            predictor.set_device_output("y", memory.ctypes.data, memory.size)
            predictor.load(trainer)
            predictor.run()
            other.set(independent=True)
            other.set_array("x", x)
            other.set_output("y", file)
            other.start()
            other.run()
    expect((memory == file).all(), "a predictor takes a trainer's weights from memory")


def test_predictor(context):
    logits = numpy.empty((64, 2), numpy.float32)
    predictor = mb.Predictor(context, "trained.h5")
    predictor.set("batch", 32)
    predictor.set_array("x", x)
    predictor.set_array("y", y)
    predictor.set_output("y", logits)
    predictor.run()
    predictor.evaluate()
    expect(((logits[:, 1] > logits[:, 0]) == y).mean() == predictor.get("accuracy"),
           "predictions are those that the evaluation counts")
    predictor.evaluate_file("points.h5")
    predictor.run_file("points.h5", "answers.h5")
    expect(predictor.get("samples") == 64, "files are evaluated and predicted")
    expect(failure(predictor.set_output, "y", logits[:, :1]).status == mb.ERR_ARGUMENT, "an output with gaps is refused")


def test_errors(context):
    trainer = trainer_of(context)
    error = failure(trainer.set, "epoch", 1)
    expect(error.status == mb.ERR_ARGUMENT and "epochs" in str(error), "an unknown key is refused with the nearest one")
    expect(failure(trainer.set_array, "x", x.astype(complex)).status == mb.ERR_ARGUMENT, "a type is refused by name")
    expect(failure(context.load_plugin, "absent.so").status == mb.ERR_IO, "a plugin that is not there is an error")
    expect(mb.status_name(mb.OK) == "success" and mb.version(), "statuses and the version are texts")


def test_callbacks(context):
    def each(_):
        raise KeyError("own")
    trainer = trainer_of(context)
    trainer.set_callback(each)
    try:
        trainer.run()
        thrown = False
    except KeyError:
        thrown = rank == 0
    except mb.Error as error:
        thrown = error.status == mb.ERR_STOPPED
    expect(thrown, "what a callback raises stops the run and comes out of it")
    expect(lines or rank != 0, "the log gets the library's lines")


def test_files(_):
    if rank != 0:
        expect(True, "")
        expect(True, "")
        return
    planner = mb.Planner("start.h5", ranks=4)
    planner.run()
    planner.simulate()
    expect(planner.get("ranks") == 4 and planner.get("work", 0) > 0 and planner.get("simulated_seconds") > 0
           and planner.text(), "a planner plans and simulates")
    mb.convert("trained.h5", "trained.keras")
    mb.configure("start.h5", "configured.h5", epochs=3)
    mb.configure("configured.h5", epochs=None)
    expect(mb.inspect("trained.h5") and mb.compare("trained.h5", "trained.h5")[0] and mb.checkpoints("run")
           and mb.average(["trained.h5", "apart.h5"], "mean.h5") == 4 and mb.export("trained.h5", "part.h5")[0] == 4
           and mb.build_data(["points.csv"], "again.h5", label="label") and failure(mb.inspect, "absent.h5").rank == -1,
           "files are looked at, averaged, exported, converted and configured")


def test_quantizer(context):
    quantizer = mb.Quantizer(context, "trained.h5")
    quantizer.set(format="fp16")
    quantizer.run()
    quantizer.run("small.h5")
    expect(quantizer.get("bytes_after") < quantizer.get("bytes_before") and os.path.exists("small.h5"),
           "a quantizer makes a smaller file")


with mb.Context(comm) as world:
    world.set_log(lambda level, line: lines.append(line), mb.LEVEL_DEBUG)
    for test in (test_model, test_building, test_run_callbacks, test_training, test_samples, test_beside,
                 test_predictor, test_errors, test_callbacks, test_quantizer, test_files):
        test(world)
    world.set_log(None)
