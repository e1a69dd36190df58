# The module for Fortran (use mb), where configure found a compiler that MPI has its modules for. A module file is of one
# compiler, so both are rebuilt by whoever uses another.
EXTRA_DIST += fortran/mb_c.f90 fortran/mb.f90 mb-fortran.pc.in
if HAVE_FORTRAN
lib_LTLIBRARIES += libmb_fortran.la
libmb_fortran_la_SOURCES = fortran/mb_c.f90 fortran/mb.f90
libmb_fortran_la_FCFLAGS = $(MPI_FCFLAGS) $(SANITIZE_CFLAGS)
libmb_fortran_la_LIBADD = libmb.la $(MPI_FCLIBS)
libmb_fortran_la_LDFLAGS = $(SANITIZE_CFLAGS) -version-info 0:0:0 -no-undefined
fortran/libmb_fortran_la-mb.lo: fortran/libmb_fortran_la-mb_c.lo

# Compilers write a module beside where they are started; it is there when the object is.
fortranmoddir = $(mbincludedir)/fortran
nodist_fortranmod_DATA = mb.mod mb_c.mod
mb.mod: fortran/libmb_fortran_la-mb.lo
mb_c.mod: fortran/libmb_fortran_la-mb_c.lo
mb.mod mb_c.mod:
	@test -f $@
pkgconfig_DATA += mb-fortran.pc
CLEANFILES += mb.mod mb_c.mod
endif
