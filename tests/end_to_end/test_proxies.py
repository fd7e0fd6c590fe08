"""The proxies of examples/, run in front of the server with the files as they are but for addresses."""

from __future__ import annotations

import getpass
import http.client
import io
import os
import random
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from msgspec import Struct
from PIL import Image

from support.served import RECIPE, Served
from support.waiting import wait_for

EXAMPLES = Path(__file__).parents[2] / "examples"
NAME = "img.example"
STORED = "/renditions/a.png/w=32,fm=jpeg.jpg"


class Response(Struct, frozen=True):
    status: int
    headers: http.client.HTTPMessage
    body: bytes


class Proxy(Struct, frozen=True):
    """A running proxy: the port it listens on, whether it speaks TLS, and the name that it serves."""

    port: int
    tls: bool
    name: str

    def connect(self) -> http.client.HTTPConnection:
        if not self.tls:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return http.client.HTTPSConnection(self.name, self.port, timeout=60, context=context)

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Response:
        connection = self.connect()
        try:
            connection.request(method, path, body, {"Host": self.name, **(headers or {})})
            answer = connection.getresponse()
            return Response(answer.status, answer.headers, answer.read())
        finally:
            connection.close()


def free_ports(count: int) -> list[int]:
    """Ports below those of outgoing connections, which could take one before the proxy does."""
    probes: list[socket.socket] = []
    while len(probes) < count:
        with suppress(OSError):
            probes.append(socket.create_server(("", random.randint(15_000, 30_000))))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def nginx_files(folder: Path, upstream: str) -> tuple[list[str], Proxy]:
    (port,) = free_ports(1)
    site = (EXAMPLES / "nginx" / "image-processor.conf").read_text()
    for pattern, replacement in {
        r"server 127\.0\.0\.1:8000;": f"server {upstream};",
        r"listen 80;": f"listen 127.0.0.1:{port};",
        r"/var/cache/nginx/renditions": str(folder / "renditions"),
    }.items():
        site, count = re.subn(pattern, replacement, site)
        assert count == 1, pattern
    (folder / "site.conf").write_text(site)
    (folder / "nginx.conf").write_text(
        f"user {getpass.getuser()}; daemon off; pid {folder}/pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;\n"
        f"fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n"
        f"include {folder}/site.conf; }}\n"
    )
    program = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    return [program or "nginx", "-c", str(folder / "nginx.conf")], Proxy(port, tls=False, name=NAME)


def caddy_files(folder: Path, upstream: str) -> tuple[list[str], Proxy]:
    port, plain = free_ports(2)
    text = (EXAMPLES / "docker" / "Caddyfile").read_text()
    ports = f"{{\n\thttp_port {plain}\n\thttps_port {port}\n"
    assert text.count("\n{\n") == 1
    (folder / "Caddyfile").write_text(text.replace("\n{\n", f"\n{ports}"))
    (folder / "env").write_text(f"SITE_HOST=localhost\nUPSTREAM={upstream}\n")
    options = [
        "--config",
        str(folder / "Caddyfile"),
        "--adapter",
        "caddyfile",
        "--envfile",
        str(folder / "env"),
    ]
    return ["caddy", "run", *options], Proxy(port, tls=True, name="localhost")


PROXIES = {"nginx": nginx_files, "caddy": caddy_files}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    settings = {
        "IMAGE_PROCESSOR_WORKERS": "1",
        "IMAGE_PROCESSOR_ALLOW_UNSIGNED": "1",
        "IMAGE_PROCESSOR_ALLOWED_HOSTS": NAME,
    }
    server = Served(tmp_path_factory.mktemp("server"), RECIPE, settings)
    server.start()
    yield server
    server.close()


