/* mb.hpp as a program uses it. Argument: the digest that the tool has for the same points. */
#include <mb/mb.hpp>

#include <array>
#include <cstdio>
#include <cstring>

static int process;

static void expect(bool holds, const char *name)
{
    int own = holds, all = 0;
    MPI_Allreduce(&own, &all, 1, MPI_INT, MPI_LAND, MPI_COMM_WORLD);
    if (process == 0)
        std::printf("%sok %s\n", all ? "" : "not ", name);
}

template <class Call> static mb::error failure_of(const Call &call)
{
    try {
        call();
    } catch (const mb::error &error) {
        return error;
    }
    return mb::error(MB_OK, "");
}

constexpr int samples = 64;
static std::array<float, 2 * samples> x;
static std::vector<std::int32_t> y(samples);

static void make_points()
{
    for (std::size_t i = 0; i < samples; i++) {
        float a = x[2 * i] = static_cast<float>(i * 37 % 64) / 32 - 1;
        float b = x[2 * i + 1] = static_cast<float>((i * 53 + 11) % 64) / 32 - 1;
        y[i] = a * a + b * b < 0.5f;
    }
}

static mb::trainer trainer_of(const mb::context &context)
{
    mb::trainer trainer(context, "start.h5");
    trainer.set("steps", "12");
    trainer.set("batch", "16");
    trainer.set("replicas", "2");
    trainer.set("micro-batch", "4");
    trainer.set_array("x", x, {samples, 2});
    trainer.set_array("y", y.data(), {samples});
    return trainer;
}

static void test_model(mb::context &context)
{
    mb::create_preset(context, "mlp", "input=2 hidden=8 classes=2", "start.h5");
    MPI_Barrier(MPI_COMM_WORLD);
    mb::model model("start.h5");
    mb::model moved = std::move(model);
    expect(moved.inputs() == 1 && moved.outputs() == 1 && moved.parameters() == 42,
           "a model has its counts");
    expect(moved.input(0).shape == mb::shape{2} && !moved.output(0).name.empty(),
           "inputs and outputs are described");
    MPI_Barrier(MPI_COMM_WORLD);
}

static mb_status_t register_nothing(const mb_plugin_host *, mb_plugin *)
{
    return MB_OK;
}

static void test_building(mb::context &context)
{
    mb::model model = mb::model::create("built");
    model.add_input("points", {2});
    model.add("Dense", "units=3 activation=tanh", {}, "hidden");
    model.add("Dense", "units=1", {"hidden"}, "left");
    model.add("Dense", "units=1", {"hidden"}, "right");
    model.call("right", {"hidden"});
    model.add("Add", "", {"left", "right", "right:1"}, "sum");
    model.set_outputs({"sum"});
    model.set("loss", "mse");
    std::vector<float> kernel{1, 2, 3, 4, 5, 6}, read(6);
    model.set_weight("hidden/kernel", kernel);
    expect(model.weights() == 6 && model.weight(0).shape == mb::shape{2, 3} &&
               model.summary().find("hidden") != std::string::npos,
           "a model is built layer by layer");
    model.save(context, "built.h5");
    MPI_Barrier(MPI_COMM_WORLD);
    mb::model("built.h5").get_weight("hidden/kernel", read);
    expect(read == kernel, "a weight that was set is in the file");
    context.register_own(register_nothing);
    const std::string own = "built" + std::to_string(process) + ".h5";
    model.save(own);
    expect(mb::model(own).parameters() == model.parameters(), "a process saves a model alone");
}

/* Two epochs with validation, and the files of a run. */
static void test_run_callbacks(mb::context &context)
{
    int validated = 0;
    std::vector<std::string> files;
    mb::trainer trainer(context, "start.h5");
    trainer.set("epochs", "2");
    trainer.set("val-split", "0.5");
    trainer.set("run", "run");
    trainer.set_array("x", x, {samples, 2});
    trainer.set_array("y", y, {samples});
    trainer.set_evaluation_callback(
        [&](const mb::trainer &of) { validated += of.get("val_loss") > 0; });
    trainer.set_save_callback(
        [&](const mb::trainer &, const char *path) { files.emplace_back(path); });
    trainer.run();
    bool last = !files.empty() && files.back().find("final.h5") != std::string::npos;
    expect(process != 0 || (validated == 2 && last), "validations and files are called back");
}

