"""URLs of other products are served at the root and below /renditions, if a setting enables them."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac

import pytest
from http_machine import Client, Machine
from msgspec.structs import replace

KEY = "photos/cat.jpg"
SECRET = "my-security-key"


def signed(path: str) -> str:
    digest = hmac.new(SECRET.encode(), path.encode(), hashlib.sha1).digest()
    return f"{base64.urlsafe_b64encode(digest).decode()}/{path}"


@pytest.fixture
def thumbor(machine: Machine):
    machine.settings = replace(
        machine.settings, dialects=("thumbor",), dialect_settings={"thumbor_key": SECRET}
    )
    machine.ingest.put(KEY, b"cat")
    with asyncio.Runner() as runner:
        yield Client(machine.app(), runner)


def test_an_imgix_url_is_served(machine: Machine) -> None:
    """It means another image than the same URL of ours, and its errors are ours."""
    machine.settings = replace(
        machine.settings, dialects=("imgix",), dialect_settings={"imgix_tokens": (SECRET,)}
    )
    machine.ingest.put(KEY, b"cat")

    def query(text: str, path: str = KEY) -> str:
        digest = hashlib.md5(f"{SECRET}/{path}?{text}".encode(), usedforsecurity=False).hexdigest()
        return f"{text}&s={digest}"

    with asyncio.Runner() as runner:
        client = Client(machine.app(), runner)
        for root in ("/", "/renditions/"):
            response = client.get(f"{root}{KEY}?{query('w=33&h=33&fm=webp&ixlib=js')}")
            assert (response.status_code, response.content) == (
                200, b"w=33,h=33,fit=inside,enlarge=1,fm=webp of cat",
            )  # fmt: skip
        download = client.get(f"/{KEY}?{query('w=33&dl=my%20cat.jpg')}")
        assert download.headers["content-disposition"].startswith("attachment")
        assert client.get(f"/{KEY}?w=33").json()["code"] == "signature-missing"
        assert client.get(f"/{KEY}?w=34&s={'0' * 32}").json()["code"] == "signature-mismatch"
        assert client.get(f"/{KEY}?{query('bg-remove=true')}").json()["code"] == "invalid-request"
        assert client.get(f"/{KEY}?{query('w=3&expires=9')}").json()["code"] == "signature-expired"
        # Names of renditions and signatures of ours stay ours.
        assert client.get(f"/renditions/{KEY}/w=10,fm=webp.webp").content == b"w=10,fm=webp of cat"
        assert client.get(f"/{KEY}?w=33&kid=a&s=b").json()["code"] == "signature-key-unknown"


@pytest.mark.parametrize("root", ["/", "/renditions/"])
def test_a_thumbor_url_is_served(thumbor: Client, root: str) -> None:
    response = thumbor.get(root + signed(f"fit-in/33x0/filters:format(webp)/{KEY}"))
    assert (response.status_code, response.content) == (200, b"w=33,fm=webp of cat")
    assert response.headers["content-type"] == "image/webp"


def test_a_thumbor_url_of_a_declared_rendition_gets_the_stored_file(
    thumbor: Client, machine: Machine
) -> None:
    response = thumbor.get("/" + signed(f"fit-in/10x0/filters:format(webp)/{KEY}"))
    assert response.content == b"w=10,fm=webp of cat"
    assert sorted(machine.ingest.processed.bodies()) == [
        f"{KEY}/w={width},fm={fm}" for width in (10, 20) for fm in ("jpeg.jpg", "webp.webp")
    ]


def test_the_signature_is_verified_and_unsafe_is_off(thumbor: Client) -> None:
    other = signed(f"33x0/{KEY}").replace("33x0", "34x0")
    assert thumbor.get("/" + other).json()["code"] == "signature-mismatch"
    assert thumbor.get(f"/unsafe/33x0/{KEY}").json()["code"] == "signature-missing"


def test_own_routes_and_urls_do_not_change(thumbor: Client) -> None:
    assert thumbor.get("/health").json()["status"] == "ok"
    assert thumbor.get(f"/renditions/{KEY}/w=10,fm=webp.webp").content == b"w=10,fm=webp of cat"
    assert thumbor.get("/static/none.js").status_code == 404
    assert thumbor.get("/images/none").json()["code"] == "not-found"


def test_without_the_setting_the_root_serves_no_renditions(machine: Machine) -> None:
    with asyncio.Runner() as runner:
        client = Client(machine.app(), runner)
        assert client.get("/" + signed(f"33x0/{KEY}")).status_code == 404


@pytest.mark.parametrize("root", ["/", "/renditions/"])
@pytest.mark.parametrize(
    ("url", "made"),
    [
        (f"_next/image?url=%2F{KEY}&w=640&q=70", "w=640,q=70,fm=webp"),
        (f"_vercel/image?url=%2F{KEY}&w=33&q=70", "w=33,q=70,fm=webp"),
        (f".netlify/images?url=/{KEY}&w=33&h=9&fit=cover&position=top", "w=33,h=9,g=north,fm=webp"),
        (f"cdn-cgi/image/w=33,q=70,f=auto/{KEY}", "w=33,q=70,fm=webp"),
        (f"demo/image/upload/c_limit,w_33/f_auto,q_70/v1/{KEY}", "w=33,q=70,fm=webp"),
    ],
)
def test_urls_of_platforms_are_served(machine: Machine, root: str, url: str, made: str) -> None:
    machine.settings = replace(
        machine.settings,
        dialects=("next", "vercel", "netlify", "cloudflare", "cloudinary"),
        allow_unsigned=True,
    )
    machine.ingest.put(KEY, b"cat")
    with asyncio.Runner() as runner:
        response = Client(machine.app(), runner).get(root + url, headers={"accept": "image/webp"})
    assert (response.status_code, response.content) == (200, f"{made} of cat".encode())
    assert response.headers["vary"] == "Accept"
