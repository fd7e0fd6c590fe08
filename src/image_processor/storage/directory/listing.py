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
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

from msgspec import Struct
from msgspec.structs import replace

from image_processor.domain.errors import Refused
from image_processor.domain.keys import MAX_KEY_BYTES

from .paths import ENCODED_FOLDER, Segments, decode_piece, is_private, plain_path
from .root_folder import NOT_FOUND_ERRORS, RootFolder

# A folder without permission (lost+found at the top of a disk) must not end the listing.
_DENIED = frozenset({errno.EPERM, errno.EACCES})
_SKIPPED_ERRORS = NOT_FOUND_ERRORS | _DENIED
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


_GetChildren = Callable[[TreeNode], Iterable[TreeNode]]


def list_files(root: RootFolder, keys: KeyFilter) -> Iterator[tuple[bytes, os.stat_result]]:
    """The matching keys with the lstat results of their files, ordered by the keys' bytes.

    A link that leads out of the root is listed with the link's own size and time. Names that are
    not valid UTF-8, special files, files that disappear meanwhile, and what is in a folder that may not be
    opened or searched are left out; each such folder is logged once.
    """

    def plain_children(node: TreeNode) -> Iterable[TreeNode]:
        return _plain_children(root, node, keys)

    def encoded_children(node: TreeNode) -> Iterable[TreeNode]:
        return _encoded_children(root, node)

    encoded_root = TreeNode(b"", ENCODED_FOLDER, is_file=False)
    plain = _existing_files(root, _walk(_start_node(root, keys), plain_children, keys))
    encoded = _existing_files(root, _walk(encoded_root, encoded_children, keys))
    last = None
    for key, file in heapq.merge(plain, encoded, key=lambda pair: pair[0]):
        # A user's file hides an encoded object of the same key, as in every lookup.
        if key != last:
            yield key, file
        last = key
    # Files may disappear during the walk. If the root itself did, this raises Unavailable.
    with root.folder(()):
        pass


def _walk(start: TreeNode | None, get_children: _GetChildren, keys: KeyFilter) -> Iterator[TreeNode]:
    """The matching files below ``start``, depth first. Uses a stack, because keys may have 512 levels."""
    pending = [start] if start is not None else []
    while pending:
        node = pending.pop()
        if node.is_file:
            yield node
            continue
        children = [
            child
            for child in get_children(node)
            if (keys.matches(child.key) if child.is_file else keys.may_match_below(child.key))
        ]
        # Of an encoded file and an encoded folder with the same key, the file comes first.
        pending.extend(sorted(children, key=lambda child: (child.key, not child.is_file), reverse=True))


def _existing_files(root: RootFolder, nodes: Iterator[TreeNode]) -> Iterator[tuple[bytes, os.stat_result]]:
    for node in nodes:
        with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            file = os.lstat(b"/".join((root.path, *node.path)))
            if stat.S_ISREG(file.st_mode) or (node.leads_out and stat.S_ISLNK(file.st_mode)):
                yield node.key, file


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


def _plain_children(root: RootFolder, node: TreeNode, keys: KeyFilter) -> Iterator[TreeNode]:
    parents = (*node.parents, node.path)
    for entry in _scan(root, node.path):
        name = os.fsencode(entry.name)
        if not _is_utf8(name) or (not node.path and is_private(name)):
            continue
        file = TreeNode(node.key + name, (*node.path, name), is_file=True, parents=parents)
        if entry.is_symlink():
            if keys.matches(file.key) or keys.may_match_below(file.key + b"/"):
                yield from _follow_link(root, file)
        elif entry.is_dir(follow_symlinks=False):
            yield replace(file, key=file.key + b"/", is_file=False)
        elif entry.is_file(follow_symlinks=False):
            yield file


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
        if error.errno not in _SKIPPED_ERRORS:
            raise
        if error.errno in _DENIED and root.is_first_denial(path):
            shown = b"/".join(path).decode(errors="replace")
            _log.warning("the folder %r is not searched: %s", shown, error.strerror)


def _is_utf8(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True
