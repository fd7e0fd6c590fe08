"""API Gateway's side of the REST API is the side that the code has: same routes, same bodies."""

from __future__ import annotations

import fnmatch
import importlib
from typing import Any

import pytest
from linters import Json, translated
from policies import of_type
from resolve import resolve

from image_processor.api.access import ACCESS, Access
from image_processor.api.aws_app import ROUTERS
from image_processor.api.request_models import (
    FocusRequest,
    OnDemandRequest,
    PresignedPostRequest,
    ProcessRequest,
)
from support.studio_policy import studio_policy


def body(**parameters: str) -> Json:
    (api,) = of_type(resolve(translated(), **parameters), "AWS::ApiGateway::RestApi").values()
    found: Json = api["Body"]
    return found


def test_the_routes_match_the_application() -> None:
    offered = {
        (method, path)
        for path, methods in body(EnableDelete="true")["paths"].items()
        for method in methods
        if method != "parameters"
    }
    served = {
        (method.lower(), route.path)
        for router in ROUTERS
        for route in router.routes
        for method in route.methods
    }
    # HEAD is for what stands before one machine; a gateway's callers sign a GET as easily.
    served -= {("head", path) for method, path in served if method == "get"}
    assert offered == served | {("get", "/openapi.json")}


POOL = "arn:aws:cognito-idp:eu-central-1:111122223333:userpool/eu-central-1_AbCdEfGhI"
COGNITO = {"ApiAuthorization": "COGNITO", "ApiUserPoolArn": POOL, "EnableDelete": "true"}


def security(**parameters: str) -> dict[tuple[str, str], Any]:
    return {
        (method.upper(), path): operation["security"]
        for path, methods in body(**parameters)["paths"].items()
        for method, operation in methods.items()
        if method != "parameters"
    }


def test_no_method_is_open_to_strangers() -> None:
    ways: dict[str, dict[str, str]] = {
        "signature": {"EnableDelete": "true"},
        "key": {"EnableDelete": "true", "ApiAuthorization": "API_KEY"},
        "pool": COGNITO,
    }
    for scheme, parameters in ways.items():
        needed = security(**parameters)
        assert needed.keys() == security(EnableDelete="true").keys()
        assert set(map(str, needed.values())) == {str([{scheme: []}])}
        assert scheme in body(**parameters)["components"]["securitySchemes"]


def test_scopes_of_a_user_pool_are_those_of_one_machine() -> None:
    table = {(method, path): access for method, path, access in ACCESS}
    held = {"read": ["images/read", "images/write"], "write": ["images/write"]}
    for route, needed in security(**COGNITO, ApiResourceServer="images").items():
        # On one machine those say less to strangers, or take signed forms of them.
        without = {
            ("GET", "/health"): Access.READ,
            ("POST", "/uploads"): Access.WRITE,
            ("GET", "/images/{id}/download"): Access.READ,  # on AWS alone
        }
        access = {**table, **without}[route]
        assert needed == [{"pool": held[access]}], route


def test_the_studio_reaches_every_route_that_it_needs() -> None:
    resources = resolve(translated(), EnableStudio="true", **COGNITO)
    config = resources["StudioDistribution"]["Properties"]["DistributionConfig"]
    patterns = [row["PathPattern"] for row in config["CacheBehaviors"]]
    paths = set(body()["paths"]) - {"/openapi.json"}
    assert {path for path in paths if not any(fnmatch.fnmatchcase(path, each) for each in patterns)} == set()
    assert not any(
        fnmatch.fnmatchcase(f"/{file}", each)
        for file in ("index.html", "static/studio.js")
        for each in patterns
    )


def test_users_come_from_the_given_pool_alone() -> None:
    schemes = body(**COGNITO)["components"]["securitySchemes"]
    assert schemes["pool"]["x-amazon-apigateway-authtype"] == "cognito_user_pools"
    assert schemes["pool"]["x-amazon-apigateway-authorizer"] == {
        "type": "cognito_user_pools",
        "providerARNs": [POOL],
    }
    assert "pool" not in body()["components"]["securitySchemes"]


