"""Quantizes a float model with onnxruntime.quantization in one of its forms; writes the file for the quantized-input suite.

    quantized_models.py --model M.onnx --samples DIR --form FORM --out Q.onnx

DIR holds .npy arrays for the model's only input. BatchNormalization is folded first, as the tool's own preparation does
(but for the form "qdq-unprepared"). Prints one JSON object: the int8 and uint8 weights of the file in order.
"""

import argparse
import json
import logging
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from onnxruntime import quantization as q

U8, S8 = q.QuantType.QUInt8, q.QuantType.QInt8
FORMS = {
    "qdq-u8s8": {"quant_format": q.QuantFormat.QDQ, "activation_type": U8, "weight_type": S8},
    "qdq-u8s8-channel": {"quant_format": q.QuantFormat.QDQ, "activation_type": U8, "weight_type": S8, "per_channel": True},
    "qdq-s8s8": {"quant_format": q.QuantFormat.QDQ, "activation_type": S8, "weight_type": S8, "extra_options": {"ActivationSymmetric": True}},
    "qoperator-u8s8": {"quant_format": q.QuantFormat.QOperator, "activation_type": U8, "weight_type": S8},
    "qoperator-u8s8-channel": {"quant_format": q.QuantFormat.QOperator, "activation_type": U8, "weight_type": S8, "per_channel": True},
    "qdq-unprepared": {"quant_format": q.QuantFormat.QDQ, "activation_type": U8, "weight_type": S8},
    # The last layers stay float, so that float nodes read the results of integer operators.
    "qoperator-convs": {"quant_format": q.QuantFormat.QOperator, "activation_type": U8, "weight_type": S8, "op_types_to_quantize": ["Conv"]},
}


class Samples(q.CalibrationDataReader):
    """The arrays of a folder, in name order."""

    def __init__(self, name, folder):
        self.feeds = iter([{name: np.load(file)} for file in sorted(Path(folder).glob("*.npy"))])

    def get_next(self):
        return next(self.feeds, None)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("model", "samples", "form", "out"):
        parser.add_argument(f"--{name}", required=True)
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    if args.form != "qdq-unprepared":
        prepared = Path(args.out).with_suffix(".prepared.onnx")
        q.shape_inference.quant_pre_process(args.model, prepared, skip_symbolic_shape=True)
        args.model = prepared
    if args.form == "dynamic":
        q.quantize_dynamic(args.model, args.out, weight_type=U8)
    else:
        name = onnx.load(args.model).graph.input[0].name
        q.quantize_static(args.model, args.out, Samples(name, args.samples), **FORMS[args.form])
    graph = onnx.load(args.out).graph
    arrays = [numpy_helper.to_array(t) for t in graph.initializer]
    weights = [a for a in arrays if a.dtype in (np.int8, np.uint8) and a.ndim > 1]
    print(json.dumps({"weights": [{"shape": a.shape, "values": a.flatten().tolist()} for a in weights]}))


if __name__ == "__main__":
    main()
