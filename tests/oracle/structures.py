"""Small models of the structures that people bring, with seeded random weights, written for the suite `structures`.

    structures.py make DIR      DIR/NAME.onnx, DIR/data/NAME/INPUT/K.npy, DIR/models.json
    structures.py check DIR     compares what was built below DIR/out with ONNX Runtime; JSON on standard output
"""

import json
import sys
from pathlib import Path
from urllib.parse import quote

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic, quantize_static

from quantized_models import FORMS, Samples

SAMPLES = 4
EXACT = "session.x64quantprecision"


class Builder:
    """A graph under construction; every call adds a node and returns its first output."""

    def __init__(self, name, opset=17):
        self.name, self.opset = name, opset
        self.rng = np.random.default_rng(sum(name.encode()))
        self.nodes, self.constants, self.inputs, self.outputs = [], [], [], []

    def input(self, name, shape):
        self.inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        return name

    def output(self, name):
        self.outputs.append(helper.make_empty_tensor_value_info(name))

    def constant(self, value):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def weights(self, *shape):
        fan = int(np.prod(shape[1:])) or 1
        return self.constant(self.rng.normal(0, 1.4 / np.sqrt(fan), shape).astype(np.float32))

    def add(self, op, inputs, outputs=1, **attrs):
        name = f"{op}_{len(self.nodes)}"
        made = [name + "_out" if i == 0 else f"{name}_out{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs, made, name, **attrs))
        return made[0] if outputs == 1 else made

    def conv(self, x, cin, cout, k=3, **attrs):
        attrs.setdefault("pads", [k // 2] * 4)
        group = attrs.get("group", 1)
        return self.add("Conv", [x, self.weights(cout, cin // group, k, k), self.weights(cout)], **attrs)

    def model(self):
        graph = helper.make_graph(self.nodes, self.name, self.inputs, self.outputs, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)
        if self.opset >= 22:
            model.ir_version = 10
        return model


def recurrent(kind):
    b = Builder(f"{kind.lower()}_recogniser")
    x = b.add("Relu", [b.conv(b.input("image", [1, 1, 16, 40]), 1, 8, strides=[2, 2])])
    x = b.add("Reshape", [x, b.constant(np.array([1, 64, 20]))])
    x = b.add("Transpose", [x], perm=[2, 0, 1])
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[kind]
    w, r = b.weights(2, gates * 12, 64), b.weights(2, gates * 12, 12)
    x = b.add(kind, [x, w, r], hidden_size=12, direction="bidirectional")
    x = b.add("Transpose", [x], perm=[0, 2, 1, 3])
    x = b.add("Reshape", [x, b.constant(np.array([20, 24]))])
    b.output(b.add("Softmax", [b.add("Gemm", [x, b.weights(24, 11), b.weights(11)])], axis=-1))
    return b


def softmax_by_hand(b, x, axis):
    x = b.add("Sub", [x, b.add("ReduceMax", [x], axes=[axis], keepdims=1)])
    e = b.add("Exp", [x])
    total = b.add("ReduceSum", [e, b.constant(np.array([axis]))], keepdims=1)
    return b.add("Div", [e, total])


def attention(spelled):
    b = Builder("attention_" + ("spelled" if spelled else "softmax"))
    x = b.conv(b.input("image", [1, 3, 16, 16]), 3, 16, 4, strides=[4, 4], pads=[0] * 4)
    x = b.add("Transpose", [b.add("Reshape", [x, b.constant(np.array([1, 16, 16]))])], perm=[0, 2, 1])
    heads = []
    for _ in range(3):
        y = b.add("Add", [b.add("MatMul", [x, b.weights(16, 16)]), b.weights(16)])
        heads.append(b.add("Transpose", [b.add("Reshape", [y, b.constant(np.array([1, 16, 2, 8]))])], perm=[0, 2, 1, 3]))
    q, k, v = heads
    s = b.add("MatMul", [q, b.add("Transpose", [k], perm=[0, 1, 3, 2])])
    s = b.add("Mul", [s, b.constant(np.float32(8**-0.5))])
    s = softmax_by_hand(b, s, 3) if spelled else b.add("Softmax", [s], axis=-1)
    y = b.add("Transpose", [b.add("MatMul", [s, v])], perm=[0, 2, 1, 3])
    y = b.add("MatMul", [b.add("Reshape", [y, b.constant(np.array([1, 16, 16]))]), b.weights(16, 16)])
    y = b.add("Add", [x, y])
    y = b.add("LayerNormalization", [y, b.weights(16), b.weights(16)], axis=-1)
    y = b.add("Gelu", [b.add("MatMul", [y, b.weights(16, 32)])]) if b.opset >= 20 else gelu(b, b.add("MatMul", [y, b.weights(16, 32)]))
    b.output(b.add("ReduceMean", [b.add("MatMul", [y, b.weights(32, 10)])], axes=[1], keepdims=0))
    return b


def gelu(b, x):
    half = b.add("Mul", [x, b.constant(np.float32(0.5))])
    erf = b.add("Erf", [b.add("Div", [x, b.constant(np.float32(2**0.5))])])
    return b.add("Mul", [half, b.add("Add", [erf, b.constant(np.float32(1))])])


def attention_operator():
    b = Builder("attention_operator", 23)
    x = b.input("tokens", [1, 2, 8, 16])
    y = b.add("Attention", [b.add("MatMul", [x, b.weights(16, 16)]), b.add("MatMul", [x, b.weights(16, 16)]), x])
    b.output(b.add("MatMul", [y, b.weights(16, 4)]))
    return b


def volume():
    b = Builder("volume")
    x = b.input("clip", [1, 2, 6, 9, 9])
    x = b.add("Conv", [x, b.weights(4, 2, 3, 3, 3), b.weights(4)], pads=[1] * 6)
    x = b.add("MaxPool", [b.add("Relu", [x])], kernel_shape=[2, 2, 2], strides=[2, 2, 2])
    x = b.add("Flatten", [x])
    b.output(b.add("Gemm", [x, b.weights(4 * 3 * 4 * 4, 5), b.weights(5)]))
    return b


def grid_sample():
    b = Builder("grid_sample", 20)
    x = b.conv(b.input("image", [1, 3, 12, 12]), 3, 8)
    grid = b.input("grid", [1, 7, 5, 2])
    y = b.add("GridSample", [b.add("Relu", [x]), b.add("Tanh", [grid])], mode="linear", padding_mode="border")
    b.output(b.conv(y, 8, 4, 1))
    return b


def control_flow():
    b = Builder("control_flow")
    x = b.add("Relu", [b.conv(b.input("image", [1, 3, 10, 10]), 3, 6)])

    def branch(name, op):
        node = helper.make_node(op, [x], [name])
        return helper.make_graph([node], name, [], [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 6, 10, 10])])

    y = b.add("If", [b.constant(np.array(True))], then_branch=branch("then", "Sigmoid"), else_branch=branch("else", "Neg"))
    carried = [helper.make_tensor_value_info(n, t, s) for n, t, s in
               (("i", TensorProto.INT64, []), ("go", TensorProto.BOOL, []), ("state", TensorProto.FLOAT, [1, 6, 10, 10]))]
    body = helper.make_graph(
        [helper.make_node("Add", ["state", x], ["next"]), helper.make_node("Identity", ["go"], ["on"])],
        "body", carried,
        [helper.make_tensor_value_info("on", TensorProto.BOOL, []),
         helper.make_tensor_value_info("next", TensorProto.FLOAT, [1, 6, 10, 10])])
    z = b.add("Loop", [b.constant(np.array(3)), b.constant(np.array(True)), y], body=body)
    b.output(b.conv(z, 6, 2, 1))
    return b


def old_opset():
    b = Builder("opset_7", 7)
    x = b.conv(b.input("image", [1, 3, 12, 12]), 3, 6)
    one = lambda: b.constant(np.abs(b.rng.normal(1, 0.2, 6)).astype(np.float32))
    x = b.add("BatchNormalization", [x, one(), one(), one(), one()], epsilon=1e-3)
    x = b.add("Dropout", [b.add("LeakyRelu", [x], alpha=0.2)], ratio=0.3)
    x = b.add("Upsample", [x], mode="nearest", scales=[1.0, 1.0, 2.0, 2.0])
    b.output(b.conv(x, 6, 3))
    return b


def segmentation_head():
    b = Builder("segmentation_head")
    x = b.add("Relu", [b.conv(b.input("image", [1, 3, 20, 20]), 3, 8, strides=[2, 2])])
    x = b.add("ConvTranspose", [x, b.weights(8, 8, 2, 2), b.weights(8)], strides=[2, 2])
    x = b.add("ConvTranspose", [b.add("Relu", [x]), b.weights(8, 4, 3, 3)], strides=[2, 2], pads=[1] * 4, output_padding=[1, 1])
    x = b.add("Resize", [x, "", "", b.constant(np.array([1, 4, 30, 30]))], mode="linear", coordinate_transformation_mode="half_pixel")
    b.output(b.add("Softmax", [x], axis=1))
    return b


def yolo_head():
    b = Builder("yolo_head")
    x = b.conv(b.input("image", [1, 3, 32, 32]), 3, 12, strides=[2, 2])
    x = b.add("Mul", [x, b.add("Sigmoid", [x])])
    parts = []
    for stride, size in ((1, 16), (2, 8)):
        y = b.conv(x, 12, 7 * 3, 1 if stride == 1 else 3, strides=[stride] * 2)
        y = b.add("Transpose", [b.add("Reshape", [y, b.constant(np.array([1, 3, 7, size, size]))])], perm=[0, 1, 3, 4, 2])
        y = b.add("Sigmoid", [y])
        xy, wh, rest = b.add("Split", [y, b.constant(np.array([2, 2, 3]))], 3, axis=4)
        grid = np.stack(np.meshgrid(np.arange(size), np.arange(size)), -1).reshape(1, 1, size, size, 2).astype(np.float32)
        xy = b.add("Mul", [b.add("Add", [xy, b.constant(grid)]), b.constant(np.float32(32 / size))])
        wh = b.add("Pow", [b.add("Mul", [wh, b.constant(np.float32(2))]), b.constant(np.float32(2))])
        y = b.add("Concat", [xy, wh, rest], axis=4)
        parts.append(b.add("Reshape", [y, b.constant(np.array([1, -1, 7]))]))
    b.output(b.add("Concat", parts, axis=1))
    return b


def windows():
    b = Builder("shifted_windows")
    x = b.conv(b.input("image", [1, 3, 16, 16]), 3, 8, 2, strides=[2, 2], pads=[0] * 4)
    cut = lambda x, axis, a, z: b.add("Slice", [x, b.constant(np.array([a])), b.constant(np.array([z])), b.constant(np.array([axis]))])
    for axis in (2, 3):
        x = b.add("Concat", [cut(x, axis, 2, 8), cut(x, axis, 0, 2)], axis=axis)
    x = b.add("Reshape", [x, b.constant(np.array([1, 8, 2, 4, 2, 4]))])
    x = b.add("Transpose", [x], perm=[0, 2, 4, 3, 5, 1])
    x = b.add("Reshape", [x, b.constant(np.array([4, 16, 8]))])
    x = b.add("Add", [x, b.add("MatMul", [b.add("LayerNormalization", [x, b.weights(8)], axis=-1), b.weights(8, 8)])])
    b.output(b.add("ReduceMean", [x], axes=[1], keepdims=0))
    return b


def focus():
    b = Builder("focus")
    x = b.conv(b.input("image", [1, 3, 16, 20]), 3, 4)
    every = lambda x, axis, start, step: b.add(
        "Slice", [x] + [b.constant(np.array([v])) for v in (start, 99 if step > 0 else -99, axis, step)]
    )
    parts = [every(every(x, 2, i, 2), 3, j, 2) for j in (0, 1) for i in (0, 1)]
    x = b.add("Relu", [b.conv(b.add("Concat", parts, axis=1), 16, 8)])
    x = every(every(x, 3, -1, -1), 2, 1, 3)
    b.output(b.add("Flatten", [b.add("GlobalAveragePool", [b.conv(x, 8, 6)])]))
    return b


def shuffle():
    b = Builder("channel_shuffle")
    x = b.add("Relu", [b.conv(b.input("image", [1, 3, 14, 14]), 3, 12)])
    x = b.conv(x, 12, 12, 1, group=3)
    x = b.add("Reshape", [x, b.constant(np.array([1, 3, 4, 14, 14]))])
    x = b.add("Reshape", [b.add("Transpose", [x], perm=[0, 2, 1, 3, 4]), b.constant(np.array([1, 12, 14, 14]))])
    x = b.conv(x, 12, 12, 3, group=12)
    left, right = b.add("Split", [x, b.constant(np.array([6, 6]))], 2, axis=1)
    x = b.add("Concat", [right, b.conv(left, 6, 6, 1)], axis=1)
    b.output(b.add("Flatten", [b.add("GlobalAveragePool", [x])]))
    return b


def group_norm():
    b = Builder("group_norm", 21)
    x = b.conv(b.input("image", [1, 3, 11, 13]), 3, 8)
    x = b.add("GroupNormalization", [x, b.weights(8), b.weights(8)], num_groups=4)
    x = b.add("InstanceNormalization", [b.conv(b.add("HardSwish", [x]), 8, 6), b.weights(6), b.weights(6)])
    b.output(b.conv(x, 6, 3))
    return b


def channel_norm():
    """A ConvNeXt-like block: a variance in one pass over the channels, GELU, residual Add; then Softmax as JAX writes it."""
    b = Builder("channel_norm")
    image = b.conv(b.input("image", [1, 3, 24, 20]), 3, 8, 4, strides=[4, 4], pads=[0] * 4)
    x = b.conv(image, 8, 8, 7, group=8)
    mean = b.add("ReduceMean", [x], axes=[1], keepdims=1)
    squares = b.add("ReduceMean", [b.add("Mul", [x, x])], axes=[1], keepdims=1)
    variance = b.add("Sub", [squares, b.add("Mul", [mean, mean])])
    root = b.add("Sqrt", [b.add("Add", [variance, b.constant(np.float32(1e-6))])])
    y = b.add("Mul", [b.add("Sub", [x, mean]), b.add("Reciprocal", [root])])
    y = b.add("Add", [b.add("Mul", [y, b.weights(8, 1, 1)]), b.weights(8, 1, 1)])
    y = b.conv(gelu(b, b.conv(y, 8, 24, 1)), 24, 8, 1)
    x = b.conv(b.add("Add", [image, y]), 8, 5, 1)
    whole, row = b.constant(np.array([1, 5, 6, 5])), b.constant(np.array([1, 1, 6, 5]))
    most = b.add("Max", [b.constant(np.float32(-np.inf)), b.add("ReduceMax", [x], axes=[1], keepdims=0)])
    e = b.add("Exp", [b.add("Sub", [x, b.add("Expand", [b.add("Reshape", [most, row]), whole])])])
    total = b.add("ReduceSum", [e, b.constant(np.array([1]))], keepdims=0)
    b.output(b.add("Div", [e, b.add("Expand", [b.add("Reshape", [total, row]), whole])]))
    return b


def channels_last():
    """As TensorFlow exports: images with channels last between Transposes, normalized over height and width."""
    b = Builder("channels_last")
    x = b.add("Transpose", [b.input("image", [1, 14, 18, 3])], perm=[0, 3, 1, 2])
    x = b.add("Transpose", [b.conv(x, 3, 8, strides=[2, 2])], perm=[0, 2, 3, 1])
    mean = b.add("ReduceMean", [x], axes=[1, 2], keepdims=1)
    centred = b.add("Sub", [x, mean])
    variance = b.add("ReduceMean", [b.add("Mul", [centred, centred])], axes=[1, 2], keepdims=1)
    root = b.add("Sqrt", [b.add("Add", [variance, b.constant(np.float32(1e-3))])])
    y = b.add("Mul", [centred, b.add("Div", [b.weights(1, 1, 1, 8), root])])
    y = b.add("Relu", [b.add("Add", [y, b.weights(8)])])
    y = b.conv(b.add("Transpose", [y], perm=[0, 3, 1, 2]), 8, 6, 3)
    b.output(b.add("Transpose", [y], perm=[0, 2, 3, 1]))
    return b


def einsum():
    b = Builder("einsum")
    x = b.add("Relu", [b.conv(b.input("image", [1, 3, 8, 8]), 3, 6)])
    x = b.add("Einsum", [x, b.weights(6, 5)], equation="bchw,cd->bdhw")
    b.output(b.conv(x, 5, 4, 1))
    return b


def squeeze_excite():
    b = Builder("squeeze_excite")
    x = b.add("HardSwish", [b.conv(b.input("image", [1, 3, 15, 17]), 3, 8, strides=[2, 2])])
    s = b.add("Relu", [b.conv(b.add("GlobalAveragePool", [x]), 8, 4, 1)])
    x = b.add("Mul", [x, b.add("HardSigmoid", [b.conv(s, 4, 8, 1)])])
    x = b.add("Clip", [b.conv(x, 8, 8, 5, group=8, strides=[2, 2]), b.constant(np.float32(0)), b.constant(np.float32(6))])
    x = b.add("AveragePool", [b.conv(x, 8, 12, 1)], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    b.output(b.add("Gemm", [b.add("Flatten", [x]), b.weights(72, 10), b.weights(10)]))
    return b


STRUCTURES = [
    lambda: recurrent("LSTM"), lambda: recurrent("GRU"), lambda: recurrent("RNN"), lambda: attention(True), lambda: attention(False),
    attention_operator, volume, grid_sample, control_flow, old_opset, segmentation_head, yolo_head, windows, focus, shuffle,
    group_norm, channel_norm, channels_last, einsum, squeeze_excite,
]


def quantized(folder):
    """The squeeze-and-excite model as quantization tools write it."""
    source = folder / "squeeze_excite.onnx"
    # Not QOperator with s8 activations: ONNX Runtime has no kernel for the QGemm that it writes here.
    for form in ("qdq-s8s8", "qdq-u8s8", "qdq-u8s8-channel", "qoperator-u8s8", "qoperator-u8s8-channel"):
        samples = Samples("image", folder / "data/squeeze_excite/image")
        quantize_static(source, folder / f"{form}.onnx", samples, **FORMS[form])
        yield form
    quantize_dynamic(source, folder / "dynamic.onnx", weight_type=QuantType.QUInt8)
    yield "dynamic"


def make(folder):
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for structure in STRUCTURES:
        b = structure()
        onnx.save(b.model(), folder / f"{b.name}.onnx")
        inputs = {i.name: [d.dim_value for d in i.type.tensor_type.shape.dim] for i in b.inputs}
        rng = np.random.default_rng(7)
        samples = [{n: rng.normal(0, 1, s).astype(np.float32) for n, s in inputs.items()} for _ in range(SAMPLES)]
        for k, sample in enumerate(samples):
            for name, value in sample.items():
                place = folder / "data" / b.name / quote(name, safe="")
                place.mkdir(parents=True, exist_ok=True)
                np.save(place / f"{k}.npy", value)
        ort.InferenceSession(folder / f"{b.name}.onnx").run(None, samples[0])
        entries.append({"name": b.name, "data": b.name, "inputs": list(inputs), "quantized": False})
    for name in quantized(folder):
        entries.append({"name": name, "data": "squeeze_excite", "inputs": ["image"], "quantized": True})
    (folder / "models.json").write_text(json.dumps(entries))


def run(path, inputs):
    options = ort.SessionOptions()
    options.add_session_config_entry(EXACT, "1")
    options.log_severity_level = 3
    session = ort.InferenceSession(path, options)
    feed = {}
    for declared in session.get_inputs():
        feed[declared.name] = inputs[declared.name]
    return session.run(None, feed)


def distance(a, b):
    a, b = (np.concatenate([np.asarray(x, np.float64).ravel() for x in v]) for v in (a, b))
    largest = np.abs(b).max(initial=0) or 1.0
    norms = np.linalg.norm(a) * np.linalg.norm(b)
    return {"max_error": float(np.abs(a - b).max(initial=0) / largest), "cosine": float(a @ b / norms) if norms else 1.0}


def integer_weights(path):
    """The int8 constants of a file, sorted, as a list of lists."""
    constants = [numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer]
    return sorted(sorted(np.abs(c.astype(int)).ravel().tolist()) for c in constants if c.dtype == np.int8 and c.size > 32)


def check(folder):
    """For each built variant: float against the source, quantized.onnx against the outputs that the `.bin` gave."""
    found = {}
    for entry in json.loads((folder / "models.json").read_text()):
        inputs = {n: np.load(folder / "data" / entry["data"] / quote(n, safe="") / "0.npy") for n in entry["inputs"]}
        source = run(folder / f"{entry['name']}.onnx", inputs)
        for out in sorted((folder / "out").glob(f"{entry['name']}-*")):
            mode = out.name[len(entry["name"]) + 1 :]
            if mode not in ("cpu", "bayes", "keep-cpu", "keep-bayes", "requantize-cpu", "requantize-bayes"):
                continue
            ours = [np.load(p) for p in sorted((folder / "ran" / out.name).glob("*.npy"))]
            session_names = [o.name for o in onnx.load(out / "quantized.onnx").graph.output]
            order = sorted(range(len(session_names)), key=lambda i: quote(session_names[i], safe="") + ".npy")
            again = run(out / "quantized.onnx", inputs)
            figures = {
                "optimized": distance(run(out / "optimized_float.onnx", inputs), source),
                "quantized": distance(ours, [again[i] for i in order]),
                "end_to_end": distance(again, source),
            }
            if entry["quantized"] and mode.startswith("keep"):
                figures["same_weights"] = integer_weights(out / "quantized.onnx") == integer_weights(folder / f"{entry['name']}.onnx")
            found[out.name] = figures
    print(json.dumps(found))


if __name__ == "__main__":
    {"make": make, "check": check}[sys.argv[1]](Path(sys.argv[2]))
