"""Writes two pages with the same photos: before.html as many sites are, index.html with the right renditions.

    python build.py cat.jpg flipped.jpg ...

The first photo is the large one. The renditions' URLs come from `image-processor srcset`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

SERVER = os.environ.get("IMGP_SERVER", "http://127.0.0.1:8000")
SITE = Path("site")
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="description" content="Photos in the width and format that each screen needs">
<title>Photos</title>
<link rel="icon" href="data:,">
<style>
body {{ margin: 0 auto; max-width: 60rem; padding: 1rem; font-family: system-ui, sans-serif; }}
img {{ display: block; width: 100%; height: auto; }}
.photos {{ display: grid; grid-template-columns: repeat(2, 1fr); gap: 1rem; margin-top: 110vh; }}
</style>
</head>
<body>
<main>
<h1>Photos</h1>
{large}
<div class="photos">
{small}
</div>
</main>
</body>
</html>
"""


def markup(key: str, sizes: str, alt: str) -> str:
    """The `<picture>` of a photo whose width on the page is ``sizes``."""
    command = ["image-processor", "srcset", key, "--preset", "page", "--sizes", sizes, "--alt", alt]
    base = ["--base", f"{SERVER}/renditions", "--only", "picture", "--json"]
    done = subprocess.run([*command, *base], capture_output=True, text=True, check=True)  # noqa: S603
    picture: str = json.loads(done.stdout)["picture"]
    return picture


def main(photos: list[str]) -> None:
    SITE.mkdir(exist_ok=True)
    alts = [f"A cat, photo {number}" for number, _ in enumerate(photos, 1)]
    old = [f'<img src="{photo}" alt="{alt}">' for photo, alt in zip(photos, alts, strict=True)]
    for photo in photos:
        (SITE / photo).write_bytes(Path(photo).read_bytes())
    (SITE / "before.html").write_text(PAGE.format(large=old[0], small="\n".join(old[1:])), encoding="utf-8")

    # The photo that the visitor sees first is loaded first, those below the fold when they come near.
    large = markup(photos[0], "(min-width: 62rem) 58rem, calc(100vw - 2rem)", alts[0])
    large = large.replace("<img ", '<img fetchpriority="high" ')
    small = [
        markup(photo, "(min-width: 62rem) 28.5rem, calc(50vw - 1.5rem)", alt).replace(
            "<img ", '<img loading="lazy" '
        )
        for photo, alt in zip(photos[1:], alts[1:], strict=True)
    ]
    (SITE / "index.html").write_text(PAGE.format(large=large, small="\n".join(small)), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
