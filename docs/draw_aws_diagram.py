"""Draws docs/architecture-diagram.svg and .png, light and dark: what deployment/template.yaml makes on AWS.

Boxes and arrows come from the template. Written here is only where they lie: a resource without a
place, or an arrow without a way, is an error, so the picture cannot fall behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from canvas import Block, Drawing, Line, Point, Shape, Words
from dark_scheme import darkened
from template_graph import Edge, Graph, Json, load

SVG = Path(__file__).with_name("architecture-diagram.svg")
PNG = SVG.with_suffix(".png")
DARK_PNG = SVG.with_name("architecture-diagram-dark.png")

WIDTH, HEIGHT = 1440, 930
INK, SOFT, PAPER, BORDER = "#1f2328", "#57606a", "#ffffff", "#8c959f"
SERVICES = {
    "AWS::S3::Bucket": ("S3", "#3f8624"),
    "AWS::SQS::Queue": ("SQS", "#bc1356"),
    "AWS::Serverless::Function": ("Lambda", "#b85309"),
    "AWS::DynamoDB::Table": ("DynamoDB", "#2e55b5"),
    "AWS::Serverless::Api": ("API Gateway", "#7b3fb5"),
    "AWS::CloudFront::Distribution": ("CloudFront", "#7b3fb5"),
    "AWS::Events::Rule": ("EventBridge", "#bc1356"),
    "AWS::SNS::Topic": ("CloudWatch, SNS", "#57606a"),
}
COLOURS = {
    "ProcessFunction": "#0969da",
    "ApiFunction": "#1a7f37",
    "DeliverFunction": "#bc4c00",
    "dead letters": "#cf222e",
    "person": "#57606a",
}

# Columns and rows of boxes, and the lanes behind them: y, height, ground, words.
ENTRY, FUNCTION, STORE = 260, 610, 1010
UPLOAD, DEAD, REST, URL, WATCH = 188, 328, 478, 654, 818
LANES = (
    (60, 364, "#f1f6fd", "an upload becomes renditions"),
    (436, 158, "#f1f9f2", "the REST API"),
    (606, 186, "#fdf5ef", "a URL becomes a rendition"),
)

# Logical id: x, y, title. Height and width are those of all boxes.
PLACES = {
    "UploadRule": (FUNCTION, 78, "events of an existing bucket"),
    "IngestQueue": (ENTRY, UPLOAD, "ingest queue"),
    "ProcessFunction": (FUNCTION, UPLOAD, "process (and reconcile)"),
    "UploadBucket": (STORE, UPLOAD, "originals"),
    "DeadLetterQueue": (ENTRY, DEAD, "dead letters"),
    "Api": (ENTRY, REST, "REST API"),
    "ApiFunction": (FUNCTION, REST, "api"),
    "CatalogTable": (STORE, REST, "records"),
    "Distribution": (ENTRY, URL, "CDN"),
    "DeliverFunction": (FUNCTION, URL, "deliver"),
    "ProcessedBucket": (STORE, URL, "renditions"),
    "AlarmTopic": (ENTRY, WATCH, "alarms, dashboard"),
}
BOX_WIDTH, BOX_HEIGHT, LOW = 210, 96, 64
HEIGHTS = {"UploadRule": LOW, "DeadLetterQueue": 76, "AlarmTopic": 76}

# What belongs to a box and gets none of its own.
FOLDED = {
    **{f"{name}Bucket{'Policy'}": f"{name}Bucket" for name in ("Upload", "Processed")},
    **{f"{name}Queue{'Policy'}": f"{name}Queue" for name in ("Ingest", "DeadLetter")},
    **{
        f"{name}{part}": f"{name}Function"
        for name in ("Process", "Api", "Deliver")
        for part in ("Logs", "Role")
    },
    **{f"Deliver{part}": "DeliverFunction" for part in ("Url", "UrlPermission", "InvokePermission")},
    **{f"Api{part}": "Api" for part in ("Permission", "AccessLogGroup", "Account", "AccountRole", "Key")},
    **{f"Api{part}": "Api" for part in ("UsagePlan", "UsagePlanKey", "Domain", "DomainRecords", "Mapping")},
    # The studio is a page over the API.
    **{
        f"Studio{part}": "Api"
        for part in ("Bucket", "BucketPolicy", "Access", "Distribution", "HeadersPolicy", "Client")
    },
    **{f"{name}Access": "Distribution" for name in ("Bucket", "Function")},
    **{f"Rendition{part}Policy": "Distribution" for part in ("Cache", "Origin", "Headers")},
    **{
        f"{name}Alarm": "AlarmTopic"
        for name in ("DeadLetter", "OldestMessage", "Error", "Throttle", "Refused", "Invalidation")
    },
    **{
        f"{name}Alarm": "AlarmTopic"
        for name in ("TableThrottle", "ApiError", "ApiLatency", "CdnError", "HeldDeletions")
    },
    "Budget": "AlarmTopic",
    **{f"{name}LogBucket{part}": "AlarmTopic" for name in ("Access", "Cdn") for part in ("", "Policy")},
    **{f"{name}DurationAlarm": "AlarmTopic" for name in ("Process", "Deliver")},
    "ProcessMapping": "ProcessFunction",
    "CanaryRole": "ProcessFunction",
    **{f"Edge{part}": "Distribution" for part in ("Function", "Store", "Entries")},
    **{f"Publish{part}": "Distribution" for part in ("Function", "Logs", "Role")},
    "RateLimitAcl": "Distribution",
    **{f"Invalidate{part}": "Distribution" for part in ("Function", "Mapping", "Logs", "Role")},
    **{f"Invalidation{part}": "Distribution" for part in ("Queue", "DeadLetterQueue", "QueuePolicy")},
    # It reads what process writes, and enqueues what process reads.
    **{f"Reconcile{part}": "ProcessFunction" for part in ("Function", "Role", "Logs", "Start", "Continue")},
    **{f"{name}Role": "ProcessFunction" for name in ("Schedule", "Backfill")},
    "DomainRecords": "Distribution",
    "Dashboard": "AlarmTopic",
}

# References that are no traffic: the api function learns the CDN's address to tell it, both may
# tell the CDN what to forget, and process has the dead letters' address for the operator's commands. The
# bucket of S3's access logs names the buckets that may write there.
QUIET = frozenset(
    {
        ("ApiFunction", "Distribution"),
        ("Distribution", "ProcessFunction"),
        # The studio's policies name where its pictures come from and where its uploads go, and its logs.
        ("Api", "Distribution"),
        ("Api", "UploadBucket"),
        ("AlarmTopic", "Api"),
        ("AlarmTopic", "ProcessedBucket"),
        ("AlarmTopic", "UploadBucket"),
        ("DeadLetterQueue", "ProcessFunction"),
    }
)

# Who stands outside: x, y, name, lines, and the box they talk to with the words for it.
PEOPLE = (
    (40, REST, "Programs", ("signed requests,", "or an API key"), "Api"),
    (40, URL, "Browsers", ("GET a rendition", "by its key"), "Distribution"),
    (40, WATCH, "Operator", ("by e-mail",), "AlarmTopic"),
    (1270, UPLOAD, "Uploads", ("s3 cp, SDK, or a", "form that the API signs"), "UploadBucket"),
)


def height(name: str) -> int:
    return HEIGHTS.get(name, BOX_HEIGHT)


# Each function has a bus, a vertical line at its own x, from which it reaches the stores.
BUSES = {"ProcessFunction": 880, "ApiFunction": 910, "DeliverFunction": 940}
STORES = ("UploadBucket", "CatalogTable", "ProcessedBucket")
# Below the top of its box, where a line runs that is straight, and where the others leave a function
# upwards and downwards, and enter a store from the first and the second of the other functions.
STRAIGHT, LEAVING, ENTERING = 48, (16, 80), (30, 66)
UNDER = 30
"""How far below its box the CDN's line to the stored renditions runs."""


