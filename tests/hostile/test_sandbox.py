"""An image that has taken over a decoder: what the isolated child cannot do for it.

The child of these tests runs its original as a Python program, after it has entered the sandbox.
"""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from image_processor.domain.errors import Refused, UnsafeRuntime
from image_processor.domain.models import Limits, SandboxPolicy
from image_processor.engine.worker import sandbox
from image_processor.engine.worker.isolation import IsolatedRenderer
from image_processor.engine.worker.renderer_group import RendererGroup


class TakenOver(IsolatedRenderer):
    """`try_` returns how the program in ``code`` ended: `done`, or the name of its error."""

    _program = """
import errno
from image_processor.domain.errors import Reason, Refused
from image_processor.engine.worker import child
def run(data, *_, **__):
    try:
        exec(data.decode(), {})
    except OSError as error:
        raise Refused(Reason.CORRUPT, errno.errorcode[error.errno]) from None
    raise Refused(Reason.CORRUPT, "done")
child.render = run
child.main()
"""

    def try_(self, code: str) -> str:
        with pytest.raises(Refused) as outcome:
            self.render(code.encode(), [], Limits())
        return outcome.value.message


@pytest.fixture(scope="module")
def child() -> Iterator[TakenOver]:
    with TakenOver() as renderer:
        renderer.warm()
        if renderer.sandbox_gaps:
            pytest.skip(f"NOT TESTED, this system has no sandbox: {renderer.sandbox_gaps}")
        yield renderer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    (folder / "original.jpg").write_bytes(b"of somebody else")
    return folder


FILES = {
    "read an original": "open('{folder}/original.jpg')",
    "list originals": "import os; os.listdir('{folder}')",
    "list the root": "import os; os.listdir('/')",
    "read users' hashes": "open('/etc/shadow')",
    "read a host's name": "open('/etc/hostname')",
    "read in a thread": """
import threading
caught = []
def read():
    try:
        open('{folder}/original.jpg')
    except OSError as error:
        caught.append(error)
thread = threading.Thread(target=read)
thread.start()
thread.join()
raise caught[0]""",
    "change an original": "open('{folder}/original.jpg', 'r+')",
    "create a file": "open('{folder}/new', 'w')",
    "create a temporary file": "open('/tmp/of-the-sandbox-test', 'w')",
    "share memory": "open('/dev/shm/of-the-sandbox-test', 'w')",
    "change the program": "import image_processor; open(image_processor.__file__, 'a')",
    "create a directory": "import os; os.mkdir('{folder}/new')",
    "remove an original": "import os; os.unlink('{folder}/original.jpg')",
    "move an original": "import os; os.rename('{folder}/original.jpg', '{folder}/moved.jpg')",
    "link to an original": "import os; os.symlink('{folder}/original.jpg', '{folder}/link')",
    "read the parent's environment": "open('/proc/{parent}/environ')",
    "read the parent's memory": "open('/proc/{parent}/mem')",
    "read the parent's arguments": "open('/proc/{parent}/cmdline')",
    "read the kernel's messages": "open('/dev/kmsg')",
}

CALLS = {
    "open an Internet socket": "import socket; socket.socket()",
    "open a socket for UDP": "import socket; socket.socket(type=socket.SOCK_DGRAM)",
    "open a UNIX socket": "import socket; socket.socket(socket.AF_UNIX)",
    "open a netlink socket": "import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
    "open a pair of sockets": "import socket; socket.socketpair()",
    "fork": "import os; os.fork()",
    "start a program": "import subprocess; subprocess.run(['/bin/true'])",
    "spawn a program": "import os; os.posix_spawn('/bin/true', ['true'], {{}})",
    "become a program": "import os; os.execv('/bin/true', ['true'])",
    "become a program in memory": """
import os
program = os.memfd_create('a')
os.write(program, b'#!/bin/sh')
os.execve(program, ['a'], {{}})""",
    "signal the parent": "import os; os.kill({parent}, 0)",
    "signal everybody": "import os; os.kill(-1, 0)",
    "hold the parent": "import os; os.pidfd_open({parent})",
    "change a file's mode": "import os; os.chmod('{folder}/original.jpg', 0o600)",
    "change a file's times": "import os; os.utime('{folder}/original.jpg')",
    "change a file's owner": "import os; os.chown('{folder}/original.jpg', 0, 0)",
    "truncate a file by its name": "import os; os.truncate('{folder}/original.jpg', 0)",
}

