"""Draws docs/architecture.svg, light and dark, from the description below: run it again after changing a row.

The same description always gives the same file; a test compares the two. Arrows are computed
from the boxes they join, so that they end at them, and a text that leaves its box is an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from dark_scheme import darkened_text

OUTPUT = Path(__file__).with_name("architecture.svg")
DARK_OUTPUT = OUTPUT.with_stem("architecture-dark")

WIDTH, HEIGHT = 1312, 868
FONT = "system-ui, 'Segoe UI', Helvetica, Arial, 'DejaVu Sans', sans-serif"
TITLE_SIZE, LINE_SIZE, LEADING = 14, 12, 17
# Widths of characters over the font's size in DejaVu Sans, the widest of the listed fonts.
NARROW, WIDE = frozenset("fijlrt.,:;·()[]|/' "), frozenset("mwMW→")
PADDING = 5


@dataclass(frozen=True, slots=True)
class Style:
    """Colours of a box: its ground, its border and its words."""

    fill: str
    stroke: str
    ink: str = "#1f2328"
    soft: str = "#4d5560"


STYLES = {
    "outside": Style("#ffffff", "#8c959f"),
    "core": Style("#ffffff", "#1f4f99"),
    "engine": Style("#1f4f99", "#1f4f99", "#ffffff", "#dbe7ff"),
    "port": Style("#dbe7ff", "#1f4f99"),
    "ground": Style("#f6f8fa", "#8c959f"),
}
PATHS = {"upload": "#0969da", "url": "#bc4c00", "port": "#57606a"}


@dataclass(frozen=True, slots=True)
class Box:
    """A thing with a name and some lines about it; x, y are its upper left corner in pixels."""

    x: int
    y: int
    width: int
    height: int
    title: str
    lines: tuple[str, ...] = ()
    style: str = "outside"

    @property
    def right(self) -> int:
        return self.x + self.width

    @property
    def bottom(self) -> int:
        return self.y + self.height


@dataclass(frozen=True, slots=True)
class Arrow:
    """From box to box, straight where they face each other.

    ``at`` fixes the coordinate that a straight arrow keeps. ``turn`` is the x at which an arrow
    that starts sideways turns, to enter at the height ``at``.
    """

    start: str
    end: str
    path: str
    both: bool = False
    at: int | None = None
    turn: int | None = None


# Columns: outer and inner boxes of both places, and the core between them.
AWS_OUTER, AWS_INNER, CORE, ONE_INNER, ONE_OUTER = 40, 232, 452, 932, 1124
SIDE, WHOLE, TALL = 148, 408, 60
ROWS = (132, 220, 308, 400, 560, 648, 736)

# x, width, ground, name, remark
PANELS = (
    (24, 372, "#f6f8fa", "On AWS", "deploy.sh"),
    (436, 440, "#eef4ff", "The same core", "no bucket, no directory, no HTTP"),
    (916, 372, "#f1f8f0", "On one machine", "make run"),
)

# A table: one thing on one line, or on two where its remark is long.
BOXES = {
    # the core, from the upload down to the engine and from the URL up to it
    "upload": Box(CORE, ROWS[0], WHOLE, TALL, "Upload", ("the normalised event: only a hint",), "core"),
    "plan": Box(CORE, ROWS[1], 250, TALL, "plan", ("Upload + recipe → renditions",), "core"),
    "reconcile": Box(CORE + 278, ROWS[1], 130, TALL, "reconcile", ("wanted - actual",), "core"),
    "process": Box(CORE, ROWS[2], WHOLE, TALL, "process",
        ("lease → fetch → render → store → complete",), "core"),
    "ports-aws": Box(CORE, ROWS[3], 92, 128, "ports", ("Catalog", "ObjectStore"), "port"),
    "engine": Box(CORE + 120, ROWS[3], 168, 128, "engine",
        ("probe, refuse early", "decode once", "pyramid of sizes", "encode in threads"), "engine"),
    "ports-one": Box(CORE + 316, ROWS[3], 92, 128, "ports", ("Catalog", "ObjectStore"), "port"),
    "deliver": Box(CORE, ROWS[4], WHOLE, TALL, "deliver",
        ("the stored rendition, else render it now",), "core"),
    "dialect": Box(CORE, ROWS[5], WHOLE, TALL, "dialect → transformation",
        ("parsing · signatures · negotiation",), "core"),
    "ground": Box(CORE, ROWS[6], WHOLE, 44, "domain",
        ("errors · formats · keys · transformation · models",), "ground"),
    # on AWS
    "s3-uploads": Box(AWS_OUTER, ROWS[0], SIDE, TALL, "Upload bucket", ("S3",)),
    "lambda": Box(AWS_INNER, ROWS[0], SIDE, TALL, "SQS → process", ("Lambda",)),
    "aws-client": Box(AWS_OUTER, ROWS[1], SIDE, TALL, "REST client"),
    "aws-api": Box(AWS_INNER, ROWS[1], SIDE, TALL, "api", ("API Gateway",)),
    "aws-runs": Box(AWS_OUTER, ROWS[2], 340, TALL, "One invocation, one batch",
        ("renders inside the function",)),
    "table": Box(AWS_OUTER, ROWS[3], SIDE, 56, "Table", ("DynamoDB",)),
    "s3-both": Box(AWS_OUTER, ROWS[3] + 72, SIDE, 56, "Buckets", ("originals, renditions",)),
    "dynamodb": Box(AWS_INNER, ROWS[3], SIDE, 56, "dynamodb", ("catalog/",)),
    "s3": Box(AWS_INNER, ROWS[3] + 72, SIDE, 56, "s3", ("storage/",)),
    "aws-browser": Box(AWS_OUTER, ROWS[4], SIDE, 148, "Browser", ("through CloudFront",)),
    "aws-delivery": Box(AWS_INNER, ROWS[4], SIDE, 148, "deliver", ("Lambda",)),
    "aws-wiring": Box(AWS_OUTER, ROWS[6], 340, 44, "bootstrap · deployment",
        ("environment and template → running parts",)),
    # on one machine
    "directory-uploads": Box(ONE_OUTER, ROWS[0], SIDE, TALL, "Upload directory", ("drop a photo in",)),
    "watcher": Box(ONE_INNER, ROWS[0], SIDE, TALL, "watcher", ("standalone/",)),
    "one-client": Box(ONE_OUTER, ROWS[1], SIDE, TALL, "Page, REST, CLI", ("upload a photo",)),
    "one-api": Box(ONE_INNER, ROWS[1], SIDE, TALL, "api · cli", ("thin entry points",)),
    "workers": Box(ONE_INNER, ROWS[2], 340, TALL, "Workers, one per core",
        ("each renders in an isolated child process",)),
    "file": Box(ONE_OUTER, ROWS[3], SIDE, 56, "Catalog file", ("SQLite",)),
    "directories": Box(ONE_OUTER, ROWS[3] + 72, SIDE, 56, "Directories", ("originals, renditions",)),
    "sqlite": Box(ONE_INNER, ROWS[3], SIDE, 56, "sqlite", ("catalog/",)),
    "directory": Box(ONE_INNER, ROWS[3] + 72, SIDE, 56, "directory", ("storage/",)),
    "one-browser": Box(ONE_OUTER, ROWS[4], SIDE, 148, "Browser"),
    "one-delivery": Box(ONE_INNER, ROWS[4], SIDE, 148, "api", ("ETag, Range, 304",)),
    "one-wiring": Box(ONE_INNER, ROWS[6], 340, 44, "bootstrap", ("settings → running parts",)),
}  # fmt: skip

ARROWS = (
    Arrow("s3-uploads", "lambda", "upload"),
    Arrow("lambda", "upload", "upload", at=ROWS[0] + 20),
    Arrow("aws-client", "aws-api", "upload"),
    Arrow("aws-api", "upload", "upload", at=ROWS[0] + 42, turn=416),
    Arrow("aws-runs", "process", "upload"),
    Arrow("directory-uploads", "watcher", "upload"),
    Arrow("watcher", "upload", "upload", at=ROWS[0] + 20),
    Arrow("one-client", "one-api", "upload"),
    Arrow("one-api", "upload", "upload", at=ROWS[0] + 42, turn=896),
    Arrow("workers", "process", "upload"),
    Arrow("upload", "plan", "upload"),
    Arrow("reconcile", "upload", "upload"),
    Arrow("plan", "process", "upload"),
    Arrow("process", "engine", "upload", both=True),
    Arrow("process", "ports-aws", "port", both=True),
    Arrow("process", "ports-one", "port", both=True),
    Arrow("deliver", "ports-aws", "port", both=True),
    Arrow("deliver", "ports-one", "port", both=True),
    Arrow("ports-aws", "dynamodb", "port", both=True),
    Arrow("ports-aws", "s3", "port", both=True),
    Arrow("dynamodb", "table", "port", both=True),
    Arrow("s3", "s3-both", "port", both=True),
    Arrow("ports-one", "sqlite", "port", both=True),
    Arrow("ports-one", "directory", "port", both=True),
    Arrow("sqlite", "file", "port", both=True),
    Arrow("directory", "directories", "port", both=True),
    Arrow("aws-browser", "aws-delivery", "url", both=True),
    Arrow("aws-delivery", "deliver", "url", both=True),
    Arrow("aws-delivery", "dialect", "url"),
    Arrow("one-browser", "one-delivery", "url", both=True),
    Arrow("one-delivery", "deliver", "url", both=True),
    Arrow("one-delivery", "dialect", "url"),
    Arrow("dialect", "deliver", "url"),
    Arrow("deliver", "engine", "url", both=True),
)


# x, path, words
LEGEND = (
    (40, "upload", "upload → renditions"),
    (252, "url", "URL → rendition"),
    (436, "port", "reads and writes through a port"),
)


def draw() -> str:
    """The whole picture as SVG text."""
    body = "\n".join([*_frame(), *_panels(), *map(_arrow, ARROWS), *map(_box, BOXES.values()), *_legend()])
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" \
width="{WIDTH}" height="{HEIGHT}" role="img" aria-labelledby="title description" font-family="{FONT}">
<title id="title">Architecture of the image processor</title>
<desc id="description">One core, in the middle, makes renditions from uploads and answers URLs. \
On the left it runs on AWS, on the right on one machine.</desc>
{body}
</svg>
"""


