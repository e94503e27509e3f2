"""A bare gRPC echo: what one process of grpc.aio can do at all, as the measure for the gateway.

    python -m benchmarks.echo_server [--address 127.0.0.1:0] [--shared]

One method, ``/benchmark.Echo/Echo``, answers the bytes that it gets. No parsing, no pipeline, no options but those
without which a comparison would be unfair. It prints the port that it listens on and serves until it is stopped.
"""

from __future__ import annotations

import argparse
import asyncio
import signal

import grpc
import uvloop

METHOD = "/benchmark.Echo/Echo"
MESSAGE_BYTES = 200
"""Size of the messages that the benchmark sends."""


class _Echo(grpc.GenericRpcHandler):
    def __init__(self) -> None:
        self._handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(_echo)

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        return self._handler if handler_call_details.method == METHOD else None


async def _echo(payload: bytes, _context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
    return payload


async def serve(address: str, *, shared: bool) -> None:
    """Serve until SIGTERM or SIGINT; ``shared`` lets other processes listen on the port too."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", int(shared))])
    server.add_generic_rpc_handlers((_Echo(),))
    port = server.add_insecure_port(address)
    await server.start()
    print(port, flush=True)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    await server.stop(1.0)


def main() -> None:
    """Serve as the command line says."""
    parser = argparse.ArgumentParser(description="Serve a bare gRPC echo.")
    parser.add_argument("--address", default="127.0.0.1:0", help="host:port; port 0 takes a free one")
    parser.add_argument("--shared", action="store_true", help="let more than one process listen there")
    args = parser.parse_args()
    uvloop.run(serve(args.address, shared=args.shared))


if __name__ == "__main__":
    main()
