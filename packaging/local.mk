# What others install the library by, and hold it to.

# `make update-abi` records the binary interface anew; tests/unit/abi.sh compares it.
libmb_soname = libmb.so.`echo $(LIBMB_VERSION_INFO) | $(AWK) -F: '{ print $$1 - $$3 }'`
update-abi:
	$(AM_V_GEN)AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/abi.sh $(top_srcdir)/include "$(libmb_soname)" \
	  '$(CC) $(MPI_CFLAGS)' >packaging-abi.tmp && mv packaging-abi.tmp $(top_srcdir)/packaging/libmb.abi
.PHONY: update-abi
EXTRA_DIST += build-aux/abi.awk build-aux/abi.sh packaging/libmb.abi
SHELL_TESTS += tests/unit/abi.sh
tests/unit/abi.log: libmb.la

# find_package(mb) of CMake.
cmakedir = $(libdir)/cmake/mb
cmake_DATA = packaging/cmake/mb-config.cmake packaging/cmake/mb-config-version.cmake
EXTRA_DIST += packaging/cmake/mb-config.cmake.in packaging/cmake/mb-config-version.cmake.in
# Folders are known to make only.
substituted = $(AM_V_GEN)$(MKDIR_P) $(@D) && $(SED) -e 's|@libdir[@]|$(libdir)|g' -e 's|@includedir[@]|$(includedir)|g' \
	-e 's|@prefix[@]|$(prefix)|g' -e 's|@bindir[@]|$(bindir)|g' -e 's|@mandir[@]|$(mandir)|g' \
	-e 's|@pkgconfigdir[@]|$(pkgconfigdir)|g' -e 's|@cmakedir[@]|$(cmakedir)|g' \
	-e 's|@MPICC[@]|$(MPICC)|g' -e 's|@VERSION[@]|$(VERSION)|g'
packaging/cmake/mb-config.cmake: $(top_srcdir)/packaging/cmake/mb-config.cmake.in Makefile
	$(substituted) $(top_srcdir)/$@.in >$@.tmp && mv $@.tmp $@
packaging/cmake/mb-config-version.cmake: $(top_srcdir)/packaging/cmake/mb-config-version.cmake.in Makefile
	$(substituted) $(top_srcdir)/$@.in >$@.tmp && mv $@.tmp $@
CLEANFILES += packaging/cmake/mb-config.cmake packaging/cmake/mb-config-version.cmake
