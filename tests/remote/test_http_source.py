"""Fetching from web servers: where a connection goes, what is sent, and what hostile servers cannot do.

The servers are real. Names are resolved by a name server of the test that answers as it likes.
"""

from __future__ import annotations

import gzip
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from image_processor.config.remote_sources import parse_remote_sources
from image_processor.domain.errors import AddressNotAllowed, NotFound, Refused, SourceFailed, SourceNotAllowed
from image_processor.domain.ports import Validators
from image_processor.remote.addresses import PrivateHosts
from image_processor.remote.dialer import Dialer
from image_processor.remote.http_source import HttpSource
from image_processor.remote.resolver import Resolve, system_addresses
from support.certificates import make_certificate
from support.dripping import dripping
from support.hanging import silent, unreachable
from support.scripted_http import HANG_UP, Reply, Script, scripted

SOURCE = Path(__file__).parents[2] / "src"
LIMIT = 100_000
NAME = "images.example"
UNKNOWN = Validators()
PATIENCE = 30.0
"""Seconds that nothing here needs, on any machine."""


class NameServer:
    """A name server on UDP that gives each question for an IPv4 address the next of its answers."""

    def __init__(self, sock: socket.socket, *answers: list[str]) -> None:
        self.answers, self.asked = list(answers), 0
        self._socket = sock

    def run(self) -> None:
        while True:
            query, client = self._socket.recvfrom(512)
            if not query:
                return
            self._socket.sendto(self._answer(query), client)

    def _answer(self, query: bytes) -> bytes:
        end = query.index(b"\0", 12) + 5  # of the question: a name, a type, a class
        wants_ipv4 = query[end - 4 : end - 2] == b"\0\1"
        addresses = []
        if wants_ipv4:
            self.asked += 1
            addresses = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        records = (b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4" + socket.inet_aton(address) for address in addresses)
        return (
            query[:2]
            + struct.pack("!5H", 0x8180, 1, len(addresses), 0, 0)
            + query[12:end]
            + b"".join(records)
        )

    def resolve(self, host: str, _port: int) -> list[str]:
        """What a resolver without a cache does: ask, and believe the answer."""
        name = b"".join(bytes([len(label)]) + label.encode() for label in host.split(".")) + b"\0"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(PATIENCE)
            client.sendto(b"\7\7\1\0\0\1\0\0\0\0\0\0" + name + b"\0\1\0\1", self._socket.getsockname())
            answer = client.recv(512)
        count = struct.unpack("!H", answer[6:8])[0]
        records = answer[12 + len(name) + 4 :]
        return [socket.inet_ntoa(records[16 * index + 12 :][:4]) for index in range(count)]


@contextmanager
def name_server(*answers: list[str]) -> Iterator[NameServer]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        server = NameServer(sock, *answers)
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            yield server
        finally:
            sock.sendto(b"", sock.getsockname())
            thread.join()


@contextmanager
def http_source(
    *bases: str,
    private: tuple[str, ...] = ("127.0.0.1/32",),
    resolve=None,
    seconds: float = PATIENCE,
    connections=4,
) -> Iterator[HttpSource]:
    sources = parse_remote_sources([f"k{number}/={base}" for number, base in enumerate(bases)])
    dialer = Dialer(PrivateHosts.of(private), resolve or (lambda host, _: [host]))
    try:
        yield HttpSource(dialer, sources.allows, seconds=seconds, connections=connections)
    finally:
        dialer.close()


def fetch(source: HttpSource, url: str, validators: Validators = UNKNOWN, limit: int = LIMIT) -> bytes | None:
    with source.open(url, validators, limit=limit) as file:
        return None if file.chunks is None else b"".join(file.chunks)


def port_of(script: Script) -> int:
    return int(script.address.rpartition(":")[2])


# Where connections go ------------------------------------------------------------------------------


def test_a_name_that_is_rebound_between_the_judgement_and_the_connection_changes_nothing() -> None:
    with (
        scripted(Reply(body=b"here")) as allowed,
        socket.create_server(("127.0.0.2", port_of(allowed))) as other,
    ):
        base = f"http://{NAME}:{port_of(allowed)}/"
        with (
            name_server(["127.0.0.1"], ["127.0.0.2"]) as names,
            http_source(base, resolve=names.resolve) as source,
        ):
            assert fetch(source, base + "a.jpg") == b"here"
            assert names.asked == 1
            with pytest.raises(
                AddressNotAllowed, match=r"expected a public address for .*, got one that is loopback"
            ):
                fetch(source, base + "a.jpg")
        other.settimeout(0)
        with pytest.raises(BlockingIOError):
            other.accept()
    assert len(allowed.seen) == 1
    assert allowed.seen[0].headers["host"] == f"{NAME}:{port_of(allowed)}"


def test_one_address_of_several_that_is_not_allowed_refuses_the_name() -> None:
    with (
        scripted(Reply(body=b"here")) as server,
        name_server(["127.0.0.1", "10.0.0.1"]) as names,
        http_source(f"http://{NAME}:{port_of(server)}/", resolve=names.resolve) as source,
    ):
        with pytest.raises(AddressNotAllowed, match="private"):
            fetch(source, f"http://{NAME}:{port_of(server)}/a.jpg")
        assert server.seen == []


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "2130706433", "0x7f.1", "127.1", "[::1]", "[::ffff:127.0.0.1]", "localhost", "0"]
)
def test_loopback_is_refused_however_it_is_written(host: str) -> None:
    with scripted(Reply(body=b"secret")) as server:
        base = f"http://{host}:{port_of(server)}/"
        sources = parse_remote_sources([f"k/={base}"])
        dialer = Dialer(PrivateHosts())
        with pytest.raises(AddressNotAllowed):
            fetch(HttpSource(dialer, sources.allows, seconds=PATIENCE, connections=1), base + "a.jpg")
        dialer.close()
        assert server.seen == []


