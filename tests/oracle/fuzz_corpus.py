"""Writes the seeds of the fuzz run: one small valid model for each construct that parse reads, checked by ONNX Runtime."""

import pathlib
import sys

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper as nh

OUT = pathlib.Path(__file__).resolve().parents[1] / "fuzz" / "corpus"


def info(name, shape=(1, 2, 4, 4), kind=T.FLOAT):
    return h.make_tensor_value_info(name, kind, shape)


def const(name, value, dtype=np.float32):
    return nh.from_array(np.asarray(value, dtype), name)


def model(nodes, constants=(), sparse=(), shape=(1, 2, 4, 4), functions=(), opset=17, domains=(), out=None):
    graph = h.make_graph(nodes, "g", [info("x", shape)], [info("y", out)], list(constants), sparse_initializer=list(sparse))
    imports = [h.make_opsetid("", opset)] + [h.make_opsetid(d, 1) for d in domains]
    return h.make_model(graph, opset_imports=imports, ir_version=9, functions=list(functions))


def branch(op, name):
    return h.make_graph([h.make_node(op, ["x"], [name])], name + "_g", [], [h.make_tensor_value_info(name, T.FLOAT, None)])


def constructs():
    n = h.make_node
    yield "if", model(
        [
            n("Shape", ["x"], ["s"]),
            n("Gather", ["s", "one"], ["c"]),
            n("Greater", ["c", "one"], ["many"]),
            n("If", ["many"], ["b"], then_branch=branch("Relu", "t"), else_branch=branch("Neg", "e")),
            n("Mul", ["b", "b"], ["y"]),
        ],
        [const("one", 1, np.int64)],
    )
    body = h.make_graph(
        [n("Add", ["v", "w"], ["v_out"]), n("Mul", ["v_out", "x"], ["scan"]), n("Identity", ["go"], ["go_out"])],
        "body",
        [info("i", (), T.INT64), info("go", (), T.BOOL), info("v", None)],
        [info("go_out", (), T.BOOL), info("v_out", None), info("scan", None)],
    )
    yield "loop", model(
        [n("Loop", ["three", "", "x"], ["last", "all"], body=body), n("ReduceSum", ["all", "zero"], ["r"], keepdims=0), n("Add", ["last", "r"], ["y"])],
        [const("three", 3, np.int64), const("w", 0.5), const("zero", [0], np.int64)],
    )
    step = h.make_graph(
        [n("Add", ["state", "row"], ["state_out"]), n("Tanh", ["state_out"], ["row_out"])],
        "step",
        [info("state", (4,)), info("row", (4,))],
        [info("state_out", (4,)), info("row_out", (4,))],
    )
    yield "scan", model(
        [n("Scan", ["start", "x"], ["end", "rows"], body=step, num_scan_inputs=1, scan_input_directions=[1], scan_output_directions=[1]), n("Add", ["rows", "end"], ["y"])],
        [const("start", [0.0, 1.0, 2.0, 3.0])],
        shape=(5, 4),
    )
    inner = h.make_function("f", "leaky", ["a"], ["b"], [n("LeakyRelu", ["a"], ["b"])], [h.make_opsetid("", 17)], ["alpha"])
    inner.node[0].attribute.append(onnx.AttributeProto(name="alpha", ref_attr_name="alpha", type=onnx.AttributeProto.FLOAT))
    call = n("leaky", ["a"], ["t"], domain="f", alpha=0.25)
    outer = h.make_function("f", "twice", ["a"], ["c"], [call, n("Add", ["t", "t"], ["c"])], [h.make_opsetid("", 17), h.make_opsetid("f", 1)])
    yield "function", model([n("twice", ["x"], ["m"], domain="f"), n("twice", ["m"], ["y"], domain="f")], functions=[inner, outer], domains=["f"])
    flat = h.make_sparse_tensor(const("w", [1.0, -2.0, 3.0]), nh.from_array(np.array([0, 5, 15], np.int64)), [4, 4])
    pairs = h.make_sparse_tensor(const("v", [0.5, 4.0]), nh.from_array(np.array([[0, 3], [2, 1]], np.int64)), [4, 4])
    yield "sparse", model([n("Constant", [], ["v"], sparse_value=pairs), n("MatMul", ["x", "w"], ["a"]), n("Add", ["a", "v"], ["y"])], sparse=[flat])
    yield "conv", model(
        [
            n("Conv", ["x", "w", "b"], ["a"], pads=[1, 1, 1, 1]),
            n("BatchNormalization", ["a", "s", "b", "b", "s"], ["n"]),
            n("Relu", ["n"], ["r"]),
            n("MaxPool", ["r"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
            n("Flatten", ["p"], ["f"]),
            n("Gemm", ["f", "g"], ["y"]),
        ],
        [const("w", np.linspace(-1, 1, 54).reshape(3, 2, 3, 3)), const("b", [0.1, 0.2, 0.3]), const("s", [1, 2, 3]), const("g", np.ones((12, 2)))],
    )
    yield "qdq", model(
        [
            n("QuantizeLinear", ["x", "sx", "zx"], ["xq"]),
            n("DequantizeLinear", ["xq", "sx", "zx"], ["xd"]),
            n("DequantizeLinear", ["wq", "sw", "zw"], ["wd"], axis=0),
            n("Conv", ["xd", "wd"], ["a"]),
            n("QuantizeLinear", ["a", "sx", "zx"], ["aq"]),
            n("DequantizeLinear", ["aq", "sx", "zx"], ["y"]),
        ],
        [const("sx", 0.02), const("zx", 128, np.uint8), const("wq", np.array([[[[127]], [[-3]]], [[[5]], [[-127]]]]), np.int8), const("sw", [0.01, 0.02]), const("zw", [0, 0], np.int8)],
    )
    yield "qoperator", model(
        [
            n("QuantizeLinear", ["x", "sx", "zx"], ["xq"]),
            n("QLinearConv", ["xq", "sx", "zx", "wq", "sw", "zw", "sx", "zx"], ["aq"]),
            n("DequantizeLinear", ["aq", "sx", "zx"], ["y"]),
        ],
        [const("sx", 0.02), const("zx", 128, np.uint8), const("wq", np.array([[[[127]], [[-3]]], [[[5]], [[-127]]]]), np.int8), const("sw", [0.01, 0.02]), const("zw", [0, 0], np.int8)],
    )
    yield "moves", model(
        [
            n("QuantizeLinear", ["x", "sx", "zx"], ["xq"]),
            n("Pad", ["xq", "pads", "zx"], ["pad"]),
            n("Pad", ["pad", "pads"], ["zeros"]),
            n("Resize", ["zeros", "", "twice"], ["big"], mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
            n("Split", ["big"], ["left", "right"], axis=1),
            n("Concat", ["right", "left"], ["both"], axis=1),
            n("DequantizeLinear", ["both", "sx", "zx"], ["d"]),
            n("ArgMax", ["both"], ["at"], axis=1),
            n("Cast", ["at"], ["f"], to=T.FLOAT),
            n("Add", ["d", "f"], ["y"]),
        ],
        [const("sx", 0.02), const("zx", 100, np.uint8), const("pads", [0, 0, 1, 0, 0, 0, 0, 1], np.int64), const("twice", [1, 1, 2, 2])],
    )
    yield "dynamic", model(
        [
            n("DynamicQuantizeLinear", ["x"], ["xq", "xs", "xz"]),
            n("MatMulInteger", ["xq", "wq", "xz", "wz"], ["p"]),
            n("Cast", ["p"], ["f"], to=T.FLOAT),
            n("Mul", ["xs", "ws"], ["s"]),
            n("Mul", ["f", "s"], ["y"]),
        ],
        [const("wq", np.arange(16).reshape(4, 4) * 7, np.uint8), const("wz", 60, np.uint8), const("ws", 0.01)],
    )
    yield "shapes", model(
        [
            n("Shape", ["x"], ["s"]),
            n("Slice", ["s", "one", "three"], ["mid"]),
            n("ReduceProd", ["mid", ], ["p"], keepdims=1),
            n("Concat", ["minus", "p"], ["t"], axis=0),
            n("Reshape", ["x", "t"], ["r"]),
            n("ConstantOfShape", ["p"], ["c"]),
            n("Expand", ["c", "t2"], ["e"]),
            n("Add", ["r", "e"], ["y"]),
        ],
        [const("one", [1], np.int64), const("three", [3], np.int64), const("minus", [-1], np.int64), const("t2", [4, 8], np.int64)],
    )


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for name, proto in constructs():
        session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
        shape = session.get_inputs()[0].shape
        x = (np.arange(np.prod(shape), dtype=np.float32).reshape(shape) / 16 - 1).astype(np.float32)
        y = session.run(None, {"x": x})[0]
        (OUT / f"{name}.onnx").write_bytes(proto.SerializeToString())
        y.astype("<f4").tofile(OUT / f"{name}.expected")
        print(name, y.shape, file=sys.stderr)


main()
