"""AppService's passkeys and the member's own erasure, where signing in is not set up: each call says so."""

from __future__ import annotations

from typing import NoReturn

from tallystick.rpc.call import Call
from tallystick.service.errors import FailedPrecondition
from tallystick.v1 import app_pb2 as pb


class NoPasskeys:
    """Answers what needs signing in."""

    async def erase_me(self, request: pb.EraseMeRequest, call: Call) -> pb.EraseMeResponse:
        _not_set_up()

    async def start_add_passkey(
        self, request: pb.StartAddPasskeyRequest, call: Call
    ) -> pb.StartAddPasskeyResponse:
        _not_set_up()

    async def finish_add_passkey(
        self, request: pb.FinishAddPasskeyRequest, call: Call
    ) -> pb.FinishAddPasskeyResponse:
        _not_set_up()

    async def list_passkeys(self, request: pb.ListPasskeysRequest, call: Call) -> pb.ListPasskeysResponse:
        _not_set_up()

    async def remove_passkey(self, request: pb.RemovePasskeyRequest, call: Call) -> pb.RemovePasskeyResponse:
        _not_set_up()


def _not_set_up() -> NoReturn:
    raise FailedPrecondition("Signing in is not set up on this server.")
