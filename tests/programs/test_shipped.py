"""Every ready program is in order, is copied by name, and has its page and its scenario."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tallystick.cli.app import app
from tallystick.cli.programs import about_shipped, shipped_names, shipped_rules
from tallystick.service.programs import CheckedText, check_text

ROOT = Path(__file__).parents[2]
FOR_TRYING_OUT = {"simple", "online_retail"}
"""What `tallystick run` and `tallystick import online-retail` begin with; not programs of shops."""
READY = sorted(set(shipped_names()) - FOR_TRYING_OUT)


@pytest.mark.parametrize("name", READY)
def test_a_ready_program_is_in_order_and_has_a_page_and_a_scenario(name: str) -> None:
    assert isinstance(check_text(shipped_rules(name)), CheckedText)
    assert (ROOT / "tests" / "programs" / f"test_{name}.py").exists()
    page = (ROOT / "docs" / "programs" / f"{name}.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## (.+)$", page, re.MULTILINE)
    assert headings == ["Whom it is for", "What the member sees", "What it costs", "How to change it"]
    assert f"tallystick program new {name}" in page


def test_the_list_tells_what_each_is() -> None:
    told = CliRunner().invoke(app, ["program", "list"]).output
    for name in shipped_names():
        assert re.search(rf"^{name} +\S.*$", told, re.MULTILINE)
        assert len(about_shipped(name)) <= 140
    index = (ROOT / "docs" / "programs" / "README.md").read_text(encoding="utf-8")
    assert all(f"]({name}.md)" in index for name in READY)


def test_a_copy_is_the_program_byte_for_byte_and_overwrites_nothing(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    for name, done in (("kronor", True), ("bas_silver_guld", False)):
        assert (CliRunner().invoke(app, ["program", "new", name, "--file", str(mine)]).exit_code == 0) is done
    assert mine.read_text(encoding="utf-8") == shipped_rules("kronor")
    assert CliRunner().invoke(app, ["program", "new", "kroner", "--file", str(tmp_path / "x")]).exit_code != 0
