"""The whole system behind one simulated edge: the template's distribution, bucket policy, permissions
and CloudFront function, and the real deliver function over stores in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import partial
from typing import Any
from unittest import mock

import pytest
from edge_cache import CachePolicy, OriginPolicy
from edge_distribution import Distribution
from edge_function import Attached, Host, Store
from edge_messages import Answer, NotSimulated, Request
from edge_origins import Bucket, FunctionUrl
from linters import translated
from msgspec.structs import replace
from policies import of_type
from resolve import PSEUDO, references, resolve

from image_processor.aws_lambda.deliver_function import handle
from image_processor.bootstrap.aws import AwsContext
from image_processor.bootstrap.delivery import build_read_path
from image_processor.config.recipe import Recipe
from image_processor.config.settings import Settings
from support.ingest import BUCKET, RECIPE, IngestFixture, fake_render

Json = dict[str, Any]
Mutation = Callable[[Json], None]
Scenario = Callable[["Edge"], None]


class Edge:
    """A distribution with its origins. ``mutate`` changes the resolved resources before.

    ``ingest`` holds the originals and the processed bucket's objects; ``ingest.put`` uploads. ``store`` is
    the KeyValueStore, to write to. ``settings`` are those of the deliver function.
    """

    def __init__(
        self,
        host: Host,
        mutate: Mutation | None = None,
        store: Store | None = None,
        settings: Settings | None = None,
        recipe: Recipe = RECIPE,
        **parameters: str,
    ) -> None:
        self.resources = deepcopy(resolve(translated(), **parameters))
        if mutate:
            mutate(self.resources)
        self.ingest = IngestFixture(recipe=recipe)
        self.store = dict(store or {})
        self._settings = settings or Settings()
        config = distribution(self.resources)
        (self._id,) = of_type(self.resources, "AWS::CloudFront::Distribution")
        origins = {origin["Id"]: self._origin(origin) for origin in config["Origins"]}
        (self.bucket,) = (origin for origin in origins.values() if isinstance(origin, Bucket))
        (self.function,) = (origin for origin in origins.values() if isinstance(origin, FunctionUrl))
        self._distribution = Distribution(
            config,
            origins,
            self._policies(config["DefaultCacheBehavior"]),
            self._headers_policy(config),
            self._edge_function(config, host),
        )
        self.later = self._distribution.later

    def ask(self, uri: str, method: str = "GET", query: str = "", **headers: str) -> Answer:
        """Send a viewer's request over HTTPS; header names have underscores."""
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return self._distribution.ask(Request(method, uri, query, {"host": "cdn.example", **named}))

    def ask_plainly(self, uri: str) -> Answer:
        return self._distribution.ask(Request("GET", uri, secure=False))

    def _named(self, row: Mapping[str, Any], name: str) -> Json:
        """The properties of the resource that a setting references."""
        (target,) = references(row[name])
        found: Json = self.resources[target]["Properties"]
        return found

    def _origin(self, origin: Json) -> Bucket | FunctionUrl:
        (name,) = references(origin["DomainName"])
        if "S3OriginConfig" in origin:
            policies = [
                row["PolicyDocument"]
                for row in of_type(self.resources, "AWS::S3::BucketPolicy").values()
                if list(references(row["Bucket"])) == [name]
            ]
            return Bucket(name, self.ingest.processed, policies, self._signed_for(origin, "s3"))
        url = self._named(origin, "DomainName")
        handler = self._named(url, "TargetFunctionArn")["Handler"]
        if handler != "image_processor.aws_lambda.deliver":
            raise NotSimulated(handler)

        # Both sides of a signature have the same clock.
        def clock() -> float:
            return self._distribution.now

        with mock.patch("time.time", clock):
            reads = build_read_path(self._cloud(), fake_render)
        delivery = replace(reads.delivery, clock=clock)

        def invoke(event: Json, _: Any) -> Json:
            return handle(event, delivery, reads.make, self._settings.missing_seconds)

        return FunctionUrl(self.resources, url, invoke, self._signed_for(origin, "lambda"))

    def _signed_for(self, origin: Json, kind: str) -> str:
        """The caller of the origin: the distribution, if requests are signed for this kind of origin."""
        if "OriginAccessControlId" not in origin:
            return ""
        access = self._named(origin, "OriginAccessControlId")["OriginAccessControlConfig"]
        if (access["OriginAccessControlOriginType"], access["SigningBehavior"]) != (kind, "always"):
            return ""
        return f"arn:aws:cloudfront::{PSEUDO['AWS::AccountId']}:distribution/<{self._id}>"

    def _policies(self, behavior: Json) -> tuple[CachePolicy, OriginPolicy]:
        cache = self._named(behavior, "CachePolicyId")["CachePolicyConfig"]
        origin = self._named(behavior, "OriginRequestPolicyId")["OriginRequestPolicyConfig"]
        return CachePolicy.of(cache), OriginPolicy.of(origin)

    def _headers_policy(self, config: Json) -> Json | None:
        behavior = config["DefaultCacheBehavior"]
        if "ResponseHeadersPolicyId" not in behavior:
            return None
        found: Json = self._named(behavior, "ResponseHeadersPolicyId")["ResponseHeadersPolicyConfig"]
        return found

    def _edge_function(self, config: Json, host: Host) -> Attached | None:
        associations = config["DefaultCacheBehavior"].get("FunctionAssociations", [])
        if not associations:
            return None
        (association,) = associations
        function = self._named(association, "FunctionARN")
        reported = association["EventType"], function["FunctionConfig"]["Runtime"], function["AutoPublish"]
        if reported != ("viewer-request", "cloudfront-js-2.0", True):
            raise NotSimulated(f"a function {reported}")
        stores = function["FunctionConfig"].get("KeyValueStoreAssociations", [])
        for store in stores:
            self._named(store, "KeyValueStoreARN")
        return Attached(host, function["FunctionCode"], self.store if stores else None)

    def _cloud(self) -> AwsContext:
        ingest = self.ingest
        return AwsContext(
            replace(self._settings, limits=ingest.limits, cache_control="public, max-age=60"),
            BUCKET,
            ingest.recipe,
            ingest.uploads,
            ingest.processed,
            ingest.catalog,
            lambda upload: ingest.processor().process(upload),
            lambda *_: pytest.fail("deliver signs no upload"),
            lambda *_: pytest.fail("deliver signs no download"),
            lambda *_: pytest.fail("nothing comes again"),
        )


def function_code() -> str:
    """The CloudFront function as the template has it."""
    found: str = resolve(translated())["EdgeFunction"]["Properties"]["FunctionCode"]
    return found


def distribution(resources: Json) -> Json:
    """The distribution's settings among the resolved resources."""
    (row,) = of_type(resources, "AWS::CloudFront::Distribution").values()
    config: Json = row["DistributionConfig"]
    return config


def named(case: object) -> str:
    """The name of a mutation or scenario for pytest: the function's, with the arguments of a partial."""
    if isinstance(case, partial):
        return "-".join([case.func.__name__, *map(str, case.args)])
    return getattr(case, "__name__", str(case))


def assert_seen(
    mutate: Mutation, scenario: Scenario, host: Host, make: Callable[[Host, Mutation], Edge] = Edge
) -> None:
    """The scenario fails once the template is changed by ``mutate``."""
    edge = make(host, mutate)
    assert edge.resources != resolve(translated()), "expected a mutation, got the template as it is"
    with pytest.raises(AssertionError):
        scenario(edge)
