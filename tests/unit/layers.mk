layer_test_sources = tests/unit/layer_fixture.c tests/unit/layer_fixture.h \
	tests/unit/layer_reference.c tests/unit/layer_reference.h \
	tests/unit/layer_reference_axes.c tests/unit/layer_reference_conv_lstm.c \
	tests/unit/layer_reference_masked.c tests/unit/layer_reference_spread.c \
	tests/unit/layer_reference_noise.c tests/unit/layer_reference_scores.c $(deferred_sources)

check_PROGRAMS += tests/unit/test_layer_gradients
tests_unit_test_layer_gradients_SOURCES = tests/unit/test_layer_gradients.c $(layer_test_sources)
tests_unit_test_layer_gradients_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_layer_keras
tests_unit_test_layer_keras_SOURCES = tests/unit/test_layer_keras.c $(layer_test_sources)
tests_unit_test_layer_keras_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_layer_config
tests_unit_test_layer_config_SOURCES = tests/unit/test_layer_config.c $(layer_test_sources)
tests_unit_test_layer_config_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_layer_kept
tests_unit_test_layer_kept_SOURCES = tests/unit/test_layer_kept.c $(layer_test_sources)
tests_unit_test_layer_kept_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_layer_state
tests_unit_test_layer_state_SOURCES = tests/unit/test_layer_state.c $(layer_test_sources)
tests_unit_test_layer_state_LDADD = $(UNIT_LIBS)

# Operations and layers beside Keras.
SHELL_TESTS += tests/keras/operators.sh tests/keras/kinks.sh
tests/keras/operators.log tests/keras/kinks.log: mbrun$(EXEEXT)
EXTRA_DIST += tests/keras/operators.py tests/keras/cases.py tests/keras/operator_cases.py tests/keras/layer_cases.py \
	tests/keras/kinks.py tests/keras/compare.py tests/keras/lib.sh
check_PROGRAMS += tests/unit/test_layer_windows
tests_unit_test_layer_windows_SOURCES = tests/unit/test_layer_windows.c tests/unit/layer_fixture.c \
	tests/unit/layer_fixture.h $(deferred_sources)
tests_unit_test_layer_windows_LDADD = $(UNIT_LIBS)

SHELL_TESTS += tests/keras/convolutions.sh tests/keras/plugin.sh tests/keras/pooling.sh \
	tests/keras/presets.sh
tests/keras/convolutions.log tests/keras/plugin.log tests/keras/pooling.log \
tests/keras/presets.log: mbrun$(EXEEXT)
EXTRA_PROGRAMS += tests/tools/build_model
CLEANFILES += tests/tools/build_model$(EXEEXT)
tests_tools_build_model_SOURCES = tests/tools/build_model.c
tests_tools_build_model_LDADD = libmb.la $(MPI_LIBS)
tests/keras/presets.log: tests/tools/build_model$(EXEEXT)
EXTRA_DIST += tests/keras/convolutions.py tests/keras/plugin.py tests/keras/presets.py
# Beside Keras' own layers.
SHELL_TESTS += tests/keras/recurrent.sh tests/keras/masks.sh tests/keras/stateful.sh
tests/keras/recurrent.log tests/keras/masks.log tests/keras/stateful.log: mbrun$(EXEEXT)
EXTRA_DIST += tests/keras/recurrent.py tests/keras/masks.py tests/keras/stateful.py

# Random graphs of all of them, and their keys.
SHELL_TESTS += tests/keras/graphs.sh tests/keras/keys.sh
tests/keras/graphs.log tests/keras/keys.log: mbrun$(EXEEXT)
EXTRA_DIST += tests/keras/graphs.py tests/keras/random_graphs.py tests/keras/graph_nodes.py tests/campaign/graphs.sh \
	tests/keras/keys.py tests/keras/key_values.py tests/campaign/keys.sh

# What of Keras is obeyed, from the code itself.
EXTRA_PROGRAMS += tests/tools/keras_table
CLEANFILES += tests/tools/keras_table$(EXEEXT) tests/keras/table.md
tests_tools_keras_table_SOURCES = tests/tools/keras_table.c
tests_tools_keras_table_LDADD = libmbcheck.la
SHELL_TESTS += tests/keras/table.sh
tests/keras/table.log: tests/tools/keras_table$(EXEEXT)
.PHONY: keras-table
keras-table: tests/tools/keras_table$(EXEEXT)
	tests/tools/keras_table $(top_srcdir)/tests/data/keras.json >$(top_srcdir)/doc/keras.md
EXTRA_DIST += tests/tools/make_keras_configs.py tests/campaign/keras.sh
