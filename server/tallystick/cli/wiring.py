"""The one place where the parts become a server: store, keys, gateway, pipeline, transports."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tallystick.cli.output import CommandFailed
from tallystick.config.settings import Settings, split_address
from tallystick.core.ids import Ms
from tallystick.security.errors import KeyDirRefused
from tallystick.security.key_dir import RELOAD_EVERY_S, KeyDir, create_key_dir, load_key_dir
from tallystick.service.errors import TallystickError
from tallystick.storage.open import Store, open_store

if TYPE_CHECKING:
    from tallystick.cli.wallets import WalletParts
    from tallystick.rpc.connect_server import Mount
    from tallystick.rpc.server import Bound, ServerSettings
    from tallystick.rpc.tracing import Tracing
    from tallystick.security.keys import VerifyKey
    from tallystick.service.gateway import Gateway
    from tallystick.service.rounds import Round

log = logging.getLogger("tallystick.server")


class Keys:
    """The key directory as it was last read; `reload` takes up rotated keys and keeps the old ones on a fault."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._current = load_key_dir(path, now_s=int(time.time()))

    def __call__(self) -> KeyDir:
        return self._current

    def reload(self) -> None:
        """Read the directory again."""
        try:
            self._current = load_key_dir(self._path, now_s=int(time.time()))
        except KeyDirRefused as refused:
            log.warning(
                "the key directory cannot be read; going on with the keys at hand",
                extra={"why": str(refused)},
            )


def configure_logging(settings: Settings) -> None:
    """Log lines to standard error, as JSON or for people."""
    from tallystick.rpc.access_log import JsonFormatter, TextFormatter

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if settings.log_format == "json" else TextFormatter())
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)


def is_new(store: Store) -> bool:
    """Whether the database holds no program yet."""
    return not store.programs(after="", limit=1)


def open_keys(settings: Settings, store: Store) -> Keys:
    """The server's keys; made on the first start, and only then.

    New keys beside an old database would find no member and open no personal data: that is refused.
    """
    path = Path(settings.key_dir)
    if not path.exists() or not any(path.iterdir()):
        if not is_new(store):
            raise CommandFailed(
                f"the database holds programs, but there are no keys in {path}",
                mend="restore the key directory from its copy, or name it with --key-dir or TALLYSTICK_KEY_DIR; "
                "if no server has ever run on this database, run `tallystick keys create`",
            )
        create_key_dir(path, now_s=int(time.time()))
    return Keys(path)


@contextlib.contextmanager
def opened_gateway(settings: Settings, *, demo: bool = False) -> Iterator[tuple[Gateway, Store, Keys]]:
    """The use cases on the database of the settings, closed at the end. In a ``demo`` mails are shown, not sent."""
    from tallystick.cli.mail import open_mailer, public_face
    from tallystick.cli.notice_wiring import notice_settings
    from tallystick.service.gateway import open_gateway
    from tallystick.storage.url import parse_url

    backend = parse_url(settings.database_url).backend
    store = open_store(settings.database_url)
    try:
        _require_bound_role(store)
        keys = open_keys(settings, store)
        mailer = open_mailer(settings, demo=demo)
        gateway = open_gateway(
            store,
            keys=keys,
            issuer=settings.issuer,
            database=backend,
            region=settings.region,
            face=public_face(settings, demo=demo),
            mailer=mailer,
            web_origins=settings.cors_origins,
            webhook_private=settings.webhook_private,
            notice_settings=notice_settings(settings, demo=demo),
        )
        try:
            yield gateway, store, keys
        finally:
            gateway.close()
            if mailer is not None:
                mailer.close()
    finally:
        store.close()


