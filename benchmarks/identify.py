"""How long a cashier waits for a member's code: its verification alone, and the whole identification at a till.

``python -m benchmarks.identify [--members N] [--scans N] [--json]``. The till is offline, on a file of its own, among
as many members as are asked for; every scan is another code, so every use is written to the disk. Ten seconds.
"""

from __future__ import annotations

import argparse
import json
import random
import secrets
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from benchmarks.measure import percentile, report
from tallystick.security.code import (
    Code,
    code_from_digits,
    code_to_digits,
    issue_credential,
    open_code,
    sign_code,
)
from tallystick.security.envelope import ANCHOR, RULES, sign_body
from tallystick.security.keys import SigningKey, generate_signing_key, public_jwk
from tallystick.security.scan_tags import scan_tag, store_tag
from tallystick.v1 import advice_pb2, store_pb2
from tallystick_till.daemon.machine import MachineClock, new_id
from tallystick_till.db import TillDb
from tallystick_till.engine import Till
from tallystick_till.hub import NoHub
from tallystick_till.ports import Identity
from tallystick_till.snapshot import FileSnapshot
from tallystick_till.transport import GrpcGateway
from tallystick_till.types import Identified

MEMBERS_MAX = 1_000_000
SCANS_MAX = 5_000
PART = 5_000
PHONES = 200
"""So many devices take turns; each scan is another code all the same."""
PROGRAM = "bench"
SCAN_KEY, STORE_KEY = b"s" * 32, b"t" * 32
NOWHERE = "127.0.0.1:1"
PROGRAM_RULES = {
    "format": "tallystick/1",
    "name": "Benchmark",
    "currency": "EUR",
    "time_zone": "Europe/Stockholm",
    "earning": {"rules": [{"id": "base", "kind": "per_amount", "points": 1, "per_minor": 100}]},
    "burning": {"points": 100, "minor": 100},
}


def main() -> None:
    """Measure and print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--members", type=int, default=100_000)
    parser.add_argument("--scans", type=int, default=2_000)
    parser.add_argument("--dir", type=Path, help="where the files lie; its disk is what is measured")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if not PHONES <= args.members <= MEMBERS_MAX or not 1 <= args.scans <= SCANS_MAX:
        parser.error(f"{PHONES} to {MEMBERS_MAX} members and at most {SCANS_MAX} scans")
    server = generate_signing_key()
    with ExitStack() as stack:
        place = args.dir or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        till = _till(stack, place, server, args.members)
        codes = list(_codes(server, args.scans))
        figures = {
            "members": args.members,
            "scans": args.scans,
            **_verify(server, codes),
            **_identify(till, codes),
        }
    print(report(figures, as_json=args.json))


def _verify(server: SigningKey, codes: list[str]) -> dict[str, float]:
    keys = {server.kid: server.verify_key}
    raws = [raw for digits in codes if (raw := code_from_digits(digits)) is not None]
    began = time.perf_counter()
    opened = [open_code(raw, program_id=PROGRAM, server_keys=keys) for raw in raws]
    spent_s = time.perf_counter() - began
    assert all(isinstance(code, Code) for code in opened), "every code is genuine"
    return {"verify_us": spent_s / len(codes) * 1e6}


def _identify(till: Till, codes: list[str]) -> dict[str, float]:
    spent = []
    for digits in codes:
        began = time.perf_counter()
        found = till.identify(digits)
        spent.append(time.perf_counter() - began)
        assert isinstance(found, Identified), found
        assert found.member.assurance == 4, "and as sure as it gets"
    return {
        "identify_p50_ms": percentile(spent, 0.50) * 1000,
        "identify_p99_ms": percentile(spent, 0.99) * 1000,
    }


def _codes(server: SigningKey, count: int) -> Iterator[str]:
    devices = [generate_signing_key() for _ in range(PHONES)]
    now_s = int(time.time())
    credentials = [
        issue_credential(
            server,
            program_id=PROGRAM,
            pseudonym=_pseudonym(number),
            device=device.verify_key,
            expires_s=now_s + 86_400,
            burn_from_s=0,
        )
        for number, device in enumerate(devices)
    ]
    for number in range(count):
        who = number % PHONES
        raw = sign_code(
            devices[who],
            credentials[who],
            program_id=PROGRAM,
            issued_s=int(time.time()),
            cti=secrets.token_bytes(4),
        )
        yield code_to_digits(raw)


def _till(stack: ExitStack, place: Path, server: SigningKey, members: int) -> Till:
    identity = Identity("till-1", PROGRAM, "s1", "Till 1", NOWHERE, "tallystick")
    key = generate_signing_key()
    db = TillDb.open(place / "till.db")
    stack.callback(db.close)
    snapshot = stack.enter_context(closing(FileSnapshot(place / "snapshot")))
    for first in range(0, members, PART):
        states = [_state(number) for number in range(first, min(first + PART, members))]
        snapshot.stage(store_pb2.SnapshotPart(first=not first, members=states))
    snapshot.stage(store_pb2.SnapshotPart(last=True))
    gateway = stack.enter_context(closing(GrpcGateway(identity, key, now_s=lambda: int(time.time()))))
    till = Till(
        identity=identity,
        key=key,
        db=db,
        snapshot=snapshot,
        hub=NoHub(),
        gateway=gateway,
        clock=MachineClock(),
        new_id=new_id,
    )
    assert till.take_store_news(_news(server)) == [], "the rules hold"
    anchor = advice_pb2.Anchor(till_id="till-1", server_ms=int(time.time() * 1000))
    till.take_anchor(_signed(server, ANCHOR, anchor.SerializeToString()))
    return till


def _news(server: SigningKey) -> store_pb2.StoreNews:
    grant = advice_pb2.RuleSetGrant(
        program_id=PROGRAM,
        version=1,
        canonical=json.dumps(PROGRAM_RULES),
        current=True,
        valid_until_ms=(int(time.time()) + 86_400) * 1000,
    )
    jwk: dict[str, Any] = {**public_jwk(server.verify_key.public_key), "kid": server.kid}
    return store_pb2.StoreNews(
        rule_sets=[_signed(server, RULES, grant.SerializeToString())],
        server_keys=[json.dumps(jwk)],
        scan_key=SCAN_KEY,
        store_key=STORE_KEY,
        region="SE",
    )


def _signed(key: SigningKey, context: str, body: bytes) -> advice_pb2.Signed:
    return advice_pb2.Signed(body=body, key_id=key.kid, signature=sign_body(key, context, body))


def _pseudonym(number: int) -> bytes:
    return number.to_bytes(8, "big")


def _state(number: int) -> store_pb2.MemberState:
    """A member; those with phones have the tag of their pseudonym, the others one that is as spread."""
    if number < PHONES:
        tag: bytes = store_tag(
            STORE_KEY, scan_tag(SCAN_KEY, kind="pseudonym", value=_pseudonym(number).hex())
        )
    else:
        tag = random.Random(number).randbytes(7)
    member_id = uuid.UUID(int=(number << 80) | (7 << 76) | (2 << 62)).bytes
    return store_pb2.MemberState(member_id=member_id, seq=1, active_points=1_000, tags=tag)


if __name__ == "__main__":
    main()
