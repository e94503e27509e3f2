"""A server does not start with services that it could not answer as the contract says."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import AsyncGenerator

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message

import tallystick.v1
from tallystick.rpc.call import Call
from tallystick.rpc.pipeline import Pipeline
from tallystick.rpc.service import RECURSION_MAX, Service, ServicesRefused, methods_of
from tallystick.rpc.validation import compile_rules
from tallystick.v1 import options_pb2
from tests.rpc.edge import DESCRIPTORS, Issuer, handlers_for, services_with

FIELD = descriptor_pb2.FieldDescriptorProto


def service_of(
    *,
    roles: tuple[options_pb2.Role.ValueType, ...] = (options_pb2.ROLE_TILL,),
    streams: bool = False,
    takes_stream: bool = False,
    nests: int = 0,
    itself: bool = False,
    cel: str = "",
) -> ServiceDescriptor:
    """A service ``Test`` with one method ``DoIt``, whose request nests as asked for."""
    from tallystick.v1.buf.validate import validate_pb2

    file = descriptor_pb2.FileDescriptorProto(name="test.proto", package="test", syntax="proto3")
    file.dependency.extend(["tallystick/v1/options.proto", "buf/validate/validate.proto"])
    for depth in range(nests + 1):
        message = file.message_type.add(name=f"M{depth}")
        if depth < nests or itself:
            inner = "M0" if itself and depth == nests else f"M{depth + 1}"
            message.field.add(
                name="inner",
                number=1,
                type=FIELD.TYPE_MESSAGE,
                label=FIELD.LABEL_OPTIONAL,
                type_name=f".test.{inner}",
            )
    if cel:
        rule = file.message_type[0].options.Extensions[validate_pb2.message].cel.add()
        rule.id, rule.message, rule.expression = "x", "x", cel
    method = file.service.add(name="Test").method.add(
        name="DoIt",
        input_type=".test.M0",
        output_type=".test.M0",
        server_streaming=streams,
        client_streaming=takes_stream,
    )
    method.options.Extensions[options_pb2.allow].roles.extend(roles)
    pool = descriptor_pool.DescriptorPool()
    seen: set[str] = set()

    def add(name: str) -> None:
        if name not in seen:
            seen.add(name)
            found = descriptor_pool.Default().FindFileByName(name)
            for dependency in found.dependencies:
                add(dependency.name)
            copy = descriptor_pb2.FileDescriptorProto()
            found.CopyToProto(copy)
            pool.Add(copy)

    for dependency in file.dependency:
        add(dependency)
    pool.Add(file)
    return pool.FindFileByName("test.proto").services_by_name["Test"]


class Handlers:
    async def do_it(self, request: Message, _call: Call) -> Message:
        return request


def test_all_methods_of_the_contract_are_served_with_the_roles_that_it_names() -> None:
    methods = {method.name: method for method in methods_of(services_with())}
    assert len(methods) == sum(len(descriptor.methods) for descriptor in DESCRIPTORS)
    sale = methods["tallystick.v1.LedgerService/PostSale"]
    assert sale.roles == {options_pb2.ROLE_TILL, options_pb2.ROLE_WEBSHOP, options_pb2.ROLE_IMPORTER}
    assert not sale.public
    assert not sale.read_only
    assert methods["tallystick.v1.LedgerService/GetBalance"].read_only
    public = {name for name, method in methods.items() if method.public}
    assert public == {"tallystick.v1.TillService/EnrolDevice", "tallystick.v1.TillService/IssueToken"}


def test_missing_handlers_are_all_named() -> None:
    class Half:
        async def quote(self, request: Message, _call: Call) -> Message:
            return request

        def earn(self, request: Message, _call: Call) -> Message:
            return request

    with pytest.raises(ServicesRefused) as refused:
        methods_of([Service(DESCRIPTORS[0], Half())])
    text = str(refused.value)
    assert "tallystick.v1.LedgerService/PostSale: Half has no async method post_sale" in text
    assert "Half has no async method earn" in text
    assert "quote" not in text


@pytest.mark.parametrize("roles", [(), (options_pb2.ROLE_UNSPECIFIED, options_pb2.ROLE_TILL)])
def test_a_method_that_nobody_may_call_stops_the_start(roles: tuple[options_pb2.Role.ValueType, ...]) -> None:
    with pytest.raises(ServicesRefused, match="Test/DoIt: the option `allow` names no role"):
        methods_of([Service(service_of(roles=roles), Handlers())])


def test_a_method_is_public_or_for_roles_but_not_both() -> None:
    mixed = service_of(roles=(options_pb2.ROLE_PUBLIC, options_pb2.ROLE_TILL))
    with pytest.raises(ServicesRefused, match="a public method has no other role"):
        methods_of([Service(mixed, Handlers())])


class StreamHandlers:
    async def do_it(self, request: Message, _call: Call) -> AsyncGenerator[Message, None]:
        yield request


def test_a_server_stream_is_answered_by_a_generator_and_nothing_else() -> None:
    [method] = methods_of([Service(service_of(streams=True), StreamHandlers())])
    assert method.streams
    assert not methods_of([Service(service_of(), Handlers())])[0].streams
    with pytest.raises(ServicesRefused, match="Handlers has no async generator do_it"):
        methods_of([Service(service_of(streams=True), Handlers())])
    with pytest.raises(ServicesRefused, match="StreamHandlers has no async method do_it"):
        methods_of([Service(service_of(), StreamHandlers())])


def test_streams_of_requests_and_streams_for_anybody_stop_the_start() -> None:
    with pytest.raises(ServicesRefused, match="streams of requests are not served"):
        methods_of([Service(service_of(takes_stream=True), Handlers())])
    open_to_all = service_of(streams=True, roles=(options_pb2.ROLE_PUBLIC,))
    with pytest.raises(ServicesRefused, match="its method is not public"):
        methods_of([Service(open_to_all, StreamHandlers())])


def services_of_contract() -> list[ServiceDescriptor]:
    """Every service of the package, whatever file it stands in."""
    files = [
        importlib.import_module(f"tallystick.v1.{module.name}").DESCRIPTOR
        for module in pkgutil.iter_modules(tallystick.v1.__path__)
        if module.name.endswith("_pb2")
    ]
    return [service for file in files for service in file.services_by_name.values()]


def test_every_rule_of_the_contract_compiles() -> None:
    # The server compiles most of them with the first request that the quick look does not answer for.
    found = {one.full_name: one for one in services_of_contract()}
    assert {"tallystick.v1.LedgerService", "tallystick.v1.AppService"} <= found.keys()
    compile_rules(methods_of([Service(one, handlers_for(one)) for one in found.values()]), whole=True)


def test_double_registrations_stop_the_start() -> None:
    twice = Service(DESCRIPTORS[0], handlers_for(DESCRIPTORS[0]))
    with pytest.raises(ServicesRefused, match=r"tallystick\.v1\.LedgerService is registered twice"):
        methods_of([twice, twice])


def test_requests_that_could_nest_without_end_stop_the_start() -> None:
    methods_of([Service(service_of(nests=RECURSION_MAX - 1), Handlers())])
    for descriptor in (
        service_of(nests=RECURSION_MAX),
        service_of(itself=True),
        service_of(nests=2, itself=True),
    ):
        with pytest.raises(ServicesRefused, match=f"nests deeper than {RECURSION_MAX}"):
            methods_of([Service(descriptor, Handlers())])


def test_a_rule_that_cannot_be_compiled_stops_the_start() -> None:
    wrong = Service(service_of(cel="this.nothing > 1"), Handlers())
    with pytest.raises(ServicesRefused, match=r"test\.Test/DoIt: "):
        Pipeline([wrong], authenticator=Issuer().authenticator())