def serve_gateway(
    settings: Settings,
    gateway: Gateway,
    keys: Keys,
    *,
    worker: int | None,
    demo: bool = False,
    on_ready: Callable[[Bound], None] | None = None,
) -> None:
    """Serve until a signal, then drain; call it once in a process, and nothing of grpc before it.

    In a ``demo`` passes in wallets are signed by an authority of our own when there are no certificates.
    """
    import uvloop

    from tallystick.cli.event_wiring import open_deliveries
    from tallystick.cli.notice_wiring import open_notices
    from tallystick.cli.wallets import open_wallets
    from tallystick.service.runtime import tune_interpreter

    async def run() -> None:
        from tallystick.rpc.access_log import LogSettings
        from tallystick.rpc.auth import Authenticator
        from tallystick.rpc.handlers.services import services
        from tallystick.rpc.limits import Limits
        from tallystick.rpc.pipeline import Pipeline
        from tallystick.rpc.server import serve
        from tallystick.service.parked import keep_posting
        from tallystick.service.rounds import keep_rounds

        def verify_keys(now_s: int) -> Mapping[str, VerifyKey]:
            return keys().signing.verify_keys(now_s)

        gateway.revocations.refresh()
        pipeline = Pipeline(
            services(
                gateway,
                passes=None if wallets is None else wallets.maker,
                carriers=notices.carriers,
            ),
            authenticator=Authenticator(
                profile=gateway.token_profile,
                keys=verify_keys,
                is_revoked=gateway.revocations.is_revoked,
            ),
            limits=Limits(in_flight_max=settings.in_flight_max, deadline_max_s=settings.deadline_max_s),
            log=LogSettings(every=settings.log_every, key=keys().log_key),
            tracing=_tracing(settings),
        )
        pipeline.metrics.gauge(
            "tallystick_lane_waiting", "Commands that wait for a batch", lambda: gateway.lane.waiting
        )
        housekeeping = [
            asyncio.create_task(_keep_fresh(gateway, keys)),
            asyncio.create_task(keep_posting(gateway.inbox, gateway.pool, gateway.lane)),
            asyncio.create_task(keep_rounds(rounds_of(gateway), gateway.store, gateway.pool)),
        ]
        tune_interpreter()
        if wallets is not None:
            wallets.delivery.start()
        deliveries.start()
        notices.notifying.start()
        try:
            await serve(_server_settings(settings, worker), pipeline, mounts=pages, on_ready=on_ready)
        finally:
            deliveries.close()
            notices.notifying.close()
            if wallets is not None:
                wallets.delivery.close()
            for task in housekeeping:
                task.cancel()

    wallets = open_wallets(settings, gateway, demo=demo)
    pages = _pages(gateway, wallets) if settings.http_listen else {}
    deliveries = open_deliveries(settings, gateway)
    notices = open_notices(settings, gateway, demo=demo)
    uvloop.run(run())


def _pages(gateway: Gateway, wallets: WalletParts | None) -> dict[str, Mount]:
    """Return what lies under paths of its own over HTTP; a gateway without that door loads none of it."""
    from tallystick.rpc.notice_pages import NoticePages
    from tallystick.rpc.widget_app import WIDGET_ROUTE, WidgetApp
    from tallystick.service.notifications import STOP_ROUTE

    pages: dict[str, Mount] = {**_card_app(gateway), WIDGET_ROUTE: WidgetApp()}
    pages[STOP_ROUTE] = NoticePages(gateway.notifications, gateway.pool)
    return pages if wallets is None else pages | wallets.mounts


def _card_app(gateway: Gateway) -> dict[str, Mount]:
    """Return the card app under its path."""
    from tallystick.rpc.static_app import BUILT, ROUTE, BadBuild, CardApp, read_app
    from tallystick.service.sign_in import program_of

    try:
        files = read_app(BUILT)
    except BadBuild as error:
        raise CommandFailed(str(error), mend="python -m tools.web build --force") from error
    return {ROUTE: CardApp(files, title_of=lambda name: gateway.pool.run(program_of, gateway.store, name))}


def rounds_of(gateway: Gateway) -> list[Round]:
    """Return the work that comes round by itself while a process serves."""
    from tallystick.service.lookout import lookout_round
    from tallystick.service.reckoning import reckoning_round
    from tallystick.service.referral_payout import referral_round
    from tallystick.service.reminder_events import ReminderEvents
    from tallystick.service.reminders import ReminderSink
    from tallystick.service.reviews import review_round
    from tallystick.service.rounds import ahead_round, expiry_round, reminder_round
    from tallystick.service.segments import segment_round
    from tallystick.service.sharing_rounds import sharing_round
    from tallystick.service.yearly import yearly_round

    sinks: list[ReminderSink] = [ReminderEvents(gateway.store, now_ms=gateway.now_ms), gateway.notices]
    return [
        expiry_round(gateway.store, gateway.pool, gateway.lane, now_ms=gateway.now_ms),
        reminder_round(gateway.wishes, sinks, gateway.pool),
        review_round(gateway.reviews),
        referral_round(gateway.payouts),
        lookout_round(gateway.lookout),
        sharing_round(gateway.transfers),
        segment_round(gateway.segments, gateway.pool),
        yearly_round(gateway.yearly),
        reckoning_round(gateway.reckoning, gateway.pool),
        ahead_round(gateway.notices, gateway.pool),
    ]


