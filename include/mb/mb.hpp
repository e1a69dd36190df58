/* libmb for C++17: the calls of <mb/mb.h> as move-only objects that end themselves, and errors as
 * exceptions.
 *
 *     mb::context context(MPI_COMM_WORLD);
 *     mb::trainer trainer(context, "model.h5");
 *     trainer.set("epochs", "10");
 *     trainer.set_array("x", x, {samples, 12});    // a std::vector<float>, or a pointer
 *     trainer.run();
 *     trainer.save("trained.h5", true);
 *
 * What a call does, whether it is collective and what errors it has stands in <mb/mb.h>; a status
 * other than MB_OK is thrown as mb::error. An object keeps its context alive, and what it holds
 * ends with it: where that is collective (a context, a trainer that was started) it ends at the
 * same place on all ranks, and before MPI_Finalize. close() ends it at once, and throws what the
 * end says.
 *
 * Arrays are not copied. What a callback throws is kept, stops a run of mb::trainer, and comes out
 * of the call that the callback was made from. */
#ifndef MB_MB_HPP
#define MB_MB_HPP

#include <mb/mb.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <iterator>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace mb
{

/* What a call failed with: what() is the library's message. */
class error : public std::runtime_error
{
  public:
    error(mb_status_t status, const std::string &message, int rank = -1)
        : std::runtime_error(message), status_(status), rank_(rank)
    {
    }
    mb_status_t status() const noexcept
    {
        return status_;
    }
    /* Where it arose, in the context's communicator; -1 where that is not known. */
    int rank() const noexcept
    {
        return rank_;
    }

  private:
    mb_status_t status_;
    int rank_;
};

inline void check(mb_status_t status)
{
    if (status != MB_OK)
        throw error(status, mb_error_message(), mb_error_rank());
}

inline const char *version()
{
    return mb_version();
}
inline const char *status_name(mb_status_t status)
{
    return mb_status_name(status);
}

/* Numbers of dimensions, the one that counts samples first. */
using shape = std::vector<std::int64_t>;

template <class T> constexpr mb_type_t type_of()
{
    using plain = std::remove_cv_t<T>;
    if constexpr (std::is_same_v<plain, float>)
        return MB_FLOAT32;
    else if constexpr (std::is_same_v<plain, double>)
        return MB_FLOAT64;
    else if constexpr (std::is_same_v<plain, std::int32_t>)
        return MB_INT32;
    else if constexpr (std::is_same_v<plain, std::int64_t>)
        return MB_INT64;
    else {
        static_assert(std::is_same_v<plain, std::uint8_t>,
                      "arrays hold float, double, int32_t, int64_t or uint8_t");
        return MB_UINT8;
    }
}

namespace detail
{

template <class T, mb_status_t (*Destroy)(T *)> struct destroyer {
    void operator()(T *handle) const noexcept
    {
        static_cast<void>(Destroy(handle));
    }
};

/* Exceptions cannot pass through C: a callback leaves one here, and the next end of a call finds
 * it. The library's own thread may be the one that calls back. */
class pending
{
  public:
    template <class Function> bool run(const Function &function) noexcept
    {
        try {
            function();
            return true;
        } catch (...) {
            const std::lock_guard<std::mutex> lock(mutex_);
            if (!thrown_)
                thrown_ = std::current_exception();
            return false;
        }
    }
    void check(mb_status_t status)
    {
        std::exception_ptr thrown;
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            thrown = std::exchange(thrown_, nullptr);
        }
        if (thrown)
            std::rethrow_exception(thrown);
        mb::check(status);
    }

  private:
    std::mutex mutex_;
    std::exception_ptr thrown_;
};

/* The context itself, alive until nothing made from it is left. */
struct ranks {
    mb_context_t *handle = nullptr;
    std::function<void(mb_level_t, const char *)> log;
    pending thrown;

    ranks() = default;
    ranks(const ranks &) = delete;
    ranks &operator=(const ranks &) = delete;
    ~ranks()
    {
        static_cast<void>(mb_context_destroy(handle));
    }

    static void line(void *user, mb_level_t level, const char *text)
    {
        auto *self = static_cast<ranks *>(user);
        self->thrown.run([&] { self->log(level, text); });
    }
};

/* A handle of C's, and the context that it was made from. */
template <class T, mb_status_t (*Destroy)(T *)> class object
{
  public:
    T *get_handle() const noexcept
    {
        return handle_.get();
    }

  protected:
    template <class Create> object(std::shared_ptr<ranks> from, const Create &create) : from_(from)
    {
        T *made = nullptr;
        check(create(from_->handle, &made));
        handle_.reset(made);
    }
    void check(mb_status_t status) const
    {
        from_->thrown.check(status);
    }
    void end()
    {
        if (handle_)
            check(Destroy(handle_.release()));
    }

    std::shared_ptr<ranks> from_;
    std::unique_ptr<T, destroyer<T, Destroy>> handle_;
};

inline std::vector<const char *> pointers(const std::vector<std::string> &texts)
{
    std::vector<const char *> list;
    for (const std::string &text : texts)
        list.push_back(text.c_str());
    return list;
}

inline std::int64_t count_of(const shape &dimensions)
{
    std::int64_t count = 1;
    for (std::int64_t dimension : dimensions)
        count *= dimension;
    return count;
}

inline void need_size(const char *name, std::size_t size, const shape &dimensions)
{
    if (static_cast<std::int64_t>(size) != count_of(dimensions))
        throw error(MB_ERR_SHAPE, std::string("array '") + name + "' has " + std::to_string(size) +
                                      " elements; its shape asks for " +
                                      std::to_string(count_of(dimensions)));
}

} // namespace detail

