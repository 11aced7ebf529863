"""Accuracy of quantization tools side by side: makes the samples, runs a tool, scores models. Called by `--bin accuracy`.

    accuracy.py samples --assets DIR --subject NAME --out DIR    DIR/model.onnx, DIR/calib/*.npy, DIR/eval/*.npy, DIR/truth.json
    accuracy.py quantize --tool TOOL --work DIR --out Q.onnx     one tool on the prepared model and DIR/calib
    accuracy.py score --work DIR --model NAME=FILE ...           one JSON object: figures of each file on DIR/eval

`samples` and `score` want the packages of requirements.txt and pillow, `quantize` those of its tool. Every tool gets the same prepared
model (shapes fixed, operator set 13 or newer, BatchNormalization folded by ONNX Runtime's own preparation) and the same samples, which are
already normalized. Scores are taken with every operator in float by itself ("fake" quantization), since ONNX Runtime's fused kernels
saturate on some processors: it is the scales and weights that are compared, not kernels.
"""

import argparse
import json
import logging
import os
import resource
import sys
import time
from pathlib import Path

import numpy as np

CALIB = {"lite0": 64, "fashion": 64, "rec": 32, "det": 8, "cls": 32, "pnet": 32, "onet": 32, "magika": 32}
FASHION = Path(__file__).resolve().parents[2] / "examples/fashion-classifier"
MODELS = {
    "lite0": "models/efficientnet_lite0.onnx",
    "rec": "models/ch_PP-OCRv4_rec_infer.onnx",
    "det": "models/ch_PP-OCRv4_det_infer.onnx",
    "cls": "models/ch_ppocr_mobile_v2.0_cls_infer.onnx",
    "pnet": "models/mtcnn_pnet.onnx",
    "onet": "models/mtcnn_onet.onnx",
    "magika": "models/magika_v3_3.onnx",
}


# Samples


def files(folder, kinds=(".png", ".jpg", ".jpeg", ".bmp")):
    return sorted(p for p in Path(folder).iterdir() if kinds is None or p.suffix.lower() in kinds)


def opened(path):
    from PIL import Image

    image = Image.open(path)
    if image.mode in ("RGBA", "LA", "P"):
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def photo(path, size=224):
    from PIL import Image

    image = opened(path)
    scale = size / min(image.size)
    image = image.resize([max(size, round(s * scale)) for s in image.size], Image.BILINEAR)
    left, top = (image.width - size) // 2, (image.height - size) // 2
    pixels = np.asarray(image.crop((left, top, left + size, top + size)), np.float32)
    return ((pixels - 127) / 128).transpose(2, 0, 1)[None]


def line(path, width):
    from PIL import Image

    image = opened(path)
    fitted = image.resize((min(width, max(1, round(image.width * 48 / image.height))), 48), Image.BILINEAR)
    pixels = (np.asarray(fitted, np.float32)[:, :, ::-1] / 255 - 0.5) / 0.5
    out = np.zeros((1, 3, 48, width), np.float32)
    out[0, :, :, : fitted.width] = pixels.transpose(2, 0, 1)
    return out


def page(path):
    pixels = np.asarray(opened(path).resize((640, 640)), np.float32)[:, :, ::-1] / 255
    mean, std = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
    return ((pixels - mean) / std).transpose(2, 0, 1)[None].astype(np.float32)


def patch(path, size, seed):
    """A square cut out of a photo at a place that the seed gives, as O-Net and P-Net see faces."""
    image = opened(path)
    dice = np.random.default_rng(seed)
    side = int(min(image.size) * dice.uniform(0.3, 0.9))
    left, top = int(dice.integers(0, image.width - side + 1)), int(dice.integers(0, image.height - side + 1))
    pixels = np.asarray(image.crop((left, top, left + side, top + side)).resize((size, size)), np.float32)
    return ((pixels - 127.5) / 128)[None]


