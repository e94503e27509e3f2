"""Texts of explanations and refusals, for callers that ask for a language."""

from __future__ import annotations

from collections.abc import Iterable

from tallystick.core.entry import Explanation, Refusal
from tallystick.core.ids import ProgramId
from tallystick.service.gateway import Gateway
from tallystick.v1 import ledger_pb2 as pb
from tallystick.words import NO_NAMES, Names, names_of, why
from tallystick.words.why import why_not_of

NAMES_MAX = 1_000
"""Most (program, version) pairs whose names are remembered; with more, it starts anew."""


class Texts:
    """Writes the texts into answers that are filled otherwise; without a language nothing is done."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        # A published rule set never changes.
        self._names: dict[tuple[ProgramId, int], Names] = {}

    async def decision(self, decision: pb.Decision, program_id: ProgramId, language: str) -> None:
        """Write the texts of a decision."""
        if decision.WhichOneof("outcome") == "refused":
            await self.refused(decision.refused, program_id, language)
        else:
            await self.entries([decision.posted.entry], program_id, language)

    async def entries(self, entries: Iterable[pb.Entry], program_id: ProgramId, language: str) -> None:
        """Write the texts of entries, each by the rule set that judged it."""
        if not language:
            return
        for entry in entries:
            await self.explanations(entry.explanations, program_id, language, version=entry.rule_set_version)

    async def explanations(
        self, explanations: Iterable[pb.Explanation], program_id: ProgramId, language: str, *, version: int
    ) -> None:
        """Write the texts of explanations that a rule set led to."""
        if not language:
            return
        names = await self._names_of(program_id, version)
        for one in explanations:
            told = Explanation(one.rule_id, one.line_no, one.points, one.code, tuple(one.args.items()))
            one.text = why(told, language, names)

    async def refused(self, refused: pb.Refused, program_id: ProgramId, language: str) -> None:
        """Write the text of a refusal."""
        if not language:
            return
        names = await self._names_of(program_id, 0)
        refused.text = why_not_of(Refusal(refused.reason), refused.details.items(), language, names)

    async def _names_of(self, program_id: ProgramId, version: int) -> Names:
        known = self._names.get((program_id, version))
        if known is not None:
            return known
        rules = await self._gateway.pool.run(self._gateway.rulebook.version, program_id, version)
        if rules is None:
            return NO_NAMES
        names = names_of(rules)
        if version:
            if len(self._names) >= NAMES_MAX:
                self._names.clear()
            self._names[program_id, version] = names
        return names