/* The ranks that work together. */
class context
{
  public:
    /* Collective over COMM, which may be freed after the call. */
    explicit context(MPI_Comm comm) : state_(std::make_shared<detail::ranks>())
    {
        check(mb_context_create(comm, &state_->handle));
    }
    context(context &&) noexcept = default;
    context &operator=(context &&) noexcept = default;

    using log_function = std::function<void(mb_level_t level, const char *line)>;
    void set_log(log_function write, mb_level_t least = MB_LEVEL_WARNING)
    {
        bool wanted = static_cast<bool>(write);
        check(mb_context_set_log(state_->handle, nullptr, nullptr, least));
        state_->log = std::move(write);
        check(mb_context_set_log(state_->handle, wanted ? detail::ranks::line : nullptr,
                                 state_.get(), least));
    }
    void load_plugin(const std::string &path)
    {
        state_->thrown.check(mb_context_load_plugin(state_->handle, path.c_str()));
    }
    /* Layers, losses and sources of the program's own, as <mb/plugin.h> declares them. */
    void register_own(mb_register_callback_t entry)
    {
        check(mb_context_register(state_->handle, entry));
    }
    /* Fails, and nothing ends, while something made from it lives. */
    void close()
    {
        check(mb_context_destroy(state_->handle));
        state_->handle = nullptr;
    }

    mb_context_t *get_handle() const noexcept
    {
        return state_->handle;
    }
    const std::shared_ptr<detail::ranks> &shared() const noexcept
    {
        return state_;
    }

  private:
    std::shared_ptr<detail::ranks> state_;
};

/* Writes a model file with initial values: by rank 0 of a context, or by this process alone. */
inline void create_preset(const context &ranks, const std::string &preset,
                          const std::string &settings, const std::string &path)
{
    ranks.shared()->thrown.check(
        mb_model_create_preset(ranks.get_handle(), preset.c_str(), settings.c_str(), path.c_str()));
}
inline void create_preset(const std::string &preset, const std::string &settings,
                          const std::string &path)
{
    check(mb_model_create_preset(nullptr, preset.c_str(), settings.c_str(), path.c_str()));
}

/* Name and shape of a sample of an input or output; -1 where the model leaves a size open. */
struct tensor {
    std::string name;
    mb::shape shape;
};

/* A model of a file, or built layer by layer. */
class model
{
  public:
    explicit model(const std::string &path)
    {
        mb_model_t *made = nullptr;
        check(mb_model_load(path.c_str(), &made));
        handle_.reset(made);
    }
    static model create(const std::string &name)
    {
        mb_model_t *made = nullptr;
        check(mb_model_create(name.c_str(), &made));
        return model(made);
    }

