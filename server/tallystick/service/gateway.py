"""The gateway: every use case on one store, bundled for those who serve it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from tallystick.core.ids import Ms
from tallystick.core.record import record
from tallystick.security.key_dir import KeyDir
from tallystick.security.tokens import TokenProfile, access_profile
from tallystick.service.adjustments import Adjustments
from tallystick.service.advices import Advices
from tallystick.service.app_tokens import AppTokens
from tallystick.service.balances import Balances
from tallystick.service.cards import Cards
from tallystick.service.cashiers import Cashiers
from tallystick.service.claim_store import ClaimStore
from tallystick.service.claims import Claims
from tallystick.service.codes import Codes
from tallystick.service.consents import Consents
from tallystick.service.coupons import Coupons
from tallystick.service.directory import Directory
from tallystick.service.enrolment import Enrolment
from tallystick.service.event_store import EventStore
from tallystick.service.exposure import Exposures
from tallystick.service.guesses import Guesses, SharedGuesses
from tallystick.service.household_store import HouseholdStore
from tallystick.service.households import Households
from tallystick.service.identity import Identity
from tallystick.service.inbox import Inbox
from tallystick.service.insight import Insight
from tallystick.service.lane import Lane
from tallystick.service.leases import Leases
from tallystick.service.lookout import Lookout
from tallystick.service.mailer import Mailer
from tallystick.service.member_card import MemberCards
from tallystick.service.member_export import MemberExport
from tallystick.service.members import Members
from tallystick.service.notification_ports import NotificationStore
from tallystick.service.notification_source import NotificationSource
from tallystick.service.notification_turn import Turns
from tallystick.service.notifications import NoticeSettings, Notifications
from tallystick.service.openings import Openings
from tallystick.service.passkeys import Passkeys
from tallystick.service.ports import LedgerReader, LedgerStore
from tallystick.service.programs import Programs
from tallystick.service.public_face import PublicFace
from tallystick.service.reads import AccountReader, ReadPool, ScanReader
from tallystick.service.reckoning import Reckoning
from tallystick.service.redemptions import Redemptions
from tallystick.service.referral_checks import ReferralChecks
from tallystick.service.referral_payout import ReferralPayouts
from tallystick.service.referrals import Referrals
from tallystick.service.review_ports import ReviewStore
from tallystick.service.reviews import Reviews
from tallystick.service.revocations import Revocations
from tallystick.service.rulebook import RuleBook
from tallystick.service.scan_ports import ScanStore
from tallystick.service.segment_ports import BooksSource
from tallystick.service.segments import Segments
from tallystick.service.shared_store import SharedStore
from tallystick.service.sign_in import Door, SignIn
from tallystick.service.sign_in_ports import SignInStore
from tallystick.service.sign_ups import SignUps
from tallystick.service.signed import Signer
from tallystick.service.tokens import Tokens
from tallystick.service.transfer_store import TransferStore
from tallystick.service.transfer_watch import TransferWatch
from tallystick.service.transfers import Transfers
from tallystick.service.wallet_store import WalletStore
from tallystick.service.wallets import Wallets
from tallystick.service.watch import Watch
from tallystick.service.webhooks import Webhooks
from tallystick.service.widget_tokens import WidgetTokens
from tallystick.service.wishes import Wishes
from tallystick.service.yearly import Yearly
from tallystick.v1 import options_pb2

DEFAULT_REGION = "GB"


INSIGHT_ENTRIES_MAX = 50_000
"""Largest ledger that is read while a back office waits: about five seconds."""


def role_name(role: int) -> str:
    """Return a role's name in tokens: that of the contract without its prefix."""
    return options_pb2.Role.Name(options_pb2.Role.ValueType(role)).removeprefix("ROLE_")


class GatewayStore(
    LedgerStore,
    LedgerReader,
    ScanStore,
    Directory,
    WalletStore,
    SignInStore,
    ClaimStore,
    EventStore,
    ReviewStore,
    TransferStore,
    HouseholdStore,
    NotificationStore,
    BooksSource,
    SharedStore,
    Protocol,
):
    """The whole store: what lanes write, what is read beside them, and the directory."""


