check_PROGRAMS += tests/unit/test_loss tests/unit/test_optimizer tests/unit/test_lr_schedule \
	tests/unit/test_preset tests/unit/test_loss_scale
tests_unit_test_loss_scale_SOURCES = tests/unit/test_loss_scale.c
tests_unit_test_loss_scale_LDADD = $(UNIT_LIBS)
check_PROGRAMS += tests/unit/test_metric
tests_unit_test_metric_SOURCES = tests/unit/test_metric.c tests/support/op_check.c \
	tests/support/op_check.h
tests_unit_test_metric_LDADD = $(UNIT_LIBS)
SHELL_TESTS += tests/keras/metrics.sh
tests/keras/metrics.log: mbrun$(EXEEXT)
EXTRA_DIST += tests/keras/metrics.py
tests_unit_test_loss_SOURCES = tests/unit/test_loss.c tests/unit/optim_refs.c tests/unit/optim_refs.h
tests_unit_test_loss_LDADD = $(UNIT_LIBS)
tests_unit_test_optimizer_SOURCES = tests/unit/test_optimizer.c tests/unit/optim_refs.c \
	tests/unit/optim_refs.h
tests_unit_test_optimizer_LDADD = $(UNIT_LIBS)
tests_unit_test_lr_schedule_SOURCES = tests/unit/test_lr_schedule.c tests/unit/optim_refs.c \
	tests/unit/optim_refs.h
tests_unit_test_lr_schedule_LDADD = $(UNIT_LIBS)
tests_unit_test_preset_SOURCES = tests/unit/test_preset.c tests/unit/optim_refs.c \
	tests/unit/optim_refs.h
tests_unit_test_preset_LDADD = $(UNIT_LIBS)
SHELL_TESTS += tests/keras/losses.sh
tests/keras/losses.log: mbrun$(EXEEXT)
EXTRA_DIST += tests/keras/losses.py
EXTRA_DIST += tests/tools/make_optimizer_refs.py tests/tools/make_loss_refs.py
check_PROGRAMS += tests/unit/test_masks
tests_unit_test_masks_SOURCES = tests/unit/test_masks.c tests/support/graph_text.c tests/support/graph_text.h
tests_unit_test_masks_LDADD = $(UNIT_LIBS)
check_PROGRAMS += tests/unit/test_row_weights
tests_unit_test_row_weights_SOURCES = tests/unit/test_row_weights.c
tests_unit_test_row_weights_LDADD = $(UNIT_LIBS)

# Run by its script.
EXTRA_PROGRAMS += tests/keras/optimize
CLEANFILES += tests/keras/optimize$(EXEEXT)
tests_keras_optimize_SOURCES = tests/keras/optimize.c
tests_keras_optimize_LDADD = $(UNIT_LIBS)
SHELL_TESTS += tests/keras/optimizers.sh
tests/keras/optimizers.log: tests/keras/optimize$(EXEEXT) mbrun$(EXEEXT)
EXTRA_DIST += tests/keras/optimizers.py tests/keras/optimizers_trained.py

check_PROGRAMS += tests/unit/test_optimizer_rules
tests_unit_test_optimizer_rules_SOURCES = tests/unit/test_optimizer_rules.c
tests_unit_test_optimizer_rules_LDADD = $(UNIT_LIBS)
