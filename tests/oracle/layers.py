"""Layer-by-layer check of a QDQ model: each group of operators between DequantizeLinear and QuantizeLinear is run by
ONNX Runtime on the integer tensors that our runtime had, so that no difference is carried from layer to layer.

A group is a set of float operators connected by float tensors (a Conv with its Relu, a MaxPool, a Resize, ...; a float
island is one group), with the DequantizeLinear nodes in front and the QuantizeLinear nodes behind. A DequantizeLinear
directly before a QuantizeLinear is a group as well, and so is a QuantizeLinear of a graph input. Integer outputs are compared in quantization steps; float outputs
(of a tail without QuantizeLinear) relative to the largest value.
"""

import collections
import json
from pathlib import Path

import numpy as np
import onnx
from onnx import helper

from operators import executed
from sessions import file_name, session

QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
# A float output further off than this part of the largest value counts as off by more than a step.
FLOAT_TOLERANCE = 1e-4


class Cut:
    """The graph of a QDQ model with the look-ups that cutting needs."""

    def __init__(self, model):
        self.model = model
        graph = model.graph
        self.constants = {tensor.name: tensor for tensor in graph.initializer}
        self.nodes = []
        for node in graph.node:
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                tensor = onnx.TensorProto()
                tensor.CopyFrom(node.attribute[0].t)
                tensor.name = node.output[0]
                self.constants[tensor.name] = tensor
            else:
                self.nodes.append(node)
        self.maker = {name: node for node in self.nodes for name in node.output if name}
        self.readers = collections.defaultdict(list)
        for node in self.nodes:
            for name in node.input:
                self.readers[name].append(node)
        self.inputs = {v.name: v for v in graph.input if v.name not in self.constants}
        self.outputs = {v.name for v in graph.output}

    def groups(self):
        """Lists of the nodes between DequantizeLinear and QuantizeLinear, in graph order; an empty list of nodes stands
        for a QuantizeLinear of a graph input or of a DequantizeLinear. Yields (nodes, quantizers)."""
        leader = {}

        def find(key):
            while leader[key] != key:
                key = leader[key]
            return key

        order = {id(node): n for n, node in enumerate(self.nodes)}
        inner = [node for node in self.nodes if node.op_type not in (QUANTIZE, DEQUANTIZE)]
        leader.update((order[id(node)], order[id(node)]) for node in inner)
        for node in inner:
            for name in node.input:
                before = self.maker.get(name)
                if before is not None and id(before) in order and order[id(before)] in leader:
                    first, second = sorted((find(order[id(before)]), find(order[id(node)])))
                    leader[second] = first
        members = collections.defaultdict(list)
        for node in inner:
            members[find(order[id(node)])].append(node)
        for key in sorted(members):
            group = members[key]
            made = {name for node in group for name in node.output}
            yield group, [q for q in self.nodes if q.op_type == QUANTIZE and q.input[0] in made]
        for q in self.nodes:
            before = self.maker.get(q.input[0])
            again = before is not None and before.op_type == DEQUANTIZE
            if q.op_type == QUANTIZE and (again or q.input[0] in self.inputs):
                yield [], [q]

    def sub_model(self, group, quantizers, tensors):
        """The group as a model of its own. Graph inputs are the integer tensors, called `in:<name>`; returns the model,
        {graph input: tensor} and the output tensors."""
        nodes, initializers, feeds, done = [], {}, {}, set()
        made = {name for node in group for name in node.output}

        def take(name):
            """A tensor that comes from outside the group: its name inside the sub-model."""
            if not name or name in made:
                return name
            if name in self.constants:
                initializers[name] = self.constants[name]
                return name
            before = self.maker.get(name)
            if before is not None and before.op_type == DEQUANTIZE:
                if name not in done:
                    done.add(name)
                    copy = onnx.NodeProto()
                    copy.CopyFrom(before)
                    copy.input[0] = take(before.input[0])
                    for scale in before.input[1:]:
                        take(scale)
                    nodes.append(copy)
                return name
            feeds[f"in:{name}"] = name
            return f"in:{name}"

        for node in [*group, *quantizers]:
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            copy.input[:] = [take(name) for name in node.input]
            nodes.append(copy)
        loose = [n for n in made if n in self.outputs or any(r.op_type == DEQUANTIZE for r in self.readers[n])]
        outputs = [q.output[0] for q in quantizers] + [n for n in loose if n not in {q.output[0] for q in quantizers}]
        values = []
        for name, tensor in feeds.items():
            array = tensors(tensor)
            if array is not None:
                dtype = helper.np_dtype_to_tensor_dtype(array.dtype)
                values.append(helper.make_tensor_value_info(name, dtype, array.shape))
        graph = helper.make_graph(
            nodes,
            "layer",
            values,
            [helper.make_empty_tensor_value_info(n) for n in outputs],
            list(initializers.values()),
        )
        model = helper.make_model(graph, opset_imports=self.model.opset_import, ir_version=self.model.ir_version)
        return model, feeds, outputs


