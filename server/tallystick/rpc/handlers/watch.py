"""StoreService's server stream."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from tallystick.rpc.call import Call
from tallystick.service.watch import Watch
from tallystick.v1 import store_pb2 as pb


class WatchHandlers:
    """Answers StoreService.Watch; a part of the service's handlers."""

    _watch: Watch

    async def watch(self, request: pb.WatchRequest, call: Call) -> AsyncGenerator[pb.WatchResponse, None]:
        caller = call.caller
        stream = self._watch.stream(caller.program_id, caller.store_id, caller.device_id, request)
        try:
            async for response in stream:
                yield response
        finally:
            await stream.aclose()
