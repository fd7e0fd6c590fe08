"""Takes from the isolated child what it does not need: files, network, other processes. An image that takes
over a decoder gets no further than its own pixels.

Landlock (kernel 5.13) leaves it reading its program, libraries and fonts; a seccomp filter refuses system
calls that open connections, start programs, touch other processes or reach rarely tested parts of the kernel.
Both are permanent and need no rights. docs/adr/0003 compares libraries.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import struct
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

_SYSTEM_FILES = (
    *("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/nix/store"),
    *("/etc/ld.so.cache", "/etc/localtime", "/usr/share/zoneinfo", "/usr/share/locale"),
    # GLib's look-up of the home directory, where HOME is not set.
    *("/etc/nsswitch.conf", "/etc/passwd"),
    # How many threads a library should start.
    *("/sys/devices/system/cpu", "/proc/cpuinfo", "/proc/meminfo", "/proc/self"),
    *("/dev/null", "/dev/zero", "/dev/urandom"),
    *("/etc/fonts", "/usr/share/fontconfig", "/usr/share/fonts", "/usr/local/share/fonts"),
    "/var/cache/fontconfig",
)
_HOME_FONTS = (".fonts", ".fonts.conf", ".config/fontconfig", ".local/share/fonts", ".cache/fontconfig")
_FONT_DIRECTORY = re.compile(r"<dir>([^<]+)</dir>")


def enter() -> tuple[str, ...]:
    """Enter the sandbox for good. Returns what of it this system does not have, as sentences; empty if all is
    on. Call it while the process has one thread: others would stay outside."""
    if sys.platform != "linux":
        return ("files, network and processes are open: the sandbox needs Linux",)
    attempts = (("files", _restrict_files), ("network and processes", _restrict_system_calls))
    gaps = []
    for what, restrict in attempts:
        try:
            restrict()
        except OSError as error:
            gaps.append(f"{what} are open: {error.strerror}")
    return tuple(gaps)


def readable_paths() -> Iterator[str]:
    """What the child may read: the interpreter, the packages that it has imported from, libraries, fonts."""
    yield from (sys.prefix, sys.base_prefix)
    yield from _package_directories()
    yield from os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    yield from _SYSTEM_FILES
    yield from (os.path.expanduser(f"~/{name}") for name in _HOME_FONTS)  # noqa: PTH111 - may not be a home
    configuration = os.environ.get("FONTCONFIG_FILE")
    if configuration:
        yield from (configuration, *_font_directories(configuration))


def _package_directories() -> set[str]:
    """The entries of sys.path from which modules have been imported.

    Not the others: the parent's path may begin with its working directory, which may hold all images. It may
    hold the packages' directory, too, so of several entries the innermost counts.
    """
    found = set()
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None) or ""
        entries = [entry for entry in sys.path if entry and file.startswith(entry.rstrip("/") + "/")]
        if entries:
            found.add(max(entries, key=len))
    return found


def _font_directories(configuration: str) -> list[str]:
    """The directories that a file of fontconfig names."""
    from html import unescape  # noqa: PLC0415 - 2 ms of each start, only where fonts are configured

    try:
        text = Path(configuration).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return []
    return [unescape(directory) for directory in _FONT_DIRECTORY.findall(text)]


# Landlock ------------------------------------------------------------------------------------------

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on all architectures
_VERSION = 1
_PATH_BENEATH = 1
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_TCP = 0b11
_SCOPES = 0b11  # abstract UNIX sockets and signals


def _restrict_files() -> None:
    """Allow reading `readable_paths`, and nothing else. Raises OSError."""
    version = _call(_CREATE_RULESET, None, 0, _VERSION)
    # Documentation/userspace-api/landlock.rst, "Previous limitations": version 2 added the right to move
    # between directories, 3 truncation, 4 TCP, 5 ioctl, 6 scopes.
    rights = (1 << (13 + (version >= 2) + (version >= 3) + (version >= 5))) - 1
    fields = [rights, *([_TCP] if version >= 4 else []), *([_SCOPES] if version >= 6 else [])]
    attributes = struct.pack(f"{len(fields)}Q", *fields)
    ruleset = _call(_CREATE_RULESET, attributes, len(attributes), 0)
    try:
        for path in readable_paths():
            _allow_reading(ruleset, path)
        _no_new_privileges()
        _call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow_reading(ruleset: int, path: str) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # not here
        return
    try:
        is_directory = os.path.isdir(path)  # noqa: PTH112 - 5 ms to import what Path needs, in each child
        rule = struct.pack("=Qi", _READ_FILE | (_READ_DIR if is_directory else 0), descriptor)
        _call(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0)
    finally:
        os.close(descriptor)


# seccomp -------------------------------------------------------------------------------------------

_SET_NO_NEW_PRIVS, _SET_SECCOMP = 38, 22
_FILTER = 2
_CLONE_THREAD = 0x10000
_LAST_KNOWN_CALL = 451
"""Later system calls do not exist for the child: nobody has checked them here."""

_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # linux/audit.h

_REFUSED = {
    # Network.
    "socket": (41, 198),
    "socketpair": (53, 199),
    "connect": (42, 203),
    "bind": (49, 200),
    # Other programs and processes.
    "fork": (57, None),
    "vfork": (58, None),
    "execve": (59, 221),
    "execveat": (322, 281),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "shmget": (29, 194),
    "msgget": (68, 186),
    "semget": (64, 190),
    "mq_open": (240, 180),
    # Attributes of files, which Landlock leaves open.
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "chown": (92, None),
    "fchown": (93, 55),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "utimensat": (280, 88),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "truncate": (76, 45),
    # The kernel's larger interfaces. io_uring would do the above without being asked here.
    "io_uring_setup": (425, 425),
    "bpf": (321, 280),
    "userfaultfd": (323, 282),
    "perf_event_open": (298, 241),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "mount_setattr": (442, 442),
    "open_by_handle_at": (304, 265),
    "fanotify_init": (300, 262),
    "inotify_init": (253, None),
    "inotify_init1": (294, 26),
}
"""System calls by their numbers on x86_64 (asm/unistd_64.h) and aarch64 (asm-generic/unistd.h)."""

_CLONE, _CLONE3, _KILL, _TGKILL = (56, 220), (435, 435), (62, 129), (234, 131)

# linux/bpf_common.h and linux/seccomp.h: instructions, offsets into struct seccomp_data, results.
_LOAD, _EQUAL, _GREATER, _ANY_BIT, _RETURN = 0x20, 0x15, 0x25, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
_ALLOW, _KILL_PROCESS, _FAIL = 0x7FFF0000, 0x80000000, 0x00050000


def _restrict_system_calls() -> None:
    """Refuse system calls with EPERM. Raises OSError."""
    machine = os.uname().machine
    if machine not in _ARCHITECTURES:
        raise OSError(errno.ENOSYS, f"there is no list of system calls for {machine}")
    program = b"".join(_filter(machine, os.getpid()))
    buffer = ctypes.create_string_buffer(program)
    # struct sock_fprog: a count of instructions of 8 bytes, and a pointer.
    fprog = struct.pack("HP", len(program) // 8, ctypes.addressof(buffer))
    _no_new_privileges()
    _prctl(_SET_SECCOMP, _FILTER, fprog)


def _filter(machine: str, pid: int) -> Iterator[bytes]:
    """The instructions of the filter (struct sock_filter), for the process ``pid``."""
    column = list(_ARCHITECTURES).index(machine)
    refuse = _FAIL | errno.EPERM
    yield from (_instruction(_LOAD, _ARCHITECTURE), _instruction(_EQUAL, _ARCHITECTURES[machine], 1, 0))
    yield _instruction(_RETURN, _KILL_PROCESS)  # 32-bit calls on a 64-bit kernel
    yield _instruction(_LOAD, _NUMBER)
    # Also the x32 calls, whose numbers begin at 0x40000000.
    yield from (_instruction(_GREATER, _LAST_KNOWN_CALL, 0, 1), _instruction(_RETURN, _FAIL | errno.ENOSYS))
    # Its flags are in memory, where a filter cannot look. C libraries then use clone.
    yield from _answer(_CLONE3[column], _FAIL | errno.ENOSYS)
    for numbers in _REFUSED.values():
        number = numbers[column]
        if number is not None:
            yield from _answer(number, refuse)
    yield from _only_if(_CLONE[column], _instruction(_ANY_BIT, _CLONE_THREAD, 0, 1), refuse)
    for signals in (_KILL, _TGKILL):
        yield from _only_if(signals[column], _instruction(_EQUAL, pid, 0, 1), refuse)
    yield _instruction(_RETURN, _ALLOW)


def _answer(number: int, result: int) -> Iterable[bytes]:
    return _instruction(_EQUAL, number, 0, 1), _instruction(_RETURN, result)


def _only_if(number: int, test: bytes, otherwise: int) -> Iterable[bytes]:
    """Allow a call if ``test`` of its first argument's lower half holds; it skips one instruction if not."""
    return (
        _instruction(_EQUAL, number, 0, 4),
        _instruction(_LOAD, _FIRST_ARGUMENT),
        test,
        _instruction(_RETURN, _ALLOW),
        _instruction(_RETURN, otherwise),
    )


def _instruction(code: int, operand: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, operand)


# Calls ---------------------------------------------------------------------------------------------


def _no_new_privileges() -> None:
    """Without root, the condition of both: programs with more rights cannot be started any more."""
    _prctl(_SET_NO_NEW_PRIVS, 1)


def _prctl(option: int, *arguments: int | bytes) -> None:
    values = [*arguments, *[0] * (4 - len(arguments))]
    _checked(_libc().prctl(option, *map(_argument, values)))


def _call(number: int, *arguments: int | bytes | None) -> int:
    return _checked(_libc().syscall(ctypes.c_long(number), *map(_argument, arguments)))


def _argument(value: int | bytes | None) -> ctypes.c_ulong | ctypes.c_char_p:
    return ctypes.c_ulong(value) if isinstance(value, int) else ctypes.c_char_p(value)


def _checked(result: int) -> int:
    if result >= 0:
        return result
    code = ctypes.get_errno()
    absent = {errno.ENOSYS: "the kernel does not have it", errno.EOPNOTSUPP: "the kernel has turned it off"}
    raise OSError(code, absent.get(code) or os.strerror(code))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