@pytest.fixture(scope="module", params=PROXIES)
def proxy(
    request: pytest.FixtureRequest, server: Served, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    if not shutil.which(request.param, path=os.environ["PATH"] + ":/usr/sbin"):
        pytest.skip(f"{request.param.upper()} WAS NOT TESTED: apt-get install {request.param}")
    folder = tmp_path_factory.mktemp(request.param)
    command, proxy = PROXIES[request.param](folder, urlsplit(server.address).netloc)
    homes = dict.fromkeys(("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"), str(folder))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env={**os.environ, **homes}, stdout=log, stderr=log)

        def answers() -> bool:
            assert process.poll() is None, (folder / "log").read_text()
            try:
                return proxy.ask("GET", "/health").status == 200
            except OSError:
                return False

        wait_for(answers, "the proxy")
        yield proxy
        process.kill()  # Caddy would wait for clients that still listen to events
        process.wait()


def photo(colour: str, side: int = 64) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(file, "PNG")
    return file.getvalue()


def test_an_upload_becomes_a_rendition_through_the_proxy(proxy: Proxy) -> None:
    put = proxy.ask("PUT", "/uploads/a.png", photo("red"))
    assert put.status in {200, 201}, put.body
    wait_for(lambda: proxy.ask("GET", STORED).status == 200, "the rendition")
    rendition = proxy.ask("GET", STORED)
    assert rendition.body.startswith(b"\xff\xd8\xff")
    assert proxy.ask("GET", STORED, headers={"If-None-Match": rendition.headers["ETag"]}).status == 304
    part = proxy.ask("GET", STORED, headers={"Range": "bytes=0-2"})
    assert (part.status, part.body) == (206, b"\xff\xd8\xff")


def test_the_page_and_its_parts_load(proxy: Proxy) -> None:
    page = proxy.ask("GET", "/")
    assert page.status == 200
    parts = re.findall(r'(?:src|href)="(?!data:)([^"]+)"', page.body.decode())
    assert parts
    assert {proxy.ask("GET", "/" + part.lstrip("./")).status for part in parts} == {200}


def test_each_client_gets_its_own_format(proxy: Proxy) -> None:
    proxy.ask("PUT", "/uploads/formats.png", photo("blue"))
    path = "/renditions/formats.png?w=16&fm=auto"
    seen = [
        proxy.ask("GET", path, headers={"Accept": accept}).headers["Content-Type"]
        for accept in ("image/avif,*/*", "*/*", "image/avif,*/*", "image/webp,*/*")
    ]
    assert seen == ["image/avif", "image/jpeg", "image/avif", "image/webp"]


def test_an_upload_above_the_proxys_usual_limit_is_accepted(proxy: Proxy) -> None:
    noise = Image.frombytes("RGB", (1024, 1024), os.urandom(3 * 1024 * 1024))
    file = io.BytesIO()
    noise.save(file, "PNG")
    assert len(file.getvalue()) > 3_000_000
    assert proxy.ask("PUT", "/uploads/large.png", file.getvalue()).status in {200, 201}


def test_a_body_above_the_servers_limit_is_413(proxy: Proxy) -> None:
    connection = proxy.connect()
    connection.putrequest("PUT", "/uploads/huge.png", skip_host=True)
    connection.putheader("Host", proxy.name)
    connection.putheader("Content-Length", str(65 * 1024 * 1024))
    connection.putheader("Expect", "100-continue")
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_events_arrive_while_their_stream_is_open(proxy: Proxy) -> None:
    stream = proxy.connect()
    stream.request("GET", "/events", headers={"Host": proxy.name})
    answer = stream.getresponse()
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    proxy.ask("PUT", "/uploads/streamed.png", photo("green"))
    lines = iter(answer.readline, b"")
    assert next(line for line in lines if b"streamed.png" in line)
    stream.close()


@pytest.mark.parametrize("proxy", ["nginx"], indirect=True)
def test_nginx_keeps_renditions(proxy: Proxy) -> None:
    proxy.ask("PUT", "/uploads/kept.png", photo("yellow"))
    path = "/renditions/kept.png?w=20&fm=png"
    assert [proxy.ask("GET", path).headers["X-Cache"] for _ in range(2)] == ["MISS", "HIT"]
