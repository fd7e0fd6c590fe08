"""Directory store: the keys under the root in S3's order, lazily.

Two trees are walked and merged: ordinary files, whose names are their keys, and the odd
folder, whose names are encoded pieces of keys.
"""

from __future__ import annotations

import errno
import heapq
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

from msgspec import Struct
from msgspec.structs import replace

from image_processor.domain.errors import Refused
from image_processor.domain.keys import MAX_KEY_BYTES

from .layout import NOT_HERE, ODD, Root, Segments, is_private, odd_piece

# A folder that may not be opened (lost+found at the top of a disk) must not end the listing.
_SKIPPED = NOT_HERE | {errno.EPERM, errno.EACCES}


class Wish(Struct, frozen=True):
    """Which keys are wanted, as bytes of UTF-8; the arguments of ObjectStore.list."""

    prefix: bytes
    after: bytes
    direct: bool

    def holds(self, key: bytes) -> bool:
        """Whether this key is wanted."""
        return (
            self.after < key
            and len(key) <= MAX_KEY_BYTES
            and key.startswith(self.prefix)
            and not (self.direct and b"/" in key[len(self.prefix) :])
        )

    def reaches(self, stem: bytes) -> bool:
        """Whether a wanted key may start with ``stem`` and be longer."""
        return (
            self.after[: len(stem)] <= stem
            and len(stem) < MAX_KEY_BYTES
            and (stem.startswith(self.prefix) or self.prefix.startswith(stem))
            and not (self.direct and b"/" in stem[len(self.prefix) :])
        )


class Node(Struct, frozen=True):
    """A file or folder on the way. ``key`` is the whole key of a file, or what all keys in a
    folder start with. ``path`` is where it lies, free of links; ``trail`` where its parents do."""

    key: bytes
    path: Segments
    is_file: bool
    trail: tuple[Segments, ...] = ()
    leads_out: bool = False


Children = Callable[[Node], Iterable[Node]]


def walk(root: Root, wish: Wish) -> Iterator[tuple[bytes, os.stat_result]]:
    """Wanted keys with what lstat says of their files, in the order of the keys' bytes.

    A link that leads out of the root is one key with the link's own size and time. Names that
    are not valid UTF-8, special files, and files that vanish meanwhile are left out.
    """

    def plain_children(node: Node) -> Iterable[Node]:
        return _plain_children(root, node, wish)

    def odd_children(node: Node) -> Iterable[Node]:
        return _odd_children(root, node)

    plain = _found(root, _walk(_start(root, wish), plain_children, wish))
    odd = _found(root, _walk(Node(b"", ODD, is_file=False), odd_children, wish))
    last = None
    for key, found in heapq.merge(plain, odd, key=lambda pair: pair[0]):
        # A file dropped over an odd object hides it, as it does for every lookup.
        if key != last:
            yield key, found
        last = key
    # Files that vanish are no error, all of them with the root are one.
    with root.folder(()):
        pass


def _walk(start: Node | None, children: Children, wish: Wish) -> Iterator[Node]:
    """Files below ``start``, depth first. A stack, for keys may have 512 levels."""
    pending = [start] if start is not None else []
    while pending:
        node = pending.pop()
        if node.is_file:
            yield node
            continue
        wanted = [
            child
            for child in children(node)
            if (wish.holds(child.key) if child.is_file else wish.reaches(child.key))
        ]
        # Of an odd file and an odd folder of the same stem, the file's key is the smaller one.
        pending.extend(sorted(wanted, key=lambda child: (child.key, not child.is_file), reverse=True))


def _found(root: Root, nodes: Iterator[Node]) -> Iterator[tuple[bytes, os.stat_result]]:
    for node in nodes:
        with suppress(FileNotFoundError, NotADirectoryError):
            found = os.lstat(b"/".join((root.path, *node.path)))
            if stat.S_ISREG(found.st_mode) or (node.leads_out and stat.S_ISLNK(found.st_mode)):
                yield node.key, found


def _start(root: Root, wish: Wish) -> Node | None:
    """The innermost folder that holds every plain key with the prefix; None if there is none."""
    stem, slash, _ = wish.prefix.rpartition(b"/")
    if not slash:
        return Node(b"", (), is_file=False)
    names = root.plain(stem)
    if names is None:
        return None
    try:
        return Node(stem + slash, root.resolve(names), is_file=False)
    except Refused:
        return None


def _plain_children(root: Root, node: Node, wish: Wish) -> Iterator[Node]:
    trail = (*node.trail, node.path)
    for entry in _names(root, node.path):
        name = os.fsencode(entry.name)
        if not _is_utf8(name) or (not node.path and is_private(name)):
            continue
        file = Node(node.key + name, (*node.path, name), is_file=True, trail=trail)
        if entry.is_symlink():
            if wish.holds(file.key) or wish.reaches(file.key + b"/"):
                yield from _behind_link(root, file)
        elif entry.is_dir(follow_symlinks=False):
            yield replace(file, key=file.key + b"/", is_file=False)
        elif entry.is_file(follow_symlinks=False):
            yield file


def _behind_link(root: Root, link: Node) -> Iterator[Node]:
    try:
        real = root.resolve(link.path)
    except Refused:
        yield replace(link, leads_out=True)
        return
    found = root.look(real)
    if found is None:
        return
    if stat.S_ISREG(found.st_mode):
        yield replace(link, path=real)
    # A link to a folder that we came through would make a circle.
    elif stat.S_ISDIR(found.st_mode) and real not in link.trail:
        yield replace(link, key=link.key + b"/", path=real, is_file=False)


def _odd_children(root: Root, node: Node) -> Iterator[Node]:
    for entry in _names(root, node.path):
        name = os.fsencode(entry.name)
        piece = odd_piece(name)
        if piece is not None:
            yield Node(node.key + piece[0], (*node.path, name), is_file=piece[1])


def _names(root: Root, path: Segments) -> Iterator[os.DirEntry[str]]:
    """The entries of a folder, while it is open."""
    try:
        with root.folder(path) as folder, os.scandir(folder) as entries:
            yield from entries
    except OSError as error:
        if error.errno not in _SKIPPED:
            raise


def _is_utf8(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True
