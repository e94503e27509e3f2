"""Verification of what stands beside the ledger: tills' chains, and the advices that a person has to look at."""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.core.advice import TillChain, VerdictKind, digest_of, item_id_of
from tallystick.core.chain import GENESIS
from tallystick.service.ports import InboxItem, InboxState

Difference = tuple[str, tuple[str | int, ...], str, str]
"""Table, key, what was expected, what was found."""

_NOT_POSTED = (VerdictKind.PARKED, VerdictKind.QUARANTINED)


def chain_differences(chain: TillChain) -> Iterator[Difference]:
    """Yield what in a chain cannot have come about."""
    key = (chain.till_id,)
    if chain.epoch <= chain.fences:
        yield "till", key, f"an epoch above {chain.fences} forks", f"epoch {chain.epoch}"
    if len(chain.head) != len(GENESIS):
        yield "till", key, f"a head of {len(GENESIS)} bytes", f"{len(chain.head)} bytes"
    elif (chain.head == GENESIS) != (chain.acked_seq == 0):
        where = "an advice" if chain.acked_seq else "nothing"
        yield "till", key, f"the hash of {where} at position {chain.acked_seq}", chain.head.hex()
    if len(chain.fenced_ms) > chain.fences:
        yield "till", key, f"at most {chain.fences} forks remembered", str(len(chain.fenced_ms))
    if chain.drained_ms > chain.contact_ms:
        yield "till", key, f"an outbox last empty by {chain.contact_ms}", str(chain.drained_ms)
    for name in ("acked_seq", "queued", "floor_points"):
        if getattr(chain, name) < 0:
            yield "till", key, f"{name} of at least 0", str(getattr(chain, name))


def item_differences(item: InboxItem, chain: TillChain | None) -> Iterator[Difference]:
    """Yield what in an inbox item cannot be, given its till's chain."""
    key = (item.item_id,)
    own_id = item_id_of(digest_of(item.raw))
    if own_id != item.item_id:
        yield "inbox", key, "the bytes that it was named after", f"those of {own_id}"
    yield from _outcome_differences(item)
    if chain is None:
        yield "inbox", key, f"a chain of till {item.till_id}", "none"
    elif (item.epoch, item.seq) > (chain.epoch, chain.acked_seq):
        last = f"epoch {chain.epoch}, position {chain.acked_seq}"
        yield "inbox", key, f"a place up to {last}", f"epoch {item.epoch}, position {item.seq}"


def _outcome_differences(item: InboxItem) -> Iterator[Difference]:
    key, verdict = (item.item_id,), item.verdict
    if verdict.kind in _NOT_POSTED and verdict.member_seq:
        yield "inbox", key, f"no entry of what is {verdict.kind.name}", f"entry {verdict.member_seq}"
    if item.state is InboxState.POSTED and not verdict.member_seq:
        yield "inbox", key, "the entry that it was posted as", "none"
    if verdict.kind in _NOT_POSTED and item.state is InboxState.POSTED:
        yield "inbox", key, "a verdict on what was posted", verdict.kind.name
    if item.waits_for and verdict.kind is not VerdictKind.PARKED:
        yield "inbox", key, "nothing to wait for", item.waits_for
