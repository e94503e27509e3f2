"""Programs, rule sets and totals as messages of the contract."""

from __future__ import annotations

from collections.abc import Mapping

from tallystick.core.entry import Moves
from tallystick.rpc.convert.scalars import ms_to_pb
from tallystick.service.directory import Clock, Program, StoredRuleSet
from tallystick.service.programs import LocatedFinding, text_sha256
from tallystick.v1 import admin_pb2 as pb
from tallystick.v1 import ledger_pb2 as ledger


def clock_from_pb(clock: int) -> Clock:
    """Return whose time a program keeps."""
    return Clock(clock)


def program_to_pb(program: Program) -> pb.Program:
    """Return a program."""
    return pb.Program(
        program_id=program.program_id,
        display_name=program.display_name,
        clock=pb.ProgramClock.ValueType(int(program.clock)),
        rule_set_version=program.rule_set,
        created_at=ms_to_pb(program.created_ms),
    )


def rule_set_to_pb(stored: StoredRuleSet, *, with_text: bool) -> pb.RuleSet:
    """Return a rule set; lists leave its text out."""
    return pb.RuleSet(
        version=stored.version,
        hash=text_sha256(stored.text),
        text=stored.text if with_text else "",
        published_at=ms_to_pb(stored.published_ms),
        published_by=stored.published_by,
    )


def finding_to_pb(located: LocatedFinding) -> pb.Finding:
    """Return what is wrong with a rule set's text, and where."""
    return pb.Finding(
        line=located.place.line,
        column=located.place.column,
        path=located.finding.path,
        message=located.finding.message,
        mend=located.finding.mend,
    )


def totals_to_pb(sums: Mapping[str, int]) -> list[pb.AccountTotal]:
    """Return the sum of each kind of account, in the order of the contract."""
    return [
        pb.AccountTotal(kind=ledger.AccountKind.ValueType(number), points=sums.get(name, 0))
        for number, name in enumerate(Moves._fields, 1)
    ]
