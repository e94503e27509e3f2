"""JSON that leaves the till, always in UTF-8: half a character, which another program cut off, is shown as U+FFFD."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from starlette.responses import JSONResponse

_HALF: Final = re.compile("[\ud800-\udfff]")


def is_whole(text: str) -> bool:
    """Whether a text has no half of a character, as JavaScript's ``slice`` leaves of an emoji: UTF-8 has no such."""
    return _HALF.search(text) is None


def made_whole(text: str) -> str:
    """Return a text with U+FFFD in place of each half of a character."""
    return _HALF.sub("\ufffd", text)


def json_bytes(document: Any) -> bytes:
    """Return a document as JSON on one line."""
    return made_whole(json.dumps(document, ensure_ascii=False, separators=(",", ":"))).encode()


class JsonResponse(JSONResponse):
    """An answer in JSON that can always be sent, also for what was kept before texts were checked."""

    def render(self, content: Any) -> bytes:
        return json_bytes(content)
