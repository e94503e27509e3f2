"""Hatch build hook: every build, editable or wheel, carries freshly generated protobuf code."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ProtoBuildHook(BuildHookInterface[Any]):
    """Runs the same generator as `make protos` before hatchling collects files."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        # A PEP 517 front end does not put the project on sys.path, so the generator is loaded by its file.
        path = Path(self.root) / "tools" / "protos.py"
        spec = importlib.util.spec_from_file_location("tallystick_tools_protos", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.generate(Path(self.root))
