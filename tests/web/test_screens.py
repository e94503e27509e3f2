"""The screens' own unit tests, and the rule by which a build is repeated or left alone."""

from __future__ import annotations

import gzip
import shutil
import sys
import time
from pathlib import Path

import psutil
import pytest

from tools import web


def test_the_unit_tests_of_the_screens_pass() -> None:
    web.unit_tests()


def test_a_failing_unit_test_is_told_with_its_name(tmp_path: Path) -> None:
    folder = tmp_path / web.WORKSPACE / "packages" / "one" / "test"
    folder.mkdir(parents=True)
    (folder / "bad.test.ts").write_text(
        'import { test } from "node:test";\ntest("two is three", () => { throw new Error("it is not"); });\n'
    )
    with pytest.raises(web.WebError, match="two is three"):
        web.unit_tests(tmp_path)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace whose build is a stand-in: it writes one page, and nothing is installed."""
    source = tmp_path / web.WORKSPACE / "apps" / "cashier" / "src"
    source.mkdir(parents=True)
    (source / "main.ts").write_text("one")

    def stand_in(root: Path, *arguments: str, settings: dict[str, str]) -> None:
        for setting in settings.values():
            out = Path(setting)
            out.mkdir()
            (out / "index.html").write_text((source / "main.ts").read_text())

    monkeypatch.setattr(web, "_install", lambda root: None)
    monkeypatch.setattr(web, "_npm", stand_in)
    return tmp_path


def test_a_screen_is_built_once_and_again_when_a_source_has_changed(workspace: Path) -> None:
    page = workspace / web.SCREEN / "index.html"
    assert [web.build(workspace), web.build(workspace)] == [True, False]
    assert page.read_text() == "one"
    (workspace / web.WORKSPACE / "apps" / "cashier" / "src" / "main.ts").write_text("two")
    assert [web.build(workspace), web.build(workspace)] == [True, False]
    assert page.read_text() == "two"


def test_tests_packages_and_earlier_builds_are_no_sources(workspace: Path) -> None:
    web.build(workspace)
    for name in ("node_modules", "dist", "test"):
        folder = workspace / web.WORKSPACE / name
        folder.mkdir()
        (folder / "file.ts").write_text(name)
    assert not web.build(workspace)


def test_a_build_that_fails_leaves_the_former_screen(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    web.build(workspace)

    def failing(root: Path, *arguments: str, settings: dict[str, str]) -> None:
        raise web.WebError("no")

    monkeypatch.setattr(web, "_npm", failing)
    with pytest.raises(web.WebError):
        web.build(workspace, force=True)
    assert (workspace / web.SCREEN / "index.html").read_text() == "one"
    assert [path.name for path in (workspace / web.SCREEN).parent.iterdir()] == ["screen"]


def test_what_is_missing_is_built_and_what_is_current_is_left_alone(workspace: Path) -> None:
    web.build(workspace)
    shutil.rmtree(workspace / web.WIDGET)
    (workspace / web.SCREEN / "index.html").write_text("left alone")
    assert web.build(workspace)
    assert (workspace / web.WIDGET / "index.html").read_text() == "one"
    assert (workspace / web.SCREEN / "index.html").read_text() == "left alone"


def test_the_size_counts_pages_styles_and_scripts_but_no_webassembly(tmp_path: Path) -> None:
    for name in ("index.html", "a.css", "b.js", "reader.wasm"):
        (tmp_path / name).write_text(name * 50)
    expected = sum(len(gzip.compress((name * 50).encode(), 9)) for name in ("index.html", "a.css", "b.js"))
    assert web.gzipped_bytes(tmp_path) == expected


def test_what_is_fetched_when_it_is_looked_at_is_not_part_of_the_first_load(tmp_path: Path) -> None:
    (tmp_path / "assets").mkdir()
    files = {
        "index.html": '<script src="./assets/card-1.js"></script><link href="./assets/card-1.css">',
        "sw.js": "const FILES = ['./assets/Club-1.js'];",
        "assets/card-1.js": 'import{a}from"./base-1.js";c=()=>import("./Club-1.js"),s=()=>import(`./sv-1.js`);',
        "assets/base-1.js": "export const a = 1;" * 9,
        "assets/card-1.css": "b {}",
        "assets/Club-1.js": "club" * 99,
        "assets/sv-1.js": 'import{a}from"./card-1.js";',
        "assets/lv-1.js": 'import{a}from"./card-1.js";const words = ["garumzīmes"];',
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    later = {"Club-1.js", "sv-1.js", "lv-1.js"}
    assert {path.name for path in web.later_files(tmp_path)} == later
    first = [text for name, text in files.items() if Path(name).name not in later - {"lv-1.js"}]
    assert web.gzipped_bytes(tmp_path) == sum(len(gzip.compress(text.encode(), 9)) for text in first)


def test_a_step_that_takes_too_long_ends_with_all_its_processes(tmp_path: Path) -> None:
    (tmp_path / web.WORKSPACE).mkdir(parents=True)
    script = (
        "import subprocess, time\n"
        "child = subprocess.Popen(['sleep', '60'])\n"
        "open('child', 'w').write(str(child.pid))\n"
        "time.sleep(60)\n"
    )
    with pytest.raises(web.WebError, match="took longer than 1 s"):
        web._run(tmp_path, [sys.executable, "-c", script], 1.0, {})
    child = int((tmp_path / web.WORKSPACE / "child").read_text())
    give_up_at = time.monotonic() + 10
    while _lives(child):
        assert time.monotonic() < give_up_at, "the step's own child was left running"
        time.sleep(0.02)


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
