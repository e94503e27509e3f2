"""Hatch build hook: every build, editable or wheel, carries fresh protobuf code and screens."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ProtoBuildHook(BuildHookInterface[Any]):
    """Runs the same generators as `make` before hatchling collects files."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        _tool(root, "protos").generate(root)
        _tool(root, "web").build(root)


def _tool(root: Path, name: str) -> ModuleType:
    # A PEP 517 front end does not put the project on sys.path, so a tool is loaded by its file.
    spec = importlib.util.spec_from_file_location(f"tallystick_tools_{name}", root / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up by its name.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