def test_tls_verifies_the_name_at_the_judged_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context, authority = make_certificate(tmp_path)
    asked: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    with scripted(Reply(body=b"here"), tls=context) as server:
        port = port_of(server)
        bases = f"https://localhost:{port}/", f"https://{NAME}:{port}/"
        with http_source(*bases, resolve=lambda *_: ["127.0.0.1"]) as source:
            assert fetch(source, bases[0] + "a.jpg") == b"here"
            with pytest.raises(SourceFailed, match="certificate verify failed"):
                fetch(source, bases[1] + "a.jpg")
    assert asked == ["localhost", NAME]


def test_a_host_that_cannot_be_a_name_is_a_failure() -> None:
    base = f"http://{'a' * 70}.example/"
    with (
        http_source(base, resolve=system_addresses) as source,
        pytest.raises(SourceFailed, match=r"is no name of a host"),
    ):
        fetch(source, base + "a.jpg")


def test_the_next_address_is_tried_where_one_does_not_answer() -> None:
    with scripted(Reply(body=b"here")) as server:
        base = f"http://{NAME}:{port_of(server)}/"
        addresses = ["127.0.0.9", "127.0.0.1"]
        with http_source(base, private=("127.0.0.0/8",), resolve=lambda *_: addresses) as source:
            assert fetch(source, base + "a.jpg") == b"here"


def test_a_resolver_that_does_not_answer_is_waited_for_until_the_deadline() -> None:
    release = threading.Event()
    with http_source(
        "http://slow.example/", resolve=lambda *_: release.wait(PATIENCE), seconds=0.2
    ) as source:
        with pytest.raises(SourceFailed, match=r"cannot fetch from slow\.example: it takes too long"):
            fetch(source, "http://slow.example/a.jpg")
        release.set()


