"""What mails say, and in which language."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tallystick.core.ids import Ms
from tallystick.mail.log_mailer import LogMailer
from tallystick.mail.words import WORDS, language_of, message_of, subject_and_text
from tallystick.service.mailer import CodeMail

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def mail(language: str = "en", name: str = "Nordvik") -> CodeMail:
    return CodeMail("ada@example.org", "048213", name, language, Ms(0))


@pytest.mark.parametrize(
    ("tag", "language"),
    [
        ("", "en"),
        ("en-GB", "en"),
        ("sv-FI", "sv"),
        ("PL", "pl"),
        ("nb-NO", "nb"),
        ("no", "nb"),
        ("nn-NO", "nb"),
        ("lv", "lv"),
        ("sv_SE", "sv"),
        ("de-DE", "en"),
        ("-", "en"),
        ("english", "en"),
    ],
)
def test_a_tag_leads_to_one_of_our_languages(tag: str, language: str) -> None:
    assert language_of(tag) == language


@pytest.mark.parametrize("language", sorted(WORDS))
def test_every_language_says_code_program_and_time_and_links_to_nothing(language: str) -> None:
    subject, text = subject_and_text(mail(language))
    assert subject.startswith("048213 ")
    assert "Nordvik" in subject
    for said in ("048213", "Nordvik", " 10 "):
        assert said in text
    assert "://" not in text
    assert "{" not in subject + text
    assert len(WORDS) == 5
    assert len({words.subject for words in WORDS.values()}) == 5


def test_a_name_of_several_lines_writes_no_header_of_its_own() -> None:
    sent = message_of(
        mail(name="Nord\r\nBcc: eve@example.org\n" + "x" * 300), sender="card@example.org", now=NOW
    )
    assert "Bcc" not in sent
    assert sent["Subject"].startswith("048213 is your code for Nord Bcc: eve@example.org x")
    assert len(sent["Subject"]) < 160
    assert b"\nBcc" not in sent.as_bytes()


def test_a_demonstration_shows_the_mail_where_it_is_tried_out() -> None:
    shown: list[str] = []
    mailer = LogMailer(shown.append)
    mailer.post(mail())
    mailer.close()
    (text,) = shown
    for said in ("ada@example.org", "048213 is your code for Nordvik", "    048213\n", "not sent"):
        assert said in text
