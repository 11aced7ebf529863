"""One of the `onnx` package's nine light graphs with every constant weight replaced by seeded random values: writes the model, its
input and every intermediate tensor as ONNX Runtime computes it (optimizations off).

The package's files make each weight by ConstantOfShape from a stored shape. Weights of Conv and Gemm get a spread that keeps
activations near 1 (the square root of 2 over the terms of one sum); the scale and variance of BatchNormalization are
around 1, everything else is small.
"""

import argparse
import json
import sys
import zlib
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test import loader

sys.path.insert(0, str(Path(__file__).parent.parent / "oracle"))
import sessions  # noqa: E402


def values(name, shape, role):
    """Random values for a weight, the same in every run."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    match role:
        case ("Conv", 1):
            return rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)
        case ("Gemm", 1):
            return rng.normal(0, np.sqrt(2 / max(shape)), shape)
        case ("BatchNormalization", 1 | 4) | ("Mul", _):
            return rng.uniform(0.5, 1.5, shape)
        case _:
            return rng.normal(0, 0.1, shape)


def filled(model):
    """Replaces every float weight. Returns how many."""
    graph = model.graph
    constants = {t.name: t for t in graph.initializer}
    passed = {n.output[0]: n.input[0] for n in graph.node if n.op_type in ("Unsqueeze", "Reshape")}
    roles = {}
    for node in graph.node:
        for place, name in enumerate(node.input):
            roles.setdefault(passed.get(name, name), (node.op_type, place))
            if name in passed:
                roles[passed[name]] = (node.op_type, place)
    weights = {}
    for node in [n for n in graph.node if n.op_type == "ConstantOfShape"]:
        shape = tuple(int(n) for n in numpy_helper.to_array(constants[node.input[0]]))
        filler = node.attribute[0].t.data_type if node.attribute else onnx.TensorProto.FLOAT
        if filler == onnx.TensorProto.FLOAT:
            weights[node.output[0]] = shape
            graph.node.remove(node)
    for tensor in [t for t in graph.initializer if t.data_type == onnx.TensorProto.FLOAT]:
        weights[tensor.name] = tuple(tensor.dims)
        graph.initializer.remove(tensor)
    for name, shape in weights.items():
        data = values(name, shape, roles.get(name, ("", 0))).astype(np.float32)
        graph.initializer.append(numpy_helper.from_array(data, name))
    fixed = {t.name for t in graph.initializer}
    used = {name for node in graph.node for name in node.input}
    for tensor in [t for t in graph.initializer if t.name not in used]:
        graph.initializer.remove(tensor)
    for value in [v for v in graph.input if v.name in fixed or v.name not in used]:
        graph.input.remove(value)
    model.ir_version = 7  # from 4 on, an initializer need not be an input
    return len(weights)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--name", required=True)
    parser.add_argument("--out", required=True, type=Path)
    args = parser.parse_args()
    model = onnx.load(Path(loader.DATA_DIR) / "light" / f"light_{args.name}.onnx")
    count = filled(model)
    args.out.mkdir(parents=True, exist_ok=True)
    onnx.save(model, args.out / "model.onnx")
    [value] = model.graph.input
    shape = [d.dim_value for d in value.type.tensor_type.shape.dim]
    data = np.random.default_rng(1).normal(0, 1, shape).astype(np.float32)
    np.save(args.out / "input.npy", data)
    sessions.expose(model, "unfused")
    session = sessions.session(model, "unfused")
    names = [v.name for v in session.get_outputs()]
    files = {}
    for place, (name, result) in enumerate(zip(names, session.run(names, {value.name: data}))):
        files[name] = f"{place}.npy"
        np.save(args.out / files[name], result)
    print(json.dumps({"weights": count, "input": value.name, "tensors": files}))


if __name__ == "__main__":
    main()