def _frame() -> Iterator[str]:
    yield "<defs>"
    for name, colour in PATHS.items():
        yield (
            f'<marker id="{name}" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" '
            f'markerUnits="userSpaceOnUse" orient="auto-start-reverse">'
            f'<path d="M0 0L8 4L0 8z" fill="{colour}"/></marker>'
        )
    yield "</defs>"
    # Its own ground: words stay readable on any page.
    size = f'width="{WIDTH - 2}" height="{HEIGHT - 2}"'
    yield f'<rect x="1" y="1" {size} rx="14" fill="#ffffff" stroke="#d0d7de"/>'
    yield _text(24, 42, "One core, two places to run", 22, "#1f2328", bold=True)
    yield _text(24, 66, "An upload and a URL become renditions by the same transformations.", 13, "#4d5560")


def _panels() -> Iterator[str]:
    for x, width, ground, name, remark in PANELS:
        yield f'<rect x="{x}" y="84" width="{width}" height="712" rx="12" fill="{ground}" stroke="#d0d7de"/>'
        yield _text(x + 16, 112, name, 16, "#1f2328", bold=True)
        yield _text(x + width - 16, 112, remark, 12, "#4d5560", anchor="end")


def _box(box: Box) -> str:
    style = STYLES[box.style]
    place = f'x="{box.x}" y="{box.y}" width="{box.width}" height="{box.height}"'
    parts = [f'<rect {place} rx="8" fill="{style.fill}" stroke="{style.stroke}" stroke-width="1.5"/>']
    middle = box.x + box.width // 2
    baseline = box.y + (box.height - LEADING * len(box.lines)) // 2 + 5
    _fits(box, box.title, TITLE_SIZE * 1.1)  # bold
    parts.append(_text(middle, baseline, box.title, TITLE_SIZE, style.ink, bold=True, anchor="middle"))
    for number, line in enumerate(box.lines, start=1):
        _fits(box, line, LINE_SIZE)
        parts.append(_text(middle, baseline + LEADING * number, line, LINE_SIZE, style.soft, anchor="middle"))
    return "\n".join(parts)


