"""Servers that are killed while they tell members of their points: every mail comes, and no message is made twice."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from pathlib import Path

import pytest

from tallystick.cli.wiring import opened_gateway
from tallystick.core.ids import Ms
from tallystick.service.consent_ports import ConsentChannel, ConsentPurpose
from tallystick.service.gateway import wall_clock_ms
from tallystick.service.notification_ports import Noted, NoteState, Notification
from tallystick.storage.open import Store, open_store
from tests.e2e.support.calls import Till
from tests.e2e.support.server import PROGRAM, Installation
from tests.mail.servers import Inbox, mail_server
from tests.support.ledgers import new_ledger_file
from tests.support.postgres import Database

pytestmark = pytest.mark.timeout(300)

MEMBERS = 8
EARNS = 24
FINISH_S = 90.0
SLOW_S = 0.15
RULES = """\
format: tallystick/1
name: Told
currency: SEK
time_zone: Europe/Stockholm
earning:
  rules:
    - {id: base, kind: per_amount, points: 1, per_minor: 1000}
notifications:
  tell:
    - {occasion: points_earned, channels: [email]}
"""


def begin(installation: Installation) -> None:
    """Publish the rules, and let all members have an address and want mails."""
    with opened_gateway(installation.settings) as (gateway, _, _keys):
        gateway.programs.publish(PROGRAM, RULES, request_id=str(uuid.uuid4()), published_by="test")
        for number, member_id in enumerate(installation.members):
            address = {"email": f"member-{number}@example.org"}
            gateway.members.update_profile(PROGRAM, member_id, address)
            gateway.consents.say(
                PROGRAM,
                member_id,
                ConsentPurpose.POINTS,
                ConsentChannel.EMAIL,
                granted=True,
                by_role=4,
                by_device="phone",
            )


def all_notes(store: Store, installation: Installation) -> list[Notification]:
    return [
        note
        for member_id in installation.members
        for note in store.notifications_of(PROGRAM, member_id, before=None, limit=1_000)
    ]


def claims_run_out(store: Store, installation: Installation) -> None:
    """Let what a dead process had in hand be due now: nobody waits a minute in a test."""
    now = wall_clock_ms()
    waiting = [one for one in all_notes(store, installation) if one.state is NoteState.WAITING]
    store.note_notifications(
        PROGRAM,
        [
            Noted(one.member_id, one.notification_id, NoteState.WAITING, one.way, "", now, tried=False)
            for one in waiting
        ],
        now=now,
    )


def wait_for_place(store: Store) -> None:
    until = time.monotonic() + FINISH_S
    while store.notification_place(PROGRAM) is None:
        assert time.monotonic() < until, "nobody follows the journal"
        time.sleep(0.05)


def post(installation: Installation, count: int) -> int:
    with Till(installation) as till:
        return sum(till.earn(installation.members[n % MEMBERS]).code == "OK" for n in range(count))


def kill_and_compare(place: Path, url: str) -> None:
    inbox = Inbox(slow_s=SLOW_S)
    with mail_server(inbox) as port:
        env = {
            "TALLYSTICK_SMTP_HOST": "localhost",
            "TALLYSTICK_SMTP_PORT": str(port),
            "TALLYSTICK_SMTP_TLS": "none",
            "TALLYSTICK_SMTP_FROM": "Told <card@example.org>",
        }
        with Installation(place, url, members=MEMBERS, env=env) as installation:
            begin(installation)
            store = open_store(url)
            try:
                wait_for_place(store)
                posted = post(installation, EARNS)
                inbox.wait_for(2)
                installation.kill()
                at_kill = len(inbox.mails)
                assert at_kill < posted, "it was killed too late to show anything"
                claims_run_out(store, installation)
                installation.start()
                posted += post(installation, EARNS)
                finish(store, installation, posted)
            finally:
                store.close()
            notes_ids = sorted(mail["Message-ID"] for mail in inbox.mails)
    assert posted == 2 * EARNS
    # What came twice has the id that it had: a mail program shows it once.
    assert len(set(notes_ids)) == posted
    twice = [name for name, count in Counter(notes_ids).items() if count > 1]
    assert len(twice) <= MEMBERS, "no more than one mail of each member was in hand"


def finish(store: Store, installation: Installation, posted: int) -> None:
    until = time.monotonic() + FINISH_S
    while True:
        notes = all_notes(store, installation)
        sent = [one for one in notes if one.state is NoteState.SENT]
        if len(sent) == posted:
            assert len(notes) == posted
            assert all(one.made_ms <= one.done_ms < Ms(one.stale_ms) for one in sent)
            return
        assert time.monotonic() < until, Counter((one.state, one.answer) for one in notes)
        time.sleep(0.2)


def test_a_server_on_sqlite_that_is_killed_while_it_mails_tells_everybody(place: Path) -> None:
    url = new_ledger_file(place / "tallystick.db")
    kill_and_compare(place, url)


def test_a_server_on_postgresql_that_is_killed_while_it_mails_tells_everybody(
    place: Path, ledger_database: Database
) -> None:
    kill_and_compare(place, ledger_database.service_url)