@record(frozen=True, slots=True)
class Gateway:
    """Everything that handlers call. ``now_ms`` is the server's clock, ``database`` the kind of store for humans."""

    store: GatewayStore
    lane: Lane
    rulebook: RuleBook
    accounts: AccountReader
    scans: ScanReader
    pool: ReadPool
    keys: Callable[[], KeyDir]
    now_ms: Callable[[], Ms]
    database: str
    token_profile: TokenProfile
    balances: Balances
    programs: Programs
    members: Members
    identity: Identity
    codes: Codes
    enrolment: Enrolment
    tokens: Tokens
    revocations: Revocations
    signer: Signer
    advices: Advices
    inbox: Inbox
    leases: Leases
    exposures: Exposures
    cashiers: Cashiers
    cards: Cards
    coupons: Coupons
    redemptions: Redemptions
    openings: Openings
    yearly: Yearly
    guesses: Guesses
    watch: Watch
    wallets: Wallets
    face: PublicFace
    app_tokens: AppTokens
    sign_in: SignIn
    passkeys: Passkeys
    consents: Consents
    referrals: Referrals
    member_cards: MemberCards
    export: MemberExport
    claims: Claims
    widget_tokens: WidgetTokens
    webhooks: Webhooks
    reviews: Reviews
    payouts: ReferralPayouts
    adjustments: Adjustments
    lookout: Lookout
    shared_guesses: SharedGuesses
    transfers: Transfers
    households: Households
    notices: NotificationSource
    turns: Turns
    notifications: Notifications
    wishes: Wishes
    segments: Segments
    insight: Insight
    reckoning: Reckoning

    def close(self) -> None:
        """Finish what was taken and stop; the store stays open, it belongs to whoever opened it."""
        self.lane.close()
        self.accounts.close()
        self.scans.close()
        self.pool.close()


