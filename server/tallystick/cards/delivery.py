"""Tells wallets of changes: follows the journals for passes, and delivers at least once, in order for each pass."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence

from tallystick.cards.google import GooglePasses
from tallystick.cards.google_api import GoogleAway, GoogleRefused
from tallystick.cards.pushes import Became, Push, PushUnavailable
from tallystick.core.ids import Ms, ProgramId
from tallystick.core.state import MemberStatus
from tallystick.service.errors import TallystickError
from tallystick.service.outliving import outliving
from tallystick.service.wallet_store import Registration, Wallet, WalletPass
from tallystick.service.wallets import PassStore, Wallets

EVERY_S = 2.0
ROUNDS_MAX = 20
RETRY_FIRST_MS = 2_000
RETRY_MAX_MS = 3_600_000
PROGRAMS_PAGE = 500

log = logging.getLogger("tallystick.wallet")


class Delivery:
    """One process's share of the work. ``step`` is for one thread at a time; ``start`` gives it one.

    Without ``apple`` no phone is told, and sees changes when it asks by itself; without ``google`` its passes wait.
    """

    def __init__(
        self,
        store: PassStore,
        wallets: Wallets,
        *,
        apple: Push | None,
        google: GooglePasses | None = None,
        now_ms: Callable[[], Ms],
    ) -> None:
        self._store = store
        self._wallets = wallets
        self._apple = apple
        self._google = google
        self._now_ms = now_ms
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        # Found to be away in this step: each attempt may take as long as a timeout.
        self._away: set[Wallet] = set()

    def start(self) -> None:
        """Deliver on a thread of its own until ``close``."""
        self._thread = threading.Thread(target=self._run, name="wallets", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Finish the delivery that is under way and stop."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join()

    def step(self) -> int:
        """Follow the journals of all programs and tell the wallets that are due; return how many were told.

        A program or a pass in which it fails keeps no other one waiting.
        """
        told = 0
        self._away.clear()
        for program_id in self._programs():
            if self._ending.is_set():
                break
            with outliving(log, "a program was left out", program_id=program_id):
                told += self._see_to(program_id)
        return told

    def _see_to(self, program_id: ProgramId) -> int:
        rounds = told = 0
        while rounds < ROUNDS_MAX and self._wallets.follow(program_id):
            rounds += 1
        for found in self._wallets.due(program_id):
            if self._ending.is_set():
                # What was taken is taken by another process when its time has run out.
                break
            try:
                if found.wallet in self._away:
                    self._later(program_id, found)
                else:
                    told += self._tell(program_id, found)
            except Exception:
                # Else the next step would meet it first again.
                log.exception("a pass waits", extra={"program_id": program_id})
                self._later(program_id, found)
        return told

    def _run(self) -> None:
        while not self._ending.wait(EVERY_S):
            try:
                self.step()
            except TallystickError as error:
                log.warning("wallets could not be told", extra={"reason": error.reason})
            except Exception:
                # The thread must outlive whatever it meets: nobody else tells wallets of this process.
                log.exception("wallets could not be told")

    def _programs(self) -> Iterable[ProgramId]:
        after = ""
        while page := self._store.programs(after=after, limit=PROGRAMS_PAGE):
            after = page[-1].program_id
            yield from (program.program_id for program in page)

    def _tell(self, program_id: ProgramId, found: WalletPass) -> bool:
        """Tell the wallet of one pass; False when that has to be done again."""
        if found.wallet is Wallet.GOOGLE:
            return self._tell_google(program_id, found)
        registrations = self._store.registrations(program_id, found.serial)
        if not self._tell_phones(program_id, registrations):
            self._later(program_id, found)
            return False
        self._store.note_delivered(program_id, found.serial, tag=found.tag, told_day=0, told=0)
        member = self._store.member(program_id, found.member_id)
        if member is None or member.status is MemberStatus.ERASED:
            # Told once that their card has ended, phones are forgotten with the person who held them.
            self._store.forget_devices(program_id, found.serial)
        return True

    def _tell_google(self, program_id: ProgramId, found: WalletPass) -> bool:
        if self._google is None:
            log.warning("a pass in Google Wallet waits: google_issuer_id is not set")
            self._later(program_id, found)
            return False
        try:
            told_day, told = self._google.update(program_id, found)
        except GoogleAway as error:
            log.warning("Google Wallet is away", extra={"why": str(error)})
            self._away.add(Wallet.GOOGLE)
        except GoogleRefused as error:
            log.error("Google Wallet refuses", extra={"reason": str(error)})  # noqa: TRY400 - the reason is all
        else:
            self._store.note_delivered(program_id, found.serial, tag=found.tag, told_day=told_day, told=told)
            return True
        self._later(program_id, found)
        return False

    def _tell_phones(self, program_id: ProgramId, registrations: Sequence[Registration]) -> bool:
        if self._apple is None or not registrations:
            return True
        try:
            answers = self._apple.push([one.push_token for one in registrations])
        except PushUnavailable as error:
            log.warning("the push service is away", extra={"why": str(error)})
            self._away.add(Wallet.APPLE)
            return False
        for one in answers:
            if one.became is Became.GONE:
                until = one.gone_ms or self._now_ms()
                self._store.forget_push_token(program_id, one.push_token, until=until)
            elif one.became is Became.REFUSED:
                log.error("the push service refuses", extra={"reason": one.reason})
        waiting = [one for one in answers if one.became is Became.LATER]
        if waiting:
            log.warning(
                "phones will be told later", extra={"phones": len(waiting), "reason": waiting[0].reason}
            )
        return all(one.became in (Became.SENT, Became.GONE) for one in answers)

    def _later(self, program_id: ProgramId, found: WalletPass) -> None:
        wait_ms = min(RETRY_MAX_MS, RETRY_FIRST_MS << min(found.tries, 20))
        self._store.note_failed(program_id, found.serial, retry_at=Ms(self._now_ms() + wait_ms))
