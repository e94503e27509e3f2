"""What the gateway told this store and signed: rule sets, public keys, the keys of tags, cashiers.

It is kept as it came, and read anew at every start.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache

from google.protobuf.message import DecodeError

from tallystick.core.rules.model import RuleSet
from tallystick.core.rules.parse import parse_rules
from tallystick.security.envelope import RULES, body_holds
from tallystick.security.errors import KeyRefused
from tallystick.security.keys import VerifyKey, verify_key_from_jwk
from tallystick.security.scan_tags import KEY_BYTES, StoreTag, scan_tag, store_tag
from tallystick.v1 import advice_pb2 as pb
from tallystick.v1 import store_pb2
from tallystick_till.db import TillDb

_KEY = "store_news"
DEFAULT_REGION = "SE"
RULE_SETS_MAX = 50
RULE_SETS_KEPT_MAX = 200


class Rulebook:
    """The store's news, verified. ``server_keys`` and ``till_keys`` are by key id and by till id.

    ``former_keys`` are those of tills that were shut out: they count for receipts only, see ``receipt_key``.
    """

    def __init__(self, db: TillDb, *, program_id: str) -> None:
        self._db = db
        self._program_id = program_id
        self.news = store_pb2.StoreNews()
        self.server_keys: Mapping[str, VerifyKey] = {}
        self.till_keys: Mapping[str, VerifyKey] = {}
        self.former_keys: Mapping[str, VerifyKey] = {}
        self.current: RuleSet | None = None
        self.valid_until_ms = 0
        raw = db.get(_KEY)
        if raw:
            self.news.ParseFromString(raw)
        self._read()

    def take(self, news: store_pb2.StoreNews) -> list[str]:
        """Keep the news and go by them. Returns what was left out because it did not hold, for the log."""
        keys = _keys([(key, "") for key in news.server_keys])
        grants, left_out = self._grants(news, {key.kid: key for key in keys})
        with self._db.write() as tx:
            self._db.put(_KEY, news.SerializeToString(deterministic=True))
            if any(grant.current for grant in grants):
                tx.execute("UPDATE rules SET current = 0")
            tx.executemany(
                "INSERT OR REPLACE INTO rules VALUES (?, ?, ?, ?, ?)",
                [
                    (
                        grant.version,
                        hashlib.sha256(grant.canonical.encode()).hexdigest(),
                        grant.canonical,
                        grant.current,
                        grant.valid_until_ms,
                    )
                    for grant in grants
                ],
            )
            tx.execute(
                "DELETE FROM rules WHERE current = 0 AND version NOT IN"
                " (SELECT version FROM rules ORDER BY version DESC LIMIT ?)",
                (RULE_SETS_KEPT_MAX,),
            )
        self.news = news
        self._read()
        return left_out

    def _grants(
        self, news: store_pb2.StoreNews, keys: Mapping[str, VerifyKey]
    ) -> tuple[list[pb.RuleSetGrant], list[str]]:
        grants, left_out = [], []
        for signed in news.rule_sets[:RULE_SETS_MAX]:
            if not body_holds(keys, RULES, signed.body, key_id=signed.key_id, signature=signed.signature):
                left_out.append("a rule set whose signature does not hold")
                continue
            try:
                grant = pb.RuleSetGrant.FromString(signed.body)
            except DecodeError:
                left_out.append("a rule set that cannot be read")
                continue
            if grant.program_id != self._program_id:
                left_out.append("a rule set of another program")
            elif not isinstance(_parsed(grant.version, grant.canonical), RuleSet):
                left_out.append(
                    f"rule set {grant.version}, which this version of the till does not understand"
                )
            else:
                grants.append(grant)
        return grants, left_out

    def _read(self) -> None:
        self.server_keys = {key.kid: key for key in _keys([(key, "") for key in self.news.server_keys])}
        tills = [(till.public_jwk, till.till_id) for till in self.news.tills]
        self.till_keys = {key.owner_id: key for key in _keys(tills)}
        former = [(till.public_jwk, till.till_id) for till in self.news.former_tills]
        self.former_keys = {key.owner_id: key for key in _keys(former)}
        row = self._db.one(
            "SELECT version, canonical, valid_until_ms FROM rules WHERE current = 1 ORDER BY version DESC"
        )
        parsed = _parsed(row[0], row[1]) if row else None
        self.current = parsed if isinstance(parsed, RuleSet) else None
        self.valid_until_ms = int(row[2]) if row else 0

    def version(self, version: int) -> RuleSet | None:
        """Return a rule set by its number, None when this till does not have it."""
        row = self._db.one("SELECT canonical FROM rules WHERE version = ?", version)
        parsed = _parsed(version, row[0]) if row else None
        return parsed if isinstance(parsed, RuleSet) else None

    def receipt_key(self, till_id: str, printed_ms: int) -> VerifyKey | None:
        """Return the key by which a receipt is checked: that of a till of the store, or of one shut out after it."""
        for till in self.news.former_tills:
            if till.till_id == till_id and printed_ms < till.revoked_ms:
                return self.former_keys.get(till_id)
        return self.till_keys.get(till_id)

    @property
    def region(self) -> str:
        """The country by which telephone numbers are read."""
        return self.news.region or DEFAULT_REGION

    def tag(self, kind: str, value: str) -> StoreTag | None:
        """Return the store's tag of a normalised identifier; None before the gateway has given the keys."""
        if len(self.news.scan_key) != KEY_BYTES or len(self.news.store_key) != KEY_BYTES:
            return None
        return store_tag(self.news.store_key, scan_tag(self.news.scan_key, kind=kind, value=value))

    def tier_id(self, number: int) -> str:
        """Return the id of a tier by its number in the news; empty for none."""
        return self.news.tiers[number - 1] if 0 < number <= len(self.news.tiers) else ""


@lru_cache(maxsize=8)
def _parsed(version: int, canonical: str) -> RuleSet | None:
    """Return the rule set as the gateway reads it; None when this program does not understand it."""
    try:
        document = json.loads(canonical)
    except ValueError:
        return None
    sha256 = hashlib.sha256(canonical.encode()).hexdigest()
    found = parse_rules(document, version=version, sha256=sha256, published=True)
    return found if isinstance(found, RuleSet) else None


def _keys(jwks: list[tuple[str, str]]) -> list[VerifyKey]:
    """Return the keys that can be read; one that cannot verifies nothing, which is what it is worth."""
    keys = []
    for text, owner_id in jwks:
        try:
            jwk = json.loads(text)
            if isinstance(jwk, dict):
                keys.append(verify_key_from_jwk(jwk, owner_id=owner_id))
        except (ValueError, KeyRefused):
            continue
    return keys
