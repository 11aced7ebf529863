"""Pseudo-random numbers, fonts and text of the rendered data, the same everywhere for one seed."""

import pathlib

from PIL import Image, ImageDraw, ImageFont

FOLDER = pathlib.Path(__file__).parent


class Dice:
    """splitmix64 (Steele et al., 2014)."""

    def __init__(self, seed):
        self.state = seed

    def below(self, n):
        self.state = (self.state + 0x9E3779B97F4A7C15) % 2**64
        z = self.state
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        return (z ^ (z >> 31)) % n

    def pick(self, things):
        return things[self.below(len(things))]


def words():
    """Words by language."""
    found, section = {}, None
    for line in (FOLDER / "words.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = found.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            section.append(line)
    return found


def line(dice, vocabulary, longest):
    """A line of text of at most so many columns, and its language: words, then often a number or a punctuation mark."""
    language = dice.pick(["en", "zh"])
    between, width = (" ", 1) if language == "en" else ("", 2)
    number = dice.pick(["", str(dice.below(10000)), f"{dice.below(100)}.{dice.below(10)}", f"{dice.below(100)}%"])
    mark = dice.pick(["", "", ".", ",", "!", "?", ":"] if language == "en" else ["", "", "。", "，", "！", "？"])
    text = dice.pick(vocabulary[language])
    for _ in range(dice.below(4)):
        longer = text + between + dice.pick(vocabulary[language])
        if len(longer) * width + len(number) + 2 <= longest:
            text = longer
    return text + between * bool(number) + number + mark, language


def fonts(files, size):
    """Fonts of a language at a size, from the files that the fetch step names."""
    chinese = [f for f in files if "wqy" in f]
    latin = [f for f in files if "wqy" not in f]
    return {"en": [ImageFont.truetype(f, size) for f in latin], "zh": [ImageFont.truetype(f, size) for f in chinese]}


def picture(text, font, ink, paper, margin):
    """The text alone on its paper."""
    left, top, right, bottom = font.getbbox(text)
    image = Image.new("RGB", (right - left + 2 * margin, bottom - top + 2 * margin), paper)
    ImageDraw.Draw(image).text((margin - left, margin - top), text, font=font, fill=ink)
    return image


def colours(dice):
    """Ink and paper: dark on light, sometimes the other way round."""
    dark = tuple(dice.below(90) for _ in range(3))
    light = tuple(255 - dice.below(70) for _ in range(3))
    return (light, dark) if dice.below(5) == 0 else (dark, light)
