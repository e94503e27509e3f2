"""Opening a pass."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any


def unpacked(bundle: bytes) -> dict[str, bytes]:
    """The files of a pass."""
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def document(bundle: bytes) -> dict[str, Any]:
    """The content of pass.json."""
    content: dict[str, Any] = json.loads(unpacked(bundle)["pass.json"])
    return content
