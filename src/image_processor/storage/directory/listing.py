"""Directory store: lists keys lazily, in S3's order (by UTF-8 bytes).

Two folder trees are walked and merged: ordinary files, whose paths are their keys, and the folder
of encoded names.
"""

from __future__ import annotations

import errno
import heapq
import logging
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain

from msgspec import Struct
from msgspec.structs import replace

from image_processor.domain.errors import Refused
from image_processor.domain.keys import MAX_KEY_BYTES

from .paths import ENCODED_FOLDER, NAME_MAX, Segments, decode_piece, is_private, plain_path
from .root_folder import FOLDER_FLAGS, NOT_FOUND_ERRORS, RootFolder

# A folder without permission (lost+found at the top of a disk) must not end the listing.
_DENIED = frozenset({errno.EPERM, errno.EACCES})
_SKIPPED_ERRORS = NOT_FOUND_ERRORS | _DENIED
_MISSING = (FileNotFoundError, NotADirectoryError, PermissionError)
_MAX_OPEN = 16
"""How many folders of a walk are open at a time: a deep tree must not take all descriptors."""
_log = logging.getLogger(__name__)


class KeyFilter(Struct, frozen=True):
    """The arguments of ObjectStore.list, as UTF-8 bytes."""

    prefix: bytes
    start_after: bytes
    direct: bool

    def matches(self, key: bytes) -> bool:
        """Whether the listing includes this key."""
        return (
            self.start_after < key
            and len(key) <= MAX_KEY_BYTES
            and key.startswith(self.prefix)
            and not (self.direct and b"/" in key[len(self.prefix) :])
        )

    def matches_files_in(self, stem: bytes) -> bool:
        """Whether the listing includes every file directly in the folder ``stem``, which may match below."""
        return (
            stem.startswith(self.prefix)
            and (self.start_after[: len(stem)] < stem or self.start_after == stem)
            and len(stem) + NAME_MAX <= MAX_KEY_BYTES
        )

    def may_match_below(self, stem: bytes) -> bool:
        """Whether the listing can include a longer key that starts with ``stem``."""
        return (
            self.start_after[: len(stem)] <= stem
            and len(stem) < MAX_KEY_BYTES
            and (stem.startswith(self.prefix) or self.prefix.startswith(stem))
            and not (self.direct and b"/" in stem[len(self.prefix) :])
        )


class TreeNode(Struct, frozen=True):
    """A file or folder met on the walk.

    ``key`` is a file's key, or the prefix of all keys in a folder. ``path`` is the path without
    links; ``parents`` are the paths of the folders walked through, to detect cycles. ``leads_out``
    marks a link to outside the root.
    """

    key: bytes
    path: Segments
    is_file: bool
    parents: tuple[Segments, ...] = ()
    leads_out: bool = False


_File = tuple[str, os.stat_result]
"""A key, and the lstat result of its file."""


def list_files(root: RootFolder, keys: KeyFilter) -> Iterator[_File]:
    """The matching keys with the lstat results of their files, in the order of UTF-8, which is also that of
    Python's text.

    A link that leads out of the root is listed with the link's own size and time. Names that are
    not valid UTF-8, special files, files that disappear meanwhile, and what is in a folder that may not be
    opened or searched are left out; each such folder is logged once.
    """
    encoded = _encoded_files(root, keys)
    plain = PlainFiles(root, keys).walk()
    first = next(encoded, None)
    # Most folders have no encoded names, and merging takes as long as half of the walk.
    yield from plain if first is None else _merged(plain, chain([first], encoded))
    # Files may disappear during the walk. If the root itself did, this raises Unavailable.
    with root.folder(()):
        pass


def _merged(plain: Iterator[_File], encoded: Iterator[_File]) -> Iterator[_File]:
    last = None
    for key, file in heapq.merge(plain, encoded, key=lambda pair: pair[0]):
        # A user's file hides an encoded object of the same key, as in every lookup.
        if key != last:
            yield key, file
        last = key


