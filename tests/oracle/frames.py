"""A reference for image inputs, written from the formulas of ITU-R BT.601-7 in float64, knowing nothing of the project's integers."""

import numpy as np

KR, KB = 0.299, 0.114


def planes(rgb, video):
    """Luma, Cb and Cr of an [H, W, 3] picture, not rounded, on the scale of bytes."""
    r, g, b = (rgb[..., k].astype(np.float64) for k in range(3))
    y = KR * r + (1 - KR - KB) * g + KB * b
    cb = (b - y) / (2 * (1 - KB))
    cr = (r - y) / (2 * (1 - KR))
    if video:
        return 16 + y * 219 / 255, 128 + cb * 224 / 255, 128 + cr * 224 / 255
    return y, 128 + cb, 128 + cr


def as_bytes(values):
    return np.clip(np.floor(values + 0.5), 0, 255).astype(np.uint8)


def nv12(rgb, video):
    """Bytes of the frame: luma, then pairs of the mean chroma of 2 x 2 pixels."""
    y, cb, cr = planes(rgb, video)
    h, w = y.shape
    mean = [c.reshape(h // 2, 2, w // 2, 2).mean((1, 3)) for c in (cb, cr)]
    return np.concatenate([as_bytes(y).ravel(), as_bytes(np.stack(mean, -1)).ravel()])


def to_rgb(frame, h, w, video):
    """Float red, green and blue [3, H, W] of a frame, not clipped: what the preprocess node computes."""
    y = frame[: h * w].reshape(h, w).astype(np.float64)
    uv = frame[h * w :].reshape(h // 2, w // 2, 2).astype(np.float64) - 128
    cb, cr = (np.repeat(np.repeat(uv[..., k], 2, 0), 2, 1) for k in range(2))
    if video:
        y, cb, cr = (y - 16) * 255 / 219, cb * 255 / 224, cr * 255 / 224
    r = y + 2 * (1 - KR) * cr
    b = y + 2 * (1 - KB) * cb
    return np.stack([r, (y - KR * r - KB * b) / (1 - KR - KB), b])


def middle(frame, h, w):
    """[1, 3, H, W] planes less 128; each chroma pair serves 2 x 2 pixels."""
    y = frame[: h * w].reshape(h, w).astype(np.float32)
    uv = frame[h * w :].reshape(h // 2, w // 2, 2).astype(np.float32)
    full = [np.repeat(np.repeat(uv[..., k], 2, 0), 2, 1) for k in range(2)]
    return np.stack([y, *full])[None] - np.float32(128)


def frames(picture, out, video):
    """Writes frame.nv12, planes.npy and rgb.npy of an [H, W, 3] uint8 .npy into a folder."""
    rgb = np.load(picture)
    h, w, _ = rgb.shape
    frame = nv12(rgb, video)
    frame.tofile(f"{out}/frame.nv12")
    np.save(f"{out}/planes.npy", middle(frame, h, w))
    np.save(f"{out}/rgb.npy", to_rgb(frame, h, w, video).astype(np.float32)[None])
    return {"bytes": int(frame.size)}
