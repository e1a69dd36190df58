# Copyright: the authors of mbrun. Apache License 2.0.
"""Spack recipe of mbrun. It builds the tarball that `make dist` leaves in the folder where spack is started:

    spack repo create here && mkdir -p here/packages/mbrun && cp package.py here/packages/mbrun
    spack repo add here && spack install --no-checksum mbrun
"""

import os

from spack.package import *


class Mbrun(AutotoolsPackage):
    """Distributed training of Keras HDF5 models over MPI: a program, and the library libmb."""

    url = "file://{0}/mbrun-0.1.0.tar.gz".format(os.getcwd())
    license("Apache-2.0")

    version("0.1.0")

    variant("shared", default=True, description="Build the shared library")
    variant("static", default=False, description="Build the static library")
    variant("fortran", default=True, description="Build the module for Fortran")
    variant("images", default=True, description="Train from folders of PNG and JPEG images")
    variant(
        "build_type",
        default="RelWithDebInfo",
        values=("Debug", "Release", "RelWithDebInfo"),
        description="Flags of the compiler; Debug adds AddressSanitizer and UBSan",
    )
    conflicts("~shared~static", msg="one of shared and static is to be built")

    depends_on("c", type="build")
    depends_on("cxx", type="build")
    depends_on("fortran", type="build", when="+fortran")
    depends_on("pkgconfig", type="build")
    depends_on("mpi@3.1:")
    depends_on("hdf5@1.10:")
    depends_on("onednn@2.7")
    depends_on("jansson@2.7:")
    depends_on("hwloc@2:")
    depends_on("zlib-api")
    depends_on("libpng", when="+images")
    depends_on("libjpeg-turbo", when="+images")
    depends_on("check", type="test")
    depends_on("bats", type="test")

    build_directory = "spack-build"

    def configure_args(self):
        spec = self.spec
        flags = {"Debug": "-O0 -g", "Release": "-O2", "RelWithDebInfo": "-O2 -g"}
        args = [
            "MPICC={0}".format(spec["mpi"].mpicc),
            "CFLAGS={0}".format(flags[spec.variants["build_type"].value]),
            "--with-hdf5={0}".format(spec["hdf5"].prefix),
            "--with-onednn={0}".format(spec["onednn"].prefix),
            "--without-cuda",
        ]
        args += self.enable_or_disable("shared") + self.enable_or_disable("static")
        if spec.satisfies("build_type=Debug"):
            args.append("--enable-sanitizers")
        return args
