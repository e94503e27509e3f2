"""A serving process for tests: fake handlers, a slow GetBalance, and its port and a token on standard output.

    python -m tests.rpc.server_program FOLDER

The port is in FOLDER/port when that is there (for workers, which share it), or else a free one. Every process
appends its number and its id to FOLDER/started, and a line to FOLDER/entered for each call.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import uvloop
from google.protobuf.message import Message

from tallystick.rpc.call import Call
from tallystick.rpc.grpc_server import GrpcSettings
from tallystick.rpc.pipeline import Pipeline
from tallystick.rpc.server import Bound, ServerSettings, serve
from tallystick.rpc.workers import worker_number
from tallystick.v1 import ledger_pb2
from tests.rpc.edge import Issuer, services_with


def note(path: Path, line: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")


def main() -> None:
    folder = Path(sys.argv[1])
    note(folder / "started", f"{worker_number()} {os.getpid()}")

    async def get_balance(_request: Message, _call: Call) -> Message:
        note(folder / "entered", "a call")
        await asyncio.sleep(0.5)
        return ledger_pb2.GetBalanceResponse()

    issuer = Issuer()
    pipeline = Pipeline(services_with(get_balance=get_balance), authenticator=issuer.authenticator())
    port = 0
    ports = folder / "port"
    if ports.exists():
        port = int(ports.read_text(encoding="utf-8"))
    settings = ServerSettings(
        grpc=GrpcSettings(address=f"127.0.0.1:{port}", reuse_port=port > 0),
        http_address="127.0.0.1:0",
        ops_address="",
        drain_wait_s=float(os.environ.get("DRAIN_WAIT_S", "0")),
    )

    def ready(bound: Bound) -> None:
        sys.stdout.write(json.dumps({"grpc": bound.grpc_port, "token": issuer.token("TILL")}) + "\n")
        sys.stdout.flush()

    uvloop.run(serve(settings, pipeline, on_ready=ready))


if __name__ == "__main__":
    main()