LOGIN = {**COGNITO, "EnableStudio": "true", "StudioLoginDomain": "login.example.org"}


def test_the_login_pages_lead_to_the_studio_alone() -> None:
    client = resolve(translated(), **LOGIN, ApiResourceServer="images")["StudioClient"]["Properties"]
    page = ["https://<StudioDistribution.DomainName>/"]
    assert client["CallbackURLs"] == client["LogoutURLs"] == page
    assert client["UserPoolId"] == "eu-central-1_AbCdEfGhI"
    assert (client["GenerateSecret"], client["AllowedOAuthFlows"]) == (False, ["code"])
    assert client["AllowedOAuthScopes"] == ["openid", "images/read", "images/write"]
    assert resolve(translated(), **LOGIN)["StudioClient"]["Properties"]["AllowedOAuthScopes"] == ["openid"]
    without = resolve(translated(), **{**LOGIN, "StudioLoginDomain": ""})
    assert "StudioClient" not in without


@pytest.mark.parametrize(("domain", "login"), [("", ""), ("login.example.org", "https://login.example.org")])
def test_the_page_may_talk_to_the_api_the_bucket_and_the_login_pages_only(domain: str, login: str) -> None:
    resources = resolve(translated(), **{**LOGIN, "StudioLoginDomain": domain})
    config = resources["StudioHeadersPolicy"]["Properties"]["ResponseHeadersPolicyConfig"]
    found = config["SecurityHeadersConfig"]["ContentSecurityPolicy"]["ContentSecurityPolicy"]
    images = found.partition("img-src 'self' blob: data: ")[2].partition(";")[0]
    uploads = found.partition("connect-src 'self' ")[2].partition(";")[0].split()[0]
    assert uploads.startswith("https://<UploadBucket>.s3.")
    assert images.startswith("https://")
    assert found == studio_policy(uploads, images, login)


@pytest.mark.parametrize(
    ("schema", "model"),
    [
        ("Upload", PresignedPostRequest),
        ("Process", ProcessRequest),
        ("Rendition", OnDemandRequest),
        ("Focus", FocusRequest),
    ],
)
def test_a_body_has_the_fields_of_its_model(schema: str, model: Any) -> None:
    found = body()["components"]["schemas"][schema]
    expected = model.model_json_schema()
    assert found["properties"].keys() == expected["properties"].keys()
    assert found["required"] == expected["required"]


def test_every_handler_is_a_function_of_the_package() -> None:
    functions = of_type(resolve(translated()), "AWS::Lambda::Function").values()
    handlers = sorted(function["Handler"] for function in functions)
    assert handlers == [
        f"image_processor.aws_lambda.{name}" for name in ("api", "deliver", "process", "publish", "reconcile")
    ]
    module = importlib.import_module("image_processor.aws_lambda")
    assert all(callable(getattr(module, handler.rpartition(".")[2])) for handler in handlers)


def test_the_api_returns_cdn_addresses_if_there_is_a_cdn() -> None:
    def told(**parameters: str) -> str | None:
        variables: Json = resolve(translated(), **parameters)["ApiFunction"]["Properties"]["Environment"][
            "Variables"
        ]
        address: str | None = variables.get("IMAGE_PROCESSOR_PUBLIC_URL")
        return address

    assert told() == "https://<Distribution.DomainName>"
    assert told(DomainName="img.example.org") == "https://img.example.org"
    assert told(EnableCdn="false") is None


def test_nothing_in_the_description_is_null() -> None:
    # A comma in an unquoted text of YAML's flow style begins another name, without a value.
    def nulls(value: Any, path: str) -> list[str]:
        if isinstance(value, dict):
            return [found for name, one in value.items() for found in nulls(one, f"{path}/{name}")]
        if isinstance(value, list):
            return [found for one in value for found in nulls(one, f"{path}/-")]
        return [path] if value is None else []

    assert nulls(body(), "") == []
