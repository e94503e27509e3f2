"""`export`, `recover` and `reset`: what a till holds, taken out, handed in, given up."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tallystick_till.cli.options import DirOption, JsonOption, directory_of
from tallystick_till.cli.output import EXIT_ATTENTION, EXIT_FAILED, EXIT_USAGE, CommandFailed, Printer
from tallystick_till.config import (
    CA_FILE,
    CONFIG_FILE,
    DB_FILE,
    KEY_FILE,
    SNAPSHOT_DIR,
    ConfigRefused,
    load_config,
    load_key,
    write_private,
)

if TYPE_CHECKING:
    from tallystick.v1 import advice_pb2

EXPORT_BYTES_MAX = 512 * 1024 * 1024
NAME_CHARS_MAX = 255


def export(
    file: Annotated[Path, typer.Argument(help="The file to write; it must not be there yet.")],
    directory: DirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write all advices that the gateway has not answered into a file, each signed by this till.

    Nothing is taken out of the till: what is handed in with `recover` and sent by the till later counts once.
    """
    printer = Printer(as_json=as_json)
    if file.exists():
        raise CommandFailed(f"{file} is there already", mend="name another file", code=EXIT_USAGE)
    place = directory_of(directory)
    lines, remark = _unsent(place)
    write_private(file, "".join(line + "\n" for line in lines).encode())
    printer.line(
        f"{len(lines)} advices written to {file}. Hand them in with `tallystick-till recover {file}`."
    )
    if remark:
        printer.line(f"! {remark}")
    printer.document({"file": str(file), "advices": len(lines), "remark": remark})
    if remark:
        raise typer.Exit(EXIT_ATTENTION)


def recover(
    sources: Annotated[
        list[str], typer.Argument(metavar="FILE|DIGITS...", help="Exports, or codes of receipts.")
    ],
    directory: DirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Hand in advices from exports or receipts through this till; those that are known already change nothing."""
    from tallystick_till import recovery
    from tallystick_till.daemon.assembly import confirmed_config
    from tallystick_till.transport import GrpcGateway, Tls

    printer = Printer(as_json=as_json)
    place = directory_of(directory)
    config, key = confirmed_config(place), load_key(place)
    advices = _read(sources)
    gateway = GrpcGateway(
        config.identity,
        key,
        now_s=lambda: int(time.time()),
        tls=Tls(place / CA_FILE) if config.encrypted else None,
    )
    try:
        verdicts = recovery.recover(gateway, advices)
    finally:
        gateway.close()
    told = [_verdict(advice, verdict) for advice, verdict in zip(advices, verdicts, strict=True)]
    for one in told:
        reasons = f" ({', '.join(one['reasons'])})" if one["reasons"] else ""
        printer.line(f"{one['advice_id']}  {one['verdict']}{reasons}")
    printer.document({"advices": told})
    if any(one["verdict"] != "posted" for one in told):
        raise typer.Exit(EXIT_ATTENTION)


def reset(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    directory: DirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give this till up: remove its key and all it knows, so that it can be enrolled anew.

    Refuses while anything waits for the gateway, and while the file is too damaged to tell.
    """
    from tallystick_till.daemon.instance import held

    printer = Printer(as_json=as_json)
    place = directory_of(directory)
    if not any((place / name).exists() for name in (CONFIG_FILE, KEY_FILE, DB_FILE)):
        raise ConfigRefused(f"there is no till in {place}", mend="name its directory with --dir")
    with held(place):
        _require_drained(place)
        till_id = _till_id(place)
        if not yes and not typer.confirm(f"Give up the till in {place}?"):
            raise CommandFailed("nothing was done", code=EXIT_FAILED)
        # The database last: what is left by a reset that was cut off must not be taken for a new till's.
        for name in (CONFIG_FILE, KEY_FILE, CA_FILE):
            (place / name).unlink(missing_ok=True)
        shutil.rmtree(place / SNAPSHOT_DIR, ignore_errors=True)
        for name in (DB_FILE, DB_FILE + "-wal", DB_FILE + "-shm"):
            (place / name).unlink(missing_ok=True)
    printer.line(f"The till in {place} was given up; points of its leases go back when those end.")
    if till_id:
        printer.line(f"Have a manager shut it out: tallystick device revoke {till_id}")
    printer.document({"till_id": till_id, "directory": str(place)})


def _unsent(place: Path) -> tuple[list[str], str]:
    """The lines of an export, and what somebody should know about them."""
    from tallystick_till import recovery
    from tallystick_till.daemon.instance import AnotherRuns, held
    from tallystick_till.db import TillDb

    key, file = load_key(place), place / DB_FILE
    if not file.exists():
        raise ConfigRefused(f"no till has sold in {place}", mend="name the till's directory with --dir")
    try:
        with held(place):
            db = TillDb.open(file)
            try:
                if not db.fault:
                    return recovery.export_unsent(db, key), ""
            finally:
                db.close()
    except AnotherRuns:
        return recovery.salvage(
            file, key
        ), "The till is running: what it sells from now on is not in the file."
    return recovery.salvage(file, key), "The till's file is damaged: this is what could be read of it."


def _read(sources: list[str]) -> list[advice_pb2.SignedAdvice]:
    from tallystick_till.recovery import read_lines

    lines: list[str] = []
    for source in sources:
        file = Path(source)
        # A code has more digits than a file name may have characters.
        if source.isascii() and source.isdigit() and (len(source) > NAME_CHARS_MAX or not file.exists()):
            lines.append(source)
            continue
        if file.stat().st_size > EXPORT_BYTES_MAX:
            raise CommandFailed(f"{file} is larger than any export", code=EXIT_USAGE)
        lines += file.read_text(errors="replace").splitlines()
    return read_lines(lines)


def _verdict(signed: advice_pb2.SignedAdvice, verdict: advice_pb2.Verdict) -> dict[str, Any]:
    from tallystick.v1 import advice_pb2
    from tallystick.wire.advices import id_text, parse_advice

    kinds, reasons = advice_pb2.VerdictKind, advice_pb2.VerdictReason
    known = [number for number in verdict.reasons if number in reasons.values()]
    kind = kinds.Name(verdict.kind) if verdict.kind in kinds.values() else f"VERDICT_KIND_{verdict.kind}"
    return {
        "advice_id": id_text(parse_advice(signed.advice).advice_id),
        "verdict": kind.removeprefix("VERDICT_KIND_").lower(),
        "reasons": [reasons.Name(number).removeprefix("VERDICT_REASON_") for number in known],
    }


def _require_drained(place: Path) -> None:
    from tallystick_till.db import TillDb
    from tallystick_till.recovery import require_drained

    if not (place / DB_FILE).exists():
        return
    db = TillDb.open(place / DB_FILE)
    try:
        if db.fault:
            raise CommandFailed(
                f"the till's file cannot be read ({db.fault}): sales may wait in it",
                mend="save what can be read with `tallystick-till export`, then move the directory away",
            )
        require_drained(db, "give it up")
    finally:
        db.close()


def _till_id(place: Path) -> str:
    try:
        return load_config(place).till_id
    except ConfigRefused:
        return ""
