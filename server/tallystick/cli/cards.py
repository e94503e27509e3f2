"""`tallystick cards ...`: print cards, make batches of cards, take lost ones out of use."""

from __future__ import annotations

import csv
import sys
from collections.abc import AsyncIterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tallystick.cli.amounts import new_id
from tallystick.cli.options import ADMIN_PROFILE
from tallystick.cli.output import EXIT_UNSOUND, EXIT_USAGE, CommandFailed, count
from tallystick.cli.remote import Remote, with_remote
from tallystick.cli.shop import identify_person

if TYPE_CHECKING:
    from tallystick.cards.layout import Page
    from tallystick.cli.client import Client
    from tallystick.security.identifiers import Identifier
    from tallystick.v1 import card_pb2, identity_pb2

PAGE_CARDS = 1_000
KIND_PREFIX = "IDENTIFIER_KIND_"

app = typer.Typer(no_args_is_help=True)
batch_app = typer.Typer(no_args_is_help=True)
app.add_typer(batch_app, name="batch", help="Batches of cards that belong to nobody yet.")


class Format(StrEnum):
    """What kind of file is written."""

    PDF = "pdf"
    PNG = "png"
    SVG = "svg"


class Layout(StrEnum):
    """One card a page, or A4 sheets with crop marks."""

    CARD = "card"
    SHEET = "sheet"


class Kind(StrEnum):
    """What the cards of a batch hold."""

    NUMBER = "number"
    EAN13 = "ean13"
    GSRN = "gsrn"


BatchArgument = Annotated[str, typer.Argument(metavar="BATCH", help="Id of the batch.")]
MemberArgument = Annotated[
    str,
    typer.Argument(metavar="MEMBER", help="Member number, another card, telephone number or e-mail address."),
]
EndingOption = Annotated[
    str, typer.Option("--card", metavar="ENDING", help="The last digits of the card, when there are several.")
]


@app.command("print")
@with_remote(ADMIN_PROFILE)
def print_cards(
    remote: Remote,
    member: Annotated[
        str, typer.Argument(help="Member number, card, telephone number or e-mail address; or --batch.")
    ] = "",
    batch: Annotated[str, typer.Option(metavar="ID", help="All cards of a batch that are still blank.")] = "",
    form: Annotated[
        Format, typer.Option("--format", help="PDF holds all pages; of PNG and SVG there is a file for each.")
    ] = Format.PDF,
    layout: Annotated[Layout, typer.Option(help="One card a page, or A4 sheets with crop marks.")] = (
        Layout.CARD
    ),
    per_sheet: Annotated[int, typer.Option(help="Cards on a sheet: 8 with gutters, or 10.")] = 10,
    dpi: Annotated[int, typer.Option(help="Dots per inch of PNG.", min=150, max=1200)] = 300,
    title: Annotated[str, typer.Option(help="What stands on the cards, at most 40 characters.")] = "",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to write. Default: cards.*")
    ] = None,
) -> None:
    """Draw the card of a member, or the blank cards of a batch, for printing at 100 %."""
    from tallystick.cards.layout import GUTTERS_MM, TITLE_CHARS_MAX, card_pages, sheet_pages

    if bool(member) == bool(batch):
        raise CommandFailed("say whose card, or --batch ID", code=EXIT_USAGE)
    if per_sheet not in GUTTERS_MM:
        raise CommandFailed(f"a sheet has no {per_sheet} cards", mend="use 8 or 10", code=EXIT_USAGE)
    if len(title) > TITLE_CHARS_MAX or not _is_latin(title):
        raise CommandFailed(
            "the title does not fit on a card",
            mend=f"use at most {TITLE_CHARS_MAX} letters of Western European languages",
            code=EXIT_USAGE,
        )
    printer = remote.printer

    async def numbers(client: Client) -> list[Identifier]:
        return [await _member_card(client, member)] if member else await _blank_cards(client, batch)

    cards = remote.ask(numbers)
    if not cards:
        raise CommandFailed("no card of the batch is blank any more", code=EXIT_UNSOUND)
    if layout is Layout.SHEET:
        pages = list(sheet_pages(cards, title=title, per_sheet=per_sheet))
    else:
        pages = list(card_pages(cards, title=title))
    written = _written(pages, form, output or Path(f"cards.{form.value}"), dpi)
    for path in written:
        printer.line(f"Wrote {path}")
    printer.document({"cards": len(cards), "files": [str(path) for path in written]})


