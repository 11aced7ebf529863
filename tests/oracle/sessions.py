"""ONNX Runtime sessions in the three modes of the oracle, and tensors as .npy files."""

from pathlib import Path
from urllib.parse import quote

import numpy as np
import onnx
import onnxruntime as ort

# default: as shipped; on x86 without VNNI its u8 x s8 kernels saturate, so its integers may be wrong.
# exact: integer kernels with exact accumulation. unfused: each operator by itself, QDQ pairs computed in float.
MODES = ("default", "exact", "unfused")


def file_name(tensor):
    """File name of a tensor: everything but letters, digits, `.`, `_` and `-` is percent-encoded."""
    return quote(tensor, safe="").replace("~", "%7E") + ".npy"


def options(mode, optimized=None):
    """Session options of a mode: one thread; `optimized` is where to write the graph that is executed."""
    out = ort.SessionOptions()
    out.intra_op_num_threads = out.inter_op_num_threads = 1
    out.log_severity_level = 3
    level = ort.GraphOptimizationLevel
    out.graph_optimization_level = level.ORT_DISABLE_ALL if mode == "unfused" else level.ORT_ENABLE_ALL
    if mode == "exact":
        out.add_session_config_entry("session.x64quantprecision", "1")
    if optimized:
        out.optimized_model_filepath = str(optimized)
    return out


def session(model, mode, optimized=None):
    """A CPU session of a file, of bytes or of a ModelProto."""
    if isinstance(model, onnx.ModelProto):
        model = model.SerializeToString()
    elif not isinstance(model, bytes):
        model = str(model)
    return ort.InferenceSession(model, options(mode, optimized), providers=["CPUExecutionProvider"])


def expose(model, mode):
    """Makes intermediate tensors graph outputs: all of them, but in a quantized model that is to be fused only the
    quantized tensors, because a float tensor that is an output keeps the operators around it from becoming integer."""
    graph = model.graph
    quantized = any(node.op_type == "QuantizeLinear" for node in graph.node)
    have = {value.name for value in graph.output}
    for node in graph.node:
        if quantized and mode != "unfused" and node.op_type != "QuantizeLinear":
            continue
        for name in node.output:
            if name and name not in have:
                graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
                have.add(name)


def run(model, inputs, out, mode, everything):
    """Runs a model file and writes its outputs; returns {"order": [name], "outputs": {name: {file, shape, dtype}}}."""
    proto = onnx.load(model)
    if everything:
        expose(proto, mode)
    ready = session(proto if everything else model, mode)
    names = [value.name for value in ready.get_outputs()]
    values = ready.run(names, {name: np.load(path) for name, path in inputs.items()})
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    report = {}
    for name, value in zip(names, values):
        np.save(folder / file_name(name), value)
        report[name] = {"file": file_name(name), "shape": list(value.shape), "dtype": str(value.dtype)}
    return {"mode": mode, "order": names, "outputs": report}
