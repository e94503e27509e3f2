"""Rule sets in memory: the current one of each program, and any older version that an advice names."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable

from tallystick.core.ids import ProgramId
from tallystick.core.rules.model import RuleSet
from tallystick.core.rules.parse import parse_rules
from tallystick.service.directory import Clock, Directory, Program

REFRESH_S = 2.0
"""How long another replica may go on with the version before, after one was published."""

FRESH_S = REFRESH_S - 0.1
"""Whoever must not wait for the store leaves itself this much time between looking and using."""

PROGRAMS_MAX = 1_000
"""Most programs kept in memory; with more, the cache starts anew."""


class RuleBook:
    """Parses each version once. Safe to use from several threads."""

    def __init__(self, directory: Directory, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._directory = directory
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._programs: dict[ProgramId, tuple[float, Program | None]] = {}
        self._forgotten = 0
        self._parsed: dict[tuple[ProgramId, int], RuleSet] = {}

    def program(self, program_id: ProgramId) -> Program | None:
        """Return the program as it was at most ``REFRESH_S`` ago."""
        now = self._monotonic()
        cached = self._programs.get(program_id)
        if cached is not None and now - cached[0] < REFRESH_S:
            return cached[1]
        forgotten = self._forgotten
        program = self._directory.program(program_id)
        with self._lock:
            # What was read while this replica changed a program may be how it was before.
            if self._forgotten != forgotten:
                return program
            if len(self._programs) >= PROGRAMS_MAX:
                self._programs.clear()
                self._parsed.clear()
            self._programs[program_id] = (now, program)
            self._drop_lost(program_id, program.rule_set if program else 0)
        return program

    def _drop_lost(self, program_id: ProgramId, newest: int) -> None:
        # A database that was set back gives their numbers to other rules.
        lost = [key for key in self._parsed if key[0] == program_id and key[1] > newest]
        for key in lost:
            del self._parsed[key]

    def forget(self, program_id: ProgramId) -> None:
        """Look the program up again at the next use: this replica has just changed it."""
        with self._lock:
            self._forgotten += 1
            self._programs.pop(program_id, None)

    def fresh(self, program_id: ProgramId) -> bool:
        """Tell whether ``current``, called at once, answers without asking the store."""
        cached = self._programs.get(program_id)
        if cached is None or self._monotonic() - cached[0] >= FRESH_S:
            return False
        program = cached[1]
        return program is None or not program.rule_set or (program_id, program.rule_set) in self._parsed

    def clock(self, program_id: ProgramId) -> Clock:
        """Return whose time a program keeps; LIVE for a program that is not there."""
        program = self.program(program_id)
        return program.clock if program else Clock.LIVE

    def current(self, program_id: ProgramId) -> RuleSet | None:
        """Return the rule set in force, None when none was published."""
        program = self.program(program_id)
        return self.version(program_id, program.rule_set) if program and program.rule_set else None

    def at_hand(self, program_id: ProgramId, version: int) -> RuleSet | None:
        """Return a version that was looked up before, None when it was not: the store is not asked."""
        return self._parsed.get((program_id, version))

    def version(self, program_id: ProgramId, version: int) -> RuleSet | None:
        """Return one version, None when there is no such one. Version 0 is the one in force."""
        if version == 0:
            return self.current(program_id)
        parsed = self._parsed.get((program_id, version))
        if parsed is not None:
            return parsed
        stored = self._directory.rule_set(program_id, version)
        if stored is None:
            return None
        rules = parse_rules(
            json.loads(stored.canonical), version=version, sha256=stored.sha256, published=True
        )
        if not isinstance(rules, RuleSet):
            found = "; ".join(f"{finding.path}: {finding.message}" for finding in rules)
            raise AssertionError(
                f"rule set {version} of {program_id} was published but does not parse: {found}"
            )
        with self._lock:
            self._parsed[program_id, version] = rules
        return rules
