"""Programs and their rule sets: making, checking, publishing and reading them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from tallystick.core.ids import Ms, ProgramId
from tallystick.core.record import record
from tallystick.core.rules.model import RuleSet
from tallystick.core.rules.parse import parse_rules
from tallystick.core.rules.reader import Finding
from tallystick.service.directory import Clock, Directory, Program, StoredRuleSet
from tallystick.service.errors import AlreadyExists, InvalidInput, NotFound
from tallystick.service.rule_text import Document, Place, TextRefused, canonical_json, read_document
from tallystick.service.rulebook import RuleBook

FINDINGS_MAX = 100


@record(frozen=True, slots=True)
class LocatedFinding:
    """One thing that is wrong with the text of a rule set, and where."""

    place: Place
    finding: Finding


@record(frozen=True, slots=True)
class CheckedText:
    """A text that can be published: its values in the one spelling that is stored, and its SHA-256 in hexadecimal."""

    canonical: str
    sha256: str


def check_text(text: str, *, published: bool = False) -> CheckedText | list[LocatedFinding]:
    """Read and check a rule set's text; return it, or everything that is wrong in the order of the text.

    Of one that is ``published`` already, what is tolerated is not said to be wrong.
    """
    try:
        document = read_document(text)
    except TextRefused as error:
        return [LocatedFinding(error.place, error.finding)]
    canonical = canonical_json(document.value)
    sha256 = hashlib.sha256(canonical.encode()).hexdigest()
    parsed = parse_rules(document.value, version=0, sha256=sha256, published=published)
    if isinstance(parsed, RuleSet):
        return CheckedText(canonical, sha256)
    return _located(document, parsed)


def _located(document: Document, findings: list[Finding]) -> list[LocatedFinding]:
    located = [LocatedFinding(document.place_of(finding.path), finding) for finding in findings]
    located.sort(key=lambda found: (found.place.line, found.place.column))
    return located[:FINDINGS_MAX]


def text_sha256(text: str) -> str:
    """Return the SHA-256 of a rule set's text as it was written: what callers see as its hash."""
    return hashlib.sha256(text.encode()).hexdigest()


class Programs:
    """The use cases of the back office around programs. Safe to use from several threads."""

    def __init__(self, directory: Directory, rulebook: RuleBook, *, now_ms: Callable[[], Ms]) -> None:
        self._directory = directory
        self._rulebook = rulebook
        self._now_ms = now_ms

    def create(self, program_id: ProgramId, display_name: str, clock: Clock) -> Program:
        """Make a program, or return it when it was made with the same content.

        Raises ``AlreadyExists`` when the id is taken by a program with another name or clock.
        """
        wanted = Program(program_id, display_name, clock, 0, self._now_ms())
        if self._directory.create_program(wanted):
            self._rulebook.forget(program_id)
            return wanted
        found = self._directory.program(program_id)
        if found is None or (found.display_name, found.clock) != (display_name, clock):
            raise AlreadyExists(
                "A program with that id exists with another name or clock.",
                mend="Choose another program_id.",
                reason="PROGRAM_EXISTS",
                program_id=program_id,
            )
        return found

    def get(self, program_id: ProgramId) -> Program:
        """Return a program. Raises ``NotFound``."""
        program = self._directory.program(program_id)
        if program is None:
            raise program_not_found(program_id)
        return program

    def publish(
        self, program_id: ProgramId, text: str, *, request_id: str, published_by: str
    ) -> StoredRuleSet:
        """Make a text the program's next rule set; the same ``request_id`` and text answers the first one again.

        Raises ``InvalidInput`` for a text with findings, ``AlreadyExists`` when the request id was used with another
        text, ``NotFound`` without a program.
        """
        checked = check_text(text)
        if isinstance(checked, list):
            raise _invalid(checked)
        new = StoredRuleSet(
            version=0,
            sha256=checked.sha256,
            text=text,
            canonical=checked.canonical,
            request_id=request_id,
            published_ms=self._now_ms(),
            published_by=published_by,
        )
        self.get(program_id)
        stored = self._directory.publish_rule_set(program_id, new)
        if stored.text != text:
            raise AlreadyExists(
                "The request_id published another text before.",
                mend="Make a new request_id for a new text.",
                reason="REQUEST_ID_REUSED",
                field="request_id",
            )
        self._rulebook.forget(program_id)
        return stored

    def rule_set(self, program_id: ProgramId, version: int) -> StoredRuleSet:
        """Return one rule set with its text; version 0 is the one in force. Raises ``NotFound``."""
        wanted = version or self.get(program_id).rule_set
        stored = self._directory.rule_set(program_id, wanted) if wanted else None
        if stored is None:
            raise NotFound("The program has no such rule set.", reason="RULE_SET_NOT_FOUND", version=version)
        return stored

    def rule_sets(self, program_id: ProgramId, *, before: int | None, limit: int) -> list[StoredRuleSet]:
        """Return rule sets, highest version first, below ``before``."""
        return self._directory.rule_sets(program_id, before=before, limit=limit)


def program_not_found(program_id: str) -> NotFound:
    """Return the error for a program that is not there or not to be seen: the two are not told apart."""
    return NotFound("There is no such program.", reason="PROGRAM_NOT_FOUND", program_id=program_id)


def _invalid(found: list[LocatedFinding]) -> InvalidInput:
    def described(one: LocatedFinding) -> str:
        where = f"line {one.place.line}, column {one.place.column}: " if one.place.line else ""
        path = f"{one.finding.path}: " if one.finding.path else ""
        mend = f" ({one.finding.mend})" if one.finding.mend else ""
        return f"{where}{path}{one.finding.message}{mend}"

    return InvalidInput(
        "The rule set was not published.",
        violations=tuple(("text", described(one)) for one in found),
        reason="RULE_SET_INVALID",
        findings=len(found),
        first=described(found[0]),
    )
