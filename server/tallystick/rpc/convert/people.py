"""Members, their identifiers and personal data as messages of the contract."""

from __future__ import annotations

from collections.abc import Iterable

from tallystick.core.basket import Assurance
from tallystick.core.progress import ChallengeNow
from tallystick.core.state import MemberStatus
from tallystick.rpc.convert.entries import balance_to_pb, worth_to_pb
from tallystick.rpc.convert.scalars import known_ms_to_pb, ms_to_pb
from tallystick.security.identifiers import IdentifierKind
from tallystick.service.balances import BalanceNow
from tallystick.service.directory import IdentifierRow, Member
from tallystick.service.identity import Enrolled, IdentityRefused, identifier_id_of
from tallystick.service.members import Profile
from tallystick.v1 import identity_pb2 as identity
from tallystick.v1 import member_pb2 as pb
from tallystick.v1 import types_pb2 as types

_KIND_NUMBERS = {
    IdentifierKind.NUMBER: identity.IDENTIFIER_KIND_NUMBER,
    IdentifierKind.EAN13: identity.IDENTIFIER_KIND_EAN13,
    IdentifierKind.GSRN: identity.IDENTIFIER_KIND_GSRN,
    IdentifierKind.PHONE: identity.IDENTIFIER_KIND_PHONE,
    IdentifierKind.EMAIL: identity.IDENTIFIER_KIND_EMAIL,
    IdentifierKind.CODE128: identity.IDENTIFIER_KIND_CODE128,
}
_KINDS = {number: kind for kind, number in _KIND_NUMBERS.items()}


def kind_from_pb(kind: int) -> IdentifierKind | None:
    """Return the kind that the caller knows, None when the server is to find out."""
    return _KINDS.get(identity.IdentifierKind.ValueType(kind))


def kind_to_pb(kind: IdentifierKind) -> identity.IdentifierKind.ValueType:
    """Return a kind."""
    return _KIND_NUMBERS[kind]


def member_to_pb(member: Member) -> pb.Member:
    """Return a member; an erased one has no number any more."""
    return pb.Member(
        member_id=member.member_id,
        status=pb.MemberStatus.ValueType(int(member.status)),
        number="" if member.status is MemberStatus.ERASED else member.number,
        enrolled_at=ms_to_pb(member.enrolled_ms),
        channel=types.Channel.ValueType(member.channel),
        store_id=member.store_id,
    )


def profile_to_pb(profile: Profile) -> pb.Profile:
    """Return a member's personal data."""
    return pb.Profile(
        given_name=profile.given_name,
        family_name=profile.family_name,
        email=profile.email,
        phone=profile.phone,
        birthday=profile.birthday,
        language=profile.language,
        updated_at=known_ms_to_pb(profile.updated_ms),
    )


def identifier_to_pb(row: IdentifierRow) -> identity.Identifier:
    """Return an identifier, masked."""
    return identity.Identifier(
        identifier_id=identifier_id_of(row),
        kind=_KIND_NUMBERS[IdentifierKind(row.kind)],
        masked=row.hint,
        added_at=ms_to_pb(row.added_ms),
    )


def enrolled_to_pb(enrolled: Enrolled) -> identity.Enrolled:
    """Return a member that was made."""
    return identity.Enrolled(
        member=member_to_pb(enrolled.member),
        identifiers=[identifier_to_pb(row) for row in enrolled.identifiers],
        replayed=enrolled.replayed,
    )


def not_identified_to_pb(refused: IdentityRefused) -> identity.NotIdentified:
    """Return why a scan leads to no member."""
    return identity.NotIdentified(
        reason=identity.IdentityRefusalReason.ValueType(int(refused.reason)), message=refused.message
    )


def identifier_refused_to_pb(refused: IdentityRefused) -> identity.IdentifierRefused:
    """Return why a text became no identifier."""
    return identity.IdentifierRefused(
        reason=identity.IdentityRefusalReason.ValueType(int(refused.reason)), message=refused.message
    )


def challenge_ahead_to_pb(one: ChallengeNow) -> identity.ChallengeAhead:
    """Return a challenge that is nearly met."""
    challenge = one.challenge
    return identity.ChallengeAhead(
        challenge_id=challenge.challenge_id,
        name=challenge.name,
        counts=challenge.counts.value,
        left=one.left,
        last_day=one.last_day.isoformat() if one.last_day else "",
    )


def identification_to_pb(
    member_id: str,
    status: MemberStatus,
    assurance: Assurance,
    balance: BalanceNow,
    ahead: Iterable[ChallengeNow],
    *,
    display_name: str,
    presented_by: str,
) -> identity.Identification:
    """Return the member that a scan belongs to, or the household of whoever presented it."""
    return identity.Identification(
        member_id=member_id,
        assurance=types.Assurance.ValueType(int(assurance) + 1),
        tier_id=balance.tier_id,
        balance=balance_to_pb(balance),
        display_name=display_name,
        status=pb.MemberStatus.ValueType(int(status)),
        active_worth=worth_to_pb(balance),
        presented_by="" if presented_by == member_id else presented_by,
        challenges=[challenge_ahead_to_pb(one) for one in ahead],
    )
