"""Reads the tensors of a PyTorch weight file of the format before 1.6, without PyTorch and without running its code."""

import collections
import pickle
import struct

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C
DTYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


class Storage:
    """A flat array that is filled after the pickled structure has been read."""

    def __init__(self, dtype):
        self.dtype = dtype
        self.values = None


class Reader(pickle.Unpickler):
    """Unpickler that knows the five names a plain state dictionary needs, and refuses every other."""

    def __init__(self, file, storages):
        super().__init__(file)
        self.storages = storages

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, stride, *_: (storage, offset, shape, stride)
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        raise pickle.UnpicklingError(f"the weight file asks for {module}.{name}")

    def persistent_load(self, key):
        kind, dtype, name = key[:3]
        if kind != "storage" or (len(key) > 5 and key[5] is not None):
            raise pickle.UnpicklingError("the weight file holds a storage of an unknown kind")
        return self.storages.setdefault(name, Storage(dtype))


def read(path):
    """{name: array} in the file's order."""
    storages = {}
    with open(path, "rb") as file:

        def load():
            return Reader(file, storages).load()

        if load() != MAGIC:
            raise ValueError(f"{path} is not a weight file of the expected format")
        load(), load()  # protocol version, sizes of the writing machine
        state = load()
        for name in load():
            (count,) = struct.unpack("<q", file.read(8))
            storage = storages[name]
            storage.values = np.frombuffer(file.read(count * storage.dtype.itemsize), storage.dtype)
    tensors = {}
    for name, (storage, offset, shape, stride) in state.items():
        step = [s * storage.dtype.itemsize for s in stride]
        tensors[name] = np.ascontiguousarray(np.lib.stride_tricks.as_strided(storage.values[offset:], shape, step))
    return tensors
