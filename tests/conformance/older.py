"""Single-node models of every operator in every version of its schema in operator sets 7 to 28, answered by ONNX Runtime.

The package's node cases use the newest versions only. Here each of them is put back to an older operator set: an input that
the older schema has as an attribute of the same name (axes, split, pads, ...) becomes that attribute. Float inputs get
seeded random values where the case's values are not special. The answer is ONNX Runtime's (optimizations off), or that of the
package's reference evaluator where ONNX Runtime does not have the version; the case says which.
"""

import collections

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import handmade

FIRST, LAST = 7, 28
# Cases of one operator version: enough to see its attributes.
CASES = 4
# Operators whose newest version only adds element types and that neither ONNX Runtime nor the reference has in it: the
# operator set to ask ONNX Runtime in.
SAME_BEFORE = {"GlobalLpPool": 21, "MaxRoiPool": 21}


def versions(op):
    """(version, operator set to use) of an operator's schemas that an operator set of the range means."""
    known = sorted(s.since_version for s in onnx.defs.get_all_schemas_with_history() if s.name == op and s.domain == "")
    for version, after in zip(known, [*known[1:], LAST + 1]):
        if after > FIRST and version <= LAST:
            yield version, max(version, FIRST)


def schemas():
    """{operator: versions} of all operators of the standard domain that are not deprecated in all of the range."""
    names = sorted({s.name for s in onnx.defs.get_all_schemas_with_history() if s.domain == ""})
    alive = {name: [v for v, opset in versions(name) if not onnx.defs.get_schema(name, opset, "").deprecated] for name in names}
    return {name: found for name, found in alive.items() if found}


def put_back(case, opset):
    """The case's node in an older operator set, with its remaining inputs, or None where the older schema cannot say it."""
    node = onnx.NodeProto()
    node.CopyFrom(case.model.graph.node[0])
    schema = onnx.defs.get_schema(node.op_type, opset, "")
    if schema.deprecated:
        return None
    feeds = {v.name: data for v, data in zip(case.model.graph.input, case.data_sets[0][0])}
    newest = onnx.defs.get_schema(node.op_type, LAST, "")
    variadic = bool(newest.inputs) and newest.inputs[-1].option == onnx.defs.OpSchema.FormalParameterOption.Variadic
    kept = []
    for place, name in enumerate(node.input):
        formal = newest.inputs[min(place, len(newest.inputs) - 1)].name
        have = [i.name for i in schema.inputs]
        spelled = {"min": "min", "max": "max", "K": "k", "pads": "pads", "constant_value": "value"}.get(formal, formal)
        if not variadic and place >= len(have) and name:
            if spelled not in schema.attributes or not isinstance(feeds.get(name), np.ndarray):
                return None
            data = feeds.pop(name)
            kind = schema.attributes[spelled].type
            scalar = kind in (onnx.defs.OpSchema.AttrType.INT, onnx.defs.OpSchema.AttrType.FLOAT)
            node.attribute.append(helper.make_attribute(spelled, data.reshape(-1)[0].item() if scalar else data.reshape(-1).tolist()))
        elif not variadic and place < len(have) and name and have[place] != formal and spelled in schema.attributes:
            data = feeds.pop(name)
            node.attribute.append(helper.make_attribute(spelled, data.reshape(-1).tolist()))
        else:
            kept.append(name)
    while kept and not kept[-1]:
        kept.pop()
    del node.input[:]
    node.input.extend(kept)
    for attribute in list(node.attribute):
        if attribute.name not in schema.attributes:
            default = newest.attributes[attribute.name].default_value if attribute.name in newest.attributes else None
            if default is None or helper.get_attribute_value(attribute) != helper.get_attribute_value(default):
                return None
            node.attribute.remove(attribute)
    graph = helper.make_graph(
        [node],
        "older",
        [v for v in case.model.graph.input if v.name in kept],
        list(case.model.graph.output),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=min(10, 7 if opset < 15 else 10))
    return model, [feeds[name] for name in dict.fromkeys(kept) if name]


def answer(model, feeds):
    """Outputs, and who gave them."""
    names = [v.name for v in model.graph.input]
    inputs = dict(zip(names, feeds))
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return session.run(None, inputs), "ONNX Runtime"
    except Exception:  # whatever it raises: this version is not there, or not for these types
        pass
    try:
        return ReferenceEvaluator(model).run(None, inputs), "onnx reference"
    except NotImplementedError:
        older = onnx.ModelProto()
        older.CopyFrom(model)
        older.opset_import[0].version = SAME_BEFORE[model.graph.node[0].op_type]
        session = ort.InferenceSession(older.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return session.run(None, inputs), "ONNX Runtime, version before"


# Cases that ONNX Runtime answers otherwise than the standard's own results: indices of MaxUnpool count in the output's shape
# there, in the pooled input's here.
DEVIATING = {"test_maxunpool_export_with_output_shape"}


def random_like(rng, data):
    """Random values in the range of the given ones; data that is not plain float stays."""
    if data.dtype != np.float32 or data.size < 2 or not np.isfinite(data).all():
        return data
    low, high = float(data.min()), float(data.max())
    return rng.uniform(low, high, data.shape).astype(np.float32) if high > low else data


def plain(case):
    """Whether a case is one node of the standard domain on tensors."""
    graph = case.model.graph
    if len(graph.node) != 1 or graph.node[0].domain or "_expanded" in case.name:
        return False
    if any(v.type.WhichOneof("value") != "tensor_type" for v in [*graph.input, *graph.output]):
        return False
    return all(v.type.tensor_type.elem_type in (1, 2, 3, 6, 7, 9) for v in [*graph.input, *graph.output])


def cases(package):
    """(name, model, inputs, outputs, oracle) for every operator version that the package has no plain case of."""
    by_op = collections.defaultdict(list)
    reached = set()
    for case in package:
        if not plain(case):
            continue
        op = case.model.graph.node[0].op_type
        by_op[op].append(case)
        opset = next(o.version for o in case.model.opset_import if o.domain in ("", "ai.onnx"))
        reached.add((op, onnx.defs.get_schema(op, opset, "").since_version))
    rng = np.random.default_rng(20260101)
    for op in sorted(by_op):
        for version, opset in versions(op):
            if (op, version) in reached:
                continue
            made = 0
            for case in by_op[op]:
                if case.name in DEVIATING:
                    continue
                if made == CASES:
                    break
                try:
                    older = put_back(case, opset)
                    if older is None:
                        continue
                    model, feeds = older
                    onnx.checker.check_model(model, full_check=True)
                    # Scales and regions of a resize decide its shape.
                    kept = op in ("Resize", "Upsample")
                    feeds = [f if kept and i else random_like(rng, np.asarray(f)) for i, f in enumerate(feeds)]
                    outputs, oracle = answer(model, feeds)
                except Exception:  # checker, ONNX Runtime, reference: the older schema does not take this case
                    continue
                made += 1
                yield f"{op}-{version}-{case.name.removeprefix('test_')}", model, feeds, outputs, oracle
    for op, version, place, model, feeds in handmade.models(rng):
        outputs, oracle = answer(model, feeds)
        yield f"{op}-{version}-handmade-{place}", model, feeds, outputs, oracle
