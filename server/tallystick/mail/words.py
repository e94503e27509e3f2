"""What mails say, in five languages: short, plain, nothing to click on, nothing that tells who has read them."""

from __future__ import annotations

from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid
from typing import TYPE_CHECKING, Final

from tallystick.core.record import record
from tallystick.security.sign_in import CODE_TTL_S

if TYPE_CHECKING:
    from datetime import datetime

    from tallystick.service.mailer import CodeMail

FALLBACK: Final = "en"
NAME_CHARS_MAX: Final = 100


@record(frozen=True, slots=True)
class Words:
    """A mail in one language, with places for the code, the program's name and the minutes that the code lives."""

    subject: str
    text: str


WORDS: Final[dict[str, Words]] = {
    "en": Words(
        "{code} is your code for {name}",
        "Your code for {name}:\n\n    {code}\n\n"
        "It works for {minutes} minutes, only on the device on which you asked for it.\n"
        "Never tell it to anybody: with it your card can be used and erased. Nobody from {name} will ask you for it.\n"
        "If you did not ask for a code, you can ignore this mail.\n",
    ),
    "sv": Words(
        "{code} är din kod till {name}",
        "Din kod till {name}:\n\n    {code}\n\n"
        "Den gäller i {minutes} minuter, bara på den enhet där du bad om den.\n"
        "Lämna aldrig ut den: med den kan ditt kort användas och raderas. Ingen från {name} frågar efter den.\n"
        "Om du inte bad om någon kod kan du strunta i det här meddelandet.\n",
    ),
    "pl": Words(
        "{code} to Twój kod do {name}",
        "Twój kod do {name}:\n\n    {code}\n\n"
        "Jest ważny przez {minutes} minut, tylko na urządzeniu, na którym o niego poproszono.\n"
        "Nikomu go nie podawaj: pozwala użyć Twojej karty i ją usunąć. Nikt z {name} o niego nie zapyta.\n"
        "Jeśli to nie była Twoja prośba o kod, zignoruj tę wiadomość.\n",
    ),
    "nb": Words(
        "{code} er koden din til {name}",
        "Koden din til {name}:\n\n    {code}\n\n"
        "Den gjelder i {minutes} minutter, bare på enheten der du ba om den.\n"
        "Gi den aldri til noen: med den kan kortet ditt brukes og slettes. Ingen fra {name} spør deg om den.\n"
        "Hvis du ikke ba om en kode, kan du se bort fra denne meldingen.\n",
    ),
    "lv": Words(
        "{code} ir jūsu {name} kods",
        "Jūsu {name} kods:\n\n    {code}\n\n"
        "Tas der {minutes} minūtes, tikai ierīcē, kurā to pieprasījāt.\n"
        "Nekad nevienam to neizpaudiet: ar to var izmantot un dzēst jūsu karti. Neviens no {name} to neprasīs.\n"
        "Ja kodu nepieprasījāt, šo vēstuli varat neņemt vērā.\n",
    ),
}

_SAME: Final = {"no": "nb", "nn": "nb"}


def language_of(tag: str) -> str:
    """Return which of our languages a BCP 47 tag asks for: "sv-FI" is "sv", what we do not have is English."""
    primary = tag.replace("_", "-").partition("-")[0].lower()
    primary = _SAME.get(primary, primary)
    return primary if primary in WORDS else FALLBACK


def subject_and_text(mail: CodeMail) -> tuple[str, str]:
    """Return what a mail says."""
    words = WORDS[language_of(mail.language)]
    # A name is whatever an administrator wrote: on one line, and no longer than a subject can take.
    name = " ".join(mail.program_name.split())[:NAME_CHARS_MAX]
    places = {"code": mail.code, "name": name, "minutes": CODE_TTL_S // 60}
    return words.subject.format(**places), words.text.format(**places)


def message_of(mail: CodeMail, *, sender: str, now: datetime) -> EmailMessage:
    """Return a mail as it travels (RFC 5322); other programs are told that no person wrote it (RFC 3834)."""
    subject, text = subject_and_text(mail)
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = mail.address
    message["Subject"] = subject
    message["Date"] = format_datetime(now)
    message["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2].rstrip(">") or "localhost")
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text)
    message["Content-Language"] = language_of(mail.language)
    return message