def way(edge: Edge) -> tuple[Point, ...]:
    """The corners of an edge's line."""
    (x, y, _), (to_x, to_y, _) = PLACES[edge.start], PLACES[edge.end]
    middle, centre = y + height(edge.start) // 2, x + BOX_WIDTH // 2
    if edge.start in BUSES:
        return _over_bus(edge)
    match edge:
        case Edge(kind="first"):
            low, high = y + BOX_HEIGHT, y + BOX_HEIGHT + UNDER
            far = to_x + BOX_WIDTH // 2
            return ((centre, low), (centre, high), (far, high), (far, to_y + BOX_HEIGHT))
        case Edge(start="UploadBucket"):
            high = to_y - 20
            return ((centre, y), (centre, high), (to_x + 140, high), (to_x + 140, to_y))
        case Edge(start="UploadRule"):
            return ((x, middle), (to_x + 60, middle), (to_x + 60, to_y))
        case _ if x == to_x:
            return ((centre, y + height(edge.start)), (centre, to_y))
        case _:
            return ((x + BOX_WIDTH, middle), (to_x, middle))


def _over_bus(edge: Edge) -> tuple[Point, ...]:
    (x, y, _), (to_x, to_y, _) = PLACES[edge.start], PLACES[edge.end]
    number, store, bus = list(BUSES).index(edge.start), STORES.index(edge.end), BUSES[edge.start]
    if number == store:
        return ((x + BOX_WIDTH, y + STRAIGHT), (to_x, to_y + STRAIGHT))
    others = [each for each in range(len(BUSES)) if each != store]
    start, end = y + LEAVING[store > number], to_y + ENTERING[others.index(number)]
    return ((x + BOX_WIDTH, start), (bus, start), (bus, end), (to_x, end))