def wall_clock_ms() -> Ms:
    """Return the machine's time."""
    return Ms(time.time_ns() // 1_000_000)


def open_gateway(
    store: GatewayStore,
    *,
    keys: Callable[[], KeyDir],
    issuer: str,
    database: str,
    region: str = DEFAULT_REGION,
    web_origins: tuple[str, ...] = (),
    webhook_private: bool = False,
    now_ms: Callable[[], Ms] = wall_clock_ms,
    on_batch: Callable[[int, float], None] | None = None,
    face: PublicFace = PublicFace(),  # noqa: B008 (frozen)
    mailer: Mailer | None = None,
    notice_settings: NoticeSettings = NoticeSettings(),  # noqa: B008 (frozen)
) -> Gateway:
    """Wire the use cases onto a store.

    ``keys`` answers the key directory as it is now, so that rotated keys come into use. ``issuer`` is the name of the
    installation in tokens, which are made for it and for nobody else. ``region`` (ISO 3166) is for telephone numbers
    of programs whose time zone lies in no one country. ``on_batch`` is told the size and the time of each batch.
    ``face`` is what strangers may know; ``web_origins`` are those whose pages may call the gateway. Without a
    ``mailer`` nobody can sign in by mail. ``webhook_private`` lets webhooks go to addresses that are not public.
    ``notice_settings`` says by which channels members can be told.
    """
    rulebook = RuleBook(store)
    profile = access_profile(issuer=issuer, audience=issuer)
    members = Members(store, masters=lambda: keys().masters(now_ms() // 1000), now_ms=now_ms)
    revocations = Revocations(store, now_ms=now_ms)
    identity = Identity(
        store,
        rulebook,
        members,
        index_key=lambda: keys().blind_index_key,
        scan_key=lambda program_id: keys().scan_key(program_id),
        now_ms=now_ms,
        region=region,
    )
    signer = Signer(keys=keys, now_ms=now_ms)
    pool = ReadPool()
    watch = Watch(store, rulebook, pool, signer, keys=keys, now_ms=now_ms, region=region)

    def batch_done(size: int, took_s: float) -> None:
        watch.wake()
        if on_batch is not None:
            on_batch(size, took_s)

    lane = Lane(store, rulebook, now_ms=now_ms, on_batch=batch_done)
    balances = Balances(store, rulebook)
    ways = notice_settings.ways
    notices = NotificationSource(store, rulebook, balances, ways=ways, now_ms=now_ms)
    codes = Codes(
        store,
        members,
        keys=keys,
        now_ms=now_ms,
        on_revoked=revocations.add_card_device,
        on_another=notices.new_device,
    )
    app_tokens = AppTokens(
        store, keys=keys, now_ms=now_ms, profile=profile, role_name=role_name(options_pb2.ROLE_APP)
    )
    door = Door(store, codes, app_tokens)
    passkeys = Passkeys(store, members, door, face, keys=keys, now_ms=now_ms)
    reviews = Reviews(store, pool, now_ms=now_ms)
    lookout = Lookout(store, rulebook, reviews, pool)
    guesses = Guesses()
    advices = Advices(
        store,
        rulebook,
        SignUps(identity, keys=keys, now_ms=now_ms, on_enrolled=lookout.enrolled),
        signer,
        now_ms=now_ms,
        waiting=lambda: lane.waiting,
    )
    coupons = Coupons(store, rulebook, index_key=lambda: keys().blind_index_key, now_ms=now_ms)
    wishes = Wishes(store, rulebook, balances, now_ms=now_ms)
    consents = Consents(store, members, now_ms=now_ms, on_withdrawn=wishes.consent_withdrawn)
    notifications = Notifications(
        store,
        rulebook,
        members,
        consents,
        settings=notice_settings,
        keys=keys,
        stop_role=options_pb2.ROLE_PUBLIC,
        public_url=face.public_url,
        now_ms=now_ms,
    )
    wallets = Wallets(store, rulebook, balances, now_ms=now_ms, news=notifications.news)
    referrals = Referrals(store, index_key=lambda: keys().blind_index_key, now_ms=now_ms)
    pages_role = role_name(options_pb2.ROLE_WIDGET)
    return Gateway(
        store=store,
        lane=lane,
        rulebook=rulebook,
        accounts=AccountReader(store, rulebook),
        scans=ScanReader(store, rulebook),
        pool=pool,
        keys=keys,
        now_ms=now_ms,
        database=database,
        token_profile=profile,
        balances=balances,
        programs=Programs(store, rulebook, now_ms=now_ms),
        members=members,
        identity=identity,
        codes=codes,
        enrolment=Enrolment(
            store, code_key=lambda: keys().enrolment_key, now_ms=now_ms, on_revoked=revocations.add
        ),
        tokens=Tokens(store, keys=keys, now_ms=now_ms, profile=profile, issuer=issuer, role_name=role_name),
        revocations=revocations,
        signer=signer,
        advices=advices,
        inbox=Inbox(store, advices, now_ms=now_ms),
        leases=Leases(store, signer, now_ms=now_ms),
        exposures=Exposures(store, rulebook, till_role=options_pb2.ROLE_TILL),
        cashiers=Cashiers(store, pin_key=lambda: keys().pin_key, now_ms=now_ms),
        cards=Cards(store, identity, members, index_key=lambda: keys().blind_index_key, now_ms=now_ms),
        coupons=coupons,
        openings=Openings(balances, rulebook, now_ms=now_ms),
        yearly=Yearly(store, rulebook, pool, lane, now_ms=now_ms),
        redemptions=Redemptions(store, rulebook, key=lambda: keys().blind_index_key),
        guesses=guesses,
        watch=watch,
        face=face,
        app_tokens=app_tokens,
        sign_in=SignIn(
            store,
            identity,
            members,
            door,
            keys=keys,
            now_ms=now_ms,
            mailer=mailer,
            note_referral=referrals.note,
        ),
        passkeys=passkeys,
        wallets=wallets,
        notices=notices,
        turns=Turns(store, rulebook, members, ways=ways, now_ms=now_ms),
        notifications=notifications,
        consents=consents,
        referrals=referrals,
        member_cards=MemberCards(
            store,
            rulebook,
            balances,
            members,
            signer,
            referrals,
            coupons,
            till_role=options_pb2.ROLE_TILL,
            public_url=face.public_url,
            now_ms=now_ms,
        ),
        export=MemberExport(
            store,
            rulebook,
            balances,
            members,
            identity,
            codes,
            passkeys,
            consents,
            referrals,
            wallets,
            wishes,
            notifications,
            role_name=role_name,
            now_ms=now_ms,
        ),
        claims=Claims(
            store,
            store,
            balances,
            lane,
            pool,
            code_key=lambda: keys().blind_index_key,
            now_ms=now_ms,
            public_url=face.public_url,
        ),
        widget_tokens=WidgetTokens(
            members, keys=keys, now_ms=now_ms, profile=profile, origins=web_origins, role=pages_role
        ),
        wishes=wishes,
        webhooks=Webhooks(
            store, masters=lambda: keys().masters(now_ms() // 1000), now_ms=now_ms, private=webhook_private
        ),
        reviews=reviews,
        lookout=lookout,
        shared_guesses=SharedGuesses(store, reviews, guesses, now_ms=now_ms),
        adjustments=Adjustments(store, rulebook, reviews, lane, now_ms=now_ms),
        payouts=ReferralPayouts(
            store,
            rulebook,
            ReferralChecks(store, identity, members, reviews),
            reviews,
            pool,
            lane,
            now_ms=now_ms,
        ),
        transfers=Transfers(
            store,
            lane,
            pool,
            now_ms=now_ms,
            watch=TransferWatch(store, reviews, now_ms=now_ms).look,
        ),
        households=Households(store, now_ms=now_ms),
        segments=Segments(store, rulebook, now_ms=now_ms),
        insight=Insight(store, rulebook, entries_max=INSIGHT_ENTRIES_MAX),
        reckoning=Reckoning(store, rulebook, lane, pool, now_ms=now_ms),
    )