REBOUND = """
import sys
sys.path[:0] = sys.argv[1:]
import socket, threading
from test_http_source import NameServer, scripted, Reply
from image_processor.config.remote_sources import parse_remote_sources
from image_processor.domain.errors import AddressNotAllowed
from image_processor.domain.ports import Validators
from image_processor.remote.addresses import PrivateHosts
from image_processor.remote.dialer import Dialer
from image_processor.remote.http_source import HttpSource

sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("127.0.0.53", 53))
names = NameServer(sock, ["93.184.216.34"], ["127.0.0.1"])
threading.Thread(target=names.run, daemon=True).start()
public, internal = (socket.create_server((address, 80)) for address in ("93.184.216.34", "127.0.0.1"))

def answer():
    peer = public.accept()[0]
    peer.recv(4096)
    peer.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 6\\r\\n\\r\\npublic")

threading.Thread(target=answer, daemon=True).start()
sources = parse_remote_sources(["k/=http://images.example/"])
dialer = Dialer(PrivateHosts())
source = HttpSource(dialer, sources.allows, seconds=30, connections=1)
with source.open("http://images.example/a.jpg", Validators(), limit=100) as file:
    print(b"".join(file.chunks).decode())
try:
    with source.open("http://images.example/a.jpg", Validators(), limit=100):
        pass
except AddressNotAllowed as error:
    print(error)
internal.settimeout(0)
try:
    internal.accept()
except BlockingIOError:
    print("nobody came")
dialer.close()
"""