    int inputs() const
    {
        return count<int>(mb_model_count_inputs);
    }
    int outputs() const
    {
        return count<int>(mb_model_count_outputs);
    }
    int weights() const
    {
        return count<int>(mb_model_count_weights);
    }
    std::int64_t parameters() const
    {
        return count<std::int64_t>(mb_model_count_parameters);
    }
    tensor input(int index) const
    {
        return describe(mb_model_describe_input, index);
    }
    tensor output(int index) const
    {
        return describe(mb_model_describe_output, index);
    }
    tensor weight(int index) const
    {
        return describe(mb_model_describe_weight, index);
    }

    /* Of numbers that the data has as T. */
    template <class T = float> void add_input(const std::string &name, const mb::shape &dimensions)
    {
        check(mb_model_add_input(handle_.get(), name.c_str(), type_of<T>(),
                                 static_cast<int>(dimensions.size()), dimensions.data()));
    }
    /* Without inputs it takes what was added last; without a name it has Keras' own. */
    void add(const std::string &class_name, const std::string &config = "",
             const std::vector<std::string> &inputs = {}, const std::string &name = "")
    {
        std::vector<const char *> names = detail::pointers(inputs);
        check(mb_model_add(handle_.get(), class_name.c_str(), name.empty() ? nullptr : name.c_str(),
                           config.empty() ? nullptr : config.c_str(),
                           static_cast<int>(names.size()), names.empty() ? nullptr : names.data()));
    }
    void call(const std::string &name, const std::vector<std::string> &inputs = {})
    {
        std::vector<const char *> names = detail::pointers(inputs);
        check(mb_model_call(handle_.get(), name.c_str(), static_cast<int>(names.size()),
                            names.empty() ? nullptr : names.data()));
    }
    void set_outputs(const std::vector<std::string> &outputs)
    {
        std::vector<const char *> names = detail::pointers(outputs);
        check(mb_model_set_outputs(handle_.get(), static_cast<int>(names.size()), names.data()));
    }
    void set(const std::string &key, const std::string &value)
    {
        check(mb_model_set(handle_.get(), key.c_str(), value.c_str()));
    }
    void get_weight(const std::string &name, std::vector<float> &values) const
    {
        check(mb_model_get_weight(handle_.get(), name.c_str(),
                                  static_cast<std::int64_t>(values.size()), values.data()));
    }
    void set_weight(const std::string &name, const std::vector<float> &values)
    {
        check(mb_model_set_weight(handle_.get(), name.c_str(),
                                  static_cast<std::int64_t>(values.size()), values.data()));
    }
    std::string summary() const
    {
        const char *text = nullptr;
        check(mb_model_summary(handle_.get(), &text));
        return text;
    }
    /* By rank 0 of a context, or by this process alone. */
    void save(const context &ranks, const std::string &path) const
    {
        ranks.shared()->thrown.check(
            mb_model_save(handle_.get(), ranks.get_handle(), path.c_str()));
    }
    void save(const std::string &path) const
    {
        check(mb_model_save(handle_.get(), nullptr, path.c_str()));
    }

    mb_model_t *get_handle() const noexcept
    {
        return handle_.get();
    }
    void close()
    {
        check(mb_model_destroy(handle_.release()));
    }

  private:
    explicit model(mb_model_t *made) : handle_(made)
    {
    }
    template <class Number> Number count(mb_status_t (*ask)(const mb_model_t *, Number *)) const
    {
        Number number = 0;
        check(ask(handle_.get(), &number));
        return number;
    }
    template <class Ask> tensor describe(Ask ask, int index) const
    {
        const char *name = nullptr;
        int rank = 0;
        std::int64_t dimensions[MB_MAX_DIMS];
        check(ask(handle_.get(), index, &name, &rank, dimensions));
        return {name, shape(dimensions, dimensions + rank)};
    }

    std::unique_ptr<mb_model_t, detail::destroyer<mb_model_t, mb_model_destroy>> handle_;
};

/* A bounded choice of a stream of samples. What is made from it ends before it does. */
class reservoir : public detail::object<mb_reservoir_t, mb_reservoir_destroy>
{
  public:
    reservoir(const context &ranks, const std::string &policy, std::int64_t capacity,
              std::uint64_t seed)
        : object(ranks.shared(), [&](mb_context_t *from, mb_reservoir_t **made) {
              return mb_reservoir_create(from, policy.c_str(), capacity, seed, made);
          })
    {
    }