def draw(template: Json) -> Drawing:
    """The whole drawing. Raises ValueError for what has no place, no way, or no room."""
    graph = Graph(template, FOLDED)
    _check(template, graph)
    shapes: tuple[Shape, ...] = (
        Block(1, 1, WIDTH - 2, HEIGHT - 2, PAPER, "#d0d7de", radius=14),
        Words(30, 40, "On AWS: what deployment/template.yaml creates", 22, INK, bold=True),
        *_lanes(),
        *_lines(graph),
        *_people(),
        *(shape for name in PLACES for shape in _box(name, template, graph)),
        *_legend(),
    )
    return Drawing(WIDTH, HEIGHT, "The resources of deployment/template.yaml and their connections", shapes)


def _check(template: Json, graph: Graph) -> None:
    placed = PLACES.keys() | FOLDED.keys()
    if lost := template["Resources"].keys() ^ placed:
        raise ValueError(f"expected a place for each resource and none without one, got {sorted(lost)}")
    if lost := graph.undrawn() ^ QUIET:
        raise ValueError(f"expected an edge for each reference between boxes, got {sorted(lost)}")


def _lanes() -> Iterator[Shape]:
    for y, tall, ground, name in LANES:
        yield Block(220, y, 1020, tall, ground, ground, radius=12)
        yield Words(236, y + 24, name, 13, SOFT)


def _lines(graph: Graph) -> Iterator[Shape]:
    for edge in sorted(graph.edges()):
        if edge.kind in {"watches", "mail"}:
            continue  # one box watches them all
        lane = {"Api": "ApiFunction", "Distribution": "DeliverFunction"}.get(edge.start, "ProcessFunction")
        colour = COLOURS.get(edge.kind) or COLOURS.get(edge.start) or COLOURS[lane]
        yield Line(way(edge), colour, both=edge.kind == "writes", dashed=edge.start == "UploadRule")
    x, y, _ = PLACES["Distribution"]
    yield Words(x + 240, y + BOX_HEIGHT + UNDER - 8, "1. stored", 12, SOFT)
    yield Words(x + 280, y + 40, "2. else rendered", 12, SOFT, "middle")
    yield Words(STORE - 40, UPLOAD - 27, "created, removed", 12, SOFT, "end")


