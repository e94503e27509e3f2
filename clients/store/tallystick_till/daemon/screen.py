"""The files of the cashier screen, read once at the start: nothing else on the disk can be asked for."""

from __future__ import annotations

import mimetypes
import re
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

FILES_MAX: Final = 500
BYTES_MAX: Final = 32 * 1024 * 1024
INDEX: Final = "index.html"

_HASHED = re.compile(r"[-.][A-Za-z0-9_-]{8,}\.[a-z0-9]+$")
_KINDS: Final = {
    ".wasm": "application/wasm",
    ".js": "text/javascript",
    ".webmanifest": "application/manifest+json",
}
_NOT_BUILT: Final = (
    "The cashier screen is not part of this installation; the local API answers at /api/v1/state.\n"
    "Install the released wheel, or build the screen from the sources.\n"
)


class Screen:
    """Serves what lies below a directory; without one, a page that says so."""

    def __init__(self, directory: Path) -> None:
        self._files = _read(directory) if directory.is_dir() else {}

    @property
    def built(self) -> bool:
        return INDEX in self._files

    async def serve(self, request: Request) -> Response:
        name = request.path_params.get("path", "") or INDEX
        if not self.built:
            return PlainTextResponse(_NOT_BUILT, 404)
        data = self._files.get(name)
        if data is None:
            return PlainTextResponse("There is no such page.\n", 404)
        # A name with a hash never means other bytes; everything else is asked for again.
        hashed = name.startswith("assets/") and _HASHED.search(name)
        keep = "public, max-age=31536000, immutable" if hashed else "no-cache"
        return Response(data, media_type=_kind(name), headers={"cache-control": keep})


def _read(directory: Path) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for file in sorted(directory.rglob("*")):
        if file.is_file() and not file.is_symlink():
            files[file.relative_to(directory).as_posix()] = file.read_bytes()
    assert len(files) <= FILES_MAX, "a screen has few files"
    assert sum(map(len, files.values())) <= BYTES_MAX, "a screen is small"
    return files


def _kind(name: str) -> str:
    kind = _KINDS.get(Path(name).suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind
