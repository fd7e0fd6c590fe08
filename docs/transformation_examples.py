"""What each row of the vocabulary means, and an example of it: the words of docs/transformations.md.

Ranges, defaults and fields are not here: draw_transformations.py takes them from the code. Each example
is drawn from one of the originals of transformation_originals.py.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Example:
    """One row: ``means`` is a sentence's part without its full stop, ``text`` a canonical text that shows
    it on ``original``. ``said`` is another text of the same transformation, where no canonical one has
    the parameter."""

    means: str
    text: str
    original: str = "photo"
    said: str | None = None


PARAMETER_EXAMPLES = {
    "frame": Example("one frame of an animation, or a page of a TIFF", "frame=2,w=160,fm=webp", "animation"),
    "frames": Example("an animation's first frames, so many", "frames=2,w=160,fm=webp", "animation"),
    "orient": Example("turn upright what a camera held otherwise", "orient=0,w=160,fm=webp", "turned"),
    "trim": Example(
        "cut off a border of one colour, up to so large a difference in any channel",
        "trim=10,w=160,fm=webp",
        "framed",
    ),
    "trim-bg": Example(
        "that colour, instead of the first pixel's",
        "trim=10,trim-bg=ffffff,w=160,fm=webp",
        "half-framed",
    ),
    "rect": Example("take this part of the original", "rect=0.5:0.4:0.4:0.5,w=160,fm=webp"),
    "rot": Example("turn clockwise; corners that appear are the background", "rot=10,w=160,fm=webp"),
    "flip": Example("mirror from left to right, top to bottom or both", "flip=h,w=160,fm=webp"),
    "w": Example("width in pixels; alone, the height follows", "w=160,fm=webp"),
    "h": Example("height in pixels; alone, the width follows", "h=90,fm=webp"),
    "ar": Example("width to height, where not both are given", "ar=1:1,zoom=0.4,fm=webp"),
    "min-w": Example("scale to at least so wide", "min-w=160,zoom=0.1,fm=webp"),
    "min-h": Example("scale to at least so high", "min-h=100,zoom=0.1,fm=webp"),
    "zoom": Example("times the width and height, or the original's own", "zoom=0.25,fm=webp"),
    "dpr": Example(
        "times every measure in pixels, for dense screens", "w=160,fm=webp", said="w=80,dpr=2,fm=webp"
    ),
    "fit": Example("how the picture meets a box of both sides", "w=160,h=160,fit=contain,bg=223355,fm=webp"),
    "g": Example("what stays when it is cropped, where it stands in a box", "w=100,h=100,g=east,fm=webp"),
    "gx": Example("from that side inwards; from a centre to the right", "w=100,h=100,g=east,gx=20,fm=webp"),
    "gy": Example("from that side inwards; from a centre down", "w=160,h=60,g=south,gy=15,fm=webp"),
    "fp": Example("a point that stays in the middle as far as it can", "w=80,h=100,fp=0.71:0.75,fm=webp"),
    "bg": Example("the colour behind what can be seen through", "w=160,bg=ffcc00,fm=webp", "see-through"),
    "enlarge": Example("may be larger than the original", "w=160,enlarge=1,fm=webp", "tiny"),
    "linear": Example("scale in linear light, exact and slower", "w=160,linear=1,fm=webp"),
    "norm": Example("stretch the tones from black to white", "w=160,norm=1,fm=webp", "pale"),
    "equal": Example("use all tones equally often", "w=160,equal=1,fm=webp"),
    "gam": Example("lift the middle tones; below 1 lowers them", "w=160,gam=1.8,fm=webp"),
    "bri": Example("brighter or darker", "w=160,bri=25,fm=webp"),
    "con": Example("more or less contrast", "w=160,con=40,fm=webp"),
    "sat": Example("stronger or weaker colours; -100 leaves none", "w=160,sat=60,fm=webp"),
    "hue": Example("turn all colours round the colour circle", "w=160,hue=120,fm=webp"),
    "grey": Example("no colours, only lightness", "w=160,grey=1,fm=webp"),
    "sepia": Example("brown as an old print, in percent", "w=160,sepia=100,fm=webp"),
    "tint": Example("greys in this colour", "w=160,tint=2266cc,fm=webp"),
    "duo": Example("from a colour for the dark to one for the light", "w=160,duo=221144:ffdd88,fm=webp"),
    "neg": Example("a negative", "w=160,neg=1,fm=webp"),
    "median": Example("the median of a square so wide, against specks", "w=160,median=7,fm=webp"),
    "blur": Example("blur by a Gaussian of this sigma in pixels", "w=160,blur=3,fm=webp"),
    "sharp": Example("sharpen edges of this sigma, so strongly", "w=160,sharp=1:3,fm=webp"),
    "conv": Example(
        "a square of 3 or 5 pixels' weights, over their sum",
        "w=160,conv=-2:-1:0:-1:1:1:0:1:2,fm=webp",
    ),
    "px": Example("squares so wide, each of one colour", "w=160,px=8,fm=webp"),
    "over": Example(
        "lay an image or a text over it, up to eight in order; see [Overlays](#overlays)",
        "w=160,over=image:mark.png;w:0.3;g:southeast;x:6;y:6,fm=webp",
    ),
    "round": Example("round the corners by this radius", "w=160,round=24,fm=webp"),
    "ellipse": Example("only the ellipse that fits; of a square a circle", "w=100,h=100,ellipse=1,fm=webp"),
    "op": Example("how much of it is there, in percent", "w=160,op=40,fm=webp"),
    "pad": Example("widen it beyond the box: top, right, bottom, left", "w=130,bg=223355,pad=8:15,fm=webp"),
    "edge": Example("what fills bars and padding", "w=110,pad=20:25,edge=mirror,fm=webp"),
    "q": Example("of encoders that lose something; a format's own looks equally good", "w=160,q=5,fm=webp"),
    "max-bytes": Example("the best quality that takes no more bytes", "w=160,max-bytes=1000,fm=webp"),
    "prog": Example("in passes from coarse to fine", "w=160,prog=1,fm=jpeg"),
    "chroma": Example("colour at half the resolution, or at the full one", "w=160,chroma=444,fm=jpeg"),
    "moz": Example("smaller for the same quality, and slower", "w=160,moz=1,fm=jpeg"),
    "effort": Example("how long to try to make it smaller", "w=160,effort=6,fm=webp"),
    "lossless": Example("lose nothing", "w=160,lossless=1,fm=webp"),
    "colours": Example("a palette of at most so many", "w=160,colours=8,fm=png"),
    "fm": Example("the format of the file", "w=160,fm=avif"),
}

# Of overlays a text is what follows `over=` in `w=160,over=...,fm=webp`.
_MARK = "image:mark.png;w:0.3"
_WORDS = "text:Lake;size:0.2"


def _places(layer: str) -> dict[str, Example]:
    """The rows that images and texts share, shown on ``layer``."""
    return {
        "g": Example("the side or corner where it lies", f"{layer};g:southeast"),
        "x": Example("from that side inwards; from a centre to the right", f"{layer};g:west;x:12"),
        "y": Example("from that side inwards; from a centre down", f"{layer};g:north;y:12"),
        "rotate": Example("turned clockwise", f"{layer};rotate:20"),
        "o": Example("opacity in percent", f"{layer};o:40"),
        "blend": Example("how its colours meet those below, as in CSS", f"{layer};blend:overlay"),
        "tile": Example("repeated over all of the rendition", f"{layer};o:60;tile:1"),
        "gap": Example("between two of a `tile`", f"{layer};o:60;tile:1;gap:16"),
    }


IMAGE_EXAMPLES = {
    "image": Example("the key of an original; `/` is written `~2f` in a text", "image:mark.png"),
    "w": Example("at most so wide, its ratio kept", "image:mark.png;w:0.5"),
    "h": Example("at most so high, its ratio kept", "image:mark.png;h:0.6"),
    **_places(_MARK),
}

TEXT_EXAMPLES = {
    "text": Example(
        "the words; what is no letter, digit, `_`, `.` or `-` is written `~` and its bytes in hex digits",
        "text:A~20lake~0aat~20dusk;size:0.2",
    ),
    "size": Example("the font's height; a share is of the rendition's", "text:Lake;size:0.4"),
    "font": Example("a family with words of style", "text:Lake;size:0.2;font:serif~20italic"),
    "colour": Example("of the letters", "text:Lake;size:0.2;colour:ffdd44"),
    "w": Example("what lines are wrapped at", "text:A~20lake~20at~20dusk;size:0.15;w:0.5"),
    "align": Example("where lines are even", "text:A~20lake~0aat~0adusk;size:0.15;align:right"),
    "spacing": Example("more between two lines, in sizes", "text:A~20lake~0aat~20dusk;size:0.15;spacing:1"),
    **_places(_WORDS),
    "shadow": Example("the colour of a shadow", "text:Lake;size:0.4;shadow:000000"),
    "shadow-x": Example(
        "so far to the right; a share is of the size", "text:Lake;size:0.4;shadow:000000;shadow-x:8"
    ),
    "shadow-y": Example("so far down", "text:Lake;size:0.4;shadow:000000;shadow-y:8"),
    "shadow-blur": Example(
        "how soft, as CSS's radius; 0 is sharp", "text:Lake;size:0.4;shadow:000000;shadow-blur:0"
    ),
}

FITS = {
    "cover": Example("fills the box and is cropped", "w=160,h=80,fm=webp"),
    "contain": Example("whole in the box; bars fill the rest", "w=160,h=80,fit=contain,bg=223355,fm=webp"),
    "fill": Example("fills the box and is distorted", "w=160,h=80,fit=fill,fm=webp"),
    "inside": Example("whole, as large as fits in the box; no bars", "w=160,h=80,fit=inside,fm=webp"),
    "outside": Example("whole, as small as covers the box; no crop", "w=160,h=80,fit=outside,fm=webp"),
    "fill-down": Example(
        "as `cover`, but of an original smaller than the box the largest part of the box's ratio",
        "w=320,h=160,fit=fill-down,fm=webp",
        "tiny",
    ),
}
