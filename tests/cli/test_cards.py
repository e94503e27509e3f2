"""`tallystick cards` against a server that runs: from the batch to the lost card."""

from __future__ import annotations

import asyncio
import csv
import io
import uuid
from pathlib import Path

import pypdfium2
import pytest
import zxingcpp
from PIL import Image

from tallystick.cli.options import client_for
from tallystick.v1 import sharing_pb2, sharing_pb2_grpc
from tests.cli.shell import Running, Shell


@pytest.fixture(scope="module")
def batch(shop: Shell, run: Running) -> str:
    """A batch of eleven EAN-13 cards."""
    assert run.port
    made = shop.succeed("cards", "batch", "create", "--count", "11", "--kind", "ean13", "--json").json
    assert (made["cards"], made["blank"], made["prefix"]) == (11, 11, "29")
    return str(made["batch_id"])


def numbers_of(shop: Shell, batch: str) -> list[str]:
    rows = list(csv.reader(io.StringIO(shop.succeed("cards", "batch", "export", batch).out)))
    assert rows[0] == ["position", "kind", "number"]
    return [row[2] for row in rows[1:]]


def read(image: Image.Image) -> set[str]:
    return {found.text for found in zxingcpp.read_barcodes(image)}


def test_a_batch_goes_to_the_printer_and_onto_sheets(shop: Shell, batch: str) -> None:
    numbers = numbers_of(shop, batch)
    assert len(set(numbers)) == 11
    file = shop.home / "sheets.pdf"
    done = shop.succeed(
        "cards", "print", "--batch", batch, "--layout", "sheet", "-o", file, "--title", "Club"
    )
    assert str(file) in done.out
    document = pypdfium2.PdfDocument(file.read_bytes())
    assert len(document) == 2
    assert read(document[0].render(scale=300 / 72).to_pil()) == set(numbers[:10])
    assert read(document[1].render(scale=300 / 72).to_pil()) == set(numbers[10:])


def test_a_card_of_a_batch_is_claimed_lost_and_replaced(shop: Shell, batch: str) -> None:
    first, second, *_ = numbers_of(shop, batch)
    assert "Enrol" in shop.run("balance", "--member", first).err
    shop.succeed("enrol-member", first)
    phone = "+46701740611"
    joined = shop.succeed("enrol-member", phone, "--json").json
    assert shop.run("cards", "lost", phone, "--card", "none").code == 2
    assert first not in numbers_of(shop, batch)
    shop.succeed("cards", "replace", first, second, "--card", first[-4:])
    assert "lost or replaced" in shop.run("balance", "--member", first).err
    shop.succeed("balance", "--member", second)
    lost = shop.succeed("cards", "lost", phone, "--json").json
    assert lost["number"] != joined["number"]
    assert shop.run("balance", "--member", joined["number"]).code == 1
    (found,) = shop.succeed("cards", "batch", "list", "--json").json["batches"]
    assert (found["blank"], found["claimed"], found["lost"]) == (9, 1, 1)


async def found_household(shop: Shell, run: Running, head: str) -> None:
    async with client_for("admin", data_dir=str(shop.data_dir), config=None, server=run.address) as client:
        request = sharing_pb2.CreateHouseholdRequest(household_id=str(uuid.uuid4()), member_id=head)
        await client.call(sharing_pb2_grpc.SharingServiceStub(client._channel).CreateHousehold, request)


def test_the_cards_of_somebody_in_a_household_are_that_persons(shop: Shell, run: Running, batch: str) -> None:
    first, second = numbers_of(shop, batch)[-2:]
    joined = shop.succeed("enrol-member", first, "--json").json
    asyncio.run(found_household(shop, run, joined["member_id"]))
    file = shop.home / "household.png"
    shop.succeed("cards", "print", first, "--format", "png", "-o", file, "--dpi", "203")
    assert read(Image.open(file)) == {joined["number"]}
    shop.succeed("cards", "replace", joined["number"], second, "--card", first[-4:])
    lost = shop.succeed("cards", "lost", second, "--card", joined["number"][-4:], "--json").json
    assert lost["number"] != joined["number"]
    assert "lost or replaced" in shop.run("balance", "--member", joined["number"]).err
    shop.succeed("balance", "--member", lost["number"])


@pytest.mark.parametrize("form", ["png", "svg", "pdf"])
def test_the_card_of_a_member_is_drawn(shop: Shell, member: str, form: str) -> None:
    file = shop.home / f"card.{form}"
    shop.succeed("cards", "print", member, "--format", form, "-o", file, "--dpi", "203")
    if form == "png":
        assert read(Image.open(file)) == {member}
    elif form == "pdf":
        page = pypdfium2.PdfDocument(file.read_bytes())[0]
        assert read(page.render(scale=203 / 72).to_pil()) == {member}
    else:
        assert " ".join(member[at : at + 4] for at in range(0, 16, 4)) in file.read_text()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "--batch"),
        (("1", "--batch", "2"), "--batch"),
        (("1", "--per-sheet", "9"), "8 or 10"),
        (("1", "--title", "x" * 41), "40 letters"),
        (("1", "--title", "\u0416"), "40 letters"),
    ],
)
def test_a_print_that_makes_no_sense_is_told_before_anybody_is_asked(
    tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    finished = Shell(tmp_path).here("cards", "print", *arguments)
    assert finished.code == 2
    assert told in finished.err
