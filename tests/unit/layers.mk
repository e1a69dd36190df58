layer_test_sources = tests/unit/layer_fixture.c tests/unit/layer_fixture.h \
	tests/unit/layer_reference.c tests/unit/layer_reference.h $(deferred_sources)

check_PROGRAMS += tests/unit/test_layer_gradients
tests_unit_test_layer_gradients_SOURCES = tests/unit/test_layer_gradients.c $(layer_test_sources)
tests_unit_test_layer_gradients_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_layer_keras
tests_unit_test_layer_keras_SOURCES = tests/unit/test_layer_keras.c $(layer_test_sources)
tests_unit_test_layer_keras_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_layer_config
tests_unit_test_layer_config_SOURCES = tests/unit/test_layer_config.c $(layer_test_sources)
tests_unit_test_layer_config_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_layer_state
tests_unit_test_layer_state_SOURCES = tests/unit/test_layer_state.c $(layer_test_sources)
tests_unit_test_layer_state_LDADD = $(UNIT_LIBS)

# Operations and layers beside Keras.
SHELL_TESTS += tests/keras/operators.sh
tests/keras/operators.log: mbrun$(EXEEXT)
EXTRA_DIST += tests/keras/operators.py tests/keras/beside_lib.sh
check_PROGRAMS += tests/unit/test_layer_windows
tests_unit_test_layer_windows_SOURCES = tests/unit/test_layer_windows.c tests/unit/layer_fixture.c \
	tests/unit/layer_fixture.h $(deferred_sources)
tests_unit_test_layer_windows_LDADD = $(UNIT_LIBS)

SHELL_TESTS += tests/keras/convolutions.sh tests/keras/pooling.sh
tests/keras/convolutions.log tests/keras/pooling.log: mbrun$(EXEEXT)
EXTRA_DIST += tests/keras/convolutions.py
# Beside Keras' own layers.
SHELL_TESTS += tests/keras/recurrent.sh tests/keras/masks.sh
tests/keras/recurrent.log tests/keras/masks.log: mbrun$(EXEEXT)
EXTRA_DIST += tests/keras/recurrent.py tests/keras/masks.py