def test_the_systems_resolver_and_a_rebinding_name_server(tmp_path: Path) -> None:
    """In a network of its own, where the machine has a public address and a name server."""
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.53\noptions timeout:5 attempts:3\n")
    start = (
        "ip link set lo up && ip addr add 93.184.216.34/32 dev lo && mount --bind $0 /etc/resolv.conf"
        ' && echo ready && exec "$@"'
    )
    program = [
        sys.executable,
        "-c",
        REBOUND,
        str(Path(__file__).parent),
        str(Path(__file__).parents[1]),
        str(SOURCE),
    ]
    command = ["unshare", "-rmn", "sh", "-c", start, str(tmp_path / "resolv.conf"), *program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not done.stdout.startswith("ready"):
        pytest.skip(f"this machine gives no network of its own: {done.stderr.strip()}")
    expected = "expected a public address for images.example, got one that is loopback"
    assert done.stdout.splitlines()[1:] == ["public", expected, "nobody came"], done.stderr


# What is sent --------------------------------------------------------------------------------------


def test_a_request_has_no_credentials_and_asks_for_the_bytes_as_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("NETRC", "/dev/null")
    with (
        scripted(Reply(body=b"here", headers={"Set-Cookie": "a=b"})) as server,
        http_source(server.address + "/") as source,
    ):
        for _ in range(2):
            assert fetch(source, f"{server.address}/a%20b.jpg?c=d") == b"here"
    assert [seen.target for seen in server.seen] == ["/a%20b.jpg?c=d"] * 2
    assert server.seen[1].headers == {
        "host": server.address.removeprefix("http://"),
        "accept": "image/*,*/*;q=0.1",
        "accept-encoding": "identity",
        "connection": "close",
        "user-agent": "image-processor",
    }


def test_a_copy_is_validated() -> None:
    current = Reply(304, headers={"ETag": '"2"', "Cache-Control": "max-age=9"})
    with scripted(current) as server, http_source(server.address + "/") as source:
        known = Validators('"1"', "Thu, 01 Jan 2026 12:00:00 GMT")
        with source.open(server.address + "/a.jpg", known, limit=LIMIT) as file:
            assert (file.chunks, file.fresh_seconds, file.validators.etag) == (None, 9.0, '"2"')
        with pytest.raises(SourceFailed, match=r"expected the status 200 from 127.0.0.1, got 304"):
            fetch(source, server.address + "/a.jpg")
    sent = server.seen[0].headers
    assert (sent["if-none-match"], sent["if-modified-since"]) == (known.etag, known.last_modified)


def test_what_a_source_says_of_its_file_is_returned() -> None:
    headers = {
        "ETag": 'W/"1"',
        "Last-Modified": "Thu, 01 Jan 2026 12:00:00 GMT",
        "Cache-Control": "max-age=60",
    }
    long = {"ETag": f'"{"x" * 300}"', "Last-Modified": "naïve"}
    with scripted(Reply(body=b"x", headers=headers), Reply(body=b"x", headers=long)) as server:
        with (
            http_source(server.address + "/") as source,
            source.open(server.address + "/a", Validators(), limit=9) as file,
        ):
            assert file.validators == Validators(headers["ETag"], headers["Last-Modified"])
            assert file.fresh_seconds == 60.0
        with (
            http_source(server.address + "/") as source,
            source.open(server.address + "/a", Validators(), limit=9) as file,
        ):
            assert file.validators == Validators()


# Redirects -----------------------------------------------------------------------------------------


def redirect(to: str, status: int = 302) -> Reply:
    return Reply(status, headers={"Location": to})


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_below_the_sources_are_followed(status: int) -> None:
    with scripted(redirect("/b/c.jpg?d=e", status), Reply(body=b"here")) as server:
        with http_source(server.address + "/") as source:
            assert fetch(source, server.address + "/a.jpg") == b"here"
        assert [seen.target for seen in server.seen] == ["/a.jpg", "/b/c.jpg?d=e"]


def test_at_most_three_redirects_are_followed() -> None:
    with scripted(redirect("/a.jpg")) as server, http_source(server.address + "/") as source:
        with pytest.raises(SourceFailed, match=r"expected at most 3 redirects from 127.0.0.1, got more"):
            fetch(source, server.address + "/a.jpg")
        assert len(server.seen) == 4


@pytest.mark.parametrize(
    "target",
    [
        *(
            "http://169.254.169.254/latest/meta-data/",
            "http://127.0.0.1:{other}/a.jpg",
            "http://localhost:{port}/a.jpg",
        ),
        *(
            "https://127.0.0.1:{port}/a.jpg",
            "/other/a.jpg",
            "/photos/../other/a.jpg",
            "/photos/%2e%2e/other/a.jpg",
        ),
        *(
            "//other.example/a.jpg",
            "file:///etc/passwd",
            "gopher://127.0.0.1:{port}/",
            "http://me:it@127.0.0.1:{port}/photos/a",
        ),
        *("http://[::1", "ftp://127.0.0.1/photos/a.jpg"),
    ],
)
def test_a_redirect_to_elsewhere_is_refused(target: str) -> None:
    with scripted(Reply()) as server, socket.create_server(("127.0.0.1", 0)) as other:
        port = port_of(server)
        server.replies[:] = [
            redirect(target.format(port=port, other=other.getsockname()[1])),
            Reply(body=b"secret"),
        ]
        with http_source(server.address + "/photos/") as source, pytest.raises(SourceNotAllowed):
            fetch(source, server.address + "/photos/a.jpg")
        assert len(server.seen) == 1
        other.settimeout(0)
        with pytest.raises(BlockingIOError):
            other.accept()


def test_a_redirect_to_nowhere_is_a_failure() -> None:
    with (
        scripted(Reply(302)) as server,
        http_source(server.address + "/") as source,
        pytest.raises(
            SourceFailed, match=r"expected a Location with the status 302 from 127.0.0.1, got none"
        ),
    ):
        fetch(source, server.address + "/a.jpg")


def test_the_address_of_a_redirects_host_is_judged_again() -> None:
    addresses = {"one.example": ["127.0.0.1"], "two.example": ["127.0.0.2"]}
    with scripted(Reply()) as server:
        bases = [f"http://{name}:{port_of(server)}/" for name in addresses]
        server.replies[:] = [redirect(bases[1] + "a.jpg")]
        with (
            http_source(*bases, resolve=lambda host, _: addresses[host]) as source,
            pytest.raises(AddressNotAllowed),
        ):
            fetch(source, bases[0] + "a.jpg")


# Hostile servers -----------------------------------------------------------------------------------


@contextmanager
def raw_server(response: bytes, *, endless: bytes = b"") -> Iterator[str]:
    """A server that sends ``response`` whatever it is asked, and ``endless`` until the client has enough."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    peer = listener.accept()[0]
                except OSError:
                    return
                with peer:
                    try:
                        peer.recv(65536)
                        peer.sendall(response)
                        while endless:
                            peer.sendall(endless)
                        peer.shutdown(socket.SHUT_WR)
                        while peer.recv(65536):
                            pass
                    except OSError:
                        pass

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def head(*lines: str) -> bytes:
    return "\r\n".join(["HTTP/1.1 200 OK", *lines, "", ""]).encode()


BOMB = gzip.compress(bytes(10**6))
BROKEN: dict[str, tuple[bytes, bytes, str]] = {
    "fewer bytes than announced": (
        head("Content-Length: 10") + b"123",
        b"",
        "broke off 7 bytes before its end",
    ),
    "no length": (
        head("Connection: close") + b"123",
        b"",
        "expected a Content-Length from 127.0.0.1, got none",
    ),
    "compressed": (
        head("Content-Encoding: gzip", f"Content-Length: {len(BOMB)}") + BOMB,
        b"",
        "expected no Content-Encoding from 127.0.0.1, got 'gzip'",
    ),
    "broken chunks": (head("Transfer-Encoding: chunked") + b"5\r\nab", b"", "broke off"),
    "no chunk size": (head("Transfer-Encoding: chunked") + b"zz\r\n", b"", "broke off"),
    "a chunk without end": (head("Transfer-Encoding: chunked") + b"-1\r\n", b"y" * 10_000, "negative"),
    "a chunk of a negative size": (head("Transfer-Encoding: chunked") + b"-5\r\n12345", b"", "negative"),
    "no HTTP": (b"220 smtp.example ESMTP\r\n", b"", "no HTTP"),
    "nothing": (b"", b"", "cannot fetch from 127.0.0.1"),
    "too many headers": (b"HTTP/1.1 200 OK\r\n", b"x: y\r\n" * 100, "no HTTP"),
    "a header without end": (b"HTTP/1.1 200 OK\r\nx: ", b"y" * 10_000, "no HTTP"),
    "a status line without end": (b"HTTP/1.1 200 ", b"y" * 10_000, "no HTTP"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_response_is_a_failure(kind: str) -> None:
    response, endless, message = BROKEN[kind]
    with (
        raw_server(response, endless=endless) as base,
        http_source(base) as source,
        pytest.raises(SourceFailed, match=message),
    ):
        fetch(source, base + "a.jpg")


def test_more_bytes_than_announced_are_not_read() -> None:
    with raw_server(head("Content-Length: 3") + b"123456") as base, http_source(base) as source:
        assert fetch(source, base + "a.jpg") == b"123"


@pytest.mark.parametrize(
    ("response", "endless"),
    [
        (head(f"Content-Length: {LIMIT + 1}"), b""),
        (head("Transfer-Encoding: chunked"), b"4000\r\n" + bytes(0x4000) + b"\r\n"),
    ],
)
def test_a_file_over_the_limit_is_refused(response: bytes, endless: bytes) -> None:
    with (
        raw_server(response, endless=endless) as base,
        http_source(base) as source,
        pytest.raises(Refused, match=f"expected at most {LIMIT} bytes"),
    ):
        fetch(source, base + "a.jpg")


@pytest.mark.parametrize(
    "start",
    [
        b"HTTP/1.1 2",
        b"HTTP/1.1 200 OK\r\nx: ",
        head("Content-Length: 99"),
        head("Transfer-Encoding: chunked"),
    ],
)
def test_a_server_that_drips_is_left_at_the_deadline(start: bytes) -> None:
    with dripping(start) as address, http_source(f"http://{address}/", seconds=0.3) as source:
        started = time.monotonic()
        with pytest.raises(SourceFailed):
            fetch(source, f"http://{address}/a.jpg")
        assert time.monotonic() - started < PATIENCE


def test_interim_responses_without_end_are_left_at_the_deadline() -> None:
    with (
        raw_server(b"", endless=b"HTTP/1.1 100 Continue\r\n\r\n") as base,
        http_source(base, seconds=0.3) as source,
        pytest.raises(SourceFailed),
    ):
        fetch(source, base + "a.jpg")


def test_a_handshake_that_drips_is_left_at_the_deadline() -> None:
    with dripping(b"\x16\x03\x03\x40\x00") as address:
        base = f"https://{address}/"
        with http_source(base, seconds=0.3) as source, pytest.raises(SourceFailed):
            fetch(source, base + "a.jpg")


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        *((Reply(status), NotFound) for status in (404, 410)),
        *(
            (Reply(status), SourceFailed)
            for status in (201, 204, 206, 300, 304, 400, 401, 403, 429, 500, 503)
        ),
        (HANG_UP, SourceFailed),
    ],
)
def test_other_statuses_are_errors(reply: Reply, error: type[Exception]) -> None:
    with scripted(reply) as server, http_source(server.address + "/") as source, pytest.raises(error):
        fetch(source, server.address + "/a.jpg")


def test_a_refused_connection_is_a_failure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        base = f"http://127.0.0.1:{closed.getsockname()[1]}/"
    with http_source(base) as source, pytest.raises(SourceFailed, match="Connection refused"):
        fetch(source, base + "a.jpg")


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/a", "s3://bucket/a", "http://127.0.0.1:1/b", "nothing"])
def test_a_url_of_no_source_is_refused(url: str) -> None:
    with http_source("http://127.0.0.1:1/photos/") as source, pytest.raises(SourceNotAllowed):
        fetch(source, url)


def test_a_host_gets_a_limited_number_of_requests_at_a_time() -> None:
    with (
        scripted(Reply(body=b"here")) as server,
        http_source(server.address + "/", connections=1, seconds=0.5) as source,
    ):
        with (
            source.open(server.address + "/a.jpg", Validators(), limit=LIMIT),
            pytest.raises(
                SourceFailed, match=r"expected at most 1 requests to 127.0.0.1 at a time, got more"
            ),
        ):
            fetch(source, server.address + "/b.jpg")
        assert fetch(source, server.address + "/b.jpg") == b"here"


def test_closing_breaks_off_what_is_read() -> None:
    with dripping(head("Content-Length: 99")) as address:
        base = f"http://{address}/"
        allowed = parse_remote_sources([f"k/={base}"])
        dialer = Dialer(PrivateHosts.of(("127.0.0.1/32",)), lambda host, _: [host])
        source = HttpSource(dialer, allowed.allows, seconds=PATIENCE, connections=1)
        with source.open(base + "a.jpg", Validators(), limit=LIMIT) as file:
            threading.Timer(0.1, dialer.close).start()
            assert file.chunks is not None
            with pytest.raises(SourceFailed):
                list(file.chunks)
        with pytest.raises(SourceFailed):
            fetch(source, base + "a.jpg")


@contextmanager
def at_a_name_server() -> Iterator[tuple[str, Resolve]]:
    answer = threading.Event()
    yield "http://slow.example/", lambda *_: [str(answer.wait(PATIENCE))]
    answer.set()


@contextmanager
def while_connecting() -> Iterator[tuple[str, Resolve]]:
    with unreachable() as port:
        yield f"http://127.0.0.1:{port}/", lambda host, _: [host]


@contextmanager
def in_a_handshake() -> Iterator[tuple[str, Resolve]]:
    with silent() as port:
        yield f"https://127.0.0.1:{port}/", lambda host, _: [host]


@pytest.mark.parametrize("hanging", [at_a_name_server, while_connecting, in_a_handshake])
def test_closing_breaks_off_what_is_being_opened(
    hanging: Callable[[], AbstractContextManager[tuple[str, Resolve]]],
) -> None:
    with hanging() as (base, resolve):
        allowed = parse_remote_sources([f"k/={base}"])
        dialer = Dialer(PrivateHosts.of(("127.0.0.1/32",)), resolve)
        source = HttpSource(dialer, allowed.allows, seconds=PATIENCE, connections=2)
        threading.Timer(0.3, dialer.close).start()
        with pytest.raises(SourceFailed) as caught:
            fetch(source, base + "a.jpg")
    assert "it takes too long" not in str(caught.value)
