"""Mails by SMTP (RFC 5321): taken at once, delivered beside the calls, and tried again when that helps."""

from __future__ import annotations

import asyncio
import logging
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal

import aiosmtplib

from tallystick.core.record import record
from tallystick.mail.words import message_of

if TYPE_CHECKING:
    from concurrent.futures import Future
    from email.message import EmailMessage

    from tallystick.service.mailer import CodeMail

log = logging.getLogger("tallystick.mail")

WAITING_MAX: Final = 1_000
"""Most mails that wait; one more is dropped, and whoever misses it asks again."""

AT_ONCE_MAX: Final = 4
"""Most connections to the mail server."""

TIMEOUT_S: Final = 20.0
RETRY_AFTER_S: Final = (1.0, 5.0, 20.0, 60.0)
"""Pauses between tries: a code lives for ten minutes, and nobody waits for one that long."""

CLOSING_S: Final = 5.0

_TRANSIENT = range(400, 500)
_NO_LOGIN = 530
_POLICY = "5.7."
"""How servers name what they refuse by their own rules, such as to relay without a login (RFC 3463, 3.8)."""


@record(frozen=True, slots=True, kw_only=True)
class SmtpSettings:
    """Where mails are handed in. ``tls`` is "starttls", "tls" from the first byte on, or "none".

    ``user`` and ``password`` are empty where the server asks for none. ``sender`` is what From says.
    """

    host: str
    port: int
    tls: Literal["starttls", "tls", "none"]
    sender: str
    user: str = ""
    password: str = field(default="", repr=False)
    context: ssl.SSLContext | None = None


class SmtpMailer:
    """Delivers mails on a thread of its own, which the first mail starts. Safe to use from several threads."""

    def __init__(
        self,
        settings: SmtpSettings,
        *,
        waiting_max: int = WAITING_MAX,
        retry_after_s: tuple[float, ...] = RETRY_AFTER_S,
        timeout_s: float = TIMEOUT_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._waiting_max = waiting_max
        self._retry_after_s = retry_after_s
        self._timeout_s = timeout_s
        self._clock = clock
        self._lock = threading.Lock()
        self._places = asyncio.Semaphore(AT_ONCE_MAX)
        self._waiting: set[Future[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closed = False

    def post(self, mail: CodeMail) -> None:
        """Take a mail and return at once; when too many wait, or at the end, it is dropped, and the log says so."""
        with self._lock:
            if self._closed or len(self._waiting) >= self._waiting_max:
                log.error("a mail was dropped", extra={"waiting": len(self._waiting)})
                return
            loop = self._started()
            future = asyncio.run_coroutine_threadsafe(self._deliver(mail), loop)
            self._waiting.add(future)
        future.add_done_callback(self._done)

    def close(self) -> None:
        """Wait a little for what is under way, and stop."""
        with self._lock:
            self._closed = True
            waiting, loop, thread = list(self._waiting), self._loop, self._thread
            self._loop = self._thread = None
        if loop is None or thread is None:
            return
        until = time.monotonic() + CLOSING_S
        for future in waiting:
            try:
                future.result(max(0.0, until - time.monotonic()))
            except Exception:  # noqa: BLE001  what went wrong with a mail is logged where it did
                future.cancel()
        loop.call_soon_threadsafe(loop.stop)
        thread.join(CLOSING_S)

    def _started(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._run, args=(self._loop,), name="mail", daemon=True)
            self._thread.start()
        return self._loop

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
            tasks = asyncio.all_tasks(loop)
            for task in tasks:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            # A connection that was given up is closed a turn later.
            loop.run_until_complete(asyncio.sleep(0))
        finally:
            loop.close()

    def _done(self, future: Future[None]) -> None:
        with self._lock:
            self._waiting.discard(future)

    async def _deliver(self, mail: CodeMail) -> None:
        """Hand a mail in, or log why that is given up; never whose mail it is."""
        for pause_s in (*self._retry_after_s, None):
            why = await self._try(mail)
            if not why:
                return
            late = pause_s is not None and self._clock() + pause_s >= mail.expires_ms / 1000
            if pause_s is None or late or not why.transient:
                log.error("a mail could not be sent", extra={"why": why.text, "again": False})
                return
            log.warning("a mail could not be sent yet", extra={"why": why.text, "again": True})
            await asyncio.sleep(pause_s)

    async def _try(self, mail: CodeMail) -> Failure | None:
        now = datetime.fromtimestamp(self._clock(), UTC)
        message = message_of(mail, sender=self._settings.sender, now=now)
        async with self._places:
            return await hand_in(message, self._settings, timeout_s=self._timeout_s)


@record(frozen=True, slots=True)
class Failure:
    """Why a mail was not taken. ``of_address``: the server takes none for that address, now or later."""

    text: str
    transient: bool
    of_address: bool = False


async def hand_in(message: EmailMessage, settings: SmtpSettings, *, timeout_s: float) -> Failure | None:
    """Hand a mail to the server; None when it has taken it. Raises nothing."""
    try:
        await aiosmtplib.send(
            message,
            hostname=settings.host,
            port=settings.port,
            username=settings.user or None,
            password=settings.password or None,
            use_tls=settings.tls == "tls",
            start_tls=settings.tls == "starttls",
            tls_context=None if settings.tls == "none" else settings.context,
            timeout=timeout_s,
        )
    except Exception as error:  # noqa: BLE001  the next mail must find its way whatever became of this one
        return _failure(error)
    return None


def _failure(error: Exception) -> Failure:
    """Return what went wrong: kinds and numbers only, since servers like to repeat the address in their answers."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        codes = [one.code for one in error.recipients]
        text = f"SMTPRecipientsRefused {' '.join(str(code) for code in codes)}"
        is_transient = all(code in _TRANSIENT for code in codes)
        is_of_server = any(
            one.code == _NO_LOGIN or one.message.startswith(_POLICY) for one in error.recipients
        )
        return Failure(text, is_transient, of_address=not (is_transient or is_of_server))
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return Failure(f"{type(error).__name__} {error.code}", error.code in _TRANSIENT)
    # A certificate that does not fit will not fit in a minute either.
    away = isinstance(error, OSError) and not _is_certificate(error)
    return Failure(type(error).__name__, away)


def _is_certificate(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False
