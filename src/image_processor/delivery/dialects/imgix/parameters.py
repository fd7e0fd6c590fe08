"""Delivery, step 1: every parameter of imgix, with its aliases and what becomes of it here.

The names and aliases are those of imgix-url-params 11.35, the list that imgix publishes. A parameter that
is in none of these tables has no effect, as in imgix.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_SUPPORTED = """
ar auto bg
blend=b blend-align=blendalign,ba blend-alpha=blendalpha,balph blend-color=blendcolor,blend-clr,blendclr
blend-crop=blendcrop,bc blend-fit=blendfit,bf blend-h=blendh,bh blend-mode=blendmode,bm
blend-pad=blendpad,bp blend-size=blendsize,bs blend-w=blendw,bw blend-x=blendx,bx blend-y=blendy,by
blur
border border-bottom border-left border-radius border-radius-inner border-right border-top
bri chromasub colorquant con corner-radius crop dl dpr duotone duotone-alpha exp expires
fill fill-color=fillcolor fill-gradient-linear fill-gradient-linear-direction
fill-gradient-radial fill-gradient-radial-radius fill-gradient-radial-x fill-gradient-radial-y
fill-gradient-type fit=f flip fm fp-x fp-y fp-z frame gam grid-colors grid-size h=height high hue
invert=inv jpg-progressive=jpeg-progressive lossless
mark=m mark-align=ma,markalign mark-alpha=markalpha,malph mark-base=mb,markbase mark-fit=mf,markfit
mark-h=mh,markh mark-if-min-height mark-if-min-width mark-pad=mp,markpad mark-rot
mark-scale=ms,markscale mark-tile=mtile,marktile mark-w=mw,markw mark-x=mx,markx mark-y=my,marky
mask mask-bg=maskbg max-h=max-height max-w=max-width min-h=min-height min-w=min-width
monochrome=mono nr nrs orient=or pad pad-bottom pad-left pad-right pad-top page px q rect rot
rot-type=rottype,rott sat sepia shad sharp transparency
trim trim-color=trimcolor trim-md=trimmd trim-pad=trimpad trim-tol=trimtol
txt=t txt-align=txtalign,ta txt-color=txtcolor,txt-clr,txtclr,tc txt-font=tf,txtfont
txt-line=txtline,tl txt-line-color=txtlinecolor,txt-line-clr,txtlineclr txt-pad=txtpad,tp
txt-shad=txtshad,tsh txt-size=tsz,txtsize txt-width=txtwidth txt-x=txtx txt-y=txty
usm usmrad vib w=width
"""

IGNORED: Final[Mapping[str, str]] = MappingProxyType({
    "ch": "client hints are those of our own URLs",
    "cs": "colours are sRGB; the setting ICC decides about profiles",
    "dpi": "no metadata is written",
    "iptc": "no metadata is copied",
    "pdf-annotation": "PDF is not read",
    "svg-sanitize": "an SVG is always drawn, never sent",
    "trim-alpha": "all transparent pixels are trimmed",
    "trim-sd": "trimming compares colours, not rows",
    "txt-clip": "a long text is wrapped or made smaller, never cut",
    "txt-lead": "imgix has it for its endpoint ~text only",
    "txt-track": "imgix has it for its endpoint ~text only",
})  # fmt: skip
"""Parameters that are accepted and change nothing here, with the reason."""

_AI = "it needs a generative or a segmentation model"
_VIDEO = "video is not rendered"
_JSON = "the result is data, not an image; see GET /images/ID for an image's colours"
_FRAMES = "frames keep their order and timing"

REFUSED: Final[Mapping[str, str]] = MappingProxyType({
    "bg-remove": _AI,
    "bg-remove-fallback": _AI,
    "bg-remove-fg-type": _AI,
    "bg-remove-semi-transparency": _AI,
    "bg-remove-transparency-threshold": _AI,
    "bg-replace": _AI,
    "bg-replace-fallback": _AI,
    "bg-replace-neg-prompt": _AI,
    "border-stroke-color": "imgix does not say where the stroke lies",
    "border-stroke-size": "imgix does not say where the stroke lies",
    "colors": _JSON,
    "face-blur": "faces are found for crops only",
    "face-pixel": "faces are found for crops only",
    "faceindex": "a crop keeps all faces",
    "facepad": "a crop keeps all faces",
    "faces": _JSON,
    "fill-gradient-cs": "gradients are mixed in sRGB, as imgix does by default",
    "fill-gen-fallback": _AI,
    "fill-gen-neg-prompt": _AI,
    "fill-gen-pos": _AI,
    "fill-gen-prompt": _AI,
    "fill-gen-seed": _AI,
    "fp-debug": "it is a tool for development",
    "fps": _FRAMES,
    "htn": "there is no halftone",
    "interval": _FRAMES,
    "loop": _FRAMES,
    "lp-blur": "licence plates are not found",
    "object-removal-negative-prompt": _AI,
    "object-removal-prompt": _AI,
    "object-removal-rect": _AI,
    "object-removal-seed": _AI,
    "palette": _JSON,
    "prefix": _JSON,
    "rasterize-bypass": "no original is sent as it is",
    "reverse": _FRAMES,
    "skip": _FRAMES,
    "txt-fit": "a text is made smaller to fit, never larger",
    "upscale": _AI,
    "upscale-fallback": _AI,
    "video-bitrate": _VIDEO,
    "video-clip-end": _VIDEO,
    "video-clip-start": _VIDEO,
    "video-codec": _VIDEO,
    "video-thumbnail": _VIDEO,
})  # fmt: skip
"""Parameters that are refused unless the dialect is lenient or they are off, with the reason."""

UNLISTED: Final = frozenset({
    "blend-anchor", "mark-anchor", "mask-invert", "txt-alpha", "txt-bg", "txt-radius",
})  # fmt: skip
"""Parameters of imgix's documents that its list does not have; they are refused, too."""

UNLISTED_SUPPORTED: Final = frozenset({"fill-max"})
"""Such parameters that have imgix's effect."""

_ALIASES_OF_OTHERS = """
bg-remove-semi-transparency=background-removal-semi-transparency bg-remove=background-remove
bg-replace-neg-prompt=background-replace-negative-prompt bg-replace=background-replace
face-pixel=face-pixelate fill-gen-fallback=fill-generative-fallback
fill-gen-neg-prompt=fill-generative-negative-prompt fill-gen-pos=fill-generative-position
fill-gen-prompt=fill-generative-prompt fill-gen-seed=fill-generative-seed lp-blur=license-plate-blur
pdf-annotation=annotation trim-sd=trimsd txt-clip=txtclip,tcl txt-fit=txtfit txt-lead=txtlead
txt-track=txttrack,tt
"""


def _rows(table: str) -> dict[str, tuple[str, ...]]:
    """Name and aliases from `name=alias,alias`, separated by white space."""
    rows = (row.partition("=") for row in table.split())
    return {name: tuple(filter(None, aliases.split(","))) for name, _, aliases in rows}


SUPPORTED: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(_rows(_SUPPORTED))
"""The parameters that have imgix's effect, with their aliases. docs/dialects.md says where it differs."""

ALIASES: Final[Mapping[str, str]] = MappingProxyType({
    alias: name
    for name, aliases in {**SUPPORTED, **_rows(_ALIASES_OF_OTHERS)}.items()
    for alias in aliases
})  # fmt: skip

NAMES: Final = frozenset({*SUPPORTED, *IGNORED, *REFUSED})
"""The parameters of imgix's list."""
