"""Which operators ONNX Runtime really executes for a model."""

import collections
import tempfile
from pathlib import Path

import onnx

from sessions import session

FLOAT_CONV = {"Conv", "FusedConv", "NhwcFusedConv"}
FLOAT_GEMM = {"Gemm", "MatMul", "FusedGemm", "FusedMatMul"}


def executed(model, mode):
    """The nodes of the graph after all of ONNX Runtime's optimizations."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "optimized.onnx"
        session(model, mode, optimized=path)
        return list(onnx.load(path).graph.node)


def count(nodes):
    return dict(sorted(collections.Counter(node.op_type for node in nodes).items()))


def operators(model, mode):
    """Counts before and after, and the convolutions and matrix products that stayed float."""
    nodes = executed(model, mode)

    def floats(kinds):
        return [{"name": n.name, "op": n.op_type, "output": n.output[0]} for n in nodes if n.op_type in kinds]

    return {
        "mode": mode,
        "in_file": count(onnx.load(model, load_external_data=False).graph.node),
        "executed": count(nodes),
        "float_conv": floats(FLOAT_CONV),
        "float_gemm": floats(FLOAT_GEMM),
    }