    /* Of one sample. */
    template <class T> void set_shape(const std::string &name, const shape &dimensions)
    {
        check(mb_reservoir_set_shape(handle_.get(), name.c_str(), type_of<T>(),
                                     static_cast<int>(dimensions.size()), dimensions.data()));
    }
    /* An address for each array, in the order in which they were named. */
    void add(std::int64_t count, const std::vector<const void *> &data)
    {
        check(mb_reservoir_add(handle_.get(), count, data.data()));
    }
    void update()
    {
        check(mb_reservoir_update(handle_.get()));
    }
    struct counts {
        std::int64_t own, all, stream;
    };
    counts count() const
    {
        counts found{};
        check(mb_reservoir_count(handle_.get(), &found.own, &found.all, &found.stream));
        return found;
    }
    template <class T> struct kept {
        const T *data;
        std::int64_t count;
    };
    /* What this rank keeps, until the next update. */
    template <class T> kept<T> get(const std::string &name) const
    {
        const void *data = nullptr;
        std::int64_t count = 0;
        check(mb_reservoir_get(handle_.get(), name.c_str(), &count, &data));
        return {static_cast<const T *>(data), count};
    }
    void close()
    {
        end();
    }
};

/* A training run. */
class trainer : public detail::object<mb_trainer_t, mb_trainer_destroy>
{
  public:
    trainer(const context &ranks, const std::string &path)
        : object(ranks.shared(), [&](mb_context_t *from, mb_trainer_t **made) {
              return mb_trainer_create(from, path.c_str(), made);
          })
    {
    }

    void set(const std::string &key, const std::string &value)
    {
        check(mb_trainer_set(handle_.get(), key.c_str(), value.c_str()));
    }
    template <class T>
    void set_array(const std::string &name, const T *data, const shape &dimensions)
    {
        check(mb_trainer_set_array(handle_.get(), name.c_str(), type_of<T>(),
                                   static_cast<int>(dimensions.size()), dimensions.data(), data));
    }
    /* A container, whose size is compared with SHAPE. */
    template <class Container, class = decltype(std::data(std::declval<const Container &>()))>
    void set_array(const std::string &name, const Container &values, const shape &dimensions)
    {
        detail::need_size(name.c_str(), std::size(values), dimensions);
        set_array(name, std::data(values), dimensions);
    }

    /* This rank's own samples; strides in bytes, none where they stand in C's order. */
    template <class T>
    void set_samples(const std::string &name, const T *data, const shape &dimensions,
                     const shape &strides = {}, mb_where_t where = MB_HOST)
    {
        check(mb_trainer_set_samples(handle_.get(), name.c_str(), type_of<T>(),
                                     static_cast<int>(dimensions.size()), dimensions.data(),
                                     strides.empty() ? nullptr : strides.data(), data, where));
    }
    template <class Container, class = decltype(std::data(std::declval<const Container &>()))>
    void set_samples(const std::string &name, const Container &values, const shape &dimensions)
    {
        detail::need_size(name.c_str(), std::size(values), dimensions);
        set_samples(name, std::data(values), dimensions);
    }
    void set_reservoir(const reservoir &from)
    {
        check(mb_trainer_set_reservoir(handle_.get(), from.get_handle()));
    }
    void renew()
    {
        call([this] { return mb_trainer_renew(handle_.get()); });
    }

    using callback = std::function<void(const trainer &)>;
    using save_callback = std::function<void(const trainer &, const char *path)>;
    /* On rank 0 after each step, after each validation, and when a file of the run is complete;
     * they may call stop() and get(). */
    void set_callback(callback function)
    {
        check(mb_trainer_set_callback(handle_.get(), nullptr, nullptr));
        targets().step = std::move(function);
        if (targets_->step)
            check(mb_trainer_set_callback(handle_.get(), pass_step, targets_.get()));
    }
    void set_evaluation_callback(callback function)
    {
        check(mb_trainer_set_evaluation_callback(handle_.get(), nullptr, nullptr));
        targets().evaluation = std::move(function);
        if (targets_->evaluation)
            check(
                mb_trainer_set_evaluation_callback(handle_.get(), pass_evaluation, targets_.get()));
    }
    void set_save_callback(save_callback function)
    {
        check(mb_trainer_set_save_callback(handle_.get(), nullptr, nullptr));
        targets().save = std::move(function);
        if (targets_->save)
            check(mb_trainer_set_save_callback(handle_.get(), pass_save, targets_.get()));
    }

