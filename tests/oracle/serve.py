"""Answers questions about models for as long as it is asked: one JSON object a line.

In: {"models": [PATH, ...], "inputs": {NAME: NPY}}    Out: {"outputs": [[[number, ...], ...], ...]} or {"error": TEXT}
Outputs stand in the order of each model's own outputs, flattened. Models run unfused: each operator by itself."""

import json
import sys

import numpy as np
from sessions import session


def answer(question):
    inputs = {name: np.load(path) for name, path in question["inputs"].items()}
    outputs = []
    for model in question["models"]:
        results = session(model, "unfused").run(None, inputs)
        outputs.append([[v if np.isfinite(v) else None for v in np.asarray(r, np.float64).ravel().tolist()] for r in results])
    return {"outputs": outputs}


for line in sys.stdin:
    try:
        reply = answer(json.loads(line))
    except Exception as e:  # whatever it is, the asker shows it
        reply = {"error": f"{type(e).__name__}: {e}"}
    print(json.dumps(reply), flush=True)
