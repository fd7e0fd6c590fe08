"""What draw_transformations.py says of each parameter: its meaning, and an example on the sample.

An example is a canonical text without its size and format, which the script adds.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Words:
    """``example`` is None where a picture would show nothing."""

    meaning: str
    example: str | None = None


WORDS: dict[str, Words] = {
    "frame": Words("this frame of an animation, or page of a TIFF, counted from 1; past the end, the last"),
    "frames": Words("at most so many frames of an animation"),
    "orient": Words("follow EXIF's orientation"),
    "trim": Words(
        "cut off a border of one colour; so far may a channel be from it",
        "trim=60",
    ),
    "trim-bg": Words("the border's colour; without it that of the top left pixel", "trim=120,trim-bg=34427c"),
    "rect": Words("this part of the (trimmed) picture", "rect=0.55:0.5:0.3:0.4"),
    "rot": Words("turn clockwise; corners are transparent, or the background", "rot=15,bg=ffffff"),
    "flip": Words("mirror: h swaps left and right, v top and bottom, hv both", "flip=h"),
    "w": Words("width of the result, without its padding", "w=100"),
    "h": Words("height of the result, without its padding", "h=60"),
    "ar": Words("ratio of the result, where a side is not given", "w=90,ar=1:1"),
    "min-w": Words("scale until it is at least so wide, even over the box", "h=60,min-w=120"),
    "min-h": Words("scale until it is at least so high, even over the box", "w=60,min-h=80"),
    "zoom": Words("multiply the sides, or without any the picture's own", "zoom=0.04"),
    "dpr": Words("multiply every measure in pixels of the result", "w=80,dpr=1.5"),
    "fit": Words("how the picture meets a box of both sides, see below", "w=90,h=90,fit=contain,bg=dddddd"),
    "g": Words("what stays when it is cropped, where it stands when it is padded", "w=90,h=90,g=east"),
    "gx": Words(
        "away from the gravity's side, inwards; to the right of the centre", "w=90,h=90,g=east,gx=20"
    ),
    "gy": Words("as gx, down", "w=120,h=40,g=south,gy=10"),
    "fp": Words("the point that stays in the middle of a crop, as far as it can", "w=60,h=90,fp=0.7:0.7"),
    "bg": Words("colour behind transparency and in bars", "w=90,h=90,fit=contain,bg=c42c28"),
    "enlarge": Words("may be larger than the original"),
    "linear": Words("resize in linear light: fine bright lines keep their brightness", "linear=1"),
    "norm": Words("stretch lightness from the darkest to the brightest percent", "norm=1"),
    "equal": Words("spread lightness evenly", "equal=1"),
    "gam": Words("gamma: above 1 brightens the middle tones", "gam=2"),
    "bri": Words("brightness; -100 is black, 100 is white", "bri=30"),
    "con": Words("contrast; -100 is flat grey", "con=40"),
    "sat": Words("saturation; -100 is grey, 100 is twice as much", "sat=80"),
    "hue": Words("turn the colours", "hue=120"),
    "grey": Words("shades of grey", "grey=1"),
    "sepia": Words("the brown of old prints, in percent", "sepia=80"),
    "tint": Words("the hue of one colour, in every lightness", "tint=0080ff"),
    "duo": Words("two colours: of the shadows and of the lights", "duo=001040:ffe0c0"),
    "neg": Words("negative", "neg=1"),
    "median": Words("median of a square: takes out specks", "median=7"),
    "blur": Words("Gaussian blur by this sigma in pixels", "blur=3"),
    "sharp": Words("unsharp mask, sigma in pixels and strength", "sharp=1:2"),
    "conv": Words("convolve with a kernel, row by row, over its sum", "conv=-1:-1:0:-1:1:1:0:1:1"),
    "px": Words("squares of so many pixels", "px=8"),
    "over": Words(
        "a picture or a text on top, see below; may be given 8 times", "over=text:Lake;size:30;g:south;y:6"
    ),
    "round": Words("radii of the corners, from the top left clockwise", "round=20,bg=ffffff"),
    "ellipse": Words("keep the ellipse within, a circle of a square", "w=90,h=90,ellipse=1,bg=ffffff"),
    "op": Words("opacity in percent", "op=40"),
    "pad": Words(
        "space around: all sides, vertical and horizontal, or top, right, bottom, left", "pad=10,bg=c42c28"
    ),
    "edge": Words("what bars and padding are filled with", "w=90,h=90,fit=contain,edge=blur"),
    "q": Words("quality of what loses something; auto looks the same whatever the picture", "q=5,fm=jpeg"),
    "max-bytes": Words("at the highest quality that fits into so many bytes", "max-bytes=1500,fm=jpeg"),
    "prog": Words("progressive JPEG, interlaced PNG or GIF"),
    "chroma": Words("420 keeps half of the colours' resolution, 444 all of it"),
    "moz": Words("mozjpeg's extra passes: fewer bytes for more time"),
    "effort": Words("how hard the encoder tries: more time, fewer bytes"),
    "lossless": Words("lose nothing, in WebP or AVIF"),
    "colours": Words("a palette of at most so many", "colours=4,fm=png"),
    "fm": Words("the format; in texts it may be left out, and is then jpeg"),
}

IMAGE_WORDS: dict[str, str] = {
    "image": "the key of an original under `IMAGE_PROCESSOR_OVERLAYS`",
    "w": "width, of the rendition's; without w and h its own size",
    "h": "height, of the rendition's",
}

TEXT_WORDS: dict[str, str] = {
    "text": "what is written; lines break where it says so or where the width ends",
    "size": "height of the letters, a share of the rendition's height",
    "font": "family and style",
    "colour": "colour of the letters",
    "w": "where lines are wrapped",
    "align": "how lines lie to each other",
    "spacing": "more space between lines, in sizes of the letters",
    "shadow": "colour of a shadow; without it there is none",
    "shadow-x": "how far the shadow lies to the right, a share of the size",
    "shadow-y": "how far it lies below",
    "shadow-blur": "how soft it is",
}

PLACE_WORDS: dict[str, str] = {
    "g": "where it stands",
    "x": "away from the gravity's side, inwards",
    "y": "as x, down",
    "rotate": "turn clockwise",
    "o": "opacity in percent",
    "blend": "how it mixes with what is below (W3C Compositing and Blending)",
    "tile": "repeat it over the whole rendition",
    "gap": "space between its repetitions",
}
