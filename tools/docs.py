"""Writes the reference pages docs/reference/api.md and errors.md from the comments of the contract, and the JSON Schema
of rule sets from their parser.

Run as `python -m tools.docs`; with `--check` it writes nothing and fails when a page is not current.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
    MethodOptions,
    ServiceDescriptorProto,
)

from tallystick.v1 import options_pb2
from tools.protos import PACKAGE, ROOT, write_image
from tools.schema import SCHEMA
from tools.schema import render as render_schema

REFERENCE = ROOT / "docs" / "reference"
OWN_PREFIX = ".tallystick.v1."
NOTICE = "<!-- Written by `make docs` from the comments in protos/; change them there. -->\n"

# Field numbers in descriptor.proto: a comment is found by the path of its element through the descriptor.
MESSAGE, ENUM, SERVICE = 4, 5, 6
FIELD, NESTED_MESSAGE, NESTED_ENUM, METHOD, ENUM_VALUE = 2, 3, 4, 2, 2

_REASON = re.compile(
    r"^(?P<name>\w+): (?P<status>[A-Z_]+)\. (?P<meaning>.*?)\s*Metadata: (?P<metadata>\{.*\})\.?$"
)

ElementPath = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """A proto file with its comments by path."""

    file: FileDescriptorProto
    comments: Mapping[ElementPath, str]

    def comment(self, *path: int) -> str:
        """The comment of an element as one line; empty when it has none."""
        return " ".join(self.comments.get(path, "").split())

    @property
    def introduction(self) -> str:
        """The comment above the `package` line."""
        return self.comment(2)


def read_sources() -> list[Source]:
    """The files of the contract in the order of their names."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "contract.binpb"
        write_image(path, with_source_info=True)
        image = FileDescriptorSet.FromString(path.read_bytes())
    return [
        Source(file, {tuple(at.path): at.leading_comments for at in file.source_code_info.location})
        for file in sorted(image.file, key=lambda file: file.name)
        if file.name.startswith(PACKAGE)
    ]


def render_api(sources: list[Source]) -> str:
    """The page of all services, messages and enumerations."""
    lines = [
        NOTICE,
        "# API reference",
        "",
        "Package `tallystick.v1`. Errors and refusals have [their own page](errors.md).",
        "",
    ]
    for source in sources:
        lines += [f"## {source.file.name.rpartition('/')[2]}", "", source.introduction, ""]
        for index, service in enumerate(source.file.service):
            lines += _service(source, index, service)
        for index, message in enumerate(source.file.message_type):
            lines += _message(source, (MESSAGE, index), message, message.name)
        for index, enum in enumerate(source.file.enum_type):
            lines += _enum(source, (ENUM, index), enum, enum.name)
    return "\n".join(lines).rstrip() + "\n"


def render_errors(sources: list[Source]) -> str:
    """The page of operating errors and refusals."""
    lines = [NOTICE, "# Errors and refusals", ""]
    source, path, errors = _find_enum(sources, "ErrorReason")
    lines += [
        source.introduction,
        "",
        "## Errors",
        "",
        "| reason | gRPC status | meaning | metadata |",
        "| --- | --- | --- | --- |",
    ]
    for index, value in enumerate(errors.value[1:], start=1):
        comment = source.comment(*path, ENUM_VALUE, index)
        match = _REASON.match(comment)
        if match is None or match["name"] != value.name:
            raise ValueError(f'{value.name}: the comment is not "NAME: STATUS. Meaning. Metadata: {{...}}."')
        reason = value.name.removeprefix("ERROR_REASON_")
        lines.append(
            f"| `{reason}` | {match['status']} | {_cell(match['meaning'])} | `{match['metadata']}` |"
        )
    source, path, refusals = _find_enum(sources, "RefusalReason")
    lines += ["", "## Refusals", "", source.comment(*path), ""]
    lines += _values(source, path, refusals, skip_first=True)
    return "\n".join(lines).rstrip() + "\n"


def _service(source: Source, index: int, service: ServiceDescriptorProto) -> Iterator[str]:
    yield from (f"### {service.name}", "", source.comment(SERVICE, index), "")
    yield from ("| method | request → response | roles | |", "| --- | --- | --- | --- |")
    for number, method in enumerate(service.method):
        comment = source.comment(SERVICE, index, METHOD, number)
        messages = f"{_type_link(method.input_type)} → {_type_link(method.output_type)}"
        yield f"| `{method.name}` | {messages} | {_roles(method)} | {_cell(comment)}{_reads(method)} |"
    yield ""