class _Folder(Struct):
    """A folder on the way from the root to where the walk is. ``children`` are left, the next one last: the
    order, the name, and the node of what is no ordinary file. ``descriptor`` is open, or None far down."""

    node: TreeNode
    stem: str
    descriptor: int | None
    children: list[tuple[str, str, TreeNode | None]]


class PlainFiles:
    """Walks the ordinary files below the root, whose paths are their keys, depth first. Each file costs one
    system call, relative to its folder.

    Uses a stack, because keys may have 512 levels, and keeps only the upper _MAX_OPEN folders open.
    """

    def __init__(self, root: RootFolder, keys: KeyFilter) -> None:
        self._root = root
        self._keys = keys
        self._stack: list[_Folder] = []

    def walk(self) -> Iterator[_File]:
        start = _start_node(self._root, self._keys)
        try:
            if start is not None:
                self._enter(start)
            while self._stack:
                yield from self._next_files(self._stack[-1])
        finally:
            while self._stack:
                self._leave()

    def _next_files(self, folder: _Folder) -> Iterator[_File]:
        """The files of ``folder`` up to its next child that is none. Enters that, or leaves the folder."""
        children, descriptor, stem = folder.children, folder.descriptor, folder.stem
        path = None if descriptor is not None else _joined(self._root, folder.node.path) + b"/"
        while children:
            _, name, node = children.pop()
            if node is not None:
                if not node.is_file:
                    self._enter(node, folder)
                    return
                yield from _existing(self._root, node)
                continue
            try:
                if path is None:
                    file = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                else:
                    file = os.lstat(path + os.fsencode(name))
            except _MISSING:
                continue
            if stat.S_ISREG(file.st_mode):
                yield stem + name, file
        self._leave()

    def _enter(self, node: TreeNode, parent: _Folder | None = None) -> None:
        """Open and read a folder. Without effect if it cannot be opened."""
        try:
            descriptor = self._open(node, parent)
            kept = None
            try:
                children = self._children(node, descriptor)
                kept = descriptor if len(self._stack) < _MAX_OPEN else None
            finally:
                if kept is None:
                    os.close(descriptor)
        except OSError as error:
            _skip(self._root, node.path, error)
            return
        self._stack.append(_Folder(node, node.key.decode(), kept, children))

    def _open(self, node: TreeNode, parent: _Folder | None) -> int:
        if parent is not None and parent.descriptor is not None and node.path[:-1] == parent.node.path:
            return os.open(node.path[-1], FOLDER_FLAGS, dir_fd=parent.descriptor)
        with self._root.folder(node.path) as folder:
            return os.dup(folder)

    def _leave(self) -> None:
        descriptor = self._stack.pop().descriptor
        if descriptor is not None:
            os.close(descriptor)

    def _children(self, node: TreeNode, descriptor: int) -> list[tuple[str, str, TreeNode | None]]:
        """The matching children, in reverse order."""
        keys, stem, matches_all = self._keys, node.key.decode(), self._keys.matches_files_in(node.key)
        children: list[tuple[str, str, TreeNode | None]] = []
        with os.scandir(descriptor) as entries:
            for entry in entries:
                name = entry.name
                if not _is_utf8(name) or (not node.path and is_private(os.fsencode(name))):
                    continue
                if entry.is_file(follow_symlinks=False):
                    if matches_all or keys.matches((stem + name).encode()):
                        children.append((stem + name, name, None))
                    continue
                for child in self._special(node, entry):
                    is_included = keys.matches if child.is_file else keys.may_match_below
                    if is_included(child.key):
                        children.append((child.key.decode(), name, child))
        children.sort(key=_order, reverse=True)
        return children

    def _special(self, node: TreeNode, entry: os.DirEntry[str]) -> Iterator[TreeNode]:
        """What a folder or a link stands for."""
        name = os.fsencode(entry.name)
        file = TreeNode(node.key + name, (*node.path, name), is_file=True, parents=(*node.parents, node.path))
        if entry.is_dir(follow_symlinks=False):
            yield replace(file, key=file.key + b"/", is_file=False)
        elif entry.is_symlink() and (
            self._keys.matches(file.key) or self._keys.may_match_below(file.key + b"/")
        ):
            yield from _follow_link(self._root, file)


