"""What settings the server has: one frozen record, with the meaning, unit and range of each.

Each setting has one name everywhere: `listen` in the file, `TALLYSTICK_LISTEN` in the environment, `--listen` on
the command line.
"""

from __future__ import annotations

from dataclasses import field, fields
from typing import Any

from tallystick.core.record import record

ENV_PREFIX = "TALLYSTICK_"
WORKERS_MAX = 64


class SettingsRefused(Exception):
    """A setting is unknown, out of range or contradicts another one; the message names it and the mend."""


def _setting(default: Any, text: str, *, low: float | None = None, high: float | None = None) -> Any:
    return field(default=default, metadata={"help": text, "low": low, "high": high})


@record(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of the server; `describe()` lists them with their meaning, unit and range.

    `data_dir`, `database_url` and `key_dir` are resolved by `sources.load`: empty here means beside the others.
    """

    data_dir: str = _setting(
        "",
        "Directory of the SQLite database, the keys and the client profiles. "
        "Default: $XDG_DATA_HOME/tallystick, else ~/.local/share/tallystick.",
    )
    database_url: str = _setting(
        "", "sqlite:///PATH or postgresql://USER:PASSWORD@HOST/DATABASE. Default: tallystick.db in data_dir."
    )
    key_dir: str = _setting("", "Directory of the server's keys. Default: keys in data_dir.")
    issuer: str = _setting(
        "tallystick", "Name of this installation in tokens; every replica has the same, no two installations."
    )
    listen: str = _setting("127.0.0.1:50051", "Address of gRPC, HOST:PORT; port 0 takes a free one.")
    http_listen: str = _setting(
        "127.0.0.1:8080", "Address of Connect (for browsers), HOST:PORT; empty turns it off."
    )
    ops_listen: str = _setting(
        "",
        "Address of /metrics, /healthz and /readyz, HOST:PORT; empty turns it off. Keep it off public networks. "
        "Worker N listens N ports above it.",
    )
    tls_cert: str = _setting(
        "",
        "PEM file of the certificate chain; with tls_key, calls are encrypted. Read again when it changes.",
    )
    tls_key: str = _setting("", "PEM file of the certificate's private key.")
    tls_client_ca: str = _setting(
        "", "PEM file of the authorities whose client certificates are demanded (mTLS); empty demands none."
    )
    workers: int = _setting(1, "Processes that serve; PostgreSQL only beyond 1.", low=1, high=WORKERS_MAX)
    in_flight_max: int = _setting(256, "Calls that one process works on at once.", low=1, high=10_000)
    deadline_max_s: float = _setting(60.0, "Longest deadline of a call, in seconds.", low=1, high=600)
    drain_wait_s: float = _setting(
        5.0,
        "How long after SIGTERM calls are still taken, so that balancers turn away, in seconds.",
        low=0,
        high=600,
    )
    drain_grace_s: float = _setting(
        25.0, "How long calls in flight may then go on, in seconds.", low=0, high=600
    )
    cors_origins: tuple[str, ...] = _setting(
        (), "Web origins that may call from a browser, such as https://card.example.org; separated by commas."
    )
    proxies: tuple[str, ...] = _setting(
        (),
        "Addresses or networks of proxies before http_listen whose X-Forwarded-For is believed; separated by commas.",
    )
    region: str = _setting("GB", "Country (ISO 3166) of telephone numbers that are written without one.")
    public_url: str = _setting(
        "",
        "Where phones reach the HTTP address from outside, such as https://points.example.org; empty: passes in "
        "wallets are not updated.",
    )
    organization: str = _setting("Tallystick", "Who issues passes, as wallets show it.")
    apple_pass_type: str = _setting(
        "",
        "Pass type identifier of Apple Wallet passes, such as pass.org.example.points; empty turns them off.",
    )
    apple_team: str = _setting("", "Team identifier of the Apple developer account, ten characters.")
    apple_cert: str = _setting("", "PEM file of the pass type's certificate.")
    apple_key: str = _setting("", "PEM file of its private key, readable by the server alone.")
    apple_authority: str = _setting("", "PEM file of its issuer's certificate: Apple's WWDR, generation G4.")
    apns_address: str = _setting(
        "api.push.apple.com:443",
        "Address of Apple's push service, HOST:PORT; empty: phones are not told of changes.",
    )
    google_issuer_id: str = _setting(
        "", "Issuer id of the Google Wallet API, digits; empty turns its passes off. Needs public_url."
    )
    google_account: str = _setting("", "JSON key file of the service account that may use it.")
    smtp_host: str = _setting(
        "", "Mail server that mails are handed to; empty: nobody can be sent a code to sign in with."
    )
    smtp_port: int = _setting(587, "Its port: 587 for starttls, 465 for tls.", low=1, high=65_535)
    smtp_tls: str = _setting("starttls", "How the connection is encrypted: starttls, tls, or none.")
    smtp_user: str = _setting("", "Name to log in to the mail server with; empty: without a login.")
    smtp_password: str = _setting("", "Its password. Give it by the environment or a file that few can read.")
    smtp_from: str = _setting("", "Address that mails come from, such as Nordvik <card@example.org>.")
    push_contact: str = _setting(
        "",
        "Whom push services may ask about push messages, such as mailto:card@example.org; empty turns them off.",
    )
    push_private: bool = _setting(
        False, "Whether push messages may go to this machine and to addresses that are not public."
    )
    sms_url: str = _setting(
        "", "Service that takes text messages by a signed POST of JSON; empty: members are sent none."
    )
    sms_secret: str = _setting(
        "",
        "What signs the requests to it: whsec_ and base64 of 24 bytes or more. Give it by the environment or a file "
        "that few can read.",
    )
    webhook_private: bool = _setting(
        False, "Whether webhooks may go to this machine and to addresses that are not public."
    )
    nats_url: str = _setting(
        "",
        "NATS server to which events are published, such as nats://127.0.0.1:4222; empty turns it off. Needs the "
        "extra `nats`.",
    )
    nats_stream: str = _setting("tallystick", "JetStream stream of the events; its subjects begin with it.")
    reflection: bool = _setting(False, "Whether gRPC reflection tells strangers what the services are.")
    log_format: str = _setting("json", "How log lines are written: json or text. Both say the same.")
    log_level: str = _setting("info", "Lowest level that is logged: debug, info, warning or error.")
    log_every: int = _setting(
        100,
        "One in how many calls that went well is logged; failed ones always are; 0 logs none.",
        low=0,
        high=10**6,
    )
    telemetry_endpoint: str = _setting(
        "",
        "OTLP endpoint for sampled OpenTelemetry spans; empty turns them off. Needs the extra `telemetry`.",
    )
    telemetry_ratio: float = _setting(0.01, "Share of the calls that make a span, 0 to 1.", low=0, high=1)


@record(frozen=True, slots=True)
class SettingInfo:
    """One setting for help texts: its names, type, default, range and meaning."""

    name: str
    variable: str
    kind: str
    default: str
    bounds: str
    text: str


def describe() -> list[SettingInfo]:
    """All settings in their order."""
    infos = []
    for each in fields(Settings):
        low, high = each.metadata["low"], each.metadata["high"]
        infos.append(
            SettingInfo(
                each.name,
                ENV_PREFIX + each.name.upper(),
                kind_of(each.default),
                ",".join(each.default) if isinstance(each.default, tuple) else str(each.default),
                "" if low is None else f"{low} to {high}",
                each.metadata["help"],
            )
        )
    return infos


def kind_of(default: object) -> str:
    """What a person writes for a setting that has this default."""
    return {bool: "yes or no", int: "whole number", float: "number", tuple: "list"}.get(type(default), "text")


def default_of(name: str) -> Any:
    """The default of the setting with this name."""
    return next(each.default for each in fields(Settings) if each.name == name)


def split_address(address: str) -> tuple[str, int]:
    """The host and port of HOST:PORT or [IPv6]:PORT; ValueError when it is neither."""
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdecimal() or int(port) > 65_535:
        raise ValueError(f"{address!r} is not HOST:PORT")
    return host.removeprefix("[").removesuffix("]"), int(port)
