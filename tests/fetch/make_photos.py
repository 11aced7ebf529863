"""Turns pictures of any format into 224 x 224 RGB PNG files.

Reads lines `picture<TAB>result.png<TAB>framing` from standard input. Framing `fit` (cut-outs): the longer side fills 95%
of a white square. `crop` (photos): the central square. Transparency is laid on white first.

The PNG is stored without compression, so that its bytes depend on the pixels alone and not on a zlib version.
"""

import struct
import sys
import zlib

from PIL import Image

SIZE = 224


def flatten(picture):
    picture = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", picture.size, (255, 255, 255, 255)), picture).convert("RGB")


def fit(picture):
    scale = 0.95 * SIZE / max(picture.size)
    width, height = (max(1, round(side * scale)) for side in picture.size)
    canvas = Image.new("RGB", (SIZE, SIZE), (255, 255, 255))
    small = picture.resize((width, height), Image.Resampling.BICUBIC)
    canvas.paste(small, ((SIZE - width) // 2, (SIZE - height) // 2))
    return canvas


def crop(picture):
    width, height = picture.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return picture.crop((left, top, left + side, top + side)).resize((SIZE, SIZE), Image.Resampling.BICUBIC)


def png(picture):
    """RGB pixels as PNG with stored (uncompressed) deflate blocks."""
    pixels, stride = picture.tobytes(), 3 * SIZE
    rows = b"".join(b"\0" + pixels[y * stride : (y + 1) * stride] for y in range(SIZE))
    blocks = [rows[n : n + 65535] for n in range(0, len(rows), 65535)]
    stream = b"\x78\x01"
    for n, block in enumerate(blocks):
        stream += struct.pack("<BHH", n == len(blocks) - 1, len(block), len(block) ^ 0xFFFF) + block
    stream += struct.pack(">I", zlib.adler32(rows))

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", SIZE, SIZE, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", stream) + chunk(b"IEND", b"")


def main():
    lines = [line.rstrip("\n").split("\t") for line in sys.stdin]
    for source, destination, framing in lines:
        with Image.open(source) as picture:
            result = {"fit": fit, "crop": crop}[framing](flatten(picture))
        with open(destination, "wb") as file:
            file.write(png(result))
    print(f"{len(lines)} pictures")


if __name__ == "__main__":
    main()
