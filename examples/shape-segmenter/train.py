"""Trains the example segmenter on images of generate.py and writes model.onnx.

Needs torch 2.8 (CPU), onnx and numpy: python train.py
"""

import time
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn
from torch.nn import functional as F

import generate

HERE = Path(__file__).parent
TRAIN_IMAGES, EPOCHS, BATCH = 4000, 10, 32


def conv_bn_relu(cin, cout):
    return nn.Sequential(nn.Conv2d(cin, cout, 3, 1, 1, bias=False), nn.BatchNorm2d(cout), nn.ReLU())


class Segmenter(nn.Module):
    """Encoder and decoder with two skip connections; forward gives logits, the exported model probabilities."""

    def __init__(self):
        super().__init__()
        self.encode_full = nn.Sequential(conv_bn_relu(3, 16), conv_bn_relu(16, 16))
        self.encode_half = conv_bn_relu(16, 32)
        self.encode_quarter = nn.Sequential(conv_bn_relu(32, 48), conv_bn_relu(48, 32))
        self.join_half = conv_bn_relu(64, 32)
        self.join_full = conv_bn_relu(48, 16)
        self.head = nn.Conv2d(16, 1, 1)
        self.pool = nn.MaxPool2d(2)
        self.up = nn.Upsample(scale_factor=2, mode="nearest")

    def forward(self, x):
        full = self.encode_full(x)
        half = self.encode_half(self.pool(full))
        deep = self.encode_quarter(self.pool(half))
        half = self.join_half(torch.cat([self.up(deep), half], 1))
        return self.head(self.join_full(torch.cat([self.up(half), full], 1)))


def samples(first, count):
    """Normalized images [N,3,S,S] and masks [N,1,S,S]."""
    images, masks = zip(*(generate.sample(first + n) for n in range(count)))
    x = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float()
    return (x - 127.5) / 127.5, torch.from_numpy(np.stack(masks)).float()[:, None]


def overlap(model, x, masks):
    """Intersection over union of the disc pixels of all images."""
    model.eval()
    with torch.no_grad():
        found, true = model(x) > 0, masks > 0.5
    return float((found & true).sum() / (found | true).sum())


def train(x, masks, xt, mt):
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    model = Segmenter()
    steps = EPOCHS * (len(x) // BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=4e-3, total_steps=steps)
    for epoch in range(EPOCHS):
        start, order = time.time(), torch.from_numpy(rng.permutation(len(x)))
        model.train()
        for i in range(len(x) // BATCH):
            pick = order[i * BATCH : (i + 1) * BATCH]
            loss = F.binary_cross_entropy_with_logits(model(x[pick]), masks[pick])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        print(
            f"epoch {epoch}: loss {loss:.4f}, IoU {overlap(model, xt, mt):.4f}, {time.time() - start:.0f} s", flush=True
        )
    return model.eval()


def export(model, path):
    """ONNX with batch normalization left as it is, in inference form, and a static batch of one."""
    torch.onnx.export(
        nn.Sequential(model, nn.Sigmoid()), torch.zeros(1, 3, generate.SIZE, generate.SIZE), path, opset_version=13,
        dynamo=False, training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=True,
        input_names=["image"], output_names=["mask"],
    )  # fmt: skip
    proto = onnx.load(path)
    onnx.checker.check_model(proto, full_check=True)
    for node in proto.graph.node:
        assert node.op_type != "BatchNormalization" or len(node.output) == 1, node.name


def main():
    xt, mt = samples(generate.EVAL, generate.EVAL_IMAGES)
    model = train(*samples(generate.TRAIN, TRAIN_IMAGES), xt, mt)
    export(model, HERE / "model.onnx")
    print(f"IoU on the evaluation images: {overlap(model, xt, mt):.4f}")


if __name__ == "__main__":
    main()
