"""Writes the cases of the `onnx` package as files: `cases/NAME/` with `model.onnx` and `.npy` tensors, and one `cases.json`.

Sets: `node` (the package's node cases), `pytorch-operator`, `pytorch-converted`, `simple` (its data folders), `generated` (see
older.py). Three things are changed on the way:

* An integer input that an operator needs as a constant (`PARAMETERS`: Reshape's shape, Slice's starts, ...) becomes an initializer.
* Empty inputs become initializers, and all inputs of operators that are claimed for constants only (`FOLDED`).
* float16 and bfloat16 tensors are written as float32, as .npy has no bfloat16 and our graphs compute float32.
* A model of operator set 6 is raised to 7 by the package's own converter.
"""

import argparse
import contextlib
import io
import json
import re
import shutil
import warnings
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper
from onnx.backend.test import loader
from onnx.backend.test.case.node import collect_testcases

import older

# Inputs that shape inference needs as constants, by operator.
PARAMETERS = {
    "AffineGrid": [1],
    "BlackmanWindow": [0],
    "CenterCropPad": [1],
    "Clip": [1, 2],
    "Col2Im": [1, 2],
    "ConstantOfShape": [0],
    "CumProd": [1],
    "CumSum": [1],
    "DFT": [1, 2],
    "Dropout": [1, 2],
    "Expand": [1],
    "HammingWindow": [0],
    "HannWindow": [0],
    "MaxUnpool": [2],
    "MelWeightMatrix": [0, 1, 2, 3, 4],
    "NonMaxSuppression": [2, 3, 4],
    "OneHot": [1, 2],
    "Pad": [1, 2, 3],
    "Range": [0, 1, 2],
    "Reshape": [1],
    "Resize": [1, 2, 3],
    "STFT": [1, 3],
    "Slice": [1, 2, 3, 4],
    "Split": [1],
    "Squeeze": [1],
    "Tile": [1],
    "TopK": [1],
    "Trilu": [1],
    "Unsqueeze": [1],
    "Upsample": [1],
    **{f"Reduce{kind}": [1] for kind in ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare")},
}
# Operators that operator set 17 lacks or whose results have no fixed shape: claimed where all their inputs are constant.
FOLDED = {"BitCast", "BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor", "Compress", "CumProd", "NonMaxSuppression",
          "NonZero", "Unique"}
RANDOM = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli"}
SETS = ("pytorch-operator", "pytorch-converted", "simple")


def nodes(graph):
    """Nodes of a graph and of its sub-graphs."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in [attribute.g] if attribute.HasField("g") else attribute.graphs:
                yield from nodes(inner)


def parameters(case):
    """Names of the case's inputs that become constants. A case whose node is replaced by its function body keeps its inputs' names,
    so the table is asked by the name of the case it was made from."""
    found = set()
    for node in case["nodes"]:
        for place in PARAMETERS.get(node.op_type, []):
            if place < len(node.input):
                found.add(node.input[place])
    return found


def folded(graph):
    """Whether a case is about an operator, or an option of one, that is claimed for constants only."""

    def newer(node):
        reduction = next((a.s for a in node.attribute if a.name == "reduction"), b"")
        return node.op_type in FOLDED or node.op_type.startswith("Scatter") and reduction in (b"max", b"min")

    return any(newer(node) for node in nodes(graph))


def beyond(outputs):
    """Whether a result is finite, but larger than any float32."""
    largest = np.finfo(np.float32).max
    arrays = [o for o in outputs if isinstance(o, np.ndarray) and o.dtype == np.float64]
    return any(np.any(np.isfinite(a) & (np.abs(a) > largest)) for a in arrays)


def kinds(value):
    """Names of the element types in a graph input or output, and of what is not a tensor."""
    kind = value.type.WhichOneof("value")
    if kind == "tensor_type":
        return {TensorProto.DataType.Name(value.type.tensor_type.elem_type)}
    return {kind.removesuffix("_type")} if kind else set()


def flags(model):
    """What keeps a case from having one fixed answer in fixed shapes."""
    found = set()
    for node in nodes(model.graph):
        if node.op_type in RANDOM:
            found.add("random")
        if node.domain.startswith("ai.onnx.preview.training"):
            found.add("training")
        if any(a.name == "training_mode" and a.i for a in node.attribute):
            found.add("training")
        if node.op_type == "GridSample" and any(
            v.name == node.input[0] and len(v.type.tensor_type.shape.dim) == 5 for v in model.graph.input
        ):
            found.add("volume")
        if node.op_type == "Dropout" and len(node.input) > 2 and node.input[2]:
            found.add("training")
    return sorted(found)


def operators(model):
    """[domain-qualified operator, version of its schema] of all nodes, each once."""
    opsets = {o.domain: o.version for o in model.opset_import}
    found = set()
    functions = {(f.domain, f.name) for f in model.functions}
    for node in nodes(model.graph):
        domain = "" if node.domain == "ai.onnx" else node.domain
        if (domain, node.op_type) in functions:
            continue
        try:
            version = onnx.defs.get_schema(node.op_type, opsets.get(domain, 1), domain).since_version
        except onnx.defs.SchemaError:
            version = 0
        found.add((f"{domain}.{node.op_type}" if domain else node.op_type, version))
    return sorted(found)


def widened(value):
    """An array that .npy holds, or None for what is not such an array."""
    if isinstance(value, TensorProto):
        value = numpy_helper.to_array(value)
    if not isinstance(value, np.ndarray) and not np.isscalar(value):
        return None
    array = np.asarray(value)
    if array.dtype.name in ("float16", "bfloat16"):
        return array.astype(np.float32)
    return array if array.dtype.kind in "biuf" and array.dtype.isbuiltin == 1 else None


def copied(model):
    """A copy, because the package hands out the same models again."""
    out = onnx.ModelProto()
    out.CopyFrom(model)
    return out


def opset7(model):
    """The model in operator set 7, if it is older and can be raised."""
    old = [o for o in model.opset_import if o.domain in ("", "ai.onnx") and o.version < 7]
    if not old:
        return model
    try:
        return onnx.version_converter.convert_version(model, 7)
    except Exception:  # the converter raises its own types; the case then stays as it is and counts as below 7
        return model


class Writer:
    def __init__(self, folder):
        self.folder = folder
        self.cases = []

    def add(self, group, name, model, inputs, outputs, rtol, atol, parameter_source=None, oracle=None):
        """`inputs` and `outputs` in the order of the graph."""
        model = opset7(copied(model))
        graph = model.graph
        place = self.folder / "cases" / f"{group}-{name}"
        place.mkdir(parents=True)
        constants = parameters({"nodes": parameter_source or list(nodes(graph))})
        fold = folded(graph) or any(n.op_type in FOLDED for n in parameter_source or [])
        known = {t.name for t in graph.initializer}
        feeds = [v for v in graph.input if v.name not in known] if len(inputs) < len(graph.input) else list(graph.input)
        types = set().union(*(kinds(v) for v in [*graph.input, *graph.output]))
        written, loose = [], []
        for value, data in zip(feeds, inputs):
            array = data if isinstance(data, np.ndarray) else np.asarray(data) if np.isscalar(data) else None
            real = widened(data)
            nothing = real is not None and not real.size
            if isinstance(data, TensorProto) and (fold or nothing or value.name in constants):
                message = TensorProto()
                message.CopyFrom(data)
                message.name = value.name
                graph.initializer.append(message)
                loose.append(value.name)
                continue
            if (fold or nothing) and array is not None:
                graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), value.name))
                loose.append(value.name)
                continue
            if value.name in constants and array is not None and array.dtype.kind in "biufV":
                graph.initializer.append(numpy_helper.from_array(array, value.name))
                loose.append(value.name)
                continue
            if value.name in known:  # a default that the case overrides
                for tensor in [t for t in graph.initializer if t.name == value.name]:
                    graph.initializer.remove(tensor)
            array = widened(data)
            if array is None:
                written.append([value.name, None])
                continue
            file = f"in_{len(written)}.npy"
            np.save(place / file, np.ascontiguousarray(array).reshape(array.shape))
            written.append([value.name, file])
        for name_ in loose:
            graph.input.remove(next(v for v in graph.input if v.name == name_))
        results = []
        for value, data in zip(graph.output, outputs):
            array = widened(data)
            if array is None:
                results.append([value.name, None])
                continue
            file = f"out_{len(results)}.npy"
            np.save(place / file, np.ascontiguousarray(array).reshape(array.shape))
            results.append([value.name, file])
        (place / "model.onnx").write_bytes(model.SerializeToString())
        self.cases.append(
            {
                "name": f"{group}-{name}",
                "set": group,
                "ops": operators(model),
                "opset": max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=0),
                "types": sorted(types),
                "flags": flags(model) + (["float64-range"] if beyond(outputs) else []),
                "inputs": written,
                "outputs": results,
                "rtol": rtol,
                "atol": atol,
                "oracle": oracle or "onnx package",
            }
        )


def package_cases():
    """The node cases. Their making prints and warns about rounding."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return collect_testcases(None)


def folder_cases():
    """(set, name, model, inputs, outputs) of the data folders."""
    for group in SETS:
        for place in sorted((Path(loader.DATA_DIR) / group).iterdir()):
            model = onnx.load(place / "model.onnx")
            data = place / "test_data_set_0"

            def tensors(kind):
                files = sorted(data.glob(f"{kind}_*.pb"), key=lambda f: int(re.findall(r"\d+", f.name)[-1]))
                for file in files:
                    values = model.graph.input if kind == "input" else model.graph.output
                    value = values[int(re.findall(r"\d+", file.name)[-1])]
                    if value.type.WhichOneof("value") == "tensor_type":
                        yield numpy_helper.to_array(onnx.load_tensor(file))
                    else:
                        yield None

            yield group, place.name, model, list(tensors("input")), list(tensors("output"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", required=True, type=Path)
    out = parser.parse_args().out
    shutil.rmtree(out, ignore_errors=True)
    writer = Writer(out)
    cases = package_cases()
    sources = {case.name: list(nodes(case.model.graph)) for case in cases}
    for case in cases:
        base = case.name.split("_expanded")[0]
        source = sources.get(base, []) + list(nodes(case.model.graph))
        inputs, outputs = case.data_sets[0]
        writer.add("node", case.name, case.model, inputs, outputs, case.rtol, case.atol, source)
    for group, name, model, inputs, outputs in folder_cases():
        writer.add(group, name, model, inputs, outputs, 1e-3, 1e-7)
    for name, model, inputs, outputs, oracle in older.cases(cases):
        writer.add("generated", name, model, inputs, outputs, 1e-3, 1e-5, oracle=oracle)
    (out / "cases.json").write_text(json.dumps({"onnx": onnx.__version__, "schemas": older.schemas(), "cases": writer.cases}))
    print(json.dumps({"cases": len(writer.cases)}))


if __name__ == "__main__":
    main()
