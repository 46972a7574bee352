"""What every picture shares: its size, the typeface, text that fits."""

from __future__ import annotations

from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

SMALLEST_SIDE = 640  # px, the long side of a picture: smaller images are enlarged so that labels can be read
LARGEST_SIDE = 2048  # px, larger ones are reduced: a picture is for looking at, arrays keep the full size

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def canvas_size(width: int, height: int) -> tuple[int, int]:
    """Size (width, height) px of the picture of an image, in its proportions as far as a side of one pixel allows."""
    side = max(width, height)
    scale = min(max(side, SMALLEST_SIDE), LARGEST_SIDE) / side
    return max(1, round(width * scale)), max(1, round(height * scale))


def enlarge(image: Image.Image) -> Image.Image:
    """The image at its picture's size, resampled smoothly."""
    size = canvas_size(*image.size)
    return image.copy() if size == image.size else image.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)


def text_size(size: tuple[int, int]) -> int:
    """Height of letters, px, for a picture of this size (width, height)."""
    return max(17, round(max(size) / 40))


@lru_cache(maxsize=16)
def font(size: int) -> Font:
    """Pillow's own typeface at `size` px."""
    return ImageFont.load_default(size)


def text_width(text: str, typeface: Font) -> int:
    """Width of one line in px."""
    return int(ImageDraw.Draw(Image.new("L", (1, 1))).textlength(text, font=typeface) + 0.999)


def shorten(text: str, typeface: Font, width: int) -> str:
    """The text on one line, cut with an ellipsis so that it is at most `width` px wide; empty if nothing fits."""
    text = " ".join(text.split())
    if text_width(text, typeface) <= width:
        return text
    fits, too_long = 0, len(text)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if text_width(text[:middle].rstrip() + "...", typeface) <= width:
            fits = middle
        else:
            too_long = middle
    return text[:fits].rstrip() + "..." if fits else ""


def wrap(text: str, typeface: Font, width: int, lines: int) -> list[str]:
    """The text broken at spaces and line ends into at most `lines` lines of at most `width` px, the last one cut."""
    wrapped: list[str] = []
    for paragraph in text.splitlines() or [""]:
        line = ""
        for word in paragraph.split():
            longer = f"{line} {word}".strip()
            if line and text_width(longer, typeface) > width:
                wrapped.append(line)
                line = word
            else:
                line = longer
        wrapped.append(line)
    if len(wrapped) > lines:
        wrapped = [*wrapped[: lines - 1], wrapped[lines - 1] + " ..."]
    return [shorten(line, typeface, width) for line in wrapped]