def _fits(box: Box, line: str, size: float) -> None:
    width = size * sum(
        0.4 if character in NARROW else 0.95 if character in WIDE else 0.63 for character in line
    )
    if width > box.width - 2 * PADDING:
        raise ValueError(
            f"expected at most {box.width} pixels for {line!r} in {box.title!r}, got {width:.0f}"
        )


def _arrow(arrow: Arrow) -> str:
    start = f' marker-start="url(#{arrow.path})"' if arrow.both else ""
    points = " ".join(f"{x},{y}" for x, y in route(arrow))
    line = f'points="{points}" fill="none" stroke="{PATHS[arrow.path]}" stroke-width="1.8"'
    return f'<polyline {line}{start} marker-end="url(#{arrow.path})"/>'


def route(arrow: Arrow) -> list[tuple[int, int]]:
    """The corners of an arrow, the first on its start's border and the last on its end's."""
    start, end = BOXES[arrow.start], BOXES[arrow.end]
    if arrow.turn is not None and arrow.at is not None:
        middle = (start.y + start.bottom) // 2
        return [
            (start.right if start.x < end.x else start.x, middle),
            (arrow.turn, middle),
            (arrow.turn, arrow.at),
            (end.x if start.x < end.x else end.right, arrow.at),
        ]
    if start.x < end.right and end.x < start.right:
        x = arrow.at or (max(start.x, end.x) + min(start.right, end.right)) // 2
        return [(x, start.bottom), (x, end.y)] if start.y < end.y else [(x, start.y), (x, end.bottom)]
    y = arrow.at or (max(start.y, end.y) + min(start.bottom, end.bottom)) // 2
    return [(start.right, y), (end.x, y)] if start.x < end.x else [(start.x, y), (end.right, y)]


def _legend() -> Iterator[str]:
    y = HEIGHT - 38
    for x, path, words in LEGEND:
        line = f'<line x1="{x}" y1="{y}" x2="{x + 36}" y2="{y}" stroke="{PATHS[path]}" stroke-width="1.8" '
        yield f'{line}marker-end="url(#{path})"/>'
        yield _text(x + 46, y + 4, words, 12, "#1f2328")


def _text(
    x: int, y: int, words: str, size: int, ink: str, *, bold: bool = False, anchor: str = "start"
) -> str:
    weight = ' font-weight="600"' if bold else ""
    place = f'x="{x}" y="{y}" font-size="{size}" text-anchor="{anchor}"'
    return f'<text {place} fill="{ink}"{weight}>{escape(words)}</text>'


if __name__ == "__main__":
    OUTPUT.write_text(draw(), encoding="utf-8")
    DARK_OUTPUT.write_text(darkened_text(draw()), encoding="utf-8")
    print(f"wrote {OUTPUT.name} and {DARK_OUTPUT.name}")