    struct step_result {
        double loss;
        bool done;
    };
    void start()
    {
        call([this] { return mb_trainer_start(handle_.get()); });
    }
    step_result step()
    {
        double loss = 0;
        int done = 0;
        call([&] { return mb_trainer_step(handle_.get(), &loss, &done); });
        return {loss, done != 0};
    }
    void run()
    {
        call([this] { return mb_trainer_run(handle_.get()); });
    }
    /* As run(); false where it was stopped. */
    bool run_until_stopped()
    {
        mb_status_t status = MB_OK;
        call([&] {
            status = mb_trainer_run(handle_.get());
            return status == MB_ERR_STOPPED ? MB_OK : status;
        });
        return status == MB_OK;
    }
    /* Within SECONDS, and the setting `share`; returns how many steps it made. */
    std::int64_t run_for(double seconds)
    {
        std::int64_t steps = 0;
        call([&] { return mb_trainer_run_for(handle_.get(), seconds, &steps); });
        return steps;
    }
    /* Steps that go on beside the program, until wait(). A trainer is not moved meanwhile. */
    void submit(std::int64_t steps)
    {
        call([&] { return mb_trainer_submit(handle_.get(), steps); });
    }
    bool test(double seconds = 0)
    {
        int done = 0;
        call([&] { return mb_trainer_test(handle_.get(), seconds, &done); });
        return done != 0;
    }
    void wait()
    {
        call([this] { return mb_trainer_wait(handle_.get()); });
    }
    void stop() const
    {
        check(mb_trainer_stop(handle_.get()));
    }
    double get(const std::string &name) const
    {
        double value = 0;
        check(mb_trainer_get(handle_.get(), name.c_str(), &value));
        return value;
    }
    void save(const std::string &path, bool state)
    {
        check(mb_trainer_save(handle_.get(), path.c_str(), state));
    }
    void close()
    {
        end();
    }

  private:
    struct targets_t {
        callback step, evaluation;
        save_callback save;
        const trainer *during = nullptr;
    };
    targets_t &targets()
    {
        if (!targets_)
            targets_ = std::make_unique<targets_t>();
        return *targets_;
    }

    /* A trainer may have been moved since a callback was set, but not during a call of its own. */
    template <class Call> void call(const Call &made)
    {
        targets().during = this;
        check(made());
    }
    template <class Function> static void pass(const targets_t *targets, const Function &function)
    {
        const trainer &self = *targets->during;
        if (!self.from_->thrown.run([&] { function(self); }))
            static_cast<void>(mb_trainer_stop(self.handle_.get()));
    }
    static void pass_step(void *user, const mb_trainer_t *)
    {
        auto *targets = static_cast<targets_t *>(user);
        pass(targets, [&](const trainer &self) { targets->step(self); });
    }
    static void pass_evaluation(void *user, const mb_trainer_t *)
    {
        auto *targets = static_cast<targets_t *>(user);
        pass(targets, [&](const trainer &self) { targets->evaluation(self); });
    }
    static void pass_save(void *user, const mb_trainer_t *, const char *path)
    {
        auto *targets = static_cast<targets_t *>(user);
        pass(targets, [&](const trainer &self) { targets->save(self, path); });
    }

    std::unique_ptr<targets_t> targets_;
};

/* A model put to use. */
class predictor : public detail::object<mb_predictor_t, mb_predictor_destroy>
{
  public:
    predictor(const context &ranks, const std::string &path)
        : object(ranks.shared(), [&](mb_context_t *from, mb_predictor_t **made) {
              return mb_predictor_create(from, path.c_str(), made);
          })
    {
    }