def head_and_tail(path):
    """The bytes that Magika looks at: 1,024 behind white space at the start and in front of it at the end, padded with 256."""
    data = Path(path).read_bytes()
    first, last = data[:4096].lstrip()[:1024], data[-4096:].rstrip()[-1024:]
    out = np.full(2048, 256, np.int32)
    out[: len(first)] = list(first)
    if last:
        out[2048 - len(last) :] = list(last)
    return out[None]


def sampled(assets, subject):
    """Calibration arrays, evaluation arrays, and what the latter show (None: only the float model's answers)."""
    data = assets / "data"
    if subject == "lite0":
        calib = [photo(p) for p in files(data / "photos_calib")]
        wanted = {}
        for row in (data / "labels/photos_eval.csv").read_text().splitlines():
            name, classes = row.split(",")[:2]
            ids = [int(c) for c in classes.replace(";", " ").split() if c.isdigit()]
            if ids:
                wanted[name] = ids
        shown = [p for p in files(data / "photos_eval") if p.name in wanted]
        return calib, [photo(p) for p in shown], {"classes": [wanted[p.name] for p in shown]}
    if subject == "fashion":
        folder = FASHION / "data"
        from PIL import Image

        gray = lambda p: (np.asarray(Image.open(p).convert("L"), np.float32)[None, None] - np.float32(72.94)) / np.float32(90.02)
        labels = dict(row.split(",") for row in (folder / "eval.csv").read_text().split())
        shown = [p for p in files(folder / "eval") if p.name in labels]
        calib = [gray(p) for p in files(folder / "calib")]
        return calib, [gray(p) for p in shown], {"classes": [[int(labels[p.name])] for p in shown]}
    if subject in ("rec", "cls"):
        kind, width = ("lines", 320) if subject == "rec" else ("angle", 192)
        labels = dict(row.split("\t") for row in (data / f"ocr_{kind}_eval/labels.tsv").read_text().splitlines())
        shown = files(data / f"ocr_{kind}_eval")
        truth = [labels[p.name] for p in shown]
        truth = {"texts": truth} if subject == "rec" else {"classes": [[int(t == "180")] for t in truth]}
        return [line(p, width) for p in files(data / f"ocr_{kind}_calib")], [line(p, width) for p in shown], truth
    if subject == "det":
        return [page(p) for p in files(data / "ocr_pages_calib")], [page(p) for p in files(data / "ocr_pages_eval")], {"mask": 0.3}
    if subject in ("pnet", "onet"):
        size = 48 if subject == "onet" else 96
        cut = lambda folder, seed: [patch(p, size, seed + i) for i, p in enumerate(files(data / folder))]
        return cut("photos_calib", 1000), cut("photos_eval", 5000), {}
    if subject == "magika":
        return *([head_and_tail(p) for p in files(data / f"files_{part}", None)] for part in ("calib", "eval")), {}
    sys.exit(f"there is no subject {subject}")


def prepared(source, shape, out):
    """The model with fixed shapes in operator set 13 or newer, as the tools want it."""
    import onnx
    from onnx import version_converter
    from onnxruntime import quantization as q

    model = onnx.load(source)
    # By hand: files name two open sizes alike.
    for dimension, size in zip(model.graph.input[0].type.tensor_type.shape.dim, shape):
        dimension.Clear()
        dimension.dim_value = size
    # What the file says of sizes behind the input is as open as the input was.
    del model.graph.value_info[:]
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    if next(o.version for o in model.opset_import if not o.domain) < 13:
        model = version_converter.convert_version(model, 13)
    raw = out.with_suffix(".raw.onnx")
    onnx.save(model, raw)
    q.shape_inference.quant_pre_process(raw, out, skip_symbolic_shape=True)
    raw.unlink()


