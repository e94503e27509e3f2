"""What tills were told, in a form that processes can hand on and hold against the ledger."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from tallystick.core.entry import Entry
from tallystick.core.ids import CommandId, ProgramId
from tallystick.storage.open import Store


class Answered(NamedTuple):
    """One acknowledged command: why it was refused, or where its entry stands and what the member had then."""

    refusal: str
    member_id: str
    seq: int
    active_after: int
    replayed: bool


@dataclass(slots=True)
class Protocol:
    """Every command that was sent: answered, or failed with a status; and what was said when it was asked again."""

    answered: dict[str, Answered] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    asked_again: dict[str, Answered] = field(default_factory=dict)


def assert_books_agree(protocol: Protocol, store: Store, program_id: ProgramId) -> None:
    """Every acknowledged command stands in the ledger as it was told, none twice, and nothing else does.

    Whatever was asked again had the same answer.
    """
    with store.snapshot(program_id) as snapshot:
        entries = [row.entry for row in snapshot.ledger()]
    stored = {entry.command_id: entry for entry in entries}
    assert len(stored) == len(entries)
    posted = {CommandId(one): told for one, told in protocol.answered.items() if not told.refusal}
    assert stored.keys() == posted.keys()
    for command_id, told in posted.items():
        entry = stored[command_id]
        assert (told.member_id, told.seq, told.active_after) == (
            entry.member_id,
            entry.seq,
            entry.active_after,
        )
    refused = {CommandId(one): told.refusal for one, told in protocol.answered.items() if told.refusal}
    known = store.read_known(program_id, list(refused))
    answers = {
        one: "posted" if isinstance(found.answer, Entry) else found.answer.reason.name
        for one, found in known.items()
    }
    assert answers == refused
    for one, again in protocol.asked_again.items():
        assert again == protocol.answered[one]._replace(replayed=True)
