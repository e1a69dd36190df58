# The bindings: each language's program makes every call on two ranks and compares its digest with the tool's, and each
# has all that mb.h declares.
if HAVE_FORTRAN
EXTRA_PROGRAMS += tests/bindings/test_fortran
tests_bindings_test_fortran_SOURCES = tests/bindings/test_fortran.f90
tests_bindings_test_fortran_FCFLAGS = $(MPI_FCFLAGS) $(SANITIZE_CFLAGS)
tests_bindings_test_fortran_LDADD = libmb_fortran.la libmb.la $(MPI_FCLIBS)
tests_bindings_test_fortran_LDFLAGS = $(SANITIZE_CFLAGS)
tests/bindings/test_fortran-test_fortran.$(OBJEXT): libmb_fortran.la
tests/bindings/fortran.log: tests/bindings/test_fortran$(EXEEXT) mbrun$(EXEEXT)
CLEANFILES += tests/bindings/test_fortran$(EXEEXT) test_callbacks.mod
else
EXTRA_DIST += tests/bindings/test_fortran.f90
endif
SHELL_TESTS += tests/bindings/fortran.sh
EXTRA_DIST += tests/bindings/lib.sh
SHELL_TESTS += tests/bindings/cxx.sh
tests/bindings/cxx.log: libmb.la mbrun$(EXEEXT)
EXTRA_DIST += tests/bindings/test_cxx.cpp
SHELL_TESTS += tests/bindings/python.sh tests/bindings/complete.sh
tests/bindings/python.log: libmb.la mbrun$(EXEEXT)
EXTRA_DIST += tests/bindings/test_python.py tests/bindings/arguments.awk
