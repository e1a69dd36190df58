dnl The dependency checks of configure.ac. Each one either sets its flags and a version to report, or
dnl adds a line to the list of what is missing.

dnl MB_MISSING(WHAT, DEBIAN, FEDORA, SPACK)
AC_DEFUN([MB_MISSING], [
  mb_missing="$mb_missing
  - $1"
  mb_missing_debian="$mb_missing_debian $2"
  mb_missing_fedora="$mb_missing_fedora $3"
  mb_missing_spack="$mb_missing_spack $4"])

dnl MB_TRY_LINK(CFLAGS, LIBS, PROLOGUE, BODY, IF-OK, IF-NOT)
AC_DEFUN([MB_TRY_LINK], [
  mb_save_CPPFLAGS=$CPPFLAGS; mb_save_LIBS=$LIBS
  CPPFLAGS="$CPPFLAGS $1"; LIBS="$2 $LIBS"
  AC_LINK_IFELSE([AC_LANG_PROGRAM([$3], [$4])], [mb_linked=yes], [mb_linked=no])
  CPPFLAGS=$mb_save_CPPFLAGS; LIBS=$mb_save_LIBS
  AS_IF([test $mb_linked = yes], [$5], [$6])])

dnl MB_MACRO_VALUE(VARIABLE, CFLAGS, HEADER, EXPRESSION): the number a header gives, by preprocessing,
dnl so that it works when cross-compiling.
AC_DEFUN([MB_MACRO_VALUE], [
  mb_save_CPPFLAGS=$CPPFLAGS
  CPPFLAGS="$CPPFLAGS $2"
  AC_COMPUTE_INT([$1], [$4], [#include <$3>], [$1=0])
  CPPFLAGS=$mb_save_CPPFLAGS])

AC_DEFUN([MB_TRY_CFLAG], [
  AC_CACHE_CHECK([whether $CC accepts $1], [AS_TR_SH([mb_cv_cflag_$1])], [
    mb_save_CFLAGS=$CFLAGS
    CFLAGS="$CFLAGS -Werror $1"
    AC_COMPILE_IFELSE([AC_LANG_PROGRAM()], [AS_TR_SH([mb_cv_cflag_$1])=yes],
                      [AS_TR_SH([mb_cv_cflag_$1])=no])
    CFLAGS=$mb_save_CFLAGS])
  AS_IF([test "$AS_TR_SH([mb_cv_cflag_$1])" = yes], [WARN_CFLAGS="$WARN_CFLAGS $1"])])

AC_DEFUN([MB_CHECK_COMPILER], [
  mb_missing=
  WARN_CFLAGS=
  MB_TRY_CFLAG([-std=gnu11])
  MB_TRY_CFLAG([-Wall])
  MB_TRY_CFLAG([-Wextra])
  MB_TRY_CFLAG([-Wshadow])
  MB_TRY_CFLAG([-Wconversion])
  MB_TRY_CFLAG([-Wpointer-arith])
  MB_TRY_CFLAG([-fno-semantic-interposition])
  AC_SUBST([WARN_CFLAGS])
  mb_compiler=`$CC --version 2>/dev/null | $SED -n 1p | tr -d '"\\\\'`
  AS_IF([test -z "$mb_compiler"], [mb_compiler=$CC])])

AC_DEFUN([MB_CHECK_SANITIZERS], [
  AC_ARG_ENABLE([sanitizers],
    [AS_HELP_STRING([--enable-sanitizers], [build with AddressSanitizer and UBSan])],
    [], [enable_sanitizers=no])
  SANITIZE_CFLAGS=
  AS_IF([test "$enable_sanitizers" != no], [
    SANITIZE_CFLAGS="-fsanitize=address,undefined -fno-sanitize-recover=undefined dnl
-fno-omit-frame-pointer"
    mb_save_CFLAGS=$CFLAGS
    CFLAGS="$CFLAGS $SANITIZE_CFLAGS"
    AC_LINK_IFELSE([AC_LANG_PROGRAM()], [],
      [AC_MSG_ERROR([$CC cannot link with -fsanitize=address,undefined])])
    CFLAGS=$mb_save_CFLAGS
    AC_DEFINE([MB_SANITIZERS], [1], [Built with AddressSanitizer and UBSan])])
  AC_SUBST([SANITIZE_CFLAGS])
  AM_CONDITIONAL([SANITIZERS], [test "$enable_sanitizers" != no])])

AC_DEFUN([MB_CHECK_OPENMP], [
  AC_OPENMP
  AS_IF([test -z "$OPENMP_CFLAGS" && test "$ac_cv_prog_c_openmp" != "none needed"],
    [MB_MISSING([OpenMP for $CC (clang needs its runtime library)], [libomp-dev],
                [libomp-devel], [llvm-openmp])])])

dnl MPI comes from $CC itself when it is a wrapper, otherwise from the wrapper's own answer about its
dnl flags: CC stays the compiler that the user chose.
AC_DEFUN([MB_CHECK_MPI], [
  AC_ARG_WITH([mpi], [AS_HELP_STRING([--with-mpi=PREFIX], [use PREFIX/bin/mpicc])], [], [with_mpi=])
  AC_ARG_VAR([MPICC], [MPI compiler wrapper that is asked for MPI's flags])
  AC_ARG_VAR([MPI_CFLAGS], [compiler flags for MPI, overriding the wrapper])
  AC_ARG_VAR([MPI_LIBS], [linker flags for MPI, overriding the wrapper])
  AS_CASE([$with_mpi], [yes|no|""], [],
    [MPICC=$with_mpi/bin/mpicc; PATH=$with_mpi/bin:$PATH])
  AS_IF([test -z "$MPICC"], [AC_PATH_PROG([MPICC], [mpicc])])
  AC_MSG_CHECKING([for MPI])
  mb_mpi=
  MB_MPI_TRY([$MPI_CFLAGS], [$MPI_LIBS], [the compiler itself])
  AS_IF([test -z "$mb_mpi" && test -n "$MPICC"], [
    MB_MPI_TRY([`$MPICC --showme:compile 2>/dev/null`], [`$MPICC --showme:link 2>/dev/null`],
               [$MPICC])])
  AS_IF([test -z "$mb_mpi" && test -n "$MPICC"], [
    mb_show=`$MPICC -show 2>/dev/null | $SED 's/^@<:@^ @:>@* //'`
    dnl One line for both; a program that is only compiled is not to hear of libraries.
    MB_MPI_TRY([`AS_ECHO([" $mb_show"]) | $SED 's/ -@<:@lL@:>@@<:@^ @:>@*//g; s/ -Wl,@<:@^ @:>@*//g'`],
               [`AS_ECHO([" $mb_show"]) | $SED 's/ -I@<:@^ @:>@*//g'`], [$MPICC])])
  AS_IF([test -z "$mb_mpi" && test -n "$PKG_CONFIG"], [
    for mb_pc in ompi-c ompi mpich; do
      AS_IF([test -z "$mb_mpi" && $PKG_CONFIG --exists $mb_pc], [
        MB_MPI_TRY([`$PKG_CONFIG --cflags $mb_pc`], [`$PKG_CONFIG --libs $mb_pc`],
                   [pkg-config $mb_pc])])
    done])
  AS_IF([test -n "$mb_mpi"], [AC_MSG_RESULT([$mb_mpi])], [
    AC_MSG_RESULT([no])
    MB_MISSING([MPI 3.1 with its compiler wrapper mpicc (or give --with-mpi=PREFIX or MPICC=...)],
               [libopenmpi-dev openmpi-bin], [openmpi-devel], [openmpi])])
  dnl MPICH's MPI_STATUSES_IGNORE is the address 1, which gcc takes for an array that is too small.
  mb_save_CPPFLAGS=$CPPFLAGS
  CPPFLAGS="$CPPFLAGS $MPI_CFLAGS"
  AC_COMPILE_IFELSE([AC_LANG_PROGRAM([@%:@include <mpi.h>
@%:@ifndef MPICH_NUMVERSION
@%:@error "another MPI"
@%:@endif])], [MB_TRY_CFLAG([-Wno-stringop-overflow])])
  CPPFLAGS=$mb_save_CPPFLAGS
  dnl A machine may have several: the launcher is the one that stands beside the wrapper, mpirun.mpich
  dnl beside mpicc.mpich.
  AC_ARG_VAR([MPIEXEC], [MPI launcher of the tests])
  mb_mpiexec=`AS_ECHO(["$MPICC"]) | $SED 's|mpicc\(@<:@^/@:>@*\)$|mpirun\1|'`
  AS_IF([test -z "$MPIEXEC" && test -n "$mb_mpiexec"],
    [MPIEXEC=`PATH="$PATH" command -v "$mb_mpiexec" 2>/dev/null`])
  AC_PATH_PROGS([MPIEXEC], [mpirun mpiexec], [mpirun])])

AC_DEFUN([MB_MPI_TRY], [
  AS_IF([test -z "$mb_mpi"], [
    mb_mpi_cflags="$1"
    mb_mpi_libs="$2"
    MB_TRY_LINK([$mb_mpi_cflags], [$mb_mpi_libs], [@%:@include <mpi.h>
@%:@if MPI_VERSION < 3 || (MPI_VERSION == 3 && MPI_SUBVERSION < 1)
@%:@error "too old"
@%:@endif], [MPI_Init(0, 0)], [
      mb_mpi="through $3"
      MPI_CFLAGS=$mb_mpi_cflags
      MPI_LIBS=$mb_mpi_libs])])])

dnl The module for Fortran is made where a compiler is found that MPI's module mpi_f08 is for: from $FC itself when it is
dnl a wrapper, otherwise with the flags that mpifort tells. Without one everything else is built.
AC_DEFUN([MB_CHECK_FORTRAN], [
  AC_ARG_ENABLE([fortran], [AS_HELP_STRING([--disable-fortran], [no module for Fortran])], [],
                [enable_fortran=auto])
  AC_ARG_VAR([MPIFC], [MPI compiler wrapper for Fortran that is asked for MPI's flags])
  AC_ARG_VAR([MPI_FCFLAGS], [Fortran compiler flags for MPI, overriding the wrapper])
  AC_ARG_VAR([MPI_FCLIBS], [linker flags for MPI's Fortran library, overriding the wrapper])
  dnl Of the same MPI: mpifort.mpich beside mpicc.mpich.
  AS_IF([test -z "$MPIFC" && test -n "$MPICC"], [
    mb_suffix=`AS_ECHO(["$MPICC"]) | $SED 's|^.*mpicc\(@<:@^/@:>@*\)$|\1|'`
    AS_CASE([$mb_suffix], [*/*], [mb_suffix=])
    AC_PATH_PROGS([MPIFC], [mpifort$mb_suffix mpif90$mb_suffix], [], [`AS_DIRNAME(["$MPICC"])`:$PATH])])
  mb_fortran=
  AS_IF([test "$enable_fortran" = no], [mb_fortran_info="not wanted"], [
    AC_MSG_CHECKING([for MPI's mpi_f08 in Fortran])
    MB_FORTRAN_TRY([$MPI_FCFLAGS], [$MPI_FCLIBS])
    AS_IF([test -z "$mb_fortran" && test -n "$MPIFC"], [
      MB_FORTRAN_TRY([`$MPIFC --showme:compile 2>/dev/null`], [`$MPIFC --showme:link 2>/dev/null`])])
    AS_IF([test -z "$mb_fortran" && test -n "$MPIFC"], [
      mb_show=`$MPIFC -show 2>/dev/null | $SED 's/^@<:@^ @:>@* //'`
      MB_FORTRAN_TRY([$mb_show], [$mb_show])])
    AS_IF([test -n "$mb_fortran"],
      [mb_fortran_info="$FC"],
      [test -z "$FC"], [mb_fortran_info="no module: no compiler (Debian: gfortran; or give FC=...)"],
      [mb_fortran_info="no module: $FC does not compile against mpi_f08 (give MPIFC=... of the same compiler)"])
    AC_MSG_RESULT([${mb_fortran:-no}])])
  AS_IF([test "$enable_fortran" = yes && test -z "$mb_fortran"],
    [AC_MSG_ERROR([--enable-fortran was given, but there is $mb_fortran_info])])
  AC_SUBST([MPI_FCFLAGS])
  AC_SUBST([MPI_FCLIBS])
  AM_CONDITIONAL([HAVE_FORTRAN], [test -n "$mb_fortran"])])

dnl Assumed rank and C_LOC of it (Fortran 2018) are what the module itself asks of a compiler.
AC_DEFUN([MB_FORTRAN_TRY], [
  AS_IF([test -z "$mb_fortran" && test -n "$FC"], [
    mb_fc_flags="$1"
    mb_fc_libs="$2"
    AC_LANG_PUSH([Fortran])
    mb_save_FCFLAGS=$FCFLAGS; mb_save_LIBS=$LIBS; mb_save_ac_ext=$ac_ext
    FCFLAGS="$FCFLAGS $mb_fc_flags"; LIBS="$mb_fc_libs $LIBS"; ac_ext=f90
    AC_LINK_IFELSE([AC_LANG_SOURCE([[
      program main
        use mpi_f08
        use, intrinsic :: iso_c_binding
        implicit none
        integer :: ierr
        real(c_float), target :: a(2, 3)
        call MPI_Init(ierr)
        call take(a)
      contains
        subroutine take(array)
          real(c_float), intent(in), target :: array(..)
          type(c_ptr) :: place
          place = c_loc(array)
          if (is_contiguous(array) .and. c_associated(place)) print *, MPI_COMM_WORLD%MPI_VAL, shape(array)
        end subroutine
      end program]])], [
      mb_fortran=yes
      MPI_FCFLAGS=$mb_fc_flags
      MPI_FCLIBS=$mb_fc_libs])
    FCFLAGS=$mb_save_FCFLAGS; LIBS=$mb_save_LIBS; ac_ext=$mb_save_ac_ext
    AC_LANG_POP([Fortran])])])

AC_DEFUN([MB_CHECK_HDF5], [
  AC_ARG_WITH([hdf5], [AS_HELP_STRING([--with-hdf5=PREFIX], [use the HDF5 under PREFIX])], [],
              [with_hdf5=])
  AC_MSG_CHECKING([for HDF5])
  mb_hdf5=
  AS_CASE([$with_hdf5], [yes|no|""], [
    for mb_pc in hdf5-serial hdf5 hdf5-openmpi hdf5-mpich; do
      AS_IF([test -n "$PKG_CONFIG" && $PKG_CONFIG --exists $mb_pc], [
        MB_HDF5_TRY([`$PKG_CONFIG --cflags $mb_pc`], [`$PKG_CONFIG --libs $mb_pc`],
                    [pkg-config $mb_pc])])
    done
    mb_show=`h5cc -show 2>/dev/null | $SED 's/^@<:@^ @:>@* //'`
    MB_HDF5_TRY([$mb_show], [$mb_show], [h5cc])
    MB_HDF5_TRY([], [-lhdf5], [the default paths])], [
    MB_HDF5_TRY([-I$with_hdf5/include], [-L$with_hdf5/lib -lhdf5], [$with_hdf5])
    MB_HDF5_TRY([-I$with_hdf5/include], [-L$with_hdf5/lib64 -lhdf5], [$with_hdf5])])
  AS_IF([test -n "$mb_hdf5"], [AC_MSG_RESULT([$mb_hdf5])], [
    AC_MSG_RESULT([no])
    MB_MISSING([HDF5 1.10 or later (or give --with-hdf5=PREFIX)], [libhdf5-dev], [hdf5-devel],
               [hdf5])])
  AC_SUBST([HDF5_CFLAGS])
  AC_SUBST([HDF5_LIBS])])

AC_DEFUN([MB_HDF5_TRY], [
  AS_IF([test -z "$mb_hdf5"], [
    mb_hdf5_cflags="$1"
    mb_hdf5_libs="$2"
    MB_TRY_LINK([$mb_hdf5_cflags $MPI_CFLAGS], [$mb_hdf5_libs $MPI_LIBS], [@%:@include <hdf5.h>
@%:@if !H5_VERSION_GE(1, 10, 0)
@%:@error "too old"
@%:@endif], [H5open()], [
      mb_hdf5="through $3"
      HDF5_CFLAGS=$mb_hdf5_cflags
      HDF5_LIBS=$mb_hdf5_libs])])])

AC_DEFUN([MB_CHECK_ONEDNN], [
  AC_ARG_WITH([onednn], [AS_HELP_STRING([--with-onednn=PREFIX], [use the oneDNN under PREFIX])], [],
              [with_onednn=])
  AC_MSG_CHECKING([for oneDNN 2.x])
  ONEDNN_CFLAGS=
  ONEDNN_LIBS=-ldnnl
  AS_CASE([$with_onednn], [yes|no|""], [], [
    AS_IF([test ! -f "$with_onednn/include/dnnl.h"],
      [AC_MSG_ERROR([--with-onednn=$with_onednn: no include/dnnl.h there])])
    ONEDNN_CFLAGS=-I$with_onednn/include
    ONEDNN_LIBS="-L$with_onednn/lib -ldnnl"])
  MB_TRY_LINK([$ONEDNN_CFLAGS], [$ONEDNN_LIBS], [@%:@include <dnnl.h>
@%:@if DNNL_VERSION_MAJOR != 2
@%:@error "not version 2"
@%:@endif], [dnnl_version()], [AC_MSG_RESULT([yes])], [
    AC_MSG_RESULT([no])
    MB_MISSING([oneDNN 2.x with its C header dnnl.h (version 3 has another C interface; or give dnl
--with-onednn=PREFIX)], [libdnnl-dev], [onednn-devel], [onednn@2.7])])
  AC_SUBST([ONEDNN_CFLAGS])
  AC_SUBST([ONEDNN_LIBS])])

dnl MB_CHECK_PKG(VARIABLE, MODULE, VERSION, HEADER, FUNCTION, DEBIAN, FEDORA, SPACK)
AC_DEFUN([MB_CHECK_PKG], [
  AC_MSG_CHECKING([for $2])
  mb_found=no
  AS_IF([test -n "$PKG_CONFIG" && $PKG_CONFIG --exists "$2 >= $3"], [
    $1_CFLAGS=`$PKG_CONFIG --cflags $2`
    $1_LIBS=`$PKG_CONFIG --libs $2`
    $1_VERSION=`$PKG_CONFIG --modversion $2`], [
    $1_CFLAGS=
    $1_LIBS="-l`echo $2 | $SED 's/zlib/z/'`"
    $1_VERSION="without pkg-config"])
  MB_TRY_LINK([$[]$1_CFLAGS], [$[]$1_LIBS], [@%:@include <$4>],
              [void *p = (void *)&$5; return p == 0], [mb_found=yes])
  AS_IF([test $mb_found = yes], [AC_MSG_RESULT([$[]$1_VERSION])], [
    AC_MSG_RESULT([no])
    MB_MISSING([$2 $3 or later], [$6], [$7], [$8])])
  AC_SUBST([$1_CFLAGS])
  AC_SUBST([$1_LIBS])])

dnl MB_CHECK_IMAGE(VARIABLE, MODULE, HEADER, FUNCTION): a library that images are read with where it is
dnl found. Without it such images are refused, with what to install.
AC_DEFUN([MB_CHECK_IMAGE], [
  AC_MSG_CHECKING([for $2 (images)])
  mb_found=no
  AS_IF([test -n "$PKG_CONFIG" && $PKG_CONFIG --exists "$2"], [
    $1_CFLAGS=`$PKG_CONFIG --cflags $2`
    $1_LIBS=`$PKG_CONFIG --libs $2`
    $1_VERSION=`$PKG_CONFIG --modversion $2`], [
    $1_CFLAGS=
    $1_LIBS="-l`echo $2 | $SED 's/^lib//'`"
    $1_VERSION="without pkg-config"])
  MB_TRY_LINK([$[]$1_CFLAGS], [$[]$1_LIBS], [@%:@include <stdio.h>
@%:@include <$3>], [void *p = (void *)&$4; return p == 0], [mb_found=yes])
  AS_IF([test $mb_found = yes], [AC_DEFINE([MB_HAVE_$1], [1], [$2 is there])], [
    $1_CFLAGS=
    $1_LIBS=
    $1_VERSION="none: such images are refused"])
  AC_MSG_RESULT([$[]$1_VERSION])
  AC_SUBST([$1_CFLAGS])
  AC_SUBST([$1_LIBS])])

AC_DEFUN([MB_CHECK_TEST_TOOLS], [
  AC_MSG_CHECKING([for check (only for make check)])
  mb_check=no
  AS_IF([test -n "$PKG_CONFIG" && $PKG_CONFIG --exists "check >= 0.11"], [
    CHECK_CFLAGS=`$PKG_CONFIG --cflags check`
    CHECK_LIBS=`$PKG_CONFIG --libs check`
    mb_check=`$PKG_CONFIG --modversion check`])
  AC_MSG_RESULT([$mb_check])
  dnl Said by make where a test program would be linked.
  AS_IF([test "$mb_check" = no], [
    dnl Said before a compiler looks for check.h; what is not a test builds without it.
    CHECK_LIBS='$(error Check is not installed: install the package check and configure again)'
    CHECK_CFLAGS='$(if $(filter check check-am tests/%,$(MAKECMDGOALS)),$(CHECK_LIBS))'])
  AC_SUBST([CHECK_CFLAGS])
  AC_SUBST([CHECK_LIBS])
  AM_CONDITIONAL([HAVE_CHECK], [test "$mb_check" != no])
  AC_PATH_PROG([BATS], [bats], [none])
  AC_PATH_PROGS([CLANG_FORMAT], [clang-format-14 clang-format], [none])])

dnl A GPU build needs nvcc and cuBLASLt; what it makes is a plugin, so that the program stays as it is. The
dnl simulated device of the tests needs the toolkit's headers and a C++ compiler.
AC_DEFUN([MB_CHECK_CUDA], [
  AC_ARG_WITH([cuda], [AS_HELP_STRING([--with-cuda=DIR], [the CUDA toolkit (default: where nvcc is)])],
    [], [with_cuda=auto])
  AC_ARG_WITH([cuda-arch], [AS_HELP_STRING([--with-cuda-arch=LIST],
    [compute capabilities to compile for, e.g. 80,90,100])], [], [with_cuda_arch=80,90,100])
  AC_ARG_WITH([nccl], [AS_HELP_STRING([--with-nccl=DIR],
    [the folder that has include/nccl.h (default: the CUDA toolkit); the library is opened at run time])],
    [], [with_nccl=auto])
  NVCC=none
  AS_CASE([$with_cuda], [no], [], [auto | yes],
    [AC_PATH_PROG([NVCC], [nvcc], [none], [$PATH:${CUDA_HOME:-/usr/local/cuda}/bin])],
    [AC_PATH_PROG([NVCC], [nvcc], [none], [$with_cuda/bin])])
  mb_cuda_info="not found: CPU only"
  AS_IF([test "$NVCC" != none], [MB_CHECK_CUDA_PARTS])
  AS_CASE([$with_cuda:$mb_have_cuda], [auto:* | no:* | *:yes], [],
    [AC_MSG_ERROR([--with-cuda was given, but $mb_cuda_info])])
  AS_CASE([$with_nccl:$mb_have_nccl_h], [auto:* | no:* | *:yes], [],
    [AC_MSG_ERROR([--with-nccl was given, but there is no nccl.h])])
  AC_SUBST([CUDA_CPPFLAGS])
  AC_SUBST([CUDA_LIBS])
  AC_SUBST([CUDART_LIBS])
  AC_SUBST([CUDA_CODE])
  AC_SUBST([CUDA_ARCHS], [$with_cuda_arch])
  AM_CONDITIONAL([HAVE_CUDA], [test "$mb_have_cuda" = yes])
  AM_CONDITIONAL([HAVE_NCCL_H], [test "$mb_have_nccl_h" = yes])])

AC_DEFUN([MB_CHECK_CUDA_PARTS], [
  mb_nvcc=`$NVCC --version | $SED -n 's/.*release \(@<:@0-9.@:>@*\).*/\1/p'`
  mb_cuda_dir=`AS_DIRNAME(["$NVCC"])`/..
  CUDA_CPPFLAGS="-isystem $mb_cuda_dir/include"
  CUDART_LIBS="-L$mb_cuda_dir/lib64 -lcudart_static -lrt -ldl -lpthread"
  CUDA_LIBS="-L$mb_cuda_dir/lib64 -lcublasLt $CUDART_LIBS"
  CUDA_CODE=
  for mb_arch in `AS_ECHO(["$with_cuda_arch"]) | tr ',' ' '`; do
    CUDA_CODE="$CUDA_CODE -gencode arch=compute_$mb_arch,code=sm_$mb_arch"
  done
  CUDA_CODE="$CUDA_CODE -gencode arch=compute_$mb_arch,code=compute_$mb_arch"
  mb_save_CPPFLAGS=$CPPFLAGS
  mb_save_LIBS=$LIBS
  CPPFLAGS="$CPPFLAGS $CUDA_CPPFLAGS"
  LIBS="$CUDA_LIBS $LIBS"
  AC_MSG_CHECKING([for cuBLASLt and the CUDA runtime])
  AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <cublasLt.h>
#include <cuda_runtime_api.h>]], [[cublasLtHandle_t h; int n; cudaGetDeviceCount(&n);
    return cublasLtCreate(&h) != 0 || n < 0;]])], [mb_have_cuda=yes], [mb_have_cuda=no])
  AC_MSG_RESULT([$mb_have_cuda])
  AS_CASE([$with_nccl], [auto | yes | no], [mb_nccl_cppflags=], [mb_nccl_cppflags="-isystem $with_nccl/include"])
  CPPFLAGS="$CPPFLAGS $mb_nccl_cppflags"
  AC_MSG_CHECKING([for nccl.h])
  AS_IF([test "$with_nccl" = no], [mb_have_nccl_h=no],
    [AC_COMPILE_IFELSE([AC_LANG_PROGRAM([[#include <nccl.h>]])], [mb_have_nccl_h=yes], [mb_have_nccl_h=no])])
  AC_MSG_RESULT([$mb_have_nccl_h])
  mb_nccl_info="without NCCL"
  AS_IF([test "$mb_have_nccl_h" = yes],
    [CUDA_CPPFLAGS="$CUDA_CPPFLAGS $mb_nccl_cppflags -DMB_HAVE_NCCL"
     mb_nccl_info="with NCCL"])
  CPPFLAGS=$mb_save_CPPFLAGS
  LIBS=$mb_save_LIBS
  AS_IF([$CXX --version >/dev/null 2>&1], [], [mb_have_cuda=no])
  AS_IF([test "$mb_have_cuda" = yes],
    [mb_cuda_info="$mb_nvcc $mb_nccl_info (make cuda: a plugin for compute capabilities $with_cuda_arch)"],
    [mb_cuda_info="nvcc $mb_nvcc without cuBLASLt or a C++ compiler: CPU only"])])

AC_DEFUN([MB_REPORT_MISSING], [
  AS_IF([test -n "$mb_missing"], [AC_MSG_ERROR([mbrun cannot be built yet. Missing:$mb_missing
Install with
  Debian, Ubuntu:  sudo apt-get install$mb_missing_debian
  Fedora:          sudo dnf install$mb_missing_fedora
  Spack:           spack install$mb_missing_spack
and run configure again. config.log has the details.])])])

AC_DEFUN([MB_REPORT_FOUND], [
  MB_MACRO_VALUE([mb_mpi_major], [$MPI_CFLAGS], [mpi.h], [MPI_VERSION])
  MB_MACRO_VALUE([mb_mpi_minor], [$MPI_CFLAGS], [mpi.h], [MPI_SUBVERSION])
  MB_MACRO_VALUE([mb_h5_major], [$HDF5_CFLAGS $MPI_CFLAGS], [hdf5.h], [H5_VERS_MAJOR])
  MB_MACRO_VALUE([mb_h5_minor], [$HDF5_CFLAGS $MPI_CFLAGS], [hdf5.h], [H5_VERS_MINOR])
  MB_MACRO_VALUE([mb_h5_release], [$HDF5_CFLAGS $MPI_CFLAGS], [hdf5.h], [H5_VERS_RELEASE])
  MB_MACRO_VALUE([mb_dnn_major], [$ONEDNN_CFLAGS], [dnnl.h], [DNNL_VERSION_MAJOR])
  MB_MACRO_VALUE([mb_dnn_minor], [$ONEDNN_CFLAGS], [dnnl.h], [DNNL_VERSION_MINOR])
  MB_MACRO_VALUE([mb_dnn_patch], [$ONEDNN_CFLAGS], [dnnl.h], [DNNL_VERSION_PATCH])
  AS_ECHO(["
mbrun $PACKAGE_VERSION is configured:
  compiler    $mb_compiler
  flags       $CFLAGS $SANITIZE_CFLAGS
  MPI         standard $mb_mpi_major.$mb_mpi_minor, $mb_mpi
  HDF5        $mb_h5_major.$mb_h5_minor.$mb_h5_release, $mb_hdf5
  oneDNN      $mb_dnn_major.$mb_dnn_minor.$mb_dnn_patch
  jansson     $JANSSON_VERSION
  hwloc       $HWLOC_VERSION
  zlib        $ZLIB_VERSION
  libpng      $PNG_VERSION
  libjpeg     $JPEG_VERSION
  OpenMP      ${OPENMP_CFLAGS:-no flag needed}
  CUDA        $mb_cuda_info
  Fortran     $mb_fortran_info
  tests       check $mb_check, bats $BATS, clang-format $CLANG_FORMAT
  install to  $prefix

Next: make, make check, make install"])])