SYSTEM_CALL = """
import ctypes, os
result = ctypes.CDLL(None, use_errno=True).syscall({number}, *[0] * 6)
if result < 0:
    raise OSError(ctypes.get_errno(), '')
"""
X86_64 = os.uname().machine == "x86_64"


def parts(folder: Path) -> dict[str, object]:
    return {"folder": folder, "parent": os.getpid()}


@pytest.mark.parametrize("code", FILES.values(), ids=FILES)
def test_no_file_but_the_programs_own(child: TakenOver, folder: Path, code: str) -> None:
    assert child.try_(code.format(**parts(folder))) == "EACCES"
    assert [path.name for path in folder.iterdir()] == ["original.jpg"]


@pytest.mark.parametrize("code", CALLS.values(), ids=CALLS)
def test_no_network_and_no_other_process(child: TakenOver, folder: Path, code: str) -> None:
    assert child.try_(code.format(**parts(folder))) == "EPERM"


@pytest.mark.parametrize("name", sandbox._REFUSED)
def test_each_refused_system_call(child: TakenOver, name: str) -> None:
    number = sandbox._REFUSED[name][0 if X86_64 else 1]
    if number is None:
        pytest.skip("this architecture does not have it")
    assert child.try_(SYSTEM_CALL.format(number=number)) == "EPERM"


@pytest.mark.parametrize("number", [452, 469, 0x40000000 + 41, 0x40000000 + 57], ids=hex)
def test_system_calls_that_nobody_has_judged_do_not_exist(child: TakenOver, number: int) -> None:
    assert child.try_(SYSTEM_CALL.format(number=number)) == "ENOSYS"


@pytest.mark.parametrize(
    "code",
    [
        "import threading; thread = threading.Thread(target=print); thread.start(); thread.join()",
        "import sqlite3, decimal, html.parser",
        "import os; os.kill(os.getpid(), 0)",
        "open('/dev/urandom', 'rb').read(1)",
    ],
    ids=["threads", "imports", "signals to itself", "random numbers"],
)
def test_what_a_render_may_need_works(child: TakenOver, code: str) -> None:
    assert child.try_(code) == "done"


WORKING_DIRECTORY = """
import sys
from image_processor.domain.models import Limits
from image_processor.engine.worker.isolation import IsolatedRenderer
class TakenOver(IsolatedRenderer):
    _program = sys.argv[1]
sys.path[:0] = ["", sys.argv[2]]
with TakenOver() as renderer:
    renderer.warm()
    assert not renderer.sandbox_gaps, "no sandbox"
    renderer.render(b"import os; os.listdir('%s')" % sys.argv[2].encode(), [], Limits())
"""