def samples(args):
    assets, out = Path(args.assets).resolve(), Path(args.out)
    calib, shown, truth = sampled(assets, args.subject)
    calib = calib[: CALIB[args.subject]]
    for part, arrays in (("calib", calib), ("eval", shown)):
        (out / part).mkdir(parents=True, exist_ok=True)
        for i, array in enumerate(arrays):
            np.save(out / part / f"{i:04}.npy", array)
    source = assets / MODELS[args.subject] if args.subject in MODELS else FASHION / "model.onnx"
    prepared(source, calib[0].shape, out / "model.onnx")
    (out / "source.txt").write_text(str(source))
    (out / "truth.json").write_text(json.dumps(truth))
    print(json.dumps({"calib": len(calib), "eval": len(shown), "shape": calib[0].shape, "model": str(source)}))


# Tools


def arrays(work):
    return [np.load(p) for p in sorted((work / "calib").glob("*.npy"))]


def with_ort(model, out, name, work, method, symmetric=False, chunked=False):
    from onnxruntime import quantization as q

    class Reader(q.CalibrationDataReader):
        def __init__(self):
            self.feeds = iter(arrays(work))

        def get_next(self):
            value = next(self.feeds, None)
            return None if value is None else {name: value}

    # Chunks bound the memory of the histograms, which else hold every activation of every sample.
    extra = {"CalibMaxIntermediateOutputs": 8} if chunked else {}
    extra |= {"ActivationSymmetric": True} if symmetric else {}
    def run(extra):
        q.quantize_static(
            model, out, Reader(), quant_format=q.QuantFormat.QDQ, per_channel=True, weight_type=q.QuantType.QInt8,
            activation_type=q.QuantType.QInt8 if symmetric else q.QuantType.QUInt8,
            calibrate_method=getattr(q.CalibrationMethod, method), extra_options=extra,
        )

    try:
        run(extra)
    except ValueError:
        # Its room for biases fails on some models with a scale for each channel.
        run(extra | {"QDQDisableWeightAdjustForInt32Bias": True})


def with_nncf(model, out, name, work, preset):
    import nncf
    import onnx

    all_samples = arrays(work)
    data = nncf.Dataset(all_samples, lambda x: {name: x})
    preset = getattr(nncf.QuantizationPreset, preset)
    quantized = nncf.quantize(onnx.load(model), data, subset_size=len(all_samples), preset=preset)
    onnx.save(quantized, out)


def with_inc(model, out, name, work):
    import onnx
    from neural_compressor import PostTrainingQuantConfig, quantization

    class Loader:
        batch_size = 1

        def __iter__(self):
            return (({name: x}, 0) for x in arrays(work))

    config = PostTrainingQuantConfig(
        approach="static", quant_format="QDQ", calibration_sampling_size=[len(arrays(work))]
    )
    quantized = quantization.fit(onnx.load(model), config, calib_dataloader=Loader())
    onnx.save(quantized.model, out)


TOOLS = {
    "ort-minmax": (with_ort, "MinMax"),
    "ort-entropy": (with_ort, "Entropy"),
    "ort-percentile": (with_ort, "Percentile", False, True),
    "ort-percentile-whole": (with_ort, "Percentile"),
    "ort-minmax-symmetric": (with_ort, "MinMax", True),
    "nncf": (with_nncf, "PERFORMANCE"),
    "nncf-mixed": (with_nncf, "MIXED"),
    "inc": (with_inc,),
}


def quantize(args):
    import onnx

    work = Path(args.work)
    model = work / "model.onnx"
    name = onnx.load(model, load_external_data=False).graph.input[0].name
    how, *rest = TOOLS[args.tool]
    if how is with_ort:
        import onnxruntime.quantization  # noqa: F401  Loading is not part of the time.
    start, wall = time.process_time(), time.perf_counter()
    how(str(model), args.out, name, work, *rest)
    cpu, wall = time.process_time() - start, time.perf_counter() - wall
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"tool": args.tool, "cpu": round(cpu, 3), "wall": round(wall, 3), "peak_mib": round(peak, 1)}))


