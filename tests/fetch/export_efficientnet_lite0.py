"""Builds EfficientNet-Lite0 as ONNX from its published PyTorch weights, with NumPy and the onnx package alone.

Reads one line `weights.pth<TAB>model.onnx` from standard input. The result is checked by its weights (a digest of all
tensors) and by its outputs (ONNX Runtime on a seeded input, against logits of the original PyTorch code). With an
argument, `export_efficientnet_lite0.py MODEL.onnx`, it only checks the outputs of that model.

Batch normalization is left unfolded, and TensorFlow's SAME padding of the stride-2 convolutions, which is asymmetric, is
an explicit Pad, so that both have to be fused.
"""

import hashlib
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import torch_weights

SIZE, CLASSES = 224, 1000
# Repeats, stride, expansion and output channels of each stage; kernel sizes are those of the weights.
STAGES = ((1, 1, 1, 16), (2, 2, 6, 24), (2, 2, 6, 40), (3, 2, 6, 80), (3, 1, 6, 112), (4, 2, 6, 192), (1, 1, 6, 320))
STEM, HEAD, EPSILON = 32, 1280, 1e-3
WEIGHTS = "6b8317ea59b8809a02ef53ca526dea68ecef704c8454a0c2fb07b639a88af2fc"
LOGITS = Path(__file__).with_name("efficientnet_lite0_logits.npy")
TOLERANCE = 1e-4


class Builder:
    """Nodes and initializers of the graph under construction; each method returns the name of its output."""

    def __init__(self, weights):
        self.weights, self.nodes, self.initializers = weights, [], {}

    def constant(self, name, value):
        self.initializers.setdefault(name, numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def weight(self, name):
        return self.constant(name, self.weights[name])

    def add(self, op, name, inputs, **attributes):
        self.nodes.append(helper.make_node(op, inputs, [f"{name}/out"], name=name, **attributes))
        return f"{name}/out"

    def conv(self, x, name, size, stride=1, depthwise=False):
        """SAME convolution of an image of `size`; returns its output and size."""
        weight = self.weights[f"{name}.weight"]
        kernel, after = weight.shape[2], -(-size // stride)
        total = max((after - 1) * stride + kernel - size, 0)
        begin, end = total // 2, total - total // 2
        if stride > 1:
            pads = self.constant(f"{name}/pads", np.array([0, 0, begin, begin, 0, 0, end, end], np.int64))
            x, begin, end = self.add("Pad", f"{name}/pad", [x, pads], mode="constant"), 0, 0
        group = weight.shape[0] if depthwise else 1
        x = self.add(
            "Conv", name, [x, self.weight(f"{name}.weight")], kernel_shape=[kernel, kernel], strides=[stride, stride],
            pads=[begin, begin, end, end], dilations=[1, 1], group=group,
        )  # fmt: skip
        return x, after

    def normalize(self, x, name, clip=True):
        parts = ("weight", "bias", "running_mean", "running_var")
        x = self.add("BatchNormalization", name, [x, *(self.weight(f"{name}.{p}") for p in parts)], epsilon=EPSILON)
        if not clip:
            return x
        low, high = self.constant("relu6/low", np.float32(0)), self.constant("relu6/high", np.float32(6))
        return self.add("Clip", f"{name}/relu6", [x, low, high])

    def block(self, x, name, size, stride, expand, residual):
        """Inverted bottleneck: expand, depthwise, project, and the shortcut where shapes allow."""
        start = x
        if expand:
            x, _ = self.conv(x, f"{name}._expand_conv", size)
            x = self.normalize(x, f"{name}._bn0")
        x, size = self.conv(x, f"{name}._depthwise_conv", size, stride, depthwise=True)
        x = self.normalize(x, f"{name}._bn1")
        x, _ = self.conv(x, f"{name}._project_conv", size)
        x = self.normalize(x, f"{name}._bn2", clip=False)
        return (self.add("Add", f"{name}.add", [x, start]) if residual else x), size


def build(weights):
    """The model; raises KeyError when a weight is absent and ValueError when one is left over."""
    b = Builder(weights)
    x, size = b.conv("input", "_conv_stem", SIZE, 2)
    x, channels, index = b.normalize(x, "_bn0"), STEM, 0
    for repeats, first_stride, expansion, out in STAGES:
        for repeat in range(repeats):
            stride = 1 if repeat else first_stride
            residual = stride == 1 and channels == out
            x, size = b.block(x, f"_blocks.{index}", size, stride, expansion > 1, residual)
            channels, index = out, index + 1
    x, _ = b.conv(x, "_conv_head", size)
    x = b.add("GlobalAveragePool", "pool", [b.normalize(x, "_bn1")])
    x = b.add("Flatten", "flatten", [x], axis=1)
    b.nodes.append(
        helper.make_node("Gemm", [x, b.weight("_fc.weight"), b.weight("_fc.bias")], ["logits"], name="_fc", transB=1)
    )
    unused = {n for n in weights if n not in b.initializers and not n.endswith("num_batches_tracked")}
    if unused:
        raise ValueError(f"weights that the graph does not use: {sorted(unused)}")
    graph = helper.make_graph(
        b.nodes, "efficientnet_lite0",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", CLASSES])],
        list(b.initializers.values()),
    )  # fmt: skip
    model = helper.make_model(
        graph, producer_name="ptq-fetch", opset_imports=[helper.make_opsetid("", 13)], ir_version=8
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def weights_digest(model):
    """Digest of the float tensors, whatever their order and names."""
    arrays = [numpy_helper.to_array(t) for t in model.graph.initializer if t.data_type == TensorProto.FLOAT]
    parts = sorted(hashlib.sha256(repr(a.shape).encode() + a.astype("<f4").tobytes()).digest() for a in arrays)
    return hashlib.sha256(b"".join(parts)).hexdigest()


def logits(path):
    """ONNX Runtime's logits for a seeded input."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    x = np.random.default_rng(0).standard_normal((1, 3, SIZE, SIZE)).astype(np.float32)
    return session.run(None, {session.get_inputs()[0].name: x})[0]


def check_outputs(path):
    expected = np.load(LOGITS)
    error = float(np.abs(logits(path) - expected).max() / np.abs(expected).max())
    if not error <= TOLERANCE:
        sys.exit(f"{path}: logits differ from the original's by {error:.2e} of the largest, {TOLERANCE:.0e} is allowed")
    return error


def main():
    if len(sys.argv) > 1:
        print(f"logits within {check_outputs(sys.argv[1]):.1e}")
        return
    source, destination = sys.stdin.readline().rstrip("\n").split("\t")[:2]
    model = build(torch_weights.read(source))
    digest = weights_digest(model)
    if digest != WEIGHTS:
        sys.exit(f"digest of the weights is {digest}, expected {WEIGHTS}")
    onnx.save(model, destination)
    print(f"weights as expected, logits within {check_outputs(destination):.1e}")


if __name__ == "__main__":
    main()