@batch_app.command("create")
@with_remote(ADMIN_PROFILE)
def create_batch(
    remote: Remote,
    count_: Annotated[int, typer.Option("--count", help="How many cards.", min=1, max=10_000)],
    kind: Annotated[Kind, typer.Option(help="What the cards hold.")] = Kind.NUMBER,
    prefix: Annotated[
        str, typer.Option(help="What the numbers begin with; for gsrn the GS1 company prefix.")
    ] = "",
    label: Annotated[str, typer.Option(help="What people call the batch.")] = "",
    batch_id: Annotated[str, typer.Option(help="Send the same batch again under its id.")] = "",
) -> None:
    """Draw the numbers of new cards. They belong to nobody until somebody enrols with one."""
    printer = remote.printer

    async def work(client: Client) -> card_pb2.CardBatch:
        from tallystick.v1 import card_pb2, identity_pb2

        request = card_pb2.CreateCardBatchRequest(
            batch_id=batch_id or new_id(),
            kind=identity_pb2.IdentifierKind.Value(KIND_PREFIX + kind.name),
            count=count_,
            prefix=prefix,
            label=label,
        )
        return (await client.call(client.cards.CreateCardBatch, request)).batch

    made = remote.ask(work)
    printer.line(f"Batch {made.batch_id}: {count(made.card_count)} cards")
    printer.line(f"  for the printer:  tallystick cards batch export {made.batch_id} -o cards.csv")
    printer.line(f"  to print here:    tallystick cards print --batch {made.batch_id} --layout sheet")
    printer.document(_batch_to_json(made))


@batch_app.command("list")
@with_remote(ADMIN_PROFILE)
def list_batches(remote: Remote) -> None:
    """Show all batches, newest first, and how many of their cards are in use."""
    printer = remote.printer

    async def work(client: Client) -> list[card_pb2.CardBatch]:
        from tallystick.v1 import card_pb2

        answer = await client.call(client.cards.ListCardBatches, card_pb2.ListCardBatchesRequest())
        return list(answer.batches)

    batches = remote.ask(work)
    for one in batches:
        states = f"{one.blank_count} blank, {one.claimed_count} claimed, {one.lost_count} lost"
        printer.line(f"{one.batch_id}  {_kind_name(one.kind):<6}  {states}  {one.label}".rstrip())
    if not batches:
        printer.line("There are no batches.")
    printer.document({"batches": [_batch_to_json(one) for one in batches]})


