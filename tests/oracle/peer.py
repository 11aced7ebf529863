"""ONNX Runtime as the peer of the benchmark: a process that lives as long as the benchmark and measures itself.

Reads one JSON request a line from standard input and answers each with one JSON line:

{"load": id, "model": path, "mode": "default" | "exact", "threads": n, "inputs": {name: file.npy}}  prepares a session
{"run": id, "repeats": n}        runs it; answers {"times": [[CPU seconds of the process, wall seconds], ...]}
{"drop": id}                     forgets it
{"pin": [core, ...]}             the cores that this process may use
{"quantize": path, "samples": [{name: file.npy}, ...], "out": path}
                                 ONNX Runtime's own quantization: QDQ, u8 activations, s8 weights per channel, min/max
"""

import json
import os
import sys
import time

import numpy as np
import onnx
import onnxruntime as ort
import sessions


class Reader:
    """Calibration samples, as ONNX Runtime's quantizer asks for them."""

    def __init__(self, samples):
        self.samples = iter(samples)

    def get_next(self):
        sample = next(self.samples, None)
        return sample and {name: np.load(file) for name, file in sample.items()}


def load(request):
    options = sessions.options(request["mode"])
    options.intra_op_num_threads = request["threads"]
    # Workers rest between runs, so that they do not take time from the other side.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = ort.InferenceSession(request["model"], options, providers=["CPUExecutionProvider"])
    return session, {name: np.load(file) for name, file in request["inputs"].items()}


def measure(session, inputs, repeats):
    times = []
    for _ in range(repeats):
        cpu, wall = time.process_time(), time.perf_counter()
        session.run(None, inputs)
        times.append([time.process_time() - cpu, time.perf_counter() - wall])
    return times


def quantize(request):
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    quantize_static(
        onnx.load(request["quantize"]),
        request["out"],
        Reader(request["samples"]),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )


def answer(request, ready):
    if "load" in request:
        ready[request["load"]] = load(request)
    elif "run" in request:
        return {"times": measure(*ready[request["run"]], request["repeats"])}
    elif "drop" in request:
        ready.pop(request["drop"], None)
    elif "pin" in request:
        os.sched_setaffinity(0, request["pin"])
    else:
        quantize(request)
    return {}


def main():
    # Answers alone go to standard output, whatever libraries print.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    ready = {}
    for line in sys.stdin:
        try:
            result = answer(json.loads(line), ready)
        except Exception as error:  # whatever ONNX Runtime raises is the answer
            result = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(result), file=answers, flush=True)


if __name__ == "__main__":
    main()
