"""Files that a user drags over the page, or pastes."""

from __future__ import annotations

import base64
from pathlib import Path

from playwright.sync_api import JSHandle, Page, expect


def transfer_of(page: Page, *files: tuple[str, bytes]) -> JSHandle:
    return page.evaluate_handle(
        """(files) => {
            const transfer = new DataTransfer();
            for (const [name, body] of files) {
                const bytes = Uint8Array.from(atob(body), (character) => character.charCodeAt(0));
                transfer.items.add(new File([bytes], name, { lastModified: 0 })); // as a file on a disk
            }
            return transfer;
        }""",
        [[name, base64.b64encode(body).decode()] for name, body in files],
    )


def drop(page: Page, *files: tuple[str, bytes]) -> None:
    """Drag files over the page and drop them."""
    transfer = transfer_of(page, *files)
    page.dispatch_event("main", "dragenter", {"dataTransfer": transfer})
    expect(page.locator("#dropping")).to_be_visible()
    page.dispatch_event("main", "drop", {"dataTransfer": transfer})
    expect(page.locator("#dropping")).to_be_hidden()


def drop_from_disk(page: Page, *paths: Path) -> None:
    """Drag files and folders of the disk over the page and drop them, as a file manager does."""
    session = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for type_ in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": type_, "x": 300, "y": 400, "data": data})


def paste(page: Page, *files: tuple[str, bytes]) -> None:
    page.evaluate(
        "(clipboardData) => document.dispatchEvent(new ClipboardEvent('paste', { clipboardData }))",
        transfer_of(page, *files),
    )