async def _keep_fresh(gateway: Gateway, keys: Keys) -> None:
    """Take up revocations of other replicas and rotated keys while the process serves."""
    from tallystick.service.revocations import REFRESH_S

    keys_read_at = time.monotonic()
    while True:
        await asyncio.sleep(REFRESH_S)
        await _could_read(gateway, gateway.revocations.refresh)
        if time.monotonic() - keys_read_at >= RELOAD_EVERY_S and await _could_read(gateway, keys.reload):
            keys_read_at = time.monotonic()


async def _could_read(gateway: Gateway, read: Callable[[], None]) -> bool:
    """Read revocations or keys anew; on a fault those at hand stay."""
    try:
        await gateway.pool.run(read)
    except TallystickError as error:
        log.warning("revoked devices or keys could not be read", extra={"reason": error.reason})
    except Exception:
        # Nobody begins to read them again before the process does.
        log.exception("revoked devices or keys could not be read")
    else:
        return True
    return False


def _server_settings(settings: Settings, worker: int | None) -> ServerSettings:
    from tallystick.rpc.grpc_server import GrpcSettings
    from tallystick.rpc.server import ServerSettings
    from tallystick.rpc.tls import TlsFiles

    tls = http_tls = None
    if settings.tls_cert:
        certificate, key = Path(settings.tls_cert), Path(settings.tls_key)
        client_ca = Path(settings.tls_client_ca) if settings.tls_client_ca else None
        tls = TlsFiles(certificate=certificate, key=key, client_ca=client_ca)
        http_tls = TlsFiles(certificate=certificate, key=key)
    ops = settings.ops_listen
    if ops and worker is not None:
        host, port = split_address(ops)
        ops = f"{f'[{host}]' if ':' in host else host}:{port + worker}"
    return ServerSettings(
        grpc=GrpcSettings(
            address=settings.listen, reuse_port=worker is not None, reflection=settings.reflection
        ),
        http_address=settings.http_listen,
        ops_address=ops,
        origins=settings.cors_origins,
        proxies=settings.proxies,
        tls=tls,
        http_tls=http_tls,
        drain_wait_s=settings.drain_wait_s,
        drain_grace_s=settings.drain_grace_s,
    )


def _tracing(settings: Settings) -> Tracing | None:
    if not settings.telemetry_endpoint:
        return None
    import importlib

    from tallystick.rpc.tracing import Tracing

    try:
        sdk = importlib.import_module("opentelemetry.sdk.trace")
        export = importlib.import_module("opentelemetry.sdk.trace.export")
        resources = importlib.import_module("opentelemetry.sdk.resources")
        otlp: Any = importlib.import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    except ImportError as error:
        raise CommandFailed(
            f"telemetry_endpoint is set, but {error.name} is not installed",
            mend="pip install 'tallystick[telemetry]' opentelemetry-exporter-otlp-proto-http",
        ) from error
    provider = sdk.TracerProvider(resource=resources.Resource.create({"service.name": "tallystick"}))
    exporter = otlp.OTLPSpanExporter(endpoint=settings.telemetry_endpoint)
    provider.add_span_processor(export.BatchSpanProcessor(exporter))
    return Tracing(provider, ratio=settings.telemetry_ratio)


def _require_bound_role(store: Store) -> None:
    bypasses: Callable[[], bool] | None = getattr(store, "bypasses_row_security", None)
    if bypasses is not None and bypasses():
        raise CommandFailed(
            "the database role sees the rows of all programs: row level security does not bind it",
            mend="serve with the role tallystick_app; superusers migrate and verify",
        )


def now_ms() -> Ms:
    """The machine's time."""
    return Ms(time.time_ns() // 1_000_000)
