"""The words on a pass in five languages, as keys of ``pass.strings`` files."""

from __future__ import annotations

from typing import Final

POINTS, POINTS_CHANGED, TIER, TIER_CHANGED, WORTH, PENDING, NUMBER, NEWS, ABOUT, ABOUT_TEXT, ENDED = (
    "points",
    "points_changed",
    "tier",
    "tier_changed",
    "worth",
    "pending",
    "number",
    "news",
    "about",
    "about_text",
    "ended",
)

LANGUAGES: Final[dict[str, dict[str, str]]] = {
    "en": {
        POINTS: "Points",
        POINTS_CHANGED: "You now have %@ points",
        TIER: "Tier",
        TIER_CHANGED: "Your tier is now %@",
        WORTH: "Worth",
        PENDING: "On their way",
        NUMBER: "Member number",
        NEWS: "News",
        ABOUT: "About this card",
        ABOUT_TEXT: "Show this card at the till before you pay.",
        ENDED: "This card is not valid any more.",
    },
    "sv": {
        NEWS: "Nyheter",
        POINTS: "Poäng",
        POINTS_CHANGED: "Du har nu %@ poäng",
        TIER: "Nivå",
        TIER_CHANGED: "Din nivå är nu %@",
        WORTH: "Värde",
        PENDING: "På väg",
        NUMBER: "Medlemsnummer",
        ABOUT: "Om kortet",
        ABOUT_TEXT: "Visa kortet i kassan innan du betalar.",
        ENDED: "Kortet gäller inte längre.",
    },
    "pl": {
        NEWS: "Wiadomości",
        POINTS: "Punkty",
        POINTS_CHANGED: "Masz teraz %@ pkt",
        TIER: "Poziom",
        TIER_CHANGED: "Twój poziom to teraz %@",
        WORTH: "Wartość",
        PENDING: "W drodze",
        NUMBER: "Numer członkowski",
        ABOUT: "O karcie",
        ABOUT_TEXT: "Pokaż kartę przy kasie przed zapłatą.",
        ENDED: "Karta nie jest już ważna.",
    },
    "nb": {
        NEWS: "Nyheter",
        POINTS: "Poeng",
        POINTS_CHANGED: "Du har nå %@ poeng",
        TIER: "Nivå",
        TIER_CHANGED: "Nivået ditt er nå %@",
        WORTH: "Verdi",
        PENDING: "På vei",
        NUMBER: "Medlemsnummer",
        ABOUT: "Om kortet",
        ABOUT_TEXT: "Vis kortet i kassen før du betaler.",
        ENDED: "Kortet er ikke lenger gyldig.",
    },
    "lv": {
        NEWS: "Ziņas",
        POINTS: "Punkti",
        POINTS_CHANGED: "Tagad jums ir %@ punkti",
        TIER: "Līmenis",
        TIER_CHANGED: "Jūsu līmenis tagad ir %@",
        WORTH: "Vērtība",
        PENDING: "Ceļā",
        NUMBER: "Dalībnieka numurs",
        ABOUT: "Par karti",
        ABOUT_TEXT: "Parādiet karti kasē pirms maksāšanas.",
        ENDED: "Karte vairs nav derīga.",
    },
}


def strings_file(language: str) -> bytes:
    """Return the content of a language's ``pass.strings``: UTF-8, one ``"key" = "value";`` a line."""
    lines = (f'"{key}" = "{_escaped(text)}";\n' for key, text in sorted(LANGUAGES[language].items()))
    return "".join(lines).encode()


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
