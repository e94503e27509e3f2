"""Where settings are read from: defaults, a TOML file, the environment and the command line, in that order.

A name that nobody knows is refused with the nearest one that exists: a mistyped database must not silently become
another database.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Final

from tallystick.config.checks import check
from tallystick.config.settings import ENV_PREFIX, Settings, SettingsRefused, default_of, kind_of

CONFIG_VARIABLE = "TALLYSTICK_CONFIG"
CONFIG_BYTES_MAX = 65_536

# Variables with our prefix that are not settings of the server: they belong to clients, tests and deployment.
FOREIGN_VARIABLES: Final = frozenset(
    {
        CONFIG_VARIABLE,
        "TALLYSTICK_PROFILE",
        "TALLYSTICK_OWNER_PASSWORD",
        "TALLYSTICK_APP_PASSWORD",
        "TALLYSTICK_ROLES_SQL",
        "TALLYSTICK_WORKER",
        "TALLYSTICK_LIFELINE",
    }
)
FOREIGN_PREFIXES: Final = ("TALLYSTICK_TEST_", "TALLYSTICK_BENCH_", "TALLYSTICK_TILL_")


def load(
    *,
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Settings:
    """Merge defaults, file, environment and overrides (values of None are left out), and check the result.

    `file` defaults to what TALLYSTICK_CONFIG names. Raises SettingsRefused.
    """
    environ = os.environ if environ is None else environ
    if file is None and environ.get(CONFIG_VARIABLE):
        file = Path(environ[CONFIG_VARIABLE])
    values: dict[str, Any] = {}
    if file is not None:
        values |= _from_file(file)
    values |= _from_environ(environ)
    values |= {name: value for name, value in (overrides or {}).items() if value is not None}
    known = {each.name: each for each in fields(Settings)}
    unknown = [name for name in values if name not in known]
    assert not unknown, f"overrides are named as settings are: {unknown}"
    settings = Settings(**values)
    check(settings)
    return _resolved(settings, environ)


def default_data_dir(environ: Mapping[str, str]) -> Path:
    """Where the data of one user lie (XDG Base Directory Specification 0.8)."""
    base = environ.get("XDG_DATA_HOME", "")
    # The specification tells to ignore a relative path.
    if base.startswith("/"):
        return Path(base) / "tallystick"
    try:
        return Path.home() / ".local" / "share" / "tallystick"
    except RuntimeError:
        # An account without a home, as containers like to have: beside whatever is started there.
        return Path.cwd() / ".tallystick"


def _resolved(settings: Settings, environ: Mapping[str, str]) -> Settings:
    data_dir = _directory("data_dir", settings.data_dir or default_data_dir(environ))
    return replace(
        settings,
        data_dir=str(data_dir),
        database_url=settings.database_url or f"sqlite:///{data_dir / 'tallystick.db'}",
        key_dir=str(_directory("key_dir", settings.key_dir or data_dir / "keys")),
    )


def _directory(name: str, path: str | Path) -> Path:
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError:
        raise SettingsRefused(
            f"{name} is '{path}', and there is no such home; write the path in full"
        ) from None


def _from_file(file: Path) -> dict[str, Any]:
    try:
        data = file.read_bytes()
        if len(data) > CONFIG_BYTES_MAX:
            raise SettingsRefused(f"{file} is larger than {CONFIG_BYTES_MAX} bytes")
        document = tomllib.loads(data.decode("utf-8-sig"))
    except OSError as error:
        raise SettingsRefused(f"{file} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise SettingsRefused(f"{file} is not TOML: {error}") from error
    return {
        _known(name, place=str(file)): _from_toml(name, value, place=str(file))
        for name, value in document.items()
    }


def _from_environ(environ: Mapping[str, str]) -> dict[str, Any]:
    values = {}
    for variable, text in environ.items():
        if not variable.startswith(ENV_PREFIX) or _is_foreign(variable):
            continue
        name = _known(variable.removeprefix(ENV_PREFIX).lower(), place="the environment", shown=variable)
        values[name] = _from_text(name, text, shown=variable)
    return values


def _is_foreign(variable: str) -> bool:
    return variable in FOREIGN_VARIABLES or variable.startswith(FOREIGN_PREFIXES)


def _known(name: str, *, place: str, shown: str = "") -> str:
    names = [each.name for each in fields(Settings)]
    if name in names:
        return name
    near = difflib.get_close_matches(name, names, n=1)
    if near and shown:
        near = [ENV_PREFIX + near[0].upper()]
    mend = f"did you mean {near[0]}?" if near else "`tallystick settings` lists all."
    raise SettingsRefused(f"{place} has {shown or name}, which is no setting; {mend}")


def _from_toml(name: str, value: Any, *, place: str) -> Any:
    default = default_of(name)
    if isinstance(default, tuple) and isinstance(value, list) and all(isinstance(v, str) for v in value):
        return tuple(value)
    if isinstance(default, float) and type(value) is int:
        return float(value)
    if type(value) is not type(default):
        raise SettingsRefused(f"{name} in {place} must be {kind_of(default)}, not {value!r}")
    return value


def _from_text(name: str, text: str, *, shown: str) -> Any:
    default = default_of(name)
    try:
        if isinstance(default, bool):
            return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False, "": False}[
                text.lower()
            ]
        if isinstance(default, tuple):
            return tuple(part.strip() for part in text.split(",") if part.strip())
        return type(default)(text)
    except (ValueError, KeyError):
        raise SettingsRefused(f"{shown} must be {kind_of(default)}, not {text!r}") from None
