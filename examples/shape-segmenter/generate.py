"""Seeded generator of the shape-segmenter's data: 64x64 RGB images of discs, rectangles and triangles over a textured
background, and the mask of the visible disc pixels. Needs NumPy only. Run by itself it writes data/.
"""

import struct
import zlib
from pathlib import Path

import numpy as np

SIZE = 64
CALIB_IMAGES, EVAL_IMAGES = 32, 24
# First seeds of the three splits: an image is a function of its seed alone.
TRAIN, CALIB, EVAL = 1_000_000, 2_000_000, 3_000_000
YY, XX = np.mgrid[0:SIZE, 0:SIZE].astype(np.float64)


def background(rng):
    """A colour gradient, a few waves and coarse noise: [S,S,3], about 0..255."""
    base = rng.uniform(40, 200, 3) + rng.uniform(-1, 1, 3) * XX[..., None] + rng.uniform(-1, 1, 3) * YY[..., None]
    for _ in range(rng.integers(1, 4)):
        fx, fy, phase = rng.uniform(-0.7, 0.7), rng.uniform(-0.7, 0.7), rng.uniform(0, 6.28)
        base += rng.uniform(5, 25) * np.sin(fx * XX + fy * YY + phase)[..., None] * rng.uniform(0, 1, 3)
    cell = int(rng.choice([2, 4, 8]))
    noise = rng.normal(0, rng.uniform(2, 14), (SIZE // cell, SIZE // cell, 3))
    return base + noise.repeat(cell, 0).repeat(cell, 1)


def polygon(corners):
    """Pixels inside a convex polygon given counter-clockwise."""
    inside = np.ones((SIZE, SIZE), bool)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, 0)):
        inside &= (x1 - x0) * (YY - y0) - (y1 - y0) * (XX - x0) >= 0
    return inside


def shape(rng, kind):
    """Pixels of one random shape."""
    cx, cy = rng.uniform(6, SIZE - 6, 2)
    size, turn = rng.uniform(5, 15), rng.uniform(0, 6.28)
    if kind == "disc":
        return (XX - cx) ** 2 + (YY - cy) ** 2 <= size * size
    if kind == "rectangle":
        thin = rng.uniform(0.2, 0.7)
        angles = turn + np.array([thin, np.pi - thin, np.pi + thin, -thin])
    else:
        angles = turn + np.array([0, 2, 4]) + rng.uniform(-0.3, 0.3, 3)
    return polygon(np.stack([cx + size * np.cos(angles), cy + size * np.sin(angles)], 1))


def sample(seed):
    """Image [S,S,3] u8 and disc mask [S,S] bool of a seed."""
    rng = np.random.default_rng(seed)
    image, mask = background(rng), np.zeros((SIZE, SIZE), bool)
    kinds = ["disc"] + [str(k) for k in rng.choice(["disc", "rectangle", "triangle"], rng.integers(1, 5))]
    for kind in rng.permutation(kinds):
        area, colour = shape(rng, kind), rng.uniform(0, 255, 3)
        shade = rng.uniform(-1.5, 1.5) * (XX - SIZE / 2) + rng.uniform(-1.5, 1.5) * (YY - SIZE / 2)
        image[area] = (colour + shade[..., None] + rng.normal(0, 4, (SIZE, SIZE, 3)))[area]
        mask[area] = kind == "disc"
    return np.clip(np.rint(image), 0, 255).astype(np.uint8), mask


def write_png(path, pixels):
    """8-bit grey [H,W] or RGB [H,W,3] as PNG, each row predicted from the pixel to its left."""
    height, width = pixels.shape[:2]
    rows = pixels.reshape(height, width, -1)
    left = np.concatenate([np.zeros_like(rows[:, :1]), rows[:, :-1]], 1)
    lines = np.concatenate([np.ones((height, 1), np.uint8), (rows - left).reshape(height, -1)], 1)

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2 if pixels.ndim == 3 else 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines.tobytes(), 9)) + chunk(b"IEND", b"")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def main():
    data = Path(__file__).parent / "data"
    for n in range(CALIB_IMAGES):
        write_png(data / f"calib/{n:03}.png", sample(CALIB + n)[0])
    for n in range(EVAL_IMAGES):
        image, mask = sample(EVAL + n)
        write_png(data / f"eval/{n:03}.png", image)
        write_png(data / f"eval_masks/{n:03}.png", mask.astype(np.uint8) * 255)


if __name__ == "__main__":
    main()
