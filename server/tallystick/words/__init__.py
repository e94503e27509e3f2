"""Why points came, went or were refused, in the five languages of the product, from the one catalogue ``why.json``.

The till and the server use the same functions, so the same explanation reads the same wherever it is shown.
"""

from __future__ import annotations

from tallystick.words.catalogue import LANGUAGES, language_of
from tallystick.words.names import NO_NAMES, Names, label, names_of
from tallystick.words.why import receipt_word, why, why_not, with_points

__all__ = [
    "LANGUAGES",
    "NO_NAMES",
    "Names",
    "label",
    "language_of",
    "names_of",
    "receipt_word",
    "why",
    "why_not",
    "with_points",
]
