"""`serve`, `run`, `migrate` and `settings`: what an operator starts."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tallystick.cli.options import (
    ConfigOption,
    DatabaseOption,
    DataDirOption,
    JsonOption,
    KeyDirOption,
    printer_for,
    settings_from,
)
from tallystick.cli.output import EXIT_USAGE
from tallystick.config.settings import Settings, describe, split_address

if TYPE_CHECKING:
    from tallystick.cli.prepare import Prepared
    from tallystick.rpc.server import Bound

ListenOption = Annotated[
    str | None,
    typer.Option("--listen", metavar="HOST:PORT", help="Address of gRPC; port 0 takes a free one."),
]
HttpListenOption = Annotated[
    str | None,
    typer.Option("--http-listen", metavar="HOST:PORT", help="Address of Connect; empty turns it off."),
]
ReadyFileOption = Annotated[
    Path | None, typer.Option("--ready-file", metavar="FILE", help="Write ports here as JSON once it serves.")
]


def serve(
    listen: ListenOption = None,
    http_listen: HttpListenOption = None,
    ops_listen: Annotated[
        str | None, typer.Option("--ops-listen", metavar="HOST:PORT", help="Address of metrics and probes.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes that serve; PostgreSQL only beyond 1.")
    ] = None,
    tls_cert: Annotated[str | None, typer.Option(metavar="FILE", help="Certificate chain (PEM).")] = None,
    tls_key: Annotated[str | None, typer.Option(metavar="FILE", help="Its private key (PEM).")] = None,
    tls_client_ca: Annotated[
        str | None, typer.Option(metavar="FILE", help="Demand client certificates of these authorities.")
    ] = None,
    log_format: Annotated[str | None, typer.Option(help="json or text.")] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
    ready_file: ReadyFileOption = None,
    database: DatabaseOption = None,
    key_dir: KeyDirOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Serve gRPC and Connect until SIGTERM, then drain.

    The database must be migrated. Every setting can also come from the environment or a file: `tallystick settings`.
    """
    settings = settings_from(
        config,
        data_dir=data_dir,
        database=database,
        key_dir=key_dir,
        listen=listen,
        http_listen=http_listen,
        ops_listen=ops_listen,
        workers=workers,
        tls_cert=tls_cert,
        tls_key=tls_key,
        tls_client_ca=tls_client_ca,
        log_format=log_format,
        log_level=log_level,
    )
    from tallystick.rpc.workers import worker_number

    if settings.workers > 1 and worker_number() is None:
        raise typer.Exit(_serve_with_workers(settings))
    _serve_here(settings, worker=worker_number(), ready_file=ready_file)


