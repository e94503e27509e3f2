"""What makes a person look at a recommendation before it is paid: the same person again, chains and bursts."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta

from tallystick.core.basket import Channel
from tallystick.core.ids import MemberId, ProgramId
from tallystick.core.lots import local_day, midnight_ms
from tallystick.core.rules.model import RuleSet
from tallystick.core.rules.referral import Referring
from tallystick.security.errors import SealBroken
from tallystick.service.directory import Directory
from tallystick.service.errors import NotFound
from tallystick.service.identity import Identity, IdentityRefused, Text
from tallystick.service.members import NO_PROFILE, Members, Profile
from tallystick.service.referral_ports import Referral
from tallystick.service.review_ports import Review
from tallystick.service.reviews import Reviews

SAME_PERSON, CHAIN, BURST = "same_person", "chain", "burst"
DAY_MS = 86_400_000
DOTLESS = frozenset({"gmail.com", "googlemail.com"})
"""Mail services that deliver alike with and without dots in the name."""

log = logging.getLogger(__name__)


class ReferralChecks:
    """Looks at who recommended whom. What it compares is opened for that and kept nowhere."""

    def __init__(self, directory: Directory, identity: Identity, members: Members, reviews: Reviews) -> None:
        self._directory = directory
        self._identity = identity
        self._members = members
        self._reviews = reviews

    def held(
        self, program_id: ProgramId, referral: Referral, plan: Referring, rules: RuleSet
    ) -> Review | None:
        """Return the review behind which a recommendation waits, None when nothing speaks against it.

        The same one is answered again, decided or not.
        """
        facts = self._found(program_id, referral, plan, rules)
        if facts is None:
            return None
        return self._reviews.add(
            program_id, "referral", referral.member_id, facts, "", other_id=referral.referrer_id, holds=True
        )

    def _found(
        self, program_id: ProgramId, referral: Referral, plan: Referring, rules: RuleSet
    ) -> Mapping[str, object] | None:
        by = self._same(program_id, referral)
        if by:
            return {"reason": SAME_PERSON, "by": by}
        above = self._directory.referral(program_id, referral.referrer_id)
        if above is not None and referral.noted_ms - above.noted_ms < DAY_MS:
            return {"reason": CHAIN, "hours": (referral.noted_ms - above.noted_ms) // 3_600_000}
        count = self._that_day(program_id, referral, rules)
        if plan.burst_per_day and count > plan.burst_per_day:
            return {"reason": BURST, "joined_that_day": count, "burst_per_day": plan.burst_per_day}
        return None

    def _same(self, program_id: ProgramId, referral: Referral) -> str:
        """Return by what the joiner looks like somebody who is a member already; empty when nothing does.

        "mailbox", "phone" and "device" are the referrer's, "identifier" is an address or number of any member.
        """
        one = self._profile(program_id, referral.member_id)
        other = self._profile(program_id, referral.referrer_id)
        if one.email and mailbox(one.email) == mailbox(other.email):
            return "mailbox"
        if one.phone and _digits(one.phone) == _digits(other.phone):
            return "phone"
        devices = [
            {device.kid for device in self._directory.card_devices(program_id, member_id)}
            for member_id in (referral.member_id, referral.referrer_id)
        ]
        if devices[0] & devices[1]:
            return "device"
        texts = filter(None, (one.email, one.phone))
        return "identifier" if any(self._is_of_another(program_id, referral, text) for text in texts) else ""

    def _is_of_another(self, program_id: ProgramId, referral: Referral, text: str) -> bool:
        """Return whether another member is found by an address or a number that the joiner has given."""
        scan = self._identity.read(program_id, Text(text, plain=True), channel=Channel.UNKNOWN)
        if isinstance(scan, IdentityRefused):
            return False
        owners = self._directory.find(program_id, [(scan.kind, scan.token)])
        return any(row.member_id != referral.member_id for row in owners)

    def _that_day(self, program_id: ProgramId, referral: Referral, rules: RuleSet) -> int:
        """Return how many the referrer brought on the same local day."""
        day = local_day(referral.noted_ms, rules.zone)
        since, until = (midnight_ms(one, rules.zone) for one in (day, day + timedelta(days=1)))
        return self._directory.count_referrals(program_id, referral.referrer_id, since=since, until=until)

    def _profile(self, program_id: ProgramId, member_id: MemberId) -> Profile:
        """Return what can be compared; a damaged record holds nobody's points back."""
        try:
            return self._members.profile(program_id, member_id)
        except NotFound:
            return NO_PROFILE
        except SealBroken:
            log.exception("personal data does not open", extra={"program_id": program_id})
            return NO_PROFILE


def mailbox(address: str) -> str:
    """Return where mail to an address arrives: capitals, and what follows a plus sign, do not matter."""
    name, _, domain = address.strip().casefold().rpartition("@")
    name = name.partition("+")[0]
    return f"{name.replace('.', '') if domain in DOTLESS else name}@{domain}"


def _digits(phone: str) -> str:
    """Return the end of a number, which country codes and leading zeros leave alone."""
    return "".join(digit for digit in phone if digit.isdigit())[-9:]