# Scores


def cosine(a, b):
    a, b = a.astype(np.float64).ravel(), b.astype(np.float64).ravel()
    norm = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / norm) if norm else float(np.array_equal(a, b))


def read(probabilities, alphabet):
    best = probabilities[0].argmax(axis=1)
    kept = [c for i, c in enumerate(best) if c and (i == 0 or c != best[i - 1])]
    return "".join(alphabet[c - 1] if c <= len(alphabet) else " " for c in kept)


def folded(text):
    wide = {0xFF01 + i: 0x21 + i for i in range(94)} | {0x3001: 0x2C, 0x3002: 0x2E}
    return text.translate(wide).replace(" ", "")


def edits(a, b):
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
    return row[-1]


def task(outputs, float_outputs, truth, alphabet):
    """Figures of the task by name, each with 1 for the best."""
    if "classes" in truth:
        best = [int(o[0].argmax()) for o in outputs]
        agree = np.mean([b == int(f[0].argmax()) for b, f in zip(best, float_outputs)])
        return {"top-1": float(np.mean([b in t for b, t in zip(best, truth["classes"])])), "same class": float(agree)}
    if "texts" in truth:
        pairs = [(folded(read(o[0], alphabet)), folded(t)) for o, t in zip(outputs, truth["texts"])]
        wrong, length = sum(edits(a, b) for a, b in pairs), sum(len(b) for _, b in pairs)
        return {"characters": 1 - wrong / length, "lines": float(np.mean([a == b for a, b in pairs]))}
    if "mask" in truth:
        masks = [(o[0] > truth["mask"], f[0] > truth["mask"]) for o, f in zip(outputs, float_outputs)]
        both, either = sum((a & b).sum() for a, b in masks), sum((a | b).sum() for a, b in masks)
        return {"mask IoU": float(both / max(1, either))}
    agree = np.mean([int(o[0].argmax()) == int(f[0].argmax()) for o, f in zip(outputs, float_outputs)])
    return {"same class": float(agree)} if len(outputs[0]) == 1 else {}


def score(args):
    import onnx
    import sessions

    work = Path(args.work)
    truth = json.loads((work / "truth.json").read_text())
    shown = [np.load(p) for p in sorted((work / "eval").glob("*.npy"))]
    source = onnx.load((work / "source.txt").read_text())
    alphabet = next((m.value.split("\n") for m in source.metadata_props if m.key == "character"), [])
    # In a folder of the same names and order of outputs.
    names = [o.name for o in source.graph.output]

    def run(path):
        ready = sessions.session(path, "unfused")
        there = [o.name for o in ready.get_outputs()]
        wanted = names if set(names) <= set(there) else there[: len(names)]
        feed = ready.get_inputs()[0].name
        return [ready.run(wanted, {feed: x}) for x in shown]

    truths = run(work / "model.onnx")
    report = {"float": {"task": task(truths, truths, truth, alphabet)}}
    for entry in args.model:
        name, path = entry.split("=", 1)
        try:
            outputs = run(path)
        except Exception as error:  # A file that a tool wrote and ONNX Runtime refuses is a result.
            report[name] = {"error": str(error).split("\n")[0][:200]}
            continue
        lowest = [min(cosine(o, f) for o, f in zip(a, b)) for a, b in zip(outputs, truths)]
        report[name] = {"cosine": float(np.mean(lowest)), "least": min(lowest), "task": task(outputs, truths, truth, alphabet)}
    print(json.dumps(report))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name, options in (("samples", ("assets", "subject", "out")), ("quantize", ("tool", "work", "out")), ("score", ("work",))):
        command = commands.add_parser(name)
        for option in options:
            command.add_argument(f"--{option}", required=True)
        if name == "score":
            command.add_argument("--model", action="append", default=[])
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    {"samples": samples, "quantize": quantize, "score": score}[args.command](args)


if __name__ == "__main__":
    main()