@batch_app.command("export")
@with_remote(ADMIN_PROFILE, prints_json=False)
def export_batch(
    remote: Remote,
    batch: BatchArgument,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to write. Default: here.")
    ] = None,
) -> None:
    """Write the numbers of a batch's blank cards as CSV, for a printer of cards."""

    async def work(client: Client) -> list[tuple[int, str, str]]:
        kind = _kind_name((await _batch(client, batch)).kind)
        found = [card async for card in _cards(client, batch)]
        return [(card.position, kind, card.number) for card in found if card.number]

    rows = remote.ask(work)
    # Every number is quoted: a spreadsheet would round sixteen digits.
    target = output.open("w", encoding="utf-8", newline="") if output else sys.stdout
    try:
        writer = csv.writer(target, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\r\n")
        writer.writerows([("position", "kind", "number"), *rows])
    finally:
        if output:
            target.close()


@app.command()
@with_remote(ADMIN_PROFILE)
def lost(
    remote: Remote,
    member: MemberArgument,
    card: EndingOption = "",
) -> None:
    """Take a member's lost card out of use for good; points and everything else stay."""
    printer = remote.printer

    async def work(client: Client) -> tuple[str, str]:
        from tallystick.v1 import card_pb2

        member_id, held = await _card_of(client, member, card)
        request = card_pb2.ReportLostRequest(member_id=member_id, identifier_id=held.identifier_id)
        return held.masked, (await client.call(client.cards.ReportLost, request)).number

    masked, number = remote.ask(work)
    printer.line(f"Card {masked} is out of use. Member {number}")
    printer.document({"card": masked, "number": number})


@app.command()
@with_remote(ADMIN_PROFILE)
def replace(
    remote: Remote,
    member: MemberArgument,
    new: Annotated[str, typer.Argument(metavar="NEW", help="Number of the new card.")],
    card: EndingOption = "",
) -> None:
    """Take a member's card out of use for good and give the member another."""
    printer = remote.printer

    async def work(client: Client) -> tuple[str, card_pb2.ReplaceCardResponse]:
        from tallystick.v1 import card_pb2

        member_id, held = await _card_of(client, member, card)
        request = card_pb2.ReplaceCardRequest(member_id=member_id, identifier_id=held.identifier_id, text=new)
        return held.masked, await client.call(client.cards.ReplaceCard, request)

    masked, answer = remote.ask(work)
    if answer.WhichOneof("outcome") == "refused":
        raise CommandFailed(answer.refused.message, code=EXIT_UNSOUND)
    number = answer.replaced.number
    printer.line(f"Card {masked} is out of use, the new one is the member's. Member {number}")
    printer.document({"card": masked, "number": number})


async def _member_card(client: Client, text: str) -> Identifier:
    """The number that every member has, as a card."""
    from tallystick.security.identifiers import Identifier, IdentifierKind
    from tallystick.v1 import member_pb2

    request = member_pb2.GetMemberRequest(member_id=await identify_person(client, text))
    member = (await client.call(client.members.GetMember, request)).member
    return Identifier(IdentifierKind.NUMBER, member.number)


async def _blank_cards(client: Client, batch_id: str) -> list[Identifier]:
    from tallystick.security.identifiers import Identifier, IdentifierKind

    kind = IdentifierKind[_kind_name((await _batch(client, batch_id)).kind).upper()]
    return [Identifier(kind, card.number) async for card in _cards(client, batch_id) if card.number]


async def _batch(client: Client, batch_id: str) -> card_pb2.CardBatch:
    from tallystick.v1 import card_pb2

    answer = await client.call(client.cards.ListCardBatches, card_pb2.ListCardBatchesRequest())
    for one in answer.batches:
        if one.batch_id == batch_id.lower():
            return one
    raise CommandFailed(f"there is no batch {batch_id}", mend="see `tallystick cards batch list`")


async def _cards(client: Client, batch_id: str) -> AsyncIterator[card_pb2.Card]:
    from tallystick.v1 import card_pb2

    token = ""
    while True:
        request = card_pb2.ListCardsRequest(batch_id=batch_id, page_size=PAGE_CARDS, page_token=token)
        answer = await client.call(client.cards.ListCards, request)
        for card in answer.cards:
            yield card
        token = answer.next_page_token
        if not token:
            return


async def _card_of(client: Client, text: str, ending: str) -> tuple[str, identity_pb2.Identifier]:
    """The member and the one card that is meant."""
    from tallystick.v1 import identity_pb2

    member_id = await identify_person(client, text)
    request = identity_pb2.ListIdentifiersRequest(member_id=member_id)
    held = (await client.call(client.identity.ListIdentifiers, request)).identifiers
    others = (identity_pb2.IDENTIFIER_KIND_PHONE, identity_pb2.IDENTIFIER_KIND_EMAIL)
    cards = [one for one in held if one.kind not in others and one.masked.endswith(ending)]
    if len(cards) != 1:
        shown = ", ".join(one.masked for one in held if one.kind not in others)
        raise CommandFailed(
            "which card is meant?", mend=f"name its last digits with --card: {shown}", code=EXIT_USAGE
        )
    return member_id, cards[0]


def _written(pages: list[Page], form: Format, output: Path, dpi: int) -> list[Path]:
    from tallystick.cards.draw import pdf_of, png_of, svg_of

    if form is Format.PDF:
        output.write_bytes(pdf_of(pages))
        return [output]
    paths = [output]
    if len(pages) > 1:
        paths = [
            output.with_name(f"{output.stem}-{at:04d}{output.suffix}") for at in range(1, len(pages) + 1)
        ]
    for path, page in zip(paths, pages, strict=True):
        path.write_bytes(png_of(page, dpi=dpi) if form is Format.PNG else svg_of(page).encode())
    return paths


def _is_latin(text: str) -> bool:
    # The fonts that are in every PDF reader have these letters, and nothing has to be brought along.
    return text.isprintable() and all(ord(letter) < 256 for letter in text)


def _kind_name(kind: int) -> str:
    from tallystick.v1 import identity_pb2

    name = identity_pb2.IdentifierKind.Name(identity_pb2.IdentifierKind.ValueType(kind))
    return name.removeprefix(KIND_PREFIX).lower()


def _batch_to_json(batch: card_pb2.CardBatch) -> dict[str, int | str]:
    return {
        "batch_id": batch.batch_id,
        "kind": _kind_name(batch.kind),
        "prefix": batch.prefix,
        "label": batch.label,
        "cards": batch.card_count,
        "blank": batch.blank_count,
        "claimed": batch.claimed_count,
        "lost": batch.lost_count,
    }
