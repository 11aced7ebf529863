"""Renders the data of the text models, from fonts of packages and the words of words.txt.

Arguments: the folder to make, then font files. Below it: ocr_lines_calib and ocr_lines_eval (one line a picture; the
second has labels.tsv), ocr_angle_calib and ocr_angle_eval (the same lines, each upright and turned by 180 degrees; the
second has labels.tsv with 0 or 180), ocr_pages_calib and ocr_pages_eval (640 x 640). Calibration and evaluation share
no line of text.
"""

import pathlib
import sys

from PIL import Image
from render import Dice, colours, fonts, line, picture, words

LINES, PAGES = {"calib": 64, "eval": 120}, {"calib": 16, "eval": 12}
SIZE = 640


def lines(target, files):
    dice, vocabulary, used = Dice(1), words(), set()
    sizes = [fonts(files, size) for size in (24, 32, 40)]
    for part, count in LINES.items():
        straight, turned = target / f"ocr_lines_{part}", target / f"ocr_angle_{part}"
        straight.mkdir(parents=True)
        turned.mkdir()
        texts, angles = [], []
        while len(texts) < count:
            text, language = line(dice, vocabulary, 22)
            image = picture(text, dice.pick(dice.pick(sizes)[language]), *colours(dice), 3 + dice.below(4))
            # A longer line would be made lower than the models' 48 rows, not narrower.
            if text in used or image.width * 48 > image.height * 320:
                continue
            used.add(text)
            name = f"{len(texts):03}.png"
            texts.append(f"{name}\t{text}\n")
            image.save(straight / name)
            for angle in (0, 180):
                image.rotate(angle).save(turned / f"{name[:3]}_{angle}.png")
                angles.append(f"{name[:3]}_{angle}.png\t{angle}\n")
        if part == "eval":
            (straight / "labels.tsv").write_text("".join(texts), encoding="utf-8")
            (turned / "labels.tsv").write_text("".join(angles), encoding="utf-8")


def pages(target, files):
    vocabulary = words()
    sizes = [fonts(files, size) for size in (18, 24, 32, 44)]
    for seed, (part, count) in enumerate(PAGES.items(), 2):
        dice, folder = Dice(seed), target / f"ocr_pages_{part}"
        folder.mkdir()
        for n in range(count):
            ink, paper = colours(dice)
            page = Image.new("RGB", (SIZE, SIZE), paper)
            top = 10 + dice.below(30)
            while top < SIZE - 60:
                text, language = line(dice, vocabulary, 30)
                image = picture(text, dice.pick(dice.pick(sizes)[language]), ink, paper, 0)
                page.paste(image, (10 + dice.below(max(1, SIZE - 20 - image.width)), top))
                top += image.height + 12 + dice.below(40)
            page.save(folder / f"{n:03}.png")


def main():
    target, files = pathlib.Path(sys.argv[1]), sys.argv[2:]
    lines(target, files)
    pages(target, files)
    print("lines and pages of text")


if __name__ == "__main__":
    main()
