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
	-e 's|@MPICC[@]|$(MPICC)|g' -e 's|@MPIFC[@]|$(MPIFC)|g' -e 's|@VERSION[@]|$(VERSION)|g'
packaging/cmake/mb-config.cmake: $(top_srcdir)/packaging/cmake/mb-config.cmake.in Makefile
	$(substituted) $(top_srcdir)/$@.in >$@.tmp && mv $@.tmp $@
packaging/cmake/mb-config-version.cmake: $(top_srcdir)/packaging/cmake/mb-config-version.cmake.in Makefile
	$(substituted) $(top_srcdir)/$@.in >$@.tmp && mv $@.tmp $@
CLEANFILES += packaging/cmake/mb-config.cmake packaging/cmake/mb-config-version.cmake

EXTRA_DIST += tests/campaign/debian_root.sh tests/support/debian_root.sh

# What the built program says of itself: what shells complete its command lines by, and below its manual pages. A
# program for another machine cannot be asked.
if !CROSS_COMPILING
bashcompletiondir = $(datadir)/bash-completion/completions
zshcompletiondir = $(datadir)/zsh/site-functions
fishcompletiondir = $(datadir)/fish/vendor_completions.d
nodist_bashcompletion_DATA = packaging/completion/mbrun
nodist_zshcompletion_DATA = packaging/completion/_mbrun
nodist_fishcompletion_DATA = packaging/completion/mbrun.fish
endif
completion = $(AM_V_GEN)$(MKDIR_P) $(@D) && ./mbrun$(EXEEXT) completion
packaging/completion/mbrun: mbrun$(EXEEXT)
	$(completion) bash >$@.tmp && mv $@.tmp $@
packaging/completion/_mbrun: mbrun$(EXEEXT)
	$(completion) zsh >$@.tmp && mv $@.tmp $@
packaging/completion/mbrun.fish: mbrun$(EXEEXT)
	$(completion) fish >$@.tmp && mv $@.tmp $@
CLEANFILES += packaging/completion/mbrun packaging/completion/_mbrun packaging/completion/mbrun.fish

# What folders that are distributed as a whole had built in them.
dist-hook:
	find $(distdir) \( -name '*.o' -o -name '*.simo' -o -name '*.lo' \) -exec rm -f {} +
# All that a tarball holds, one a line; tests/unit/dist.sh holds it against what is kept in git.
dist-list:
	@printf '%s\n' $(DISTFILES)
.PHONY: dist-list
SHELL_TESTS += tests/unit/dist.sh

# The public headers as HTML; a symbol without a comment is an error.
Doxyfile: $(top_srcdir)/Doxyfile.in Makefile
	$(AM_V_GEN)$(SED) -e 's|@top_srcdir[@]|$(abs_top_srcdir)|g; s|@VERSION[@]|$(VERSION)|g; s|@AWK[@]|$(AWK)|g' \
	  $(top_srcdir)/Doxyfile.in >$@.tmp && mv $@.tmp $@
doxygen: Doxyfile
	$(MKDIR_P) doc && doxygen Doxyfile
	@echo "the pages begin at doc/doxygen/html/index.html"
.PHONY: doxygen
CLEANFILES += Doxyfile
clean-local:
	rm -rf doc/doxygen
EXTRA_DIST += Doxyfile.in build-aux/doxygen-filter.awk
SHELL_TESTS += tests/unit/doxygen.sh
tests/unit/doxygen.log: Doxyfile

# Modulefiles for this installation, to be copied to a folder of the module path.
modulefilesdir = $(pkgdatadir)/modulefiles
nodist_modulefiles_DATA = packaging/modulefiles/mbrun.lua packaging/modulefiles/mbrun.tcl
packaging/modulefiles/mbrun.lua: $(top_srcdir)/packaging/modulefiles/mbrun.lua.in Makefile
	$(substituted) $(top_srcdir)/$@.in >$@.tmp && mv $@.tmp $@
packaging/modulefiles/mbrun.tcl: $(top_srcdir)/packaging/modulefiles/mbrun.tcl.in Makefile
	$(substituted) $(top_srcdir)/$@.in >$@.tmp && mv $@.tmp $@
CLEANFILES += packaging/modulefiles/mbrun.lua packaging/modulefiles/mbrun.tcl

# Recipes for others' package managers; doc/packaging.md says how each is used.
EXTRA_DIST += packaging/spack/package.py packaging/easybuild/mbrun-0.1.0-foss-2022b.eb \
	packaging/modulefiles/mbrun.lua.in packaging/modulefiles/mbrun.tcl.in packaging/apptainer/mbrun.def \
	packaging/debian/control packaging/debian/rules packaging/debian/changelog packaging/debian/copyright \
	packaging/debian/source/format packaging/debian/mbrun.install packaging/debian/libmb0.install \
	packaging/debian/libmb-dev.install packaging/debian/libmb-fortran0.install tests/campaign/debian_package.sh
SHELL_TESTS += tests/unit/packaging.sh
tests/unit/packaging.log: $(nodist_modulefiles_DATA)

EXTRA_DIST += XSDK.md SUPPORT.md doc/guide.md
SHELL_TESTS += tests/unit/documents.sh tests/mpi/guide.sh
tests/mpi/guide.log: libmb.la mbrun$(EXEEXT)