    void set(const std::string &key, const std::string &value)
    {
        check(mb_predictor_set(handle_.get(), key.c_str(), value.c_str()));
    }
    template <class T>
    void set_array(const std::string &name, const T *data, const shape &dimensions)
    {
        check(mb_predictor_set_array(handle_.get(), name.c_str(), type_of<T>(),
                                     static_cast<int>(dimensions.size()), dimensions.data(), data));
    }
    template <class Container, class = decltype(std::data(std::declval<const Container &>()))>
    void set_array(const std::string &name, const Container &values, const shape &dimensions)
    {
        detail::need_size(name.c_str(), std::size(values), dimensions);
        set_array(name, std::data(values), dimensions);
    }
    void set_output(const std::string &name, float *values, std::int64_t count)
    {
        check(mb_predictor_set_output(handle_.get(), name.c_str(), count, values));
    }
    template <class Container> void set_output(const std::string &name, Container &values)
    {
        set_output(name, std::data(values), static_cast<std::int64_t>(std::size(values)));
    }

    /* In the memory of the device that the predictor computes on. */
    void set_device_array(const std::string &name, const float *data, const shape &dimensions)
    {
        check(mb_predictor_set_device_array(handle_.get(), name.c_str(),
                                            static_cast<int>(dimensions.size()), dimensions.data(),
                                            data));
    }
    void set_device_output(const std::string &name, float *values, std::int64_t count)
    {
        check(mb_predictor_set_device_output(handle_.get(), name.c_str(), count, values));
    }
    void start()
    {
        check(mb_predictor_start(handle_.get()));
    }
    void load(trainer &from)
    {
        check(mb_predictor_load_trainer(handle_.get(), from.get_handle()));
    }
    void run()
    {
        check(mb_predictor_run(handle_.get()));
    }
    void run_file(const std::string &data, const std::string &output)
    {
        check(mb_predictor_run_file(handle_.get(), data.c_str(), output.c_str()));
    }
    void evaluate()
    {
        check(mb_predictor_evaluate(handle_.get()));
    }
    void evaluate_file(const std::string &data)
    {
        check(mb_predictor_evaluate_file(handle_.get(), data.c_str()));
    }
    double get(const std::string &name) const
    {
        double value = 0;
        check(mb_predictor_get(handle_.get(), name.c_str(), &value));
        return value;
    }
    void close()
    {
        end();
    }
};

/* A model file stored smaller, and what that costs. */
class quantizer : public detail::object<mb_quantizer_t, mb_quantizer_destroy>
{
  public:
    quantizer(const context &ranks, const std::string &path)
        : object(ranks.shared(), [&](mb_context_t *from, mb_quantizer_t **made) {
              return mb_quantizer_create(from, path.c_str(), made);
          })
    {
    }

    void set(const std::string &key, const std::string &value)
    {
        check(mb_quantizer_set(handle_.get(), key.c_str(), value.c_str()));
    }
    void run(const std::string &output)
    {
        check(mb_quantizer_run(handle_.get(), output.c_str()));
    }
    /* Everything but the file. */
    void measure()
    {
        check(mb_quantizer_run(handle_.get(), nullptr));
    }
    double get(const std::string &name) const
    {
        double value = 0;
        check(mb_quantizer_get(handle_.get(), name.c_str(), &value));
        return value;
    }
    void close()
    {
        end();
    }
};

/* What a run on so many ranks would do; it needs no context. */
class planner
{
  public:
    explicit planner(const std::string &path)
    {
        mb_planner_t *made = nullptr;
        check(mb_planner_create(path.c_str(), &made));
        handle_.reset(made);
    }

    void set(const std::string &key, const std::string &value)
    {
        check(mb_planner_set(handle_.get(), key.c_str(), value.c_str()));
    }
    void run()
    {
        check(mb_planner_run(handle_.get()));
    }
    void simulate()
    {
        check(mb_planner_simulate(handle_.get()));
    }
    double get(const std::string &name) const
    {
        double value = 0;
        check(mb_planner_get(handle_.get(), name.c_str(), &value));
        return value;
    }
    double get_stage(int stage, const std::string &name) const
    {
        double value = 0;
        check(mb_planner_get_stage(handle_.get(), stage, name.c_str(), &value));
        return value;
    }
    std::string text() const
    {
        const char *json = nullptr;
        check(mb_planner_text(handle_.get(), &json));
        return json;
    }
    mb_planner_t *get_handle() const noexcept
    {
        return handle_.get();
    }
    void close()
    {
        check(mb_planner_destroy(handle_.release()));
    }

  private:
    std::unique_ptr<mb_planner_t, detail::destroyer<mb_planner_t, mb_planner_destroy>> handle_;
};

