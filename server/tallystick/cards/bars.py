"""The bars of EAN-13 and Code 128 as rows of modules: 1 is dark, 0 is light, without quiet zones.

Encoded here, because the common package leaves 99 out in front of digits, and every member number begins with it.
"""

from __future__ import annotations

from itertools import cycle

from tallystick.security.check_digits import EAN13_DIGITS, has_gs1_check_digit

CODE128_CHARS_MAX = 48
DIGITS_IN_C_MIN = 4
"""So many digits in a row are shorter in code set C than in B, the switch included."""

_TO_C, _TO_B, _FNC1, _START_B, _START_C = 99, 100, 102, 104, 105
_STOP = "2331112"
# Widths of bars and spaces in turn, six for each value from 0 to 105 (ISO/IEC 15417 table 1).
_WIDTHS = (
    "212222222122222221121223121322131222122213122312132212221213221312231212112232122132122231113222"
    "123122123221223211221132221231213212223112312131311222321122321221312212322112322211212123212321"
    "232121111323131123131321112313132113132311211313231113231311112133112331132131113123113321133121"
    "313121211331231131213113213311213131311123311321331121312113312311332111314111221411431111111224"
    "111422121124121421141122141221112214112412122114122411142112142211241211221114413111241112134111"
    "111242121142121241114212124112124211411212421112421211212141214121412121111143111341131141114113"
    "114311411113411311113141114131311141411131211412211214211232"
)
# Digits of set A (ISO/IEC 15420 table 1); set C is A inverted, set B is C from right to left.
_EAN_A = (
    "0001101",
    "0011001",
    "0010011",
    "0111101",
    "0100011",
    "0110001",
    "0101111",
    "0111011",
    "0110111",
    "0001011",
)
# Which of the six digits on the left are of set B, by the first digit, which has no bars.
_EAN_SETS = (
    "AAAAAA",
    "AABABB",
    "AABBAB",
    "AABBBA",
    "ABAABB",
    "ABBAAB",
    "ABBBAA",
    "ABABAB",
    "ABABBA",
    "ABBABA",
)


def ean13_bars(digits: str) -> str:
    """Return the 95 modules of 13 digits, whose check digit must be right."""
    assert len(digits) == EAN13_DIGITS, "an EAN-13 has 13 digits"
    assert has_gs1_check_digit(digits), "a wrong number is not printed"
    left = "".join(
        _EAN_A[int(digit)] if one == "A" else _inverted(_EAN_A[int(digit)])[::-1]
        for digit, one in zip(digits[1:7], _EAN_SETS[int(digits[0])], strict=True)
    )
    right = "".join(_inverted(_EAN_A[int(digit)]) for digit in digits[7:])
    return f"101{left}01010{right}101"


def code128_bars(text: str, *, gs1: bool = False) -> str:
    """Return the modules of 1 to 48 printable ASCII characters; ``gs1`` marks an element string with FNC1."""
    assert 0 < len(text) <= CODE128_CHARS_MAX, "cards have short numbers"
    assert text.isascii() and text.isprintable(), "code sets B and C hold no others"  # noqa: PT018
    values = _values(text, gs1=gs1)
    check = (values[0] + sum(place * value for place, value in enumerate(values))) % 103
    widths = "".join(_WIDTHS[6 * value : 6 * value + 6] for value in (*values, check)) + _STOP
    return "".join(module * int(width) for module, width in zip(cycle("10"), widths, strict=False))


def _values(text: str, *, gs1: bool) -> list[int]:
    values: list[int] = []
    in_c: bool | None = None
    at = 0
    while at < len(text):
        digits = len(text[at:]) - len(text[at:].lstrip("0123456789"))
        take = digits - digits % 2 if digits >= DIGITS_IN_C_MIN or (digits == len(text) == 2) else 0
        if in_c is None:
            values += [_START_C if take else _START_B, *([_FNC1] if gs1 else [])]
        elif in_c is not bool(take):
            values.append(_TO_C if take else _TO_B)
        in_c = bool(take)
        if take:
            values += [int(text[pair : pair + 2]) for pair in range(at, at + take, 2)]
        else:
            values.append(ord(text[at]) - 32)
        at += take or 1
    return values


def _inverted(modules: str) -> str:
    return modules.translate({48: "1", 49: "0"})
