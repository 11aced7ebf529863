"""Compares two folders of .npy tensors."""

from pathlib import Path
from urllib.parse import unquote

import numpy as np


def pair(a, b):
    """One tensor: error relative to the largest value, cosine, and for vectors and rows of vectors whether the largest element is the
    same one (`margin`: by how much b's largest element leads, at least, where the two disagree)."""
    if a.shape != b.shape:
        return {"error": f"shapes {list(a.shape)} and {list(b.shape)}"}
    a, b = a.astype(np.float64), b.astype(np.float64)
    largest = float(np.abs(b).max(initial=0))
    apart = float(np.abs(a - b).max(initial=0))
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    cosine = float(np.vdot(a, b)) / norms if norms else float(not a.any() and not b.any())
    out = {"max_error": apart / largest if largest else apart, "cosine": cosine, "elements": a.size}
    if a.ndim in (1, 2) and a.shape[-1] > 1 and a.size:
        rows, other = b.reshape(-1, b.shape[-1]), a.reshape(-1, a.shape[-1])
        differ = rows.argmax(1) != other.argmax(1)
        lead = np.sort(rows, 1)
        lead = (lead[:, -1] - lead[:, -2])[differ]
        out |= {"top1_equal": not differ.any(), "top1_differ": int(differ.sum()), "margin": float(lead.max(initial=0))}
    return out


def compare(a, b):
    """{"tensors": {name: ...}, "only_in_a": [...], "only_in_b": [...]}"""
    first = {path.name: path for path in Path(a).glob("*.npy")}
    second = {path.name: path for path in Path(b).glob("*.npy")}

    def names(files):
        return sorted(unquote(file.removesuffix(".npy")) for file in files)

    both = sorted(first.keys() & second.keys())
    tensors = {unquote(file.removesuffix(".npy")): pair(np.load(first[file]), np.load(second[file])) for file in both}
    return {
        "tensors": tensors,
        "only_in_a": names(first.keys() - second.keys()),
        "only_in_b": names(second.keys() - first.keys()),
    }