def difference(ours, theirs):
    """Counts for one tensor: in steps for integers, relative to the largest value for floats."""
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        return {"error": f"ours is {ours.dtype}{list(ours.shape)}, theirs {theirs.dtype}{list(theirs.shape)}"}
    if np.issubdtype(theirs.dtype, np.integer):
        steps = np.abs(ours.astype(np.int64) - theirs.astype(np.int64))
        one, more, largest = int((steps == 1).sum()), int((steps > 1).sum()), int(steps.max(initial=0))
    else:
        apart = np.abs(ours.astype(np.float64) - theirs.astype(np.float64))
        relative = apart / max(float(np.abs(theirs).max(initial=0)), 1e-30)
        more = int((~(relative <= FLOAT_TOLERANCE)).sum())
        one, largest = 0, float(relative.max(initial=0))
    return {"elements": int(theirs.size), "off_by_one": one, "off_by_more": more, "max_diff": largest}


def describe(group, quantizers):
    """Node name and operator of a group."""
    if not group:
        return quantizers[0].name or quantizers[0].output[0], QUANTIZE
    return group[0].name or group[0].output[0], "+".join(node.op_type for node in group)


def check(path, folder, report, mode):
    """Checks every group, writes the report, returns it."""
    cut, folder = Cut(onnx.load(path)), Path(folder)
    cache = {}

    def tensors(name):
        if name not in cache:
            file = folder / file_name(name)
            cache[name] = np.load(file) if file.exists() else None
        return cache[name]

    layers, missing, failed = [], set(), []
    for group, quantizers in cut.groups():
        node, op = describe(group, quantizers)
        model, feeds, outputs = cut.sub_model(group, quantizers, tensors)
        absent = {name for name in [*feeds.values(), *outputs] if tensors(name) is None}
        # Inputs and outputs of the whole model that are float are checked when they are there, and not asked for.
        boundary = {n for n in absent if n in cut.inputs or (n in cut.outputs and cut.maker[n].op_type != QUANTIZE)}
        if absent:
            missing |= absent - boundary
            continue
        try:
            values = session(model, mode).run(outputs, {name: tensors(tensor) for name, tensor in feeds.items()})
            ran = sorted({n.op_type for n in executed(model.SerializeToString(), mode)})
        except Exception as error:  # ONNX Runtime raises many types
            failed.append({"node": node, "op": op, "error": str(error).strip()})
            continue
        for name, value in zip(outputs, values):
            layer = {"node": node, "op": op, "tensor": name, "executed": ran}
            layers.append(layer | difference(tensors(name), value))
    wrong = [layer for layer in layers if "error" in layer]
    good = [layer for layer in layers if "error" not in layer]
    result = {
        "mode": mode,
        "layers": good,
        "missing": sorted(missing),
        "failed": failed + wrong,
        "total": {key: sum(layer[key] for layer in good) for key in ("elements", "off_by_one", "off_by_more")},
        "worst": max((layer["off_by_one"] / max(layer["elements"], 1) for layer in good), default=0.0),
    }
    Path(report).write_text(json.dumps(result, indent=1) + "\n")
    return result
