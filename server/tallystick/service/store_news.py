"""What every till of a store must know beside the members: rules, keys, the other tills, cashiers.

Read again at most every ``NEWS_EVERY_S``, and told again when its digest changes. Safe to use from several threads.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
import weakref
from collections.abc import Callable

from tallystick.core.advice import TillStatus
from tallystick.core.ids import Ms, ProgramId
from tallystick.core.record import record
from tallystick.security.key_dir import KeyDir
from tallystick.service.changes import WatchStore
from tallystick.service.directory import Device, DeviceStatus, StoredRuleSet
from tallystick.service.identity import country_of_zone
from tallystick.service.rulebook import RuleBook
from tallystick.service.signed import Signer
from tallystick.v1 import advice_pb2, options_pb2, store_pb2

NEWS_EVERY_S = 2.0
STORES_PER_S = 50
"""Most stores that are read anew in a second: with more than a hundred each has its turn less often."""

BUSY_SHARE = 0.05
"""Most of its time that reading a program anew may take: with very many devices it is read less often."""

RULE_SETS_MAX = 50
RULE_SETS_BYTES_MAX = 2_097_152
"""Most bytes of rule sets in one message, the newest first; a gRPC client takes 4 MiB unless told otherwise."""

PINNED_FOR_MS = 90 * 86_400_000
"""How long after the longest time away a till may still name the rules that were in force before."""

VALID_STEP_MS = 3_600_000
"""Rule sets are signed anew this often: each is then valid that much longer."""

FORMER_FOR_MS = 400 * 86_400_000
"""How long the receipts of a till that was shut out are known: as long as tills keep sales."""

FORMER_TILLS_MAX = 50
"""Most tills of a store that were shut out and are told of, the last ones."""

PAGE = 100
DEVICES_PAGE = 1_000


@record(frozen=True, slots=True)
class Told:
    """The news for one till, and the digest by which it is known whether they have changed."""

    digest: bytes
    news: store_pb2.StoreNews


class ProgramShelf:
    """What the tills of all stores of a program share."""

    def __init__(
        self,
        store: WatchStore,
        rulebook: RuleBook,
        program_id: ProgramId,
        *,
        signer: Signer,
        keys: Callable[[], KeyDir],
        now_ms: Callable[[], Ms],
        region: str,
    ) -> None:
        self._store = store
        self._rulebook = rulebook
        self._signer = signer
        self._keys = keys
        self._now_ms = now_ms
        self._default_region = region
        self.program_id = program_id
        self.stores: weakref.WeakSet[StoreShelf] = weakref.WeakSet()
        self.rule_sets: list[advice_pb2.Signed] = []
        self.rules_digest = b""
        self.devices: list[Device] = []
        self.former: list[Device] = []
        self.region = region
        self.tier_numbers: dict[str, int] = {}
        self._version = 0
        self._newest: list[StoredRuleSet] = []
        self._signed: dict[tuple[int, bool, int, str], advice_pb2.Signed] = {}
        self._lock = threading.Lock()
        self._next_at = 0.0

    def refresh(self, *, at_once: bool = False) -> None:
        """Read again what may have changed, when it is time for it or ``at_once``. Raises ``StoreUnavailable``."""
        with self._lock:
            began = time.monotonic()
            if began < self._next_at and not at_once:
                return
            self._read_rules()
            self._read_devices()
            ended = time.monotonic()
            self._next_at = ended + max(NEWS_EVERY_S, (ended - began) / BUSY_SHARE)

    def _read_rules(self) -> None:
        program = self._store.program(self.program_id)
        current = program.rule_set if program else 0
        if current < self._version:
            # A database that was set back gives their numbers to other rules; all is taken up from the first one on.
            self._version, self._newest, self.tier_numbers = 0, [], {}
        if current != self._version:
            self._take_new_versions(current)
        if not current:
            return
        rules = self._rulebook.version(self.program_id, current)
        assert rules is not None, "the version in force is there"
        self.region = country_of_zone(rules.zone.key) or self._default_region
        away_ms = rules.offline.away_max_s * 1000
        now_ms = self._now_ms()
        wanted = _needed(self._newest, since=now_ms - away_ms - PINNED_FOR_MS)
        valid_until_ms = (now_ms // VALID_STEP_MS + 1) * VALID_STEP_MS + away_ms
        key_id = self._keys().signing.signing_key(now_ms // 1000).kid
        signed: dict[tuple[int, bool, int, str], advice_pb2.Signed] = {}
        for one in wanted:
            mark = (one.version, one.version == current, valid_until_ms, key_id)
            signed[mark] = self._signed.get(mark) or self._sign(one, current, valid_until_ms)
        self._signed = signed
        self.rule_sets = list(signed.values())
        self.rules_digest = repr([mark[:2] for mark in signed]).encode()

    def _sign(self, one: StoredRuleSet, current: int, valid_until_ms: int) -> advice_pb2.Signed:
        return self._signer.rule_set(
            advice_pb2.RuleSetGrant(
                program_id=self.program_id,
                version=one.version,
                canonical=one.canonical,
                current=one.version == current,
                valid_until_ms=valid_until_ms,
            )
        )

    def _take_new_versions(self, current: int) -> None:
        """Take up versions that were published meanwhile.

        Tiers are numbered over all versions from the first one on, so that a number never changes its meaning: a
        till keeps members by it for months.
        """
        before: int | None = None
        new: list[StoredRuleSet] = []
        tiers: list[list[str]] = []
        while True:
            page = self._store.rule_sets(self.program_id, before=before, limit=PAGE)
            fresh = [one for one in page if one.version > self._version]
            new += fresh[: max(0, RULE_SETS_MAX - len(new))]
            tiers += [_tier_ids(one) for one in fresh]
            if len(page) < PAGE or len(fresh) < len(page):
                break
            before = page[-1].version
        for ids in reversed(tiers):
            for tier_id in ids:
                self.tier_numbers.setdefault(tier_id, len(self.tier_numbers) + 1)
        self._newest = [*new, *self._newest][:RULE_SETS_MAX]
        self._version = max([current, *(one.version for one in new)])

    def _read_devices(self) -> None:
        devices: list[Device] = []
        while True:
            after = devices[-1].device_id if devices else ""
            page = self._store.devices(self.program_id, after=after, limit=DEVICES_PAGE)
            devices += page
            if len(page) < DEVICES_PAGE:
                break
        tills = [device for device in devices if device.role == options_pb2.ROLE_TILL]
        self.devices = [till for till in tills if till.status is DeviceStatus.ACTIVE]
        since_ms = self._now_ms() - FORMER_FOR_MS
        former = (till for till in tills if till.status is DeviceStatus.REVOKED and till.confirmed_ms)
        self.former = sorted(
            (till for till in former if till.revoked_ms > since_ms),
            key=lambda till: (-till.revoked_ms, till.device_id),
        )


class StoreShelf:
    """What the tills of one store are told."""

    def __init__(
        self,
        store: WatchStore,
        program: ProgramShelf,
        store_id: str,
        *,
        signer: Signer,
        keys: Callable[[], KeyDir],
    ) -> None:
        self._store = store
        self._signer = signer
        self._keys = keys
        self.program = program
        self.store_id = store_id
        program.stores.add(self)
        self._told: dict[TillStatus, Told] = {}
        self._suspended: frozenset[str] = frozenset()
        self._lock = threading.Lock()
        self._next_at = 0.0

    @property
    def store_key(self) -> bytes:
        """The key of the store's tags."""
        return self._keys().store_key(self.program.program_id, self.store_id)

    def told(self, till_id: str) -> Told:
        """Return the news for a till as last read."""
        suspended = till_id in self._suspended
        return self._told[TillStatus.SUSPENDED if suspended else TillStatus.TRUSTED]

    def refresh(self, *, at_once: bool = False) -> None:
        """Read again what may have changed, when it is time for it or ``at_once``. Raises ``StoreUnavailable``."""
        with self._lock:
            if time.monotonic() < self._next_at and not at_once:
                return
            self.program.refresh(at_once=at_once)
            program_id = self.program.program_id
            chains = self._store.read_tills(program_id, store_id=self.store_id)
            self._suspended = frozenset(
                chain.till_id for chain in chains if chain.status is TillStatus.SUSPENDED
            )
            base = self._news()
            self._told = {status: _told(base, status, self.program) for status in TillStatus}
            self._next_at = time.monotonic() + max(NEWS_EVERY_S, len(self.program.stores) / STORES_PER_S)

    def _news(self) -> store_pb2.StoreNews:
        program, keys = self.program, self._keys()
        news = store_pb2.StoreNews(
            server_keys=self._signer.public_keys(),
            scan_key=keys.scan_key(program.program_id),
            store_key=keys.store_key(program.program_id, self.store_id),
            tiers=list(program.tier_numbers),
            sealing_jwk=keys.box.jwk,
            region=program.region,
        )
        for device in program.devices:
            if device.store_id == self.store_id:
                news.tills.add(till_id=device.device_id, label=device.label, public_jwk=device.public_jwk)
        former = [till for till in program.former if till.store_id == self.store_id]
        for till in former[:FORMER_TILLS_MAX]:
            news.former_tills.add(
                till_id=till.device_id, public_jwk=till.public_jwk, revoked_ms=till.revoked_ms
            )
        for cashier in self._store.cashiers(program.program_id, self.store_id):
            news.cashiers.add(cashier_id=cashier.cashier_id, label=cashier.label, active=cashier.active)
        return news


def _told(base: store_pb2.StoreNews, status: TillStatus, program: ProgramShelf) -> Told:
    news = store_pb2.StoreNews()
    news.CopyFrom(base)
    news.till_status = store_pb2.TillStatus.ValueType(int(status))
    # Without the signatures: those are new every hour, and a stream that begins brings them.
    digest = hashlib.sha256(program.rules_digest + b"\x00" + news.SerializeToString(deterministic=True))
    news.rule_sets.extend(program.rule_sets)
    return Told(digest.digest(), news)


def _needed(newest: list[StoredRuleSet], *, since: int) -> list[StoredRuleSet]:
    """The versions that were in force since an instant, the current one first, as far as they fit."""
    needed: list[StoredRuleSet] = []
    size = 0
    for one in newest:
        size += len(one.canonical)
        superseded_ms = needed[-1].published_ms if needed else None
        if superseded_ms is not None and (superseded_ms < since or size > RULE_SETS_BYTES_MAX):
            break
        needed.append(one)
    return needed


def _tier_ids(rules: StoredRuleSet) -> list[str]:
    tiers = json.loads(rules.canonical).get("tiers") or {}
    return [str(level["id"]) for level in tiers.get("levels", ())]
