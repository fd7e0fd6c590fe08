"""Generates the studio: the types of the API from its OpenAPI description, and the built page.

`make studio` calls it. The types are in studio/src/api/schema.d.ts, the page in src/image_processor/web; both
are committed (docs/adr/0023), and tests/studio fails if they differ from their sources.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent
SCHEMA = ROOT / "src" / "api" / "schema.d.ts"
WEB = ROOT.parent / "src" / "image_processor" / "web"
TOOLS = ROOT / "node_modules" / ".bin"


def description() -> str:
    """The OpenAPI description of the server of one machine, as JSON."""
    from image_processor.api import standalone_app  # noqa: PLC0415 - `page` needs no installed package
    from image_processor.api.app import create_app  # noqa: PLC0415 - as above

    # Only the routes are described; what they work with is not used.
    app = create_app(None, None, standalone_app.ROUTERS)  # type: ignore[arg-type]
    return json.dumps(app.openapi())


def types(into: Path = SCHEMA) -> None:
    """Write the types of the API."""
    with tempfile.TemporaryDirectory() as folder:
        described = Path(folder, "openapi.json")
        described.write_text(description(), encoding="utf-8")
        _run("openapi-typescript", str(described), "--output", str(into))


def check() -> None:
    """Check the types of the sources."""
    _run("tsc", "--noEmit")


def page(into: Path = WEB) -> None:
    """Build the page."""
    _run("vite", "build", "--outDir", str(into), "--emptyOutDir", "--logLevel", "warn")


def _run(tool: str, *arguments: str) -> None:
    found = shutil.which(tool, path=str(TOOLS))
    if found is None:
        sys.exit(f"expected {tool} in {TOOLS}, got nothing: run `npm ci` in studio/")
    subprocess.run([found, *arguments], cwd=ROOT, check=True)


def main() -> None:
    types()
    check()
    page()


if __name__ == "__main__":
    main()