static void test_training(mb::context &context, const char *wanted)
{
    int steps = 0;
    mb::trainer trainer = trainer_of(context);
    trainer.set_callback([&](const mb::trainer &of) {
        steps++;
        if (of.get("step") == 5)
            of.stop();
    });
    trainer.start();
    mb::trainer moved = std::move(trainer);
    auto [loss, done] = moved.step();
    expect(loss > 0 && !done, "a step tells its loss, also in a trainer that was moved");
    expect(!moved.run_until_stopped() && moved.get("step") < 12, "a callback stops a run");
    moved.run();
    expect(steps == (process == 0 ? 12 : 0), "a callback sees every step");
    moved.save("trained.h5", true);
    moved.close();
    char found[17];
    std::snprintf(found, sizeof found, "%016llx",
                  static_cast<unsigned long long>(mb::checkpoint::digest("trained.h5").weights));
    expect(std::strcmp(found, wanted) == 0, "the weights have the digest that the tool has");
    expect(mb::checkpoint::verify("trained.h5") && mb::checkpoint::get("trained.h5", "step") == 12,
           "a checkpoint has its seal and counters");
}

/* Of two ranks the first has 24 samples, and of each the class is read from among others. */
static void test_samples(mb::context &context)
{
    std::int32_t classes[samples][3];
    for (std::size_t i = 0; i < samples; i++)
        classes[i][1] = y[i];
    const int first = process == 0 ? 0 : 24, count = process == 0 ? 24 : samples - 24;
    mb::trainer trainer(context, "start.h5");
    trainer.set("steps", "12");
    trainer.set("batch", "16");
    trainer.set("replicas", "2");
    trainer.set("micro-batch", "4");
    trainer.set_samples("x", x.data() + 2 * first, {count, 2});
    trainer.set_samples("y", &classes[first][1], {count}, {sizeof classes[0]});
    trainer.run();
    trainer.save("apart.h5", true);
    expect(mb::checkpoint::digest("apart.h5").weights ==
               mb::checkpoint::digest("trained.h5").weights,
           "samples where they lie give the same bits");
}

static void test_reservoir(mb::context &context)
{
    mb::reservoir reservoir(context, "uniform", 16, 3);
    reservoir.set_shape<float>("x", {2});
    reservoir.set_shape<std::int32_t>("y", {});
    reservoir.add(samples, {x.data(), y.data()});
    reservoir.update();
    mb::trainer trainer(context, "start.h5");
    trainer.set("steps", "2");
    trainer.set_reservoir(reservoir);
    trainer.run();
    reservoir.add(3, {x.data(), y.data()});
    trainer.renew();
    trainer.run();
    mb::reservoir::counts counts = reservoir.count();
    expect(counts.all == 16 && counts.stream == 2 * (samples + 3) && trainer.get("step") == 4,
           "a reservoir keeps a part of a stream and is renewed");
    expect(reservoir.get<float>("x").count == counts.own, "what a rank keeps can be read");
}

/* Steps beside the program, and the weights from memory as from the file. */
static void test_beside(mb::context &context)
{
    mb::trainer trainer = trainer_of(context);
    trainer.start();
    trainer.submit(5);
    while (!trainer.test(0.01)) {
    }
    trainer.wait();
    bool submitted = trainer.get("step") == 5;
    std::int64_t steps = trainer.run_for(60);
    expect(submitted && steps == 7, "steps go on beside the program, and for a time");
    std::vector<float> memory(2 * samples), file(2 * samples);
    mb::predictor predictor(context, "start.h5");
    predictor.set("independent", "yes");
    predictor.set_device_array("x", x.data(), {samples, 2});
    predictor.set_device_output("y", memory.data(), 2 * samples);
    predictor.load(trainer);
    predictor.run();
    mb::predictor other(context, "trained.h5");
    other.set("independent", "yes");
    other.set_array("x", x, {samples, 2});
    other.set_output("y", file);
    other.start();
    other.run();
    expect(memory == file, "a predictor takes a trainer's weights from memory");
}

static void test_predictor(mb::context &context)
{
    std::vector<float> logits(2 * samples);
    mb::predictor predictor(context, "trained.h5");
    predictor.set("batch", "32");
    predictor.set_array("x", x, {samples, 2});
    predictor.set_array("y", y, {samples});
    predictor.set_output("y", logits);
    predictor.run();
    predictor.evaluate();
    int right = 0;
    for (std::size_t i = 0; i < samples; i++)
        right += (logits[2 * i + 1] > logits[2 * i]) == (y[i] == 1);
    expect(right == static_cast<int>(predictor.get("accuracy") * samples + 0.5),
           "predictions are those that the evaluation counts");
    predictor.evaluate_file("points.h5");
    predictor.run_file("points.h5", "answers.h5");
    expect(predictor.get("samples") == samples, "files are evaluated and predicted");
}

