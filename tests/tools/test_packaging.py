"""What is distributed, and what it is locked to."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import tallystick

ROOT = Path(__file__).parents[2]
PIN = r"^(?P<name>[a-z0-9-]+)==(?P<version>[^ ;]+)"
HASH = r".*\n    --hash=sha256:"


def pins(path: Path, *, hashed: bool = False) -> dict[str, str]:
    pattern = re.compile(PIN + (HASH if hashed else ""), re.MULTILINE)
    return {match["name"]: match["version"] for match in pattern.finditer(path.read_text())}


def test_the_wheel_holds_the_contract_the_till_its_screen_the_webshops_packages_and_nothing_else(
    tmp_path: Path,
) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=100,
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert wheel.name == f"tallystick-{tallystick.__version__}-py3-none-any.whl"
    assert {name.split("/")[0] for name in names} == {
        "tallystick",
        "tallystick_till",
        "tallystick_webshop",
        "tallystick_oscar",
        f"tallystick-{tallystick.__version__}.dist-info",
    }
    for needed in (
        "py.typed",
        "v1/ledger_pb2.py",
        "v1/ledger_pb2.pyi",
        "v1/buf/validate/validate_pb2.py",
        "widget/tallystick-rewards.js",
    ):
        assert f"tallystick/{needed}" in names
    for needed in ("py.typed", "engine.py", "screen/index.html"):
        assert f"tallystick_till/{needed}" in names
    for needed in ("py.typed", "client.py", "webhooks.py"):
        assert f"tallystick_webshop/{needed}" in names
    for needed in (
        "migrations/0001_initial.py",
        "templates/tallystick_oscar/panel.html",
        "static/tallystick_oscar/rewards.css",
        "locale/sv/LC_MESSAGES/django.mo",
    ):
        assert f"tallystick_oscar/{needed}" in names
    assert not [name for name in names if "__pycache__" in name or "node_modules" in name]


def test_every_direct_dependency_is_locked_with_a_hash() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = [
        project["project"]["dependencies"],
        *project["project"]["optional-dependencies"].values(),
        *project["dependency-groups"].values(),
    ]
    wanted = [item for group in groups for item in group if isinstance(item, str)]
    names = {re.split(r"[\[<>=]", requirement)[0] for requirement in wanted}
    locked = pins(ROOT / "requirements.lock")
    assert names <= locked.keys()
    assert locked == pins(ROOT / "requirements.lock", hashed=True)


def test_a_deployed_server_runs_on_the_versions_that_were_tested() -> None:
    tested = pins(ROOT / "requirements.lock")
    deployed = pins(ROOT / "deploy" / "requirements.lock")
    assert {"grpcio", "protobuf", "sqlalchemy", "psycopg-binary"} <= deployed.keys()
    assert deployed.items() <= tested.items()
    assert "pytest" not in deployed
