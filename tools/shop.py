"""Sets a gateway and a webshop up beside each other and runs both: the whole way of points through a shop, for trying.

In life the gateway stands somewhere else, its manager makes the code, and a person compares the fingerprints.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parents[1]
MANAGE = ROOT / "clients" / "webshop" / "demo" / "manage.py"
GRPC_PORT, HTTP_PORT, SHOP_PORT = 50051, 8080, 8000
COMMAND_S, START_S, STOP_S, POLL_S = 300, 60, 15, 0.1
PLACE = "TALLYSTICK_SHOP_DIR"
"""Names another directory than the usual one; the gateway knows no such setting."""

SHOPPER = "anna@shop.example"
OPENING_SALE = "500.00"


def main() -> int:
    """Set up what is missing, then serve until Ctrl+C or SIGTERM. Answers 1 when something cannot be started."""
    signal.signal(signal.SIGTERM, _stop)
    home = Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local" / "share"))
    place = Path(os.environ.get(PLACE, home / "tallystick" / "shop"))
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with ExitStack() as stack:
            serve(Premises(place), stack)
    except KeyboardInterrupt:
        print("\nStopped.")
    except subprocess.CalledProcessError as error:
        sys.stderr.write(error.stderr or error.stdout or "")
        sys.stderr.write(f"make: the shop could not be set up; remove {place} to begin anew\n")
        return 1
    except TimeoutError as error:
        sys.stderr.write(f"make: {error}\n")
        return 1
    return 0


class Premises:
    """Where gateway and shop keep their data, and where they listen."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.gateway = place / "gateway"
        self.shop = place / "shop"
        self.grpc = f"127.0.0.1:{_port(GRPC_PORT)}"
        self.http = f"127.0.0.1:{_port(HTTP_PORT)}"
        self.web = f"127.0.0.1:{_port(SHOP_PORT)}"

    @property
    def environment(self) -> dict[str, str]:
        """What both processes are told: the gateway of the shop's pages, the shop of the gateway's address."""
        return {
            **{name: value for name, value in os.environ.items() if name != PLACE},
            "DEMO_SHOP_DIR": str(self.shop),
            "DEMO_SHOP_GATEWAY_URL": f"http://{self.http}",
            "TALLYSTICK_PUBLIC_URL": f"http://{self.http}",
            "TALLYSTICK_CORS_ORIGINS": f"http://{self.web}",
            "PYTHONUNBUFFERED": "1",
        }

    def tallystick(self, *arguments: str) -> str:
        """Run a command of the gateway's."""
        return self._run(str(BIN / "tallystick"), *arguments, "--data-dir", str(self.gateway))

    def manage(self, *arguments: str) -> str:
        """Run a command of the shop's."""
        return self._run(sys.executable, "-W", "ignore", str(MANAGE), *arguments)

    def _run(self, *command: str) -> str:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=COMMAND_S, check=True, env=self.environment
        )
        return done.stdout


def serve(premises: Premises, stack: ExitStack) -> None:
    """Start the gateway, set the shop up, start the shop, and wait."""
    ready = premises.place / "ready.json"
    ready.unlink(missing_ok=True)
    doors = ("--listen", premises.grpc, "--http-listen", premises.http, "--ready-file", str(ready))
    command = [str(BIN / "tallystick"), "run", *doors, "--data-dir", str(premises.gateway)]
    gateway = _start(stack, premises, "gateway", command)
    _wait(ready.exists, gateway, "the gateway", premises)
    set_up(premises)
    shop = _start(
        stack,
        premises,
        "shop",
        [sys.executable, "-W", "ignore", str(MANAGE), "runserver", "--noreload", premises.web],
    )
    poster = _start(
        stack,
        premises,
        "post",
        [sys.executable, "-W", "ignore", str(MANAGE), "tallystick_post", "--loop"],
    )
    _wait(lambda: _answers(premises.web), shop, "the shop", premises)
    show(premises)
    while all(child.poll() is None for child in (gateway, shop, poster)):
        time.sleep(POLL_S)
    raise TimeoutError(f"one of the processes has ended; its log is in {premises.place}")


def set_up(premises: Premises) -> None:
    """Make the shop's key, member, tables and articles, each unless it is there."""
    if not (premises.shop / "shop.sqlite3").exists():
        print("Setting up the shop ...", flush=True)
    profile = premises.shop / "gateway" / "profile.json"
    if profile.exists():
        known = json.loads(profile.read_text(encoding="utf-8"))
        profile.write_text(json.dumps({**known, "server": premises.grpc}), encoding="utf-8")
    else:
        enrol(premises)
    premises.manage("tallystick_demo", "--host", premises.web, "--member", member(premises))


def enrol(premises: Premises) -> None:
    """Let the shop into the gateway: a manager's code, the shop's key, and a yes to its fingerprint."""
    made = json.loads(
        premises.tallystick("device", "code", "--role", "webshop", "--label", "Demo shop", "--json")
    )
    settings = json.loads(premises.tallystick("settings", "--json"))
    shown = premises.manage(
        "tallystick_enrol",
        *("--gateway", premises.grpc, "--program", made["program_id"]),
        *("--code", made["code"], "--issuer", settings["issuer"]),
    )
    found = re.search(r"device confirm (\S+) '([^']+)'", shown)
    assert found is not None, shown
    premises.tallystick("device", "confirm", found[1], found[2])


def member(premises: Premises) -> str:
    """Return the member that the demo's customer is, with points from an opening sale in a store."""
    file = premises.place / "member"
    if not file.exists():
        made = json.loads(premises.tallystick("enrol-member", SHOPPER, "--json"))
        sale_id = str(uuid.uuid5(uuid.NAMESPACE_URL, made["member_id"]))
        premises.tallystick("sale", OPENING_SALE, "--member", made["number"], "--command-id", sale_id)
        file.write_text(made["member_id"], encoding="utf-8")
    return file.read_text(encoding="utf-8")


def show(premises: Premises) -> None:
    """Say where everything is and who may come in."""
    sys.path[:0] = [str(MANAGE.parent)]
    from demo_shop.people import PEOPLE

    print("The shop is open. Ctrl+C stops it and its gateway.\n")
    rows = [
        ("Shop", f"http://{premises.web}/"),
        ("Staff", f"http://{premises.web}/dashboard/"),
        ("Gateway", f"{premises.grpc} (gRPC), http://{premises.http}/"),
        ("Mails", str(premises.shop / "mail")),
        *((person.first_name, f"{person.email}  {person.password}") for person in PEOPLE),
    ]
    for name, value in rows:
        print(f"  {name:8} {value}")
    print("\nAnna is a member with points: put something into the basket and use some of them.", flush=True)


def _start(
    stack: ExitStack, premises: Premises, name: str, command: Sequence[str]
) -> subprocess.Popen[bytes]:
    """Start a process that ends with this one; Ctrl+C reaches it through here only."""
    log = stack.enter_context((premises.place / f"{name}.log").open("wb"))
    child = subprocess.Popen(
        command, stdout=log, stderr=subprocess.STDOUT, env=premises.environment, start_new_session=True
    )
    stack.callback(_end, child)
    return child


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(STOP_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _wait(holds: Callable[[], bool], child: subprocess.Popen[bytes], what: str, premises: Premises) -> None:
    until = time.monotonic() + START_S
    while not holds():
        if child.poll() is not None or time.monotonic() > until:
            raise TimeoutError(f"{what} did not start; its log is in {premises.place}")
        time.sleep(POLL_S)


def _port(wanted: int) -> int:
    """Return a port that is free now, the wanted one if it is."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(address: str) -> bool:
    host, _, port = address.partition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
