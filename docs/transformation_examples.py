"""What each parameter means, with an example: the texts of docs/transformations.md.

Ranges, defaults and fields are not here: draw_transformations.py takes them from the code. Each example
is drawn from one of the originals of transformation_originals.py.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Example:
    """One row: ``means`` is a phrase without a full stop, ``text`` a canonical text that shows
    it on ``original``. ``said`` is another text of the same transformation, for a parameter that no
    canonical text has."""

    means: str
    text: str
    original: str = "photo"
    said: str | None = None


PARAMETER_EXAMPLES = {
    "frame": Example(
        "use one frame of an animation, or one page of a TIFF", "frame=2,w=160,fm=webp", "animation"
    ),
    "frames": Example("use the first N frames of an animation", "frames=2,w=160,fm=webp", "animation"),
    "orient": Example("apply EXIF orientation", "orient=0,w=160,fm=webp", "turned"),
    "trim": Example(
        "remove a border of one colour; the value is the largest difference in any channel",
        "trim=10,w=160,fm=webp",
        "framed",
    ),
    "trim-bg": Example(
        "the border's colour for `trim`; by default the first pixel's",
        "trim=10,trim-bg=ffffff,w=160,fm=webp",
        "half-framed",
    ),
    "rect": Example("use this region of the original", "rect=0.5:0.4:0.4:0.5,w=160,fm=webp"),
    "rot": Example("rotate clockwise; new corners get the background", "rot=10,w=160,fm=webp"),
    "flip": Example("mirror horizontally, vertically or both", "flip=h,w=160,fm=webp"),
    "w": Example("width; without `h`, the height keeps the aspect ratio", "w=160,fm=webp"),
    "h": Example("height; without `w`, the width keeps the aspect ratio", "h=90,fm=webp"),
    "ar": Example("aspect ratio, unless both `w` and `h` are given", "ar=1:1,zoom=0.4,fm=webp"),
    "min-w": Example("minimum width", "min-w=160,zoom=0.1,fm=webp"),
    "min-h": Example("minimum height", "min-h=100,zoom=0.1,fm=webp"),
    "zoom": Example("multiply width and height, or the original's size", "zoom=0.25,fm=webp"),
    "dpr": Example(
        "multiply every length in pixels, for high-density screens",
        "w=160,fm=webp",
        said="w=80,dpr=2,fm=webp",
    ),
    "fit": Example(
        "how the image fits `w` and `h`; see [Fit](#fit)", "w=160,h=160,fit=contain,bg=223355,fm=webp"
    ),
    "g": Example("what a crop keeps; where the image is placed in bars", "w=100,h=100,g=east,fm=webp"),
    "gx": Example(
        "offset from that side inwards; from a centre to the right", "w=100,h=100,g=east,gx=20,fm=webp"
    ),
    "gy": Example("offset from that side inwards; from a centre down", "w=160,h=60,g=south,gy=15,fm=webp"),
    "fp": Example(
        "the point that a crop keeps as close to the centre as possible", "w=80,h=100,fp=0.71:0.75,fm=webp"
    ),
    "bg": Example("colour behind transparent pixels", "w=160,bg=ffcc00,fm=webp", "see-through"),
    "enlarge": Example("allow renditions larger than the original", "w=160,enlarge=1,fm=webp", "tiny"),
    "linear": Example("resize in linear light: more exact, slower", "w=160,linear=1,fm=webp"),
    "norm": Example("stretch tones to the full range", "w=160,norm=1,fm=webp", "pale"),
    "equal": Example("equalise the histogram", "w=160,equal=1,fm=webp"),
    "gam": Example("gamma: above 1 lifts the middle tones, below 1 lowers them", "w=160,gam=1.8,fm=webp"),
    "bri": Example("brightness in percent", "w=160,bri=25,fm=webp"),
    "con": Example("contrast in percent", "w=160,con=40,fm=webp"),
    "sat": Example("saturation in percent; -100 removes all colour", "w=160,sat=60,fm=webp"),
    "hue": Example("rotate hues, in degrees", "w=160,hue=120,fm=webp"),
    "grey": Example("greyscale", "w=160,grey=1,fm=webp"),
    "sepia": Example("sepia tone in percent", "w=160,sepia=100,fm=webp"),
    "tint": Example("tint a greyscale image with this colour", "w=160,tint=2266cc,fm=webp"),
    "duo": Example("duotone: a colour for dark and one for light tones", "w=160,duo=221144:ffdd88,fm=webp"),
    "neg": Example("invert colours", "w=160,neg=1,fm=webp"),
    "median": Example("median filter of this window size; removes specks", "w=160,median=7,fm=webp"),
    "blur": Example("Gaussian blur; sigma in pixels", "w=160,blur=3,fm=webp"),
    "sharp": Example("unsharp mask: sigma in pixels, and amount", "w=160,sharp=1:3,fm=webp"),
    "conv": Example(
        "convolution with a 3x3 or 5x5 kernel, divided by its sum",
        "w=160,conv=-2:-1:0:-1:1:1:0:1:2,fm=webp",
    ),
    "px": Example("pixelate; block size in pixels", "w=160,px=8,fm=webp"),
    "over": Example(
        "draw an image or a text on top, up to eight in order; see [Overlays](#overlays)",
        "w=160,over=image:mark.png;w:0.3;g:southeast;x:6;y:6,fm=webp",
    ),
    "round": Example("corner radius", "w=160,round=24,fm=webp"),
    "ellipse": Example(
        "mask with the largest ellipse; a circle for squares", "w=100,h=100,ellipse=1,fm=webp"
    ),
    "op": Example("opacity in percent", "w=160,op=40,fm=webp"),
    "pad": Example(
        "padding outside `w` and `h`: top, right, bottom, left", "w=130,bg=223355,pad=8:15,fm=webp"
    ),
    "edge": Example("what fills bars and padding", "w=110,pad=20:25,edge=mirror,fm=webp"),
    "q": Example("encoder quality; the defaults of the formats look equally good", "w=160,q=5,fm=webp"),
    "max-bytes": Example("the highest quality that stays within this size", "w=160,max-bytes=1000,fm=webp"),
    "prog": Example("progressive (interlaced) encoding", "w=160,prog=1,fm=jpeg"),
    "chroma": Example("chroma subsampling", "w=160,chroma=444,fm=jpeg"),
    "moz": Example("mozjpeg's optimisations: smaller files, slower", "w=160,moz=1,fm=jpeg"),
    "effort": Example("encoder effort: higher is smaller and slower", "w=160,effort=6,fm=webp"),
    "lossless": Example("lossless encoding", "w=160,lossless=1,fm=webp"),
    "colours": Example("quantise to a palette of at most this many colours", "w=160,colours=8,fm=png"),
    "fm": Example("output format", "w=160,fm=avif"),
}

# An overlay's text is the part after `over=` in `w=160,over=...,fm=webp`.
_MARK = "image:mark.png;w:0.3"
_WORDS = "text:Lake;size:0.2"


def _places(layer: str) -> dict[str, Example]:
    """The parameters that image and text overlays share, shown on ``layer``."""
    return {
        "g": Example("the side or corner where it is placed", f"{layer};g:southeast"),
        "x": Example("offset from that side inwards; from a centre to the right", f"{layer};g:west;x:12"),
        "y": Example("offset from that side inwards; from a centre down", f"{layer};g:north;y:12"),
        "rotate": Example("rotate clockwise", f"{layer};rotate:20"),
        "o": Example("opacity in percent", f"{layer};o:40"),
        "blend": Example("blend mode, as in CSS", f"{layer};blend:overlay"),
        "tile": Example("repeat over the whole rendition", f"{layer};o:60;tile:1"),
        "gap": Example("space between tiles", f"{layer};o:60;tile:1;gap:16"),
    }


IMAGE_EXAMPLES = {
    "image": Example("the key of an original; `/` is written `~2f` in a text", "image:mark.png"),
    "w": Example("maximum width; keeps the aspect ratio", "image:mark.png;w:0.5"),
    "h": Example("maximum height; keeps the aspect ratio", "image:mark.png;h:0.6"),
    **_places(_MARK),
}

TEXT_EXAMPLES = {
    "text": Example(
        "the text; all but letters, digits, `_`, `.` and `-` is written as `~` and two hex digits per byte",
        "text:A~20lake~0aat~20dusk;size:0.2",
    ),
    "size": Example("font size; a fraction is of the rendition's height", "text:Lake;size:0.4"),
    "font": Example("font family and style", "text:Lake;size:0.2;font:serif~20italic"),
    "colour": Example("text colour", "text:Lake;size:0.2;colour:ffdd44"),
    "w": Example("width at which lines wrap", "text:A~20lake~20at~20dusk;size:0.15;w:0.5"),
    "align": Example("alignment of the lines", "text:A~20lake~0aat~0adusk;size:0.15;align:right"),
    "spacing": Example(
        "additional line spacing, in font sizes", "text:A~20lake~0aat~20dusk;size:0.15;spacing:1"
    ),
    **_places(_WORDS),
    "shadow": Example("shadow colour; enables a shadow", "text:Lake;size:0.4;shadow:000000"),
    "shadow-x": Example(
        "shadow offset to the right; a fraction is of the font size",
        "text:Lake;size:0.4;shadow:000000;shadow-x:8",
    ),
    "shadow-y": Example("shadow offset down", "text:Lake;size:0.4;shadow:000000;shadow-y:8"),
    "shadow-blur": Example(
        "shadow blur radius as in CSS; 0 is sharp", "text:Lake;size:0.4;shadow:000000;shadow-blur:0"
    ),
}

FITS = {
    "cover": Example("fill the size and crop the rest", "w=160,h=80,fm=webp"),
    "contain": Example(
        "fit inside the size; fill the rest with bars", "w=160,h=80,fit=contain,bg=223355,fm=webp"
    ),
    "fill": Example("stretch to the size", "w=160,h=80,fit=fill,fm=webp"),
    "inside": Example("fit inside the size; no bars", "w=160,h=80,fit=inside,fm=webp"),
    "outside": Example("cover the size; no crop", "w=160,h=80,fit=outside,fm=webp"),
    "fill-down": Example(
        "as `cover`, but an original smaller than the size is only cropped to its aspect ratio",
        "w=320,h=160,fit=fill-down,fm=webp",
        "tiny",
    ),
}
