mbrun_SOURCES += \
	src/cli/alone.c src/cli/alone.h \
	src/cli/args.c \
	src/cli/average.c \
	src/cli/bounded.c src/cli/bounded.h \
	src/cli/bench.c \
	src/cli/bench_profile.c src/cli/bench_profile.h \
	src/cli/batch.c src/cli/batch.h \
	src/cli/bar.c src/cli/bar.h \
	src/cli/child.c src/cli/child.h \
	src/cli/command.h \
	src/cli/completion.c \
	src/cli/configure.c \
	src/cli/convert.c \
	src/cli/data.c \
	src/cli/diff.c \
	src/cli/diff_text.c src/cli/diff_text.h \
	src/cli/eval.c \
	src/cli/export.c \
	src/cli/help.c \
	src/cli/info.c \
	src/cli/inspect.c \
	src/cli/job.c \
	src/cli/job.h \
	src/cli/ls.c \
	src/cli/main.c \
	src/cli/models.c src/cli/models.h \
	src/cli/net.c src/cli/net.h \
	src/cli/new.c \
	src/cli/options.c \
	src/cli/output.c src/cli/output.h \
	src/cli/layouts_text.c src/cli/layouts_text.h \
	src/cli/picture.c \
	src/cli/picture.h \
	src/cli/plan.c \
	src/cli/predict.c src/cli/predict.h \
	src/cli/predict_several.c \
	src/cli/probe.c src/cli/probe.h \
	src/cli/quantize.c \
	src/cli/quantize_text.c \
	src/cli/quantize_text.h \
	src/cli/progress.c \
	src/cli/progress.h \
	src/cli/recorded.c src/cli/recorded.h \
	src/cli/report_json.c \
	src/cli/report_json.h \
	src/cli/run.c src/cli/run.h \
	src/cli/roll.c src/cli/roll.h \
	src/cli/say.c \
	src/cli/say.h \
	src/cli/several.c src/cli/several.h \
	src/cli/signals.c \
	src/cli/signals.h \
	src/cli/simulate.c \
	src/cli/simulate_text.c src/cli/simulate_text.h \
	src/cli/submit.c \
	src/cli/submit_script.c src/cli/submit_script.h \
	src/cli/supervise.c \
	src/cli/supervise_hosts.c src/cli/supervise_hosts.h \
	src/cli/supervise_notice.c src/cli/supervise_notice.h \
	src/cli/supervise_progress.c src/cli/supervise_progress.h \
	src/cli/supervise_rewrite.c \
	src/cli/supervise_start.c src/cli/supervise_start.h \
	src/cli/supervise_words.c src/cli/supervise_words.h \
	src/cli/time_text.c src/cli/time_text.h \
	src/cli/trace.c \
	src/cli/traced.c src/cli/traced.h \
	src/cli/train.c src/cli/train.h \
	src/cli/train_several.c
