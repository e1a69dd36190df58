"""Usage: codes.py h5py|netCDF4 CODES.h5 DECODED.h5

CODES.h5 holds tables of all codes of small float formats in order, DECODED.h5 what mbrun makes of them, as
float32. Both are read through the library, and compared with the formats' definitions."""
import sys

import numpy as np

library, codes_path, decoded_path = sys.argv[1:]
GROUP = "model_weights/codes/codes"


def expected(name):
    """The numbers that the codes stand for, by definition."""
    if name == "fp16":
        return np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32)
    if name == "bf16":
        return (np.arange(1 << 16, dtype=np.uint32) << 16).view(np.float32)
    bias, codes = int(name.split("_")[1]), np.arange(256)
    sign, exponent, mantissa = codes >> 7, codes >> 4 & 7, (codes & 15).astype(np.float64)
    value = np.where(exponent == 0, np.ldexp(mantissa, -4 + 1 - bias),
                     np.ldexp(1 + mantissa / 16, exponent - bias))
    value = np.where(exponent == 7, np.where(mantissa == 0, np.inf, np.nan), value)
    return np.where(sign == 1, -value, value).astype(np.float32)


def open_tables(path):
    if library == "h5py":
        import h5py

        return {name: data.astype("f4")[...] for name, data in h5py.File(path)[GROUP].items()}
    import netCDF4

    data = netCDF4.Dataset(path)
    data.set_auto_maskandscale(False)
    tables = {}
    for name, variable in data[GROUP].variables.items():
        # netCDF-C 4.10 takes IEEE halves for text where its HDF5 has a native type for them (2.0).
        if variable.dtype is str and int(netCDF4.__hdf5libversion__.split(".")[0]) >= 2:
            print(f"{name} is left out: netCDF {netCDF4.__netcdf4libversion__} with HDF5 "
                  f"{netCDF4.__hdf5libversion__}")
            continue
        tables[name] = variable[...]
    return tables


def same(a, b):
    nan = np.isnan(a)
    return np.array_equal(nan, np.isnan(b)) and np.array_equal(
        a[~nan].view(np.uint32), b[~nan].view(np.uint32))


found, decoded = open_tables(codes_path), open_tables(decoded_path)
assert len(decoded) == 10 and len(found) >= 9, (sorted(found), sorted(decoded))
for name, values in found.items():
    values, ours, truth = (np.ravel(v).astype(np.float32)
                           for v in (values, decoded[name], expected(name)))
    assert same(ours, truth), f"{name}: mbrun decodes other numbers"
    assert same(values, truth), f"{name}: {library} decodes other numbers"
print(f"{len(found)} tables agree")
