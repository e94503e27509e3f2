"""What a service of the contract is to the edge: its methods with who may call them, read from the descriptors."""

from __future__ import annotations

import inspect
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from functools import cache

from google.protobuf.descriptor import Descriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from tallystick.core.record import record
from tallystick.rpc.call import Call
from tallystick.v1 import options_pb2

RECURSION_MAX = 20
"""Deepest nesting of messages that a request may have."""

Handler = Callable[[Message, Call], Awaitable[Message]]
StreamHandler = Callable[[Message, Call], AsyncGenerator[Message, None]]


class ServicesRefused(Exception):
    """The services cannot be served as they are; the message lists every fault."""


@record(frozen=True, slots=True)
class Service:
    """A service of the contract and the object that answers it.

    ``handlers`` has one ``async def`` for each method, named as the method in snake case:
    ``async def post_sale(self, request, call) -> PostSaleResponse``. That of a server stream is a generator:
    ``async def watch(self, request, call) -> AsyncGenerator[WatchResponse, None]``.
    """

    descriptor: ServiceDescriptor
    handlers: object


@record(frozen=True, slots=True)
class Method:
    """One method: ``name`` is ``tallystick.v1.LedgerService/PostSale``.

    ``roles`` are the Role numbers that may call it, none for a public one. ``read_only`` is the contract's
    NO_SIDE_EFFECTS. ``handler`` answers a unary method, ``stream_handler`` a server stream; the other one is None.
    """

    name: str
    roles: frozenset[int]
    public: bool
    read_only: bool
    request_class: type[Message]
    response_class: type[Message]
    handler: Handler | None
    stream_handler: StreamHandler | None

    @property
    def streams(self) -> bool:
        """Whether the answer is a stream of messages."""
        return self.stream_handler is not None


def methods_of(services: Sequence[Service]) -> list[Method]:
    """Read all methods; ServicesRefused when one has no handler, no roles, takes a stream, or nests too deep."""
    faults: list[str] = []
    methods = [
        method
        for service in services
        for descriptor in service.descriptor.methods
        if (method := _method(service, descriptor, faults)) is not None
    ]
    names = [service.descriptor.full_name for service in services]
    faults += [f"{name} is registered twice" for name in sorted(set(names)) if names.count(name) > 1]
    if faults:
        raise ServicesRefused("; ".join(faults))
    return methods


def _method(service: Service, descriptor: MethodDescriptor, faults: list[str]) -> Method | None:
    name = f"{service.descriptor.full_name}/{descriptor.name}"
    found: list[str] = []
    handler = getattr(service.handlers, _snake_case(descriptor.name), None)
    streams = bool(descriptor.server_streaming)
    fits = inspect.isasyncgenfunction(handler) if streams else inspect.iscoroutinefunction(handler)
    if not fits:
        holder, kind = type(service.handlers).__name__, "async generator" if streams else "async method"
        found.append(f"{name}: {holder} has no {kind} {_snake_case(descriptor.name)}")
    roles = frozenset(descriptor.GetOptions().Extensions[options_pb2.allow].roles)
    if not roles or options_pb2.ROLE_UNSPECIFIED in roles:
        found.append(f"{name}: the option `allow` names no role")
    public = options_pb2.ROLE_PUBLIC in roles
    if public and len(roles) > 1:
        found.append(f"{name}: a public method has no other role")
    if descriptor.client_streaming:
        found.append(f"{name}: streams of requests are not served")
    if public and streams:
        found.append(f"{name}: a stream belongs to a device, so its method is not public")
    if _depth(descriptor.input_type) > RECURSION_MAX:
        found.append(f"{name}: {descriptor.input_type.full_name} nests deeper than {RECURSION_MAX} messages")
    faults += found
    if found:
        return None
    assert handler is not None, "a missing handler is a fault"
    return Method(
        name=name,
        roles=frozenset() if public else roles,
        public=public,
        read_only=descriptor.GetOptions().idempotency_level == MethodOptions.NO_SIDE_EFFECTS,
        request_class=GetMessageClass(descriptor.input_type),
        response_class=GetMessageClass(descriptor.output_type),
        handler=None if streams else handler,
        stream_handler=handler if streams else None,
    )


@cache
def _depth(message: Descriptor, path: tuple[Descriptor, ...] = ()) -> int:
    """How deep a message of this type can nest. A type that holds itself counts as deeper than any limit.

    The binary parser has no limit of ours to set. It need not have one: it builds messages of known types only,
    so what the types allow bounds the depth (its own limit of 100 guards what it skips as unknown).
    """
    if message in path or len(path) > RECURSION_MAX:
        return RECURSION_MAX + 1
    inner: Iterable[Descriptor] = (
        field.message_type for field in message.fields if field.message_type is not None
    )
    return 1 + max((_depth(child, (*path, message)) for child in inner), default=0)


def _snake_case(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
