"""Deployment: puts the studio's page into its bucket, and tells it how the API lets callers in and what it
offers."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path

from aws_cli import Aws
from stack import Stack

WEB = Path(__file__).resolve().parents[1] / "src" / "image_processor" / "web"
MARK = '<meta name="image-processor" content="">'


@dataclass(frozen=True, slots=True)
class LoginPages:
    """Where users sign in: the base of the addresses, the app client, who issues the tokens, and the
    identifier of the resource server with the scopes (empty: there is none)."""

    domain: str
    client: str
    issuer: str
    resource: str


def upload(aws: Aws, stack: Stack, values: Mapping[str, str]) -> bool:
    """Whether the stack has a studio; its page is in the bucket then. ``values`` are its parameters."""
    bucket = stack.outputs.get("StudioBucketName")
    if bucket is None:
        return False
    pages = login_pages(stack.outputs.get("StudioClientId"), values)
    with tempfile.TemporaryDirectory() as folder:
        can_delete = values["EnableDelete"] == "true"
        write(Path(folder), values["ApiAuthorization"], can_delete=can_delete, login=pages)
        # An update must show at once: the names of the files stay.
        options = ("--delete", "--cache-control", "no-cache", "--only-show-errors")
        aws("s3", "sync", folder, f"s3://{bucket}", *options)
    return True


def login_pages(client: str | None, values: Mapping[str, str]) -> LoginPages | None:
    """The login pages of a stack with this app client; None without one."""
    if client is None:
        return None
    _, partition, _, region, *_ = values["ApiUserPoolArn"].split(":")
    pool = values["ApiUserPoolArn"].rpartition("/")[2]
    suffix = "amazonaws.com.cn" if partition == "aws-cn" else "amazonaws.com"
    return LoginPages(
        domain=f"https://{values['StudioLoginDomain']}",
        client=client,
        issuer=f"https://cognito-idp.{region}.{suffix}/{pool}",
        resource=values["ApiResourceServer"],
    )


def write(folder: Path, authorization: str, *, can_delete: bool, login: LoginPages | None = None) -> None:
    """The page's files, for callers whom API Gateway lets in by ``authorization``, who may delete, and who
    sign in at the pages ``login``."""
    index = (WEB / "index.html").read_text(encoding="utf-8")
    if index.count(MARK) != 1:
        message = f"expected {MARK} once in {WEB / 'index.html'}, got {index.count(MARK)}"
        raise ValueError(message)
    shutil.copytree(WEB / "static", folder / "static")
    attributes = {"content": authorization, "data-delete": "true" if can_delete else "false"}
    if login:
        attributes |= {
            "data-login": login.domain,
            "data-client": login.client,
            "data-issuer": login.issuer,
            "data-resource": login.resource,
        }
    told = " ".join(f'{name}="{escape(value)}"' for name, value in attributes.items())
    (folder / "index.html").write_text(
        index.replace(MARK, MARK.replace('content=""', told)), encoding="utf-8"
    )
