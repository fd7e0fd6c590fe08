"""What deployment/template.yaml says of who talks to whom: the graph that draw_aws_diagram.py draws.

An edge is found where the template makes it: in a notification, a mapping, a role's statements, an
API's integrations, a distribution's origins.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1] / "deployment"))

from template_file import Json, load

__all__ = ["Edge", "Graph", "Json", "load", "references"]

READING = ("Get", "List", "Query", "BatchGet")


@dataclass(frozen=True, slots=True, order=True)
class Edge:
    """``start`` sends to, uses or watches ``end``; ``kind`` says which, and how."""

    start: str
    end: str
    kind: str


def references(node: Any) -> Iterator[str]:
    """The names that ``node`` refers to: resources, parameters, conditions."""
    if isinstance(node, list):
        for item in node:
            yield from references(item)
    if not isinstance(node, dict):
        return
    for key, value in node.items():
        if key == "Ref" or (key == "Condition" and isinstance(value, str)):
            yield value.partition(".")[0]
        elif key == "Fn::GetAtt":
            yield value[0]
        elif key == "Fn::Sub":
            text = value if isinstance(value, str) else value[0]
            yield from (name.partition(".")[0] for name in re.findall(r"\$\{([\w.]+)\}", text))
            yield from references(value)
        else:
            yield from references(value)


class Graph:
    """The template with each resource counted to its owner: ``folded`` maps logical ids to them."""

    def __init__(self, template: Json, folded: dict[str, str]) -> None:
        self._rows: dict[str, Json] = template["Resources"]
        self._conditions: Json = template["Conditions"]
        self._folded = folded

    def owner(self, name: str) -> str:
        return self._folded.get(name, name)

    def properties(self, name: str) -> Json:
        found: Json = self._rows[name].get("Properties", {})
        return found

    def switch(self, name: str) -> str | None:
        """The parameter that decides whether there is this resource, None if there always is."""
        switch: str | None = self._rows[name].get("Condition")
        while switch in self._conditions:
            switch = next(references(self._conditions[switch]))
        return switch

    def edges(self) -> frozenset[Edge]:
        """Every edge between owners. One to a resource itself is left out, and what is written is not also
        read."""
        found = {Edge(self.owner(start), self.owner(end), kind) for start, end, kind in self._raw()}
        read = {Edge(edge.start, edge.end, "reads") for edge in found if edge.kind == "writes"}
        return frozenset(edge for edge in found - read if edge.start != edge.end)

    def undrawn(self) -> frozenset[tuple[str, str]]:
        """Owners of which one refers to the other and that no edge joins, in the order of names."""
        joined = {tuple(sorted((edge.start, edge.end))) for edge in self.edges()}
        referring = {
            tuple(sorted((self.owner(name), self.owner(other))))
            for name in self._rows
            for other in self._refer(self._rows[name])
            if self.owner(name) != self.owner(other)
        }
        return frozenset((one, other) for one, other in referring - joined)

    def _of(self, kind: str) -> Iterator[tuple[str, Json]]:
        for name, row in self._rows.items():
            if row["Type"] == kind:
                yield name, self.properties(name)

    def _refer(self, node: Any) -> list[str]:
        """The resources that ``node`` refers to."""
        return [name for name in references(node) if name in self._rows]

    def _raw(self) -> Iterator[tuple[str, str, str]]:
        yield from self._simple("AWS::S3::Bucket", "NotificationConfiguration", "events")
        yield from self._simple("AWS::Events::Rule", "Targets", "events")
        yield from self._simple("AWS::SQS::Queue", "RedrivePolicy", "dead letters")
        yield from self._simple("AWS::Serverless::Api", "DefinitionBody", "requests")
        yield from self._simple("AWS::CloudWatch::Alarm", "AlarmActions", "mail")
        for watching in ("Dimensions", "Metrics"):
            yield from self._simple("AWS::CloudWatch::Alarm", watching, "watches")
        yield from self._simple("AWS::CloudWatch::Dashboard", "DashboardBody", "watches")
        for _, mapping in self._of("AWS::Lambda::EventSourceMapping"):
            for queue in self._refer(mapping["EventSourceArn"]):
                yield queue, self._refer(mapping["FunctionName"])[0], "events"
        for name, function in self._of("AWS::Serverless::Function"):
            yield from self._used(name, function)
        yield from self._origins()

    def _simple(self, type_: str, key: str, kind: str) -> Iterator[tuple[str, str, str]]:
        """An edge from each resource of a type to each that one of its properties names."""
        for name, properties in self._of(type_):
            for other in self._refer(properties.get(key)):
                yield name, other, kind

    def _used(self, name: str, function: Json) -> Iterator[tuple[str, str, str]]:
        """What a function's role lets it use, and whether only to read."""
        writes: dict[str, bool] = {}
        (role,) = self._refer(function["Role"])
        for statement in self._statements(role):
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            changing = not all(action.partition(":")[2].startswith(READING) for action in actions)
            for used in self._refer(statement["Resource"]):
                # The mapping's own edge says it; to tell the CDN what to forget is optional, and no traffic.
                if not actions[0].startswith(("sqs:", "cloudfront:")):
                    writes[used] = writes.get(used, False) or changing
        for used, changing in writes.items():
            yield name, used, "writes" if changing else "reads"

    def _statements(self, role: str) -> Iterator[Json]:
        for statement in self.properties(role)["Policies"][0]["PolicyDocument"]["Statement"]:
            while "Fn::If" in statement:
                statement = statement["Fn::If"][1]  # noqa: PLW2901 - conditions within conditions
            yield statement

    def _origins(self) -> Iterator[tuple[str, str, str]]:
        for name, row in self._of("AWS::CloudFront::Distribution"):
            config = row["DistributionConfig"]
            if "OriginGroups" not in config:  # the studio's, whose origins are folded into the API
                continue
            origins = {origin["Id"]: self._refer(origin["DomainName"])[0] for origin in config["Origins"]}
            members = config["OriginGroups"]["Items"][0]["Members"]["Items"]
            for number, member in enumerate(members):
                target = origins[member["OriginId"]]
                function = self._refer(self.properties(target).get("TargetFunctionArn"))
                yield name, (function or [target])[0], "failover" if number else "first"
