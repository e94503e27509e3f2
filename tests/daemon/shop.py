"""A till's directory as enrolment and one talk with the gateway leave it, and the real program over it."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from tallystick.security.envelope import ANCHOR, RULES, sign_body
from tallystick.security.keys import SigningKey, generate_signing_key
from tallystick.v1 import advice_pb2, store_pb2
from tallystick.wire.advices import bytes_of
from tallystick_till.cli import main
from tallystick_till.config import DB_FILE, SNAPSHOT_DIR, TillConfig, save_config, save_key
from tallystick_till.daemon.assembly import HubChoice, assembled
from tallystick_till.daemon.instance import held
from tallystick_till.daemon.machine import MachineClock, new_id
from tallystick_till.db import TillDb
from tallystick_till.engine import Till
from tallystick_till.hub import NoHub
from tallystick_till.snapshot import FileSnapshot
from tallystick_till.training import NoGateway
from tallystick_till.types import SaleAsk, SaleDone
from tests.daemon.fake_till import FakeTill
from tests.daemon.served import Served
from tests.support.warm import Warm
from tests.till.premises import ANNA, ANNA_CARD, PROGRAM, RULES_DOCUMENT, SCAN_KEY, STORE, STORE_KEY
from tests.till.world import basket, jwk, tag

CLIENTS = Path(__file__).parents[2] / "clients" / "store"
TILL_ID = "0190b5e0-7c1e-7a52-a4d2-2f9f3c6d1e22"
ANNA_POINTS = 1_000
WAIT_S = 20.0
DAY_MS = 86_400_000

SALE: dict[str, Any] = {
    "member_ref": ANNA,
    "basket": {"currency": "EUR", "lines": [{"sku": "tea", "quantity_milli": 1000, "amount_minor": 1250}]},
}


@dataclass(frozen=True, slots=True)
class Finished:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True, slots=True)
class TillHome:
    """The directory of a till, and commands over it."""

    directory: Path
    key: SigningKey

    @classmethod
    def enrolled(cls, directory: Path, *, gateway: str = "127.0.0.1:1", valid_days: int = 30) -> TillHome:
        """A till that knows rules, time and one member, and that is away from its gateway."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        home = cls(directory, generate_signing_key())
        save_key(directory, home.key)
        config = TillConfig(
            till_id=TILL_ID,
            program_id=PROGRAM,
            gateway=gateway,
            issuer="tallystick",
            store_id=STORE,
            label="Till 1",
        )
        save_config(directory, config)
        home._meet_gateway(config, valid_days)
        return home

    def _meet_gateway(self, config: TillConfig, valid_days: int) -> None:
        server_key, clock = generate_signing_key(), MachineClock()
        grant = advice_pb2.RuleSetGrant(
            program_id=PROGRAM,
            version=1,
            canonical=json.dumps(RULES_DOCUMENT, sort_keys=True, separators=(",", ":")),
            current=True,
            valid_until_ms=clock.wall_ms() + valid_days * DAY_MS,
        )
        snapshot, db = FileSnapshot(self.directory / SNAPSHOT_DIR), TillDb.open(self.directory / DB_FILE)
        anna = store_pb2.MemberState(
            member_id=uuid.UUID(ANNA).bytes, seq=10, active_points=ANNA_POINTS, tags=tag("number", ANNA_CARD)
        )
        snapshot.stage(store_pb2.SnapshotPart(first=True, last=True, total=1, members=[anna]))
        till = Till(
            identity=config.identity,
            key=self.key,
            db=db,
            snapshot=snapshot,
            hub=NoHub(),
            gateway=NoGateway(),
            clock=clock,
            new_id=new_id,
        )
        left_out = till.take_store_news(
            store_pb2.StoreNews(
                rule_sets=[_signed(server_key, RULES, bytes_of(grant))],
                server_keys=[jwk(server_key)],
                scan_key=SCAN_KEY,
                store_key=STORE_KEY,
                tills=[store_pb2.StoreTill(till_id=TILL_ID, label="Till 1", public_jwk=jwk(self.key))],
                till_status=store_pb2.TILL_STATUS_TRUSTED,
                region="SE",
            )
        )
        assert left_out == []
        told = advice_pb2.Anchor(till_id=TILL_ID, server_ms=clock.wall_ms())
        assert till.take_anchor(_signed(server_key, ANCHOR, bytes_of(told)))
        till.gateway_answered()
        snapshot.close()
        db.close()

    def sell(self, count: int = 1, *, texts: tuple[str, ...] = ()) -> list[SaleDone]:
        """Sell in this process, and end."""
        with held(self.directory), assembled(self.directory, hub=HubChoice()) as parts:
            return [parts.till.sale(SaleAsk(ANNA, basket(1250), texts)) for _ in range(count)]

    def here(self, *arguments: str | Path) -> Finished:
        """Run a command in this process, which is quicker than in one of its own."""
        out, err = io.StringIO(), io.StringIO()
        with (
            mock.patch.dict(os.environ, {"TALLYSTICK_TILL_DIR": str(self.directory), "COLUMNS": "120"}),
            mock.patch.object(sys, "argv", ["tallystick-till", *map(str, arguments)]),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            code = main()
        return Finished(code, out.getvalue(), err.getvalue())

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "TALLYSTICK_TILL_DIR": str(self.directory), "PYTHONPATH": str(CLIENTS)}

    @contextmanager
    def running(self, *arguments: str) -> Iterator[Program]:
        """`tallystick-till run` on a free port until the block ends; it then must stop in good order."""
        log = self.directory / "run.log"
        with log.open("w") as output:
            words = ["run", "--listen", "127.0.0.1:0", *arguments]
            process = Warm("tallystick_till", words, env=self.environment, stdout=output, stderr=output)
        try:
            give_up_at = time.monotonic() + WAIT_S
            while "Ctrl+C" not in log.read_text():
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < give_up_at, log.read_text()
                time.sleep(0.02)
            port = json.loads((self.directory / "lock").read_text())["port"]
            yield Program(process, log, Served(port, FakeTill()))
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            assert process.wait(WAIT_S) in (0, -signal.SIGKILL), log.read_text()
        finally:
            process.kill()
            process.wait()


@dataclass(frozen=True, slots=True)
class Program:
    """A till that runs; `at` calls its API."""

    process: Warm
    log: Path
    at: Served

    @property
    def shown(self) -> str:
        return self.log.read_text()

    def cut_power(self) -> None:
        self.process.kill()
        self.process.wait()


def _signed(key: SigningKey, context: str, body: bytes) -> advice_pb2.Signed:
    return advice_pb2.Signed(body=body, key_id=key.kid, signature=sign_body(key, context, body))
