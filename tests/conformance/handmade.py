"""Nodes for operator versions that no case of the package can be put back to: the attribute forms of operator sets 7 to 10,
operators whose package cases all have types that are not plain, and loops and branches.

Each entry: operator, versions, function from a random generator to (inputs, attributes); an input that is a tuple is a constant.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def floats(rng, *shape):
    return rng.uniform(-2, 2, shape).astype(np.float32)


def constant(*values, dtype=np.int64):
    return (np.array(values, dtype=dtype),)


def cast(to):
    return lambda rng: ([floats(rng, 3, 4) * 20], {"to": to})


def resize(mode, scales, sizes=None, **attributes):
    """The form from operator set 11: roi, scales, sizes."""

    def make(rng):
        roi = (np.zeros(0, np.float32),)
        more = [constant(*sizes)] if sizes else []
        return [floats(rng, 1, 2, 4, 5), roi, (np.array(scales, np.float32),), *more], {"mode": mode, **attributes}

    return make


NEAREST = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
RECIPES = [
    *[("Cast", [6, 9, 13, 19, 21, 23, 24, 25], cast(to)) for to in (TensorProto.INT32, TensorProto.BOOL, TensorProto.INT64)],
    ("Cast", [6, 9, 13, 19, 21, 23, 24, 25], lambda rng: ([rng.integers(-9, 9, (2, 3))], {"to": TensorProto.FLOAT})),
    ("CastLike", [15, 19, 21, 23, 24, 25], lambda rng: ([floats(rng, 3, 4) * 9, np.zeros(1, np.int32)], {})),
    ("Einsum", [12], lambda rng: ([floats(rng, 2, 3, 4), floats(rng, 2, 4, 5)], {"equation": "bij,bjk->bik"})),
    ("Einsum", [12], lambda rng: ([floats(rng, 3, 4)], {"equation": "ij->ji"})),
    ("GlobalLpPool", [2, 22], lambda rng: ([floats(rng, 2, 3, 4, 5)], {"p": 2})),
    ("GlobalLpPool", [2, 22], lambda rng: ([floats(rng, 1, 2, 5, 3)], {"p": 3})),
    (
        "GroupNormalization",
        [18],
        lambda rng: ([floats(rng, 2, 6, 3, 3), floats(rng, 2), floats(rng, 2)], {"num_groups": 2, "epsilon": 1e-3}),
    ),
    ("Slice", [1], lambda rng: ([floats(rng, 4, 6)], {"axes": [0, 1], "starts": [1, -4], "ends": [3, 1000]})),
    ("Slice", [1], lambda rng: ([floats(rng, 4, 6)], {"starts": [1], "ends": [-1]})),
    ("Upsample", [7], lambda rng: ([floats(rng, 1, 2, 3, 4)], {"mode": "nearest", "scales": [1.0, 1.0, 2.0, 3.0]})),
    ("Upsample", [7], lambda rng: ([floats(rng, 1, 2, 3, 4)], {"mode": "linear", "scales": [1.0, 1.0, 2.0, 2.0]})),
    ("Upsample", [9], lambda rng: ([floats(rng, 1, 2, 3, 4), (np.float32([1, 1, 2, 3]),)], {"mode": "nearest"})),
    ("Resize", [10], lambda rng: ([floats(rng, 1, 2, 3, 4), (np.float32([1, 1, 2, 3]),)], {"mode": "nearest"})),
    ("Resize", [10], lambda rng: ([floats(rng, 1, 2, 3, 4), (np.float32([1, 1, 2, 2]),)], {"mode": "linear"})),
    ("Resize", [11, 13], resize("nearest", [1, 1, 2, 3], **NEAREST)),
    ("Resize", [11, 13], resize("linear", [1, 1, 2, 1.5])),
    ("Resize", [11, 13], resize("linear", [], [1, 2, 7, 3], coordinate_transformation_mode="align_corners")),
    ("Resize", [11, 13], resize("cubic", [1, 1, 2, 2], cubic_coeff_a=-0.5)),
    ("MaxRoiPool", [1, 22], lambda rng: ([floats(rng, 1, 2, 8, 8), np.float32([[0, 0, 0, 5, 6]])], {"pooled_shape": [2, 2]})),
    ("Scatter", [9], lambda rng: ([floats(rng, 3, 4), np.int64([[0, 2, 1, 0]]), floats(rng, 1, 4)], {"axis": 0})),
    ("TopK", [1], lambda rng: ([floats(rng, 3, 6)], {"k": 3, "axis": 1})),
]


def control_flow():
    """(operator, versions, function from an operator set to a graph, inputs): conditions and trip counts are constants."""
    f = TensorProto.FLOAT
    value = helper.make_tensor_value_info

    def branch(name, op):
        return helper.make_graph([helper.make_node(op, ["x"], [f"{name}_out"])], name, [], [value(f"{name}_out", f, [2, 3])])

    def chosen():
        node = helper.make_node("If", ["yes"], ["y"], then_branch=branch("then", "Relu"), else_branch=branch("else", "Neg"))
        yes = numpy_helper.from_array(np.array(True), "yes")
        return helper.make_graph([node], "if", [value("x", f, [2, 3])], [value("y", f, [2, 3])], [yes])

    def repeated():
        body = helper.make_graph(
            [
                helper.make_node("Add", ["a", "x"], ["b"]),
                helper.make_node("Identity", ["go"], ["on"]),
            ],
            "body",
            [value("i", TensorProto.INT64, []), value("go", TensorProto.BOOL, []), value("a", f, [2, 3])],
            [value("on", TensorProto.BOOL, []), value("b", f, [2, 3])],
        )
        node = helper.make_node("Loop", ["times", "yes", "x"], ["y"], body=body)
        constants = [numpy_helper.from_array(np.array(True), "yes"), numpy_helper.from_array(np.array(3), "times")]
        return helper.make_graph([node], "loop", [value("x", f, [2, 3])], [value("y", f, [2, 3])], constants)

    def scanned():
        body = helper.make_graph(
            [helper.make_node("Add", ["s", "e"], ["t"]), helper.make_node("Identity", ["t"], ["o"])],
            "body",
            [value("s", f, [3]), value("e", f, [3])],
            [value("t", f, [3]), value("o", f, [3])],
        )
        node = helper.make_node("Scan", ["first", "x"], ["last", "y"], body=body, num_scan_inputs=1)
        first = numpy_helper.from_array(np.zeros(3, np.float32), "first")
        return helper.make_graph([node], "scan", [value("x", f, [2, 3])], [value("last", f, [3]), value("y", f, [2, 3])], [first])

    versions = [11, 13, 16, 19, 21, 23, 24, 25]
    return [("If", [1, *versions], chosen), ("Loop", [1, *versions], repeated), ("Scan", [9, *versions], scanned)]


def model(graph, opset):
    version = 7 if opset < 15 else 10
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=version)


def models(rng):
    """(operator, version, place in the list, model, run-time inputs)."""
    for place, (op, versions, make) in enumerate(RECIPES):
        for version in versions:
            inputs, attributes = make(rng)
            opset = max(version, 7)
            count = 2 if op == "TopK" else 1
            names = [f"x{i}" for i in range(len(inputs))]
            node = helper.make_node(op, names, [f"y{i}" for i in range(count)], **attributes)
            constants = [numpy_helper.from_array(x[0], n) for n, x in zip(names, inputs) if isinstance(x, tuple)]
            feeds = [(n, x) for n, x in zip(names, inputs) if not isinstance(x, tuple)]
            values = [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape) for n, x in feeds]
            outputs = [helper.make_empty_tensor_value_info(n) for n in node.output]
            made = model(helper.make_graph([node], "handmade", values, outputs, constants), opset)
            inferred = onnx.shape_inference.infer_shapes(made)
            kept = {v.name for v in inferred.graph.output if v.type.HasField("tensor_type")}
            yield op, version, place, inferred if len(kept) == count else made, [x for _, x in feeds]
    for op, versions, make in control_flow():
        for version in versions:
            yield op, version, "flow", model(make(), max(version, 7)), [rng.uniform(-1, 1, (2, 3)).astype(np.float32)]