@pytest.mark.parametrize("holds_packages", [False, True])
def test_the_working_directory_of_the_server_is_closed(tmp_path: Path, *, holds_packages: bool) -> None:
    """`python -m image_processor serve` puts it into sys.path, and a child's path is its parent's. It may
    hold the images, and the virtual environment beside them."""
    directory = Path(sys.prefix).parent if holds_packages else tmp_path
    command = [sys.executable, "-c", WORKING_DIRECTORY, TakenOver._program, str(directory)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    if "no sandbox" in done.stderr:
        pytest.skip("NOT TESTED, this system has no sandbox")
    assert "corrupt: EACCES" in done.stderr


FONTS = """
import io, sys
from pathlib import Path
from PIL import Image
from image_processor.domain.models import Limits
from image_processor.domain.transformation import parse
from image_processor.engine.operations.fonts import use_fonts
from image_processor.engine.worker.isolation import IsolatedRenderer
use_fonts(Path(sys.argv[1]))
with IsolatedRenderer() as renderer:
    file = io.BytesIO()
    Image.new("L", (200, 100)).save(file, "png")
    transformations = [parse("over=text:Hill,fm=png")]
    rendered = renderer.render(file.getvalue(), transformations, Limits(), summary=False)
    print(Image.open(io.BytesIO(rendered.renditions[0].body)).convert("L").getextrema()[1])
"""


def test_text_is_drawn_with_the_configured_fonts(tmp_path: Path) -> None:
    """And fontconfig does not complain that it cannot write its cache."""
    font = next(Path("/usr/share/fonts").rglob("DejaVuSans.ttf"), None)
    if font is None:
        pytest.skip("NOT TESTED without a font: install fonts-dejavu-core")
    directory = tmp_path / "fonts & more"
    directory.mkdir()
    (directory / "only.ttf").write_bytes(font.read_bytes())
    command = [sys.executable, "-c", FONTS, str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (int(done.stdout) > 200, done.stderr) == (True, "")


WITHOUT = """
from image_processor.engine.worker import child, sandbox
sandbox.enter = lambda: ("files are open: no Landlock",)
child.main()
"""


def test_a_required_sandbox_that_is_not_complete_decodes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(IsolatedRenderer, "_program", WITHOUT)
    group = RendererGroup(SandboxPolicy.REQUIRED)
    with group.renderer() as renderer, pytest.raises(UnsafeRuntime, match="files are open: no Landlock"):
        renderer.render(b"", [], Limits())
    with IsolatedRenderer() as renderer:
        renderer.warm()
        assert renderer.sandbox_gaps == ("files are open: no Landlock",)


@pytest.mark.usefixtures("child")
def test_a_required_sandbox_that_is_complete_renders() -> None:
    with TakenOver(sandbox=SandboxPolicy.REQUIRED) as renderer:
        assert renderer.try_("open('/etc/hostname')") == "EACCES"


def test_the_sandbox_can_be_turned_off(folder: Path) -> None:
    with TakenOver(sandbox=SandboxPolicy.OFF) as renderer:
        assert renderer.try_(f"open('{folder}/original.jpg')") == "done"
        assert renderer.sandbox_gaps == ("off, as configured",)


def test_what_the_system_lacks_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> None:
        sandbox._checked(-1)

    monkeypatch.setattr(sandbox.ctypes, "get_errno", lambda: errno.ENOSYS)
    monkeypatch.setattr(sandbox, "_restrict_files", absent)
    monkeypatch.setattr(sandbox, "_restrict_system_calls", lambda: None)
    assert sandbox.enter() == ("files are open: the kernel does not have it",)
    monkeypatch.setattr(sandbox, "_restrict_system_calls", absent)
    assert len(sandbox.enter()) == 2


HEADERS = ("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "/usr/include/asm-generic/unistd.h")


@pytest.mark.parametrize("column", [0, 1], ids=list(sandbox._ARCHITECTURES))
def test_the_numbers_are_the_kernels(column: int) -> None:
    header = Path(HEADERS[column])
    if not header.exists():
        pytest.skip(f"NOT TESTED without {header}, of linux-libc-dev")
    numbers = dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", header.read_text()))
    ours = {name: pair[column] for name, pair in sandbox._REFUSED.items() if pair[column] is not None}
    ours |= {
        "clone": sandbox._CLONE[column],
        "clone3": sandbox._CLONE3[column],
        "kill": sandbox._KILL[column],
        "tgkill": sandbox._TGKILL[column],
    }
    known = {name: number for name, number in ours.items() if name in numbers}
    assert {name: int(numbers[name]) for name in known} == known
    assert len(known) > len(ours) - 3
