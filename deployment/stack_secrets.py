"""Deployment: the secrets that a stack uses, each read once, validated, and pinned to its version.

CloudFormation resolves a secret again only if its reference in the template changes. So the reference names
the version, and a rotated secret reaches the functions with the next deployment.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from aws_cli import Aws, AwsError
from console import Errors

PREFIX = "IMAGE_PROCESSOR_"


@dataclass(frozen=True, slots=True)
class SecretSpec:
    """The parameters with the name and the version of a secret, and the variables with its value.

    ``fields`` maps keys of a JSON secret to variables; a secret of plain text has one field, without a key.
    """

    parameter: str
    version: str
    fields: Mapping[str, str]
    dialect: str = ""


SECRETS = (
    SecretSpec("SigningKeysSecret", "SigningKeysVersion", {"": "SIGNING_KEYS"}),
    SecretSpec("ThumborSecret", "ThumborVersion", {"": "THUMBOR_KEY"}, "thumbor"),
    SecretSpec("DitSecret", "DitVersion", {"": "DIT_SECRET"}, "dit"),
    SecretSpec(
        "ImgproxySecret", "ImgproxyVersion", {"key": "IMGPROXY_KEY", "salt": "IMGPROXY_SALT"}, "imgproxy"
    ),
    SecretSpec("CloudinarySecret", "CloudinaryVersion", {"": "CLOUDINARY_SECRET"}, "cloudinary"),
    SecretSpec("ImgixSecret", "ImgixVersion", {"": "IMGIX_TOKENS"}, "imgix"),
)


@dataclass(frozen=True, slots=True)
class Secrets:
    """``versions`` by parameter, empty without a secret, and the functions' ``variables`` with the values."""

    versions: Mapping[str, str]
    variables: Mapping[str, str]


def read_secrets(aws: Aws, values: Mapping[str, str], errors: Errors) -> Secrets:
    """Every secret that ``values``, the parameters of the stack, name.

    Adds an error for each that is unreadable or has the wrong shape; no message contains a value.
    """
    versions: dict[str, str] = {}
    variables: dict[str, str] = {}
    dialects: list[str] = []
    for spec in SECRETS:
        name = values.get(spec.parameter, "")
        versions[spec.version] = ""
        if not name:
            continue
        if spec.dialect:
            dialects.append(spec.dialect)
        try:
            found = aws("secretsmanager", "get-secret-value", "--secret-id", name)
        except AwsError as error:
            expected = f"a secret that these credentials may read for {spec.parameter}"
            errors.add(f"expected {expected}, got {name}: {error}")
            continue
        versions[spec.version] = found["VersionId"]
        variables |= _fields(spec, name, found.get("SecretString"), errors)
    dialects += filter(None, values.get("Dialects", "").split(","))
    if dialects:
        variables[f"{PREFIX}DIALECTS"] = ",".join(dialects)
    return Secrets(versions, variables)


def _fields(spec: SecretSpec, name: str, text: str | None, errors: Errors) -> Iterator[tuple[str, str]]:
    if text is None:
        errors.add(f"expected text in the secret {name} for {spec.parameter}, got binary data")
        return
    if "" in spec.fields:
        yield PREFIX + spec.fields[""], text
        return
    keys = " and ".join(spec.fields)
    try:
        found = json.loads(text)
    except ValueError:
        errors.add(f"expected JSON with {keys} in the secret {name} for {spec.parameter}, got other text")
        return
    for key, variable in spec.fields.items():
        value = found.get(key) if isinstance(found, dict) else None
        if isinstance(value, str) and value:
            yield PREFIX + variable, value
        else:
            errors.add(
                f"expected JSON with {keys} in the secret {name} for {spec.parameter}, got no text for {key}"
            )