def run(
    listen: ListenOption = None,
    http_listen: HttpListenOption = None,
    ready_file: ReadyFileOption = None,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "warning",
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Try it: set up everything that is missing, serve on SQLite, and show a member's card.

    The first start makes database, keys, a demo program, a till for the commands of another shell, and a member.
    """
    settings = settings_from(
        config, data_dir=data_dir, listen=listen, http_listen=http_listen, log_level=log_level
    )
    # On somebody's own machine, what is to be told of events is there too.
    settings = replace(settings, log_format="text", drain_wait_s=0.0, webhook_private=True)
    from tallystick.cli.prepare import migrate_if_needed, prepare
    from tallystick.cli.wiring import configure_logging, opened_gateway, serve_gateway

    configure_logging(settings)
    Path(settings.data_dir).mkdir(mode=0o700, parents=True, exist_ok=True)
    migrate_if_needed(settings.database_url)
    with opened_gateway(settings, demo=True) as (gateway, _, keys):
        prepared = prepare(settings, gateway, server=settings.listen)

        def ready(bound: Bound) -> None:
            served = replace(settings, listen=_with_port(settings.listen, bound.grpc_port))
            if served.listen != settings.listen:
                prepare(settings, gateway, server=served.listen)
            _show_running(served, prepared, bound)
            _write_ready(ready_file, bound)

        serve_gateway(settings, gateway, keys, worker=None, demo=True, on_ready=ready)


def migrate(
    database: DatabaseOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring the schema of the database to this version; does nothing when it is there.

    On PostgreSQL use the role that owns the tables, and serve with another one.
    """
    from tallystick.cli.prepare import migrate_if_needed
    from tallystick.storage.schema import current

    settings = settings_from(config, data_dir=data_dir, database=database)
    migrate_if_needed(settings.database_url)
    revision = current(settings.database_url)
    printer = printer_for(as_json=as_json)
    printer.line(f"The database is at revision {revision}.")
    printer.document({"revision": revision})


def show_settings(
    config: ConfigOption = None, data_dir: DataDirOption = None, as_json: JsonOption = False
) -> None:
    """List every setting with its value now, its variable and its meaning. Passwords are hidden."""
    settings = settings_from(config, data_dir=data_dir)
    values = asdict(settings) | {
        "database_url": _without_password(settings.database_url),
        "smtp_password": "***" if settings.smtp_password else "",
        "sms_secret": "***" if settings.sms_secret else "",
        "nats_url": _without_login(settings.nats_url),
    }
    printer = printer_for(as_json=as_json)
    for info in describe():
        value = values[info.name]
        shown = ",".join(value) if isinstance(value, (list, tuple)) else value
        printer.line(f"{info.name} = {shown!r}")
        bounds = f", {info.bounds}" if info.bounds else ""
        printer.line(f"    {info.variable}; {info.kind}{bounds}")
        printer.line(f"    {info.text}")
    printer.document(values)


def _serve_with_workers(settings: Settings) -> int:
    from tallystick.cli.wiring import configure_logging
    from tallystick.rpc.workers import Workers

    configure_logging(settings)
    # The same command line again: each worker finds in its environment that it is one.
    command = [sys.executable, "-m", "tallystick", *sys.argv[1:]]
    patience_s = settings.drain_wait_s + settings.drain_grace_s + 5.0
    return Workers(command, settings.workers, patience_s=patience_s, hopeless_code=EXIT_USAGE).run()


def _serve_here(settings: Settings, *, worker: int | None, ready_file: Path | None) -> None:
    from tallystick.cli.wiring import configure_logging, opened_gateway, serve_gateway

    configure_logging(settings)
    with opened_gateway(settings) as (gateway, _, keys):
        serve_gateway(
            settings, gateway, keys, worker=worker, on_ready=lambda bound: _write_ready(ready_file, bound)
        )


def _write_ready(ready_file: Path | None, bound: Bound) -> None:
    from tallystick.cli.child import Ready, write_ready_file

    if ready_file is not None:
        write_ready_file(ready_file, Ready(os.getpid(), bound.grpc_port, bound.http_port, bound.ops_port))


def _show_running(settings: Settings, prepared: Prepared, bound: Bound) -> None:
    from tallystick.cli.prepare import DEMO_PROGRAM
    from tallystick.cli.shop import print_qr
    from tallystick.rpc.static_app import ROUTE

    printer = printer_for(as_json=False)
    scheme = "https" if settings.tls_cert else "http"
    printer.line("Tallystick is running. Ctrl+C stops it.")
    table = [("gRPC", settings.listen)]
    if bound.http_port:
        address = f"{scheme}://{_with_port(settings.http_listen, bound.http_port)}"
        # Passkeys belong to names, and an address of this machine is none.
        card_app = address.replace("//127.0.0.1:", "//localhost:")
        table += [("Connect", address), ("card app", f"{card_app}{ROUTE}{DEMO_PROGRAM}/")]
    table += [
        ("data", settings.data_dir),
        ("program", "demo (1 point for each euro, 100 points are 1 euro off)"),
    ]
    printer.table(table)
    printer.line(f"\nThe card of member {prepared.member_number}:\n")
    print_qr(prepared.member_number, printer)
    printer.line("\nSell something from another shell:\n")
    printer.line(f"  {sale_command(settings, prepared.member_number)}")


def sale_command(settings: Settings, member_number: str) -> str:
    """The command that posts a sale, as it must be typed in another shell of this machine."""
    in_venv = sys.prefix != sys.base_prefix and not os.environ.get("VIRTUAL_ENV")
    program = Path(sys.prefix) / "bin" / "tallystick" if in_venv else Path("tallystick")
    if in_venv and program.is_relative_to(Path.cwd()):
        program = program.relative_to(Path.cwd())
    default = settings_from(None).data_dir
    place = "" if settings.data_dir == default else f" --data-dir {settings.data_dir}"
    return f"{program} sale --member {member_number}{place} 12.50"


def _with_port(address: str, port: int) -> str:
    host, _ = split_address(address)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _without_password(url: str) -> str:
    from tallystick.storage.url import parse_url

    parsed = parse_url(url)
    return parsed.url.render_as_string(hide_password=True) if parsed.url is not None else url


def _without_login(url: str) -> str:
    # A name alone may be a token: nats://TOKEN@HOST.
    scheme, slashes, rest = url.partition("://")
    login, at, place = rest.rpartition("@")
    return f"{scheme}{slashes}***@{place}" if at and login else url