static void test_errors(mb::context &context)
{
    mb::error error = failure_of([&] { trainer_of(context).set("epoch", "1"); });
    expect(error.status() == MB_ERR_ARGUMENT && std::strstr(error.what(), "epochs") != nullptr,
           "an unknown key is thrown with the nearest one");
    error = failure_of([&] { trainer_of(context).set_array("x", x, {samples, 3}); });
    expect(error.status() == MB_ERR_SHAPE, "a container that its shape does not fit is refused");
    error = failure_of([&] { mb::model("absent.h5"); });
    expect(error.status() == MB_ERR_IO, "a file that is not there is thrown");
    error = failure_of([&] { context.load_plugin("absent.so"); });
    expect(error.status() == MB_ERR_IO, "a plugin that is not there is thrown");
    expect(std::strcmp(mb::status_name(MB_OK), "success") == 0 && mb::version()[0] != '\0',
           "statuses and the version are texts");
}

/* Rank 0's own exception; the others are told that the run was stopped. */
static void test_callbacks(mb::context &context)
{
    bool thrown = false;
    int lines = 0;
    context.set_log([&](mb_level_t, const char *) { lines++; }, MB_LEVEL_DEBUG);
    mb::trainer trainer = trainer_of(context);
    trainer.set_callback([](const mb::trainer &) { throw std::out_of_range("own"); });
    try {
        thrown = !trainer.run_until_stopped();
    } catch (const std::out_of_range &) {
        thrown = process == 0;
    }
    expect(thrown, "what a callback throws stops the run and comes out of it");
    expect(lines > 0 || process != 0, "the log gets the library's lines");
    context.set_log(nullptr);
}

static void test_quantizer(mb::context &context)
{
    mb::quantizer quantizer(context, "trained.h5");
    quantizer.set("format", "fp16");
    quantizer.measure();
    quantizer.run("small.h5");
    expect(quantizer.get("bytes_after") < quantizer.get("bytes_before"),
           "a quantizer makes a smaller file");
}

/* What one process does alone. */
static void test_files()
{
    bool planned = true, files = true;
    if (process == 0) {
        mb::planner planner("start.h5");
        planner.set("ranks", "4");
        planner.run();
        planner.simulate();
        planned = planner.get("ranks") == 4 && planner.get_stage(0, "work") > 0 &&
                  planner.get("simulated_seconds") > 0 && planner.text()[0] == '{';
        const mb::options label{{"label", "label"}};
        files = mb::checkpoint::inspect("trained.h5")[0] == '{' &&
                mb::checkpoint::compare("trained.h5", "trained.h5").equal &&
                mb::checkpoint::list("run")[0] == '{' &&
                mb::checkpoint::average({"trained.h5", "apart.h5"}, "mean.h5") == 4 &&
                mb::checkpoint::export_part("trained.h5", "part.h5").weights == 4 &&
                mb::build_data({"points.csv"}, "again.h5", label)[0] == '{';
        mb::checkpoint::convert("trained.h5", "trained.keras");
        mb::checkpoint::configure("start.h5", {{"epochs", "3"}}, "configured.h5");
        mb::checkpoint::configure("configured.h5", {}, "", {"epochs"});
        mb::error error = failure_of([] { mb::checkpoint::inspect("absent.h5"); });
        files = files && error.status() == MB_ERR_IO && error.rank() == -1;
    }
    expect(planned, "a planner plans and simulates");
    expect(files, "files are looked at, averaged, exported, converted and configured");
}

static void test_lifetime()
{
    mb::context context(MPI_COMM_SELF);
    mb::trainer trainer = trainer_of(context);
    mb::error error = failure_of([&] { context.close(); });
    expect(error.status() == MB_ERR_ARGUMENT, "a context is not closed while a trainer lives");
    mb::context moved = std::move(context);
    trainer.close();
    moved.close();
    const std::string own = "alone" + std::to_string(process) + ".h5";
    mb::create_preset("mlp", "input=2", own);
    expect(mb::model(own).outputs() == 1, "a process makes a model alone");
}

int main(int argc, char **argv)
{
    int provided;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
    MPI_Comm_rank(MPI_COMM_WORLD, &process);
    make_points();
    try {
        mb::context context(MPI_COMM_WORLD);
        test_model(context);
        test_building(context);
        test_run_callbacks(context);
        test_training(context, argc > 1 ? argv[1] : "");
        test_samples(context);
        test_reservoir(context);
        test_beside(context);
        test_predictor(context);
        test_errors(context);
        test_callbacks(context);
        test_quantizer(context);
        test_files();
        test_lifetime();
    } catch (const std::exception &error) {
        std::fprintf(stderr, "rank %d: %s\n", process, error.what());
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
    MPI_Finalize();
    return 0;
}