def _people() -> Iterator[Shape]:
    for x, y, name, lines, box in PEOPLE:
        tall = height(box)
        to_x, _, _ = PLACES[box]
        yield Block(x, y, 140, tall, PAPER, BORDER, radius=tall // 2)
        first = y + tall // 2 - 8 * len(lines) + 3
        yield Words(x + 70, first, name, 14, INK, "middle", bold=True)
        for number, line in enumerate(lines, start=1):
            yield Words(x + 70, first + 17 * number, line, 11, SOFT, "middle")
        middle = y + tall // 2
        ends = ((x + 140, middle), (to_x, middle)) if x < to_x else ((x, middle), (to_x + BOX_WIDTH, middle))
        yield Line(ends[::-1] if box == "AlarmTopic" else ends, COLOURS["person"])


def _box(name: str, template: Json, graph: Graph) -> Iterator[Shape]:
    x, y, title = PLACES[name]
    row = template["Resources"][name]
    service, colour = SERVICES[row["Type"]]
    switch = graph.switch(name)
    words = [
        Words(x + 12, y + 20, service, 12, colour, bold=True),
        Words(x + 12, y + 41, title, 14, INK, bold=True),
        *(
            Words(x + 12, y + 61 + 16 * number, line, 11, SOFT)
            for number, line in enumerate(_facts(name, row.get("Properties", {}), template))
        ),
    ]
    yield Block(x, y, BOX_WIDTH, height(name), PAPER, colour, dashed=bool(switch))
    if switch:
        yield Words(x + BOX_WIDTH - 10, y + 20, switch, 10, SOFT, "end")
    for line in words:
        if line.width > BOX_WIDTH - 20:
            raise ValueError(f"expected at most {BOX_WIDTH - 20} for {line.text!r}, got {line.width:.0f}")
        yield line


def _facts(name: str, properties: Json, template: Json) -> Iterator[str]:
    """What a box says of its resource, read from the template."""
    match template["Resources"][name]["Type"].rpartition("::")[2]:
        case "Queue" if "RedrivePolicy" in properties:
            yield f"hidden {properties['VisibilityTimeout']} s while in work"
            yield f"{properties['RedrivePolicy']['maxReceiveCount']} receives, then out"
        case "Queue":
            yield f"kept for {properties['MessageRetentionPeriod'] // 86400} days"
        case "Function":
            yield f"{template['Globals']['Function']['Runtime']}, {properties['Timeout']} s"
            yield "a role and a log of its own"
        case "Table":
            yield "by " + properties["KeySchema"][0]["AttributeName"]
            yield "and " + ", ".join(index["IndexName"] for index in properties["GlobalSecondaryIndexes"])
        case "Api":
            yield f"{len(properties['DefinitionBody']['paths'])} resources, bodies validated"
            yield "signed or with a key, throttled"
        case "Distribution":
            group = properties["DistributionConfig"]["OriginGroups"]["Items"][0]
            yield "to 2 on " + " ".join(map(str, group["FailoverCriteria"]["StatusCodes"]["Items"]))
            yield "signatures verified at the edge"
        case "Bucket":
            yield "private, encrypted, TLS only"
            versions = "VersioningConfiguration" in properties
            yield "overwritten versions kept" if versions else "can be made again"
        case "Topic":
            types = [row["Type"] for key, row in template["Resources"].items() if FOLDED.get(key) == name]
            yield f"{types.count('AWS::CloudWatch::Alarm')} alarms on queues and functions"


def _legend() -> Iterator[Shape]:
    x, y = FUNCTION, WATCH + 24
    words = {"ProcessFunction": "process", "ApiFunction": "api", "DeliverFunction": "deliver"}
    for number, (name, word) in enumerate(words.items()):
        left = x + 110 * number
        yield Line(((left, y), (left + 30, y)), COLOURS[name], head=False)
        yield Words(left + 38, y + 4, word, 12, INK)
    yield Line(((x + 340, y), (x + 376, y)), SOFT)
    yield Words(x + 384, y + 4, "sends, calls or reads", 12, INK)
    yield Line(((x + 530, y), (x + 566, y)), SOFT, both=True)
    yield Words(x + 574, y + 4, "reads and writes", 12, INK)
    yield Block(x, y + 22, 30, 20, PAPER, BORDER, dashed=True, radius=5)
    yield Words(x + 38, y + 36, "optional: the parameter in the box decides", 12, INK)


def main() -> None:
    drawing = draw(load())
    SVG.write_text(drawing.svg(), encoding="utf-8")
    drawing.png(PNG)
    darkened(drawing).png(DARK_PNG)
    print(f"wrote {SVG.name}, {PNG.name} and {DARK_PNG.name}")


if __name__ == "__main__":
    main()