def _roles(method: MethodDescriptorProto) -> str:
    roles = method.options.Extensions[options_pb2.allow].roles
    return ", ".join(options_pb2.Role.Name(role).removeprefix("ROLE_") for role in roles)


def _reads(method: MethodDescriptorProto) -> str:
    return " *Reads only.*" if method.options.idempotency_level == MethodOptions.NO_SIDE_EFFECTS else ""


def _message(source: Source, path: ElementPath, message: DescriptorProto, name: str) -> Iterator[str]:
    yield from (f"### {name}", "", source.comment(*path), "")
    maps = {nested.name: nested for nested in message.nested_type if nested.options.map_entry}
    if message.field:
        yield from ("| field | type | |", "| --- | --- | --- |")
    for index, field in enumerate(message.field):
        comment = source.comment(*path, FIELD, index)
        yield f"| `{field.name}` | {_field_type(message, field, maps)} | {_cell(comment)} |"
    yield ""
    for index, nested in enumerate(message.nested_type):
        if nested.name not in maps:
            yield from _message(source, (*path, NESTED_MESSAGE, index), nested, f"{name}.{nested.name}")
    for index, enum in enumerate(message.enum_type):
        yield from _enum(source, (*path, NESTED_ENUM, index), enum, f"{name}.{enum.name}")


def _enum(source: Source, path: ElementPath, enum: EnumDescriptorProto, name: str) -> Iterator[str]:
    yield from (f"### {name}", "", source.comment(*path), "")
    yield from _values(source, path, enum, skip_first=False)
    yield ""


def _values(
    source: Source, path: ElementPath, enum: EnumDescriptorProto, *, skip_first: bool
) -> Iterator[str]:
    yield from ("| value | number | |", "| --- | --- | --- |")
    for index, value in enumerate(enum.value):
        if index or not skip_first:
            yield f"| `{value.name}` | {value.number} | {_cell(source.comment(*path, ENUM_VALUE, index))} |"


def _field_type(
    message: DescriptorProto, field: FieldDescriptorProto, maps: Mapping[str, DescriptorProto]
) -> str:
    entry = maps.get(field.type_name.rpartition(".")[2])
    if entry is not None:
        key, value = entry.field
        return f"map of {_value_type(key)} to {_value_type(value)}"
    text = _value_type(field)
    if field.label == FieldDescriptorProto.LABEL_REPEATED:
        return f"list of {text}"
    if field.proto3_optional:
        return f"optional {text}"
    if field.HasField("oneof_index"):
        return f"{text}, one of `{message.oneof_decl[field.oneof_index].name}`"
    return text


def _value_type(field: FieldDescriptorProto) -> str:
    if field.type_name:
        return _type_link(field.type_name)
    return FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()


def _type_link(full_name: str) -> str:
    if not full_name.startswith(OWN_PREFIX):
        return f"`{full_name.removeprefix('.')}`"
    name = full_name.removeprefix(OWN_PREFIX)
    return f"[{name}](#{name.lower().replace('.', '')})"


def _find_enum(sources: list[Source], name: str) -> tuple[Source, ElementPath, EnumDescriptorProto]:
    for source in sources:
        for index, enum in enumerate(source.file.enum_type):
            if enum.name == name:
                return source, (ENUM, index), enum
    raise LookupError(f"the contract has no enum {name}")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.docs", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--check", action="store_true", help="fail when a page is not current, write nothing")
    check = parser.parse_args().check
    sources = read_sources()
    stale = False
    written = (
        (REFERENCE / "api.md", render_api(sources)),
        (REFERENCE / "errors.md", render_errors(sources)),
        (SCHEMA, render_schema()),
    )
    for page, text in written:
        if page.exists() and page.read_text() == text:
            continue
        stale = True
        if not check:
            page.parent.mkdir(parents=True, exist_ok=True)
            page.write_text(text)
        print(f"{page.relative_to(ROOT)} {'is not current: run `make docs`' if check else 'written'}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