/* Keys and values of what works on files. */
using options = std::vector<std::pair<std::string, std::string>>;

namespace detail
{

/* Options as C's two lists, which live as long as the options. */
struct lists {
    std::vector<const char *> keys, values;

    explicit lists(const options &given)
    {
        for (const auto &[key, value] : given) {
            keys.push_back(key.c_str());
            values.push_back(value.c_str());
        }
    }
    int count() const
    {
        return static_cast<int>(keys.size());
    }
};

/* A text that C gives away. */
template <class Call> std::string taken(const Call &call)
{
    char *text = nullptr;
    check(call(&text));
    std::unique_ptr<char, destroyer<char, mb_text_free>> given(text);
    return text == nullptr ? std::string() : std::string(text);
}

} // namespace detail

/* A data file of tables, arrays, images or text; returns what it has, as JSON. */
inline std::string build_data(const std::vector<std::string> &inputs, const std::string &output,
                              const options &settings = {})
{
    std::vector<const char *> names = detail::pointers(inputs);
    detail::lists given(settings);
    return detail::taken([&](char **json) {
        return mb_data_build(static_cast<int>(names.size()), names.data(), given.count(),
                             given.keys.data(), given.values.data(), output.c_str(), json);
    });
}

namespace checkpoint
{

struct digests {
    std::uint64_t weights, full;
};

inline digests digest(const std::string &path)
{
    digests found{};
    check(mb_checkpoint_digest(path.c_str(), &found.weights, &found.full));
    return found;
}
/* Whether the file has a seal, which then holds. */
inline bool verify(const std::string &path)
{
    int sealed = 0;
    check(mb_checkpoint_verify(path.c_str(), &sealed));
    return sealed != 0;
}
inline std::int64_t get(const std::string &path, const std::string &name)
{
    std::int64_t value = 0;
    check(mb_checkpoint_get(path.c_str(), name.c_str(), &value));
    return value;
}

/* Layers, weights, settings and state, as JSON. */
inline std::string inspect(const std::string &path)
{
    return detail::taken([&](char **json) { return mb_checkpoint_inspect(path.c_str(), json); });
}
struct difference {
    bool equal;
    std::string json;
};
inline difference compare(const std::string &a, const std::string &b, double tolerance = 0)
{
    int equal = 0;
    std::string json = detail::taken([&](char **text) {
        return mb_checkpoint_compare(a.c_str(), b.c_str(), tolerance, &equal, text);
    });
    return {equal != 0, json};
}
/* Of a run's directory, as JSON. */
inline std::string list(const std::string &run)
{
    return detail::taken([&](char **json) { return mb_checkpoint_list(run.c_str(), json); });
}
/* Returns how many weights it has. */
inline int average(const std::vector<std::string> &paths, const std::string &output)
{
    int weights = 0;
    std::vector<const char *> names = detail::pointers(paths);
    check(mb_checkpoint_average(static_cast<int>(names.size()), names.data(), output.c_str(),
                                &weights));
    return weights;
}
struct exported {
    int weights, moments;
    bool model;
};
inline exported export_part(const std::string &path, const std::string &output,
                            const options &settings = {})
{
    int weights = 0, moments = 0, model = 0;
    detail::lists given(settings);
    check(mb_checkpoint_export(path.c_str(), given.count(), given.keys.data(), given.values.data(),
                               output.c_str(), &weights, &moments, &model));
    return {weights, moments, model != 0};
}
inline void convert(const std::string &path, const std::string &output,
                    const options &settings = {})
{
    detail::lists given(settings);
    check(mb_checkpoint_convert(path.c_str(), given.count(), given.keys.data(), given.values.data(),
                                output.c_str()));
}
/* Records settings in a copy, or in the file itself where there is no output; those of FORGET are
 * recorded no longer. */
inline void configure(const std::string &path, const options &settings,
                      const std::string &output = "", const std::vector<std::string> &forget = {})
{
    detail::lists given(settings);
    for (const std::string &key : forget) {
        given.keys.push_back(key.c_str());
        given.values.push_back(nullptr);
    }
    check(mb_checkpoint_configure(path.c_str(), given.count(), given.keys.data(),
                                  given.values.data(), output.empty() ? nullptr : output.c_str()));
}

} // namespace checkpoint
} // namespace mb

#endif
