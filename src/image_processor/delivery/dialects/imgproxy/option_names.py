"""Dialects: what imgproxy calls its options."""

from __future__ import annotations

import re
from types import MappingProxyType

META = {
    "resize": ("resizing_type", "width", "height", "enlarge", "extend"),
    "size": ("width", "height", "enlarge", "extend"),
    "adjust": ("brightness", "contrast", "saturation"),
}
"""Options that say several things, and what those are called."""

IGNORED = frozenset({"cachebuster", "strip_color_profile", "enforce_thumbnail", "dpi", "resizing_algorithm"})
"""What makes no other picture, or is settled for all of them."""

_TABLE = """
rs=resize s=size rt=resizing_type w=width h=height mw=min-width mh=min-height z=zoom el=enlarge
ex=extend g=gravity c=crop t=trim pd=padding ar=auto_rotate rot=rotate fl=flip bg=background
a=adjust br=brightness co=contrast sa=saturation bl=blur sh=sharpen pix=pixelate wm=watermark
wmu=watermark_url wmt=watermark_text wms=watermark_size wmr=watermark_rotate
wm_rot=watermark_rotate sm=strip_metadata kcr=keep_copyright scp=strip_color_profile
eth=enforce_thumbnail ra=resizing_algorithm q=quality fq=format_quality mb=max_bytes f=format
ext=format pg=page da=disable_animation cb=cachebuster exp=expires fn=filename
att=return_attachment pr=preset
"""
LONG = MappingProxyType(dict(re.findall(r"([a-z_]+)=([a-z_-]+)", _TABLE)))
"""The long name for a short one."""
