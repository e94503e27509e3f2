"""`tallystick review ...`: what looks like fraud or needs a second person, and the decision on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tallystick.cli.options import ADMIN_PROFILE
from tallystick.cli.output import EXIT_UNSOUND, EXIT_USAGE, CommandFailed, Printer
from tallystick.cli.remote import Remote, with_remote
from tallystick.cli.shop import identify_person

if TYPE_CHECKING:
    from tallystick.cli.client import Client
    from tallystick.v1 import review_pb2

STATES = ("open", "released", "refused", "all")
PAGE_REVIEWS = 1_000

app = typer.Typer(no_args_is_help=True)

ReviewArgument = Annotated[
    str, typer.Argument(metavar="REVIEW", help="Id of the review, as `list` shows it.")
]
NoteOption = Annotated[str, typer.Option(help="Why; for colleagues, and no place for names of members.")]


@app.command("list")
@with_remote(ADMIN_PROFILE)
def list_reviews(
    remote: Remote,
    state: Annotated[str, typer.Option(help="open, released, refused or all.")] = "open",
    kind: Annotated[str, typer.Option(help="Only one kind, for example referral or adjust.")] = "",
) -> None:
    """Show what is to be looked at, newest first."""
    if state not in STATES:
        raise CommandFailed(f"'{state}' is no state", mend=f"use {', '.join(STATES)}", code=EXIT_USAGE)
    printer = remote.printer

    async def work(client: Client) -> list[review_pb2.Review]:
        from tallystick.v1 import review_pb2

        request = review_pb2.ListReviewsRequest(kind=kind, page_size=PAGE_REVIEWS)
        if state != "all":
            request.state = review_pb2.ReviewState.Value(f"REVIEW_STATE_{state.upper()}")
        found: list[review_pb2.Review] = []
        while True:
            page = await client.call(client.reviews.ListReviews, request)
            found += page.reviews
            request.page_token = page.next_page_token
            if not request.page_token:
                return found

    reviews = remote.ask(work)
    for one in reviews:
        waits = "  holds" if one.holds else ""
        printer.line(f"{one.review_id}  {one.made_at.ToJsonString()}  {one.kind}  {_state(one)}{waits}")
        printer.line(f"  {_facts(one)}")
    if not reviews:
        printer.line("There is nothing to look at.")
    printer.document({"reviews": [_to_json(one) for one in reviews]})


@app.command()
@with_remote(ADMIN_PROFILE)
def show(remote: Remote, review: ReviewArgument) -> None:
    """Show one review."""
    printer = remote.printer

    async def work(client: Client) -> review_pb2.Review:
        from tallystick.v1 import review_pb2

        request = review_pb2.GetReviewRequest(review_id=review)
        return (await client.call(client.reviews.GetReview, request)).review

    _show(printer, remote.ask(work))


@app.command()
@with_remote(ADMIN_PROFILE)
def release(remote: Remote, review: ReviewArgument, note: NoteOption = "") -> None:
    """Let what is held go on: a recommendation is paid, an adjustment posted."""
    _decide(remote, review, "RELEASE", note)


@app.command()
@with_remote(ADMIN_PROFILE)
def refuse(remote: Remote, review: ReviewArgument, note: NoteOption = "") -> None:
    """End what is held."""
    _decide(remote, review, "REFUSE", note)


@app.command()
@with_remote(ADMIN_PROFILE)
def staff(
    remote: Remote,
    store: Annotated[str, typer.Argument(help="The store.")],
    cashier: Annotated[str, typer.Argument(help="A cashier's short name; without one all are shown.")] = "",
    member: Annotated[
        str,
        typer.Option(metavar="MEMBER", help="Who the cashier is: member number, card, telephone or mail."),
    ] = "",
    forget: Annotated[bool, typer.Option("--forget", help="Forget who the cashier is.")] = False,
) -> None:
    """Show which members the cashiers of a store are, or note it of one, or forget it."""
    if cashier and bool(member) == forget:
        raise CommandFailed("say who the cashier is, or --forget", mend="--member MEMBER", code=EXIT_USAGE)
    if (member or forget) and not cashier:
        raise CommandFailed(
            "say which cashier", mend="tallystick review staff STORE CASHIER ...", code=EXIT_USAGE
        )
    printer = remote.printer

    async def work(client: Client) -> list[review_pb2.StaffMember]:
        from tallystick.v1 import review_pb2

        if cashier:
            member_id = "" if forget else await identify_person(client, member)
            request = review_pb2.SetStaffMemberRequest(
                store_id=store, cashier_id=cashier, member_id=member_id
            )
            await client.call(client.reviews.SetStaffMember, request)
        listed = review_pb2.ListStaffMembersRequest(store_id=store)
        return list((await client.call(client.reviews.ListStaffMembers, listed)).staff)

    found = remote.ask(work)
    for one in found:
        printer.line(f"{one.cashier_id}  {one.member_id}")
    if not found:
        printer.line("No cashier of the store is known to be a member.")
    printer.document({"staff": [{"cashier_id": one.cashier_id, "member_id": one.member_id} for one in found]})


def _decide(remote: Remote, review: str, verdict: str, note: str) -> None:
    async def work(client: Client) -> review_pb2.DecideReviewResponse:
        from tallystick.v1 import review_pb2

        request = review_pb2.DecideReviewRequest(
            review_id=review,
            verdict=review_pb2.ReviewVerdict.Value(f"REVIEW_VERDICT_{verdict}"),
            note=note,
        )
        return await client.call(client.reviews.DecideReview, request)

    answer = remote.ask(work)
    _show(remote.printer, answer.review)
    if answer.decision.HasField("refused"):
        raise CommandFailed(
            f"what was held could not be posted: {answer.decision.refused.message}", code=EXIT_UNSOUND
        )


def _show(printer: Printer, review: review_pb2.Review) -> None:
    printer.line(f"{review.kind}: {_state(review)}")
    rows = [(name, value) for name, value in _to_json(review).items() if value and name != "facts"]
    printer.table([(name.replace("_", " "), str(value)) for name, value in rows])
    printer.table(sorted(review.facts.items()))
    printer.document(_to_json(review))


def _state(review: review_pb2.Review) -> str:
    from tallystick.v1 import review_pb2

    return review_pb2.ReviewState.Name(review.state).removeprefix("REVIEW_STATE_").lower()


def _facts(review: review_pb2.Review) -> str:
    about = {"member": review.member_id, "by": review.other_id} | dict(sorted(review.facts.items()))
    return "  ".join(f"{name}={value}" for name, value in about.items() if value)


def _to_json(review: review_pb2.Review) -> dict[str, Any]:
    decided = review.HasField("decided_at")
    return {
        "review_id": review.review_id,
        "kind": review.kind,
        "state": _state(review),
        "member_id": review.member_id,
        "other_id": review.other_id,
        "facts": dict(sorted(review.facts.items())),
        "made_at": review.made_at.ToJsonString(),
        "asked_by": review.asked_by,
        "decided_at": review.decided_at.ToJsonString() if decided else "",
        "decided_by": review.decided_by,
        "note": review.note,
        "holds": review.holds,
    }