def _order(child: tuple[str, str, TreeNode | None]) -> str:
    return child[0]


def _encoded_files(root: RootFolder, keys: KeyFilter) -> Iterator[_File]:
    """The files whose paths are their encoded keys, depth first."""
    pending = [TreeNode(b"", ENCODED_FOLDER, is_file=False)]
    while pending:
        node = pending.pop()
        if node.is_file:
            yield from _existing(root, node)
            continue
        children = [
            child
            for child in _encoded_children(root, node)
            if (keys.matches(child.key) if child.is_file else keys.may_match_below(child.key))
        ]
        # Of an encoded file and an encoded folder with the same key, the file comes first.
        pending.extend(sorted(children, key=lambda child: (child.key, not child.is_file), reverse=True))


def _existing(root: RootFolder, node: TreeNode) -> Iterator[_File]:
    """The file of a node, if it still exists."""
    with suppress(*_MISSING):
        file = os.lstat(_joined(root, node.path))
        if stat.S_ISREG(file.st_mode) or (node.leads_out and stat.S_ISLNK(file.st_mode)):
            yield node.key.decode(), file


def _joined(root: RootFolder, path: Segments) -> bytes:
    return b"/".join((root.path, *path))


def _start_node(root: RootFolder, keys: KeyFilter) -> TreeNode | None:
    """The innermost folder that contains every plain key with the prefix, or None if there is none."""
    stem, slash, _ = keys.prefix.rpartition(b"/")
    if not slash:
        return TreeNode(b"", (), is_file=False)
    path = plain_path(stem, root.path)
    if path is None:
        return None
    try:
        return TreeNode(stem + slash, root.resolve(path), is_file=False)
    except Refused:
        return None


def _follow_link(root: RootFolder, link: TreeNode) -> Iterator[TreeNode]:
    try:
        target = root.resolve(link.path)
    except Refused:
        yield replace(link, leads_out=True)
        return
    try:
        found = root.stat(target)
    except PermissionError:
        return
    if found is None:
        return
    if stat.S_ISREG(found.st_mode):
        yield replace(link, path=target)
    # A link to one of the parents would be a cycle.
    elif stat.S_ISDIR(found.st_mode) and target not in link.parents:
        yield replace(link, key=link.key + b"/", path=target, is_file=False)


def _encoded_children(root: RootFolder, node: TreeNode) -> Iterator[TreeNode]:
    for entry in _scan(root, node.path):
        name = os.fsencode(entry.name)
        decoded = decode_piece(name)
        if decoded is None:
            continue
        piece, is_last = decoded
        yield TreeNode(node.key + piece, (*node.path, name), is_file=is_last)


def _scan(root: RootFolder, path: Segments) -> Iterator[os.DirEntry[str]]:
    """The entries of a folder. Yields nothing for a folder that cannot be opened."""
    try:
        with root.folder(path) as folder, os.scandir(folder) as entries:
            yield from entries
    except OSError as error:
        _skip(root, path, error)


def _skip(root: RootFolder, path: Segments, error: OSError) -> None:
    """Log once that a folder is denied. Raises ``error`` if it says nothing about the folder."""
    if error.errno not in _SKIPPED_ERRORS:
        raise error
    if error.errno in _DENIED and root.is_first_denial(path):
        shown = b"/".join(path).decode(errors="replace")
        _log.warning("the folder %r is not searched: %s", shown, error.strerror)


def _is_utf8(name: str) -> bool:
    """Whether a name of os.scandir is UTF-8: in others, surrogates stand for the bytes that are not."""
    if name.isascii():
        return True
    try:
        os.fsencode(name).decode()
    except UnicodeDecodeError:
        return False
    return True
