"""Trains the example classifier on Fashion-MNIST and writes model.onnx, data/calib, data/eval and data/eval.csv.

Needs torch 2.8 (CPU), onnx, numpy and Pillow, and the data set's four .gz files (Debian package dataset-fashion-mnist):
    python train.py /usr/share/datasets/fashion-mnist
"""

import csv
import gzip
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx.reference import ReferenceEvaluator
from PIL import Image
from torch import nn
from torch.nn import functional as F

HERE = Path(__file__).parent
MEAN, STD = 72.94, 90.02
EPOCHS, BATCH = 9, 128
CALIB_IMAGES, EVAL_IMAGES = 64, 200


def load(folder, split):
    """Images [N,1,28,28] u8 and labels [N] i64 of one split."""
    images = gzip.open(folder / f"{split}-images-idx3-ubyte.gz").read()
    labels = gzip.open(folder / f"{split}-labels-idx1-ubyte.gz").read()
    pixels = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 1, 28, 28)
    return pixels.copy(), np.frombuffer(labels, np.uint8, offset=8).astype(np.int64)


def conv_bn(cin, cout, kernel, stride=1, groups=1, padding=None, act=None):
    """Conv without bias, batch normalization, and perhaps an activation."""
    padding = kernel // 2 if padding is None else padding
    layers = [nn.Conv2d(cin, cout, kernel, stride, padding, groups=groups, bias=False), nn.BatchNorm2d(cout)]
    return nn.Sequential(*layers, *([act] if act else []))


class Residual(nn.Module):
    """y = relu?(x + body(x))"""

    def __init__(self, *body, relu):
        super().__init__()
        self.body = nn.Sequential(*body)
        self.relu = relu

    def forward(self, x):
        y = x + self.body(x)
        return F.relu(y) if self.relu else y


def make():
    """The network; each block is there for one pattern that a quantizer meets in practice."""
    return nn.Sequential(
        conv_bn(1, 16, 3, act=nn.ReLU()),
        Residual(conv_bn(16, 16, 3, act=nn.ReLU()), conv_bn(16, 16, 3), relu=True),
        nn.ZeroPad2d((0, 1, 0, 1)),  # an explicit, asymmetric Pad before a stride-2 Conv
        conv_bn(16, 32, 3, stride=2, padding=0, act=nn.ReLU6()),
        Residual(conv_bn(32, 32, 3, groups=32, act=nn.ReLU6()), conv_bn(32, 32, 1), relu=False),
        conv_bn(32, 32, 3, stride=2, groups=32, act=nn.ReLU6()),
        conv_bn(32, 64, 1, act=nn.ReLU()),
        Residual(conv_bn(64, 64, 3, act=nn.ReLU()), conv_bn(64, 64, 1), relu=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, 10),
    )


def normalize(pixels):
    return (torch.from_numpy(pixels).float() - MEAN) / STD


def accuracy(model, x, y):
    model.eval()
    with torch.no_grad():
        hits = [
            (model(normalize(x[i : i + 500])).argmax(1).numpy() == y[i : i + 500]).sum() for i in range(0, len(x), 500)
        ]
    return sum(hits) / len(x)


def train(x, y, xt, yt):
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    model = make().to(memory_format=torch.channels_last)
    steps = EPOCHS * (len(x) // BATCH)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.2, total_steps=steps, pct_start=0.25)
    for epoch in range(EPOCHS):
        start, order = time.time(), rng.permutation(len(x))
        model.train()
        for i in range(len(x) // BATCH):
            pick = order[i * BATCH : (i + 1) * BATCH]
            batch, labels = normalize(x[pick]), torch.from_numpy(y[pick])
            if rng.random() < 0.5:
                batch = batch.flip(3)
            dx, dy = rng.integers(-1, 2, 2)
            batch = torch.roll(batch, (int(dy), int(dx)), (2, 3)).contiguous(memory_format=torch.channels_last)
            loss = F.cross_entropy(model(batch), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        print(
            f"epoch {epoch}: loss {loss:.3f}, test {accuracy(model, xt, yt):.4f}, {time.time() - start:.0f} s",
            flush=True,
        )
    return model.to(memory_format=torch.contiguous_format).eval()


def fold_constants(proto):
    """Evaluates the shape arithmetic that the exporter writes in front of Pad: its amounts become one Constant."""
    known = {node.output[0]: node for node in proto.graph.node if node.op_type == "Constant"}
    for node in list(proto.graph.node):
        if node.op_type != "Constant" and node.input and all(name in known for name in node.input):
            inner = onnx.helper.make_graph([*(known[name] for name in dict.fromkeys(node.input)), node], "fold", [], [])
            inner.output.append(onnx.helper.make_empty_tensor_value_info(node.output[0]))
            (value,) = ReferenceEvaluator(onnx.helper.make_model(inner, opset_imports=proto.opset_import)).run(None, {})
            constant = onnx.helper.make_node(
                "Constant", [], list(node.output), value=onnx.numpy_helper.from_array(value)
            )
            node.CopyFrom(constant)
            known[node.output[0]] = node
    used = {name for node in proto.graph.node if node.op_type != "Constant" for name in node.input}
    for node in [n for n in proto.graph.node if n.op_type == "Constant" and n.output[0] not in used]:
        proto.graph.node.remove(node)


def export(model, path):
    """ONNX with batch normalization left as it is, in inference form."""
    torch.onnx.export(
        model, torch.zeros(1, 1, 28, 28), path, opset_version=13, dynamo=False,
        training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False,
        input_names=["input"], output_names=["logits"], dynamic_axes={"input": {0: "N"}, "logits": {0: "N"}},
    )  # fmt: skip
    proto = onnx.load(path)
    fold_constants(proto)
    onnx.save(proto, path)
    onnx.checker.check_model(proto, full_check=True)
    for node in proto.graph.node:
        assert node.op_type != "BatchNormalization" or len(node.output) == 1, node.name


def write_images(folder, pixels):
    folder.mkdir(parents=True, exist_ok=True)
    for n, image in enumerate(pixels):
        Image.fromarray(image[0]).save(folder / f"{n:03}.png", optimize=True)


def main():
    source = Path(sys.argv[1])
    (x, y), (xt, yt) = load(source, "train"), load(source, "t10k")
    model = train(x, y, xt, yt)
    export(model, HERE / "model.onnx")
    write_images(HERE / "data/calib", x[:CALIB_IMAGES])
    write_images(HERE / "data/eval", xt[:EVAL_IMAGES])
    with open(HERE / "data/eval.csv", "w", newline="") as f:
        out = csv.writer(f, lineterminator="\n")
        out.writerow(["file", "label"])
        out.writerows([f"{n:03}.png", int(label)] for n, label in enumerate(yt[:EVAL_IMAGES]))
    all_images, few = accuracy(model, xt, yt), accuracy(model, xt[:EVAL_IMAGES], yt[:EVAL_IMAGES])
    print(f"10,000 test images: {all_images:.4f}; eval.csv: {few:.4f}")


if __name__ == "__main__":
    main()
