"""SignInService, and of AppService what belongs to signing in: passkeys, and erasing oneself."""

from __future__ import annotations

from tallystick.core.ids import ProgramId
from tallystick.rpc.call import Call
from tallystick.rpc.convert.commands import member_id_from_pb
from tallystick.rpc.convert.people import member_to_pb
from tallystick.rpc.convert.scalars import ms_to_pb
from tallystick.rpc.convert.sign_in import (
    device_key_from_pb,
    not_signed_in_to_pb,
    passkey_to_pb,
    signed_in_to_pb,
)
from tallystick.rpc.handlers.access import visible_member
from tallystick.rpc.limits import address_of
from tallystick.service.gateway import Gateway
from tallystick.service.sign_in import NotSignedIn, SignedIn, program_of
from tallystick.service.sign_in_ports import Passkey
from tallystick.v1 import app_pb2 as pb


class SignInHandlers:
    """Answers SignInService. Every method is public: the program comes from the request."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._pool = gateway.pool
        self._sign_in = gateway.sign_in
        self._passkeys = gateway.passkeys

    async def get_card_program(
        self, request: pb.GetCardProgramRequest, _call: Call
    ) -> pb.GetCardProgramResponse:
        face = self._gateway.face
        name = await self._pool.run(program_of, self._gateway.store, ProgramId(request.program_id))
        return pb.GetCardProgramResponse(
            program_id=request.program_id,
            display_name=name,
            organization=face.organization,
            apple_wallet=face.apple_wallet,
            google_wallet=face.google_wallet,
        )

    async def start_email_code(
        self, request: pb.StartEmailCodeRequest, call: Call
    ) -> pb.StartEmailCodeResponse:
        started = await self._pool.run(
            self._sign_in.start_email_code,
            ProgramId(request.program_id),
            request.email,
            language=request.language,
            client=address_of(call.peer),
        )
        return pb.StartEmailCodeResponse(
            session_id=started.session_id, expires_at=ms_to_pb(started.expires_ms)
        )

    async def finish_email_code(
        self, request: pb.FinishEmailCodeRequest, _call: Call
    ) -> pb.FinishEmailCodeResponse:
        program_id = ProgramId(request.program_id)
        answer = await self._pool.run(
            self._sign_in.finish_email_code,
            program_id,
            request.session_id,
            request.code,
            device_key_from_pb(request.device),
            referral_code=request.referral_code,
        )
        if isinstance(answer, NotSignedIn):
            return pb.FinishEmailCodeResponse(refused=not_signed_in_to_pb(answer))
        return pb.FinishEmailCodeResponse(signed_in=self._signed_in(program_id, answer))

    async def start_passkey(self, request: pb.StartPasskeyRequest, _call: Call) -> pb.StartPasskeyResponse:
        challenge = await self._pool.run(self._passkeys.start, ProgramId(request.program_id))
        return pb.StartPasskeyResponse(session_id=challenge.session_id, options_json=challenge.options_json)

    async def finish_passkey(self, request: pb.FinishPasskeyRequest, _call: Call) -> pb.FinishPasskeyResponse:
        program_id = ProgramId(request.program_id)
        answer = await self._pool.run(
            self._passkeys.finish,
            program_id,
            request.session_id,
            request.credential_json,
            device_key_from_pb(request.device),
        )
        if isinstance(answer, NotSignedIn):
            return pb.FinishPasskeyResponse(refused=not_signed_in_to_pb(answer))
        return pb.FinishPasskeyResponse(signed_in=self._signed_in(program_id, answer))

    async def issue_app_token(
        self, request: pb.IssueAppTokenRequest, _call: Call
    ) -> pb.IssueAppTokenResponse:
        token = await self._pool.run(
            self._gateway.app_tokens.buy,
            ProgramId(request.program_id),
            member_id_from_pb(request.member_id),
            request.assertion,
        )
        return pb.IssueAppTokenResponse(access_token=token.text, expires_in_s=token.expires_in_s)

    def _signed_in(self, program_id: ProgramId, answer: SignedIn) -> pb.SignedIn:
        label = self._gateway.codes.label_of(program_id, answer.credential.device)
        return signed_in_to_pb(program_id, answer, label=label)


class PasskeyHandlers:
    """The methods of AppService around passkeys, and EraseMe: for a class that answers the rest of it."""

    _gateway: Gateway

    async def start_add_passkey(
        self, request: pb.StartAddPasskeyRequest, call: Call
    ) -> pb.StartAddPasskeyResponse:
        member_id = visible_member(call.caller, request.member_id)
        challenge = await self._gateway.pool.run(
            self._gateway.passkeys.start_add, call.caller.program_id, member_id
        )
        return pb.StartAddPasskeyResponse(
            session_id=challenge.session_id, options_json=challenge.options_json
        )

    async def finish_add_passkey(
        self, request: pb.FinishAddPasskeyRequest, call: Call
    ) -> pb.FinishAddPasskeyResponse:
        program_id = call.caller.program_id
        answer = await self._gateway.pool.run(
            self._gateway.passkeys.finish_add,
            program_id,
            visible_member(call.caller, request.member_id),
            session_id=request.session_id,
            credential_json=request.credential_json,
            label=request.label,
        )
        if isinstance(answer, NotSignedIn):
            return pb.FinishAddPasskeyResponse(refused=not_signed_in_to_pb(answer))
        return pb.FinishAddPasskeyResponse(passkey=self._passkey(program_id, answer))

    async def list_passkeys(self, request: pb.ListPasskeysRequest, call: Call) -> pb.ListPasskeysResponse:
        program_id = call.caller.program_id
        member_id = visible_member(call.caller, request.member_id)
        held = await self._gateway.pool.run(self._gateway.passkeys.all_of, program_id, member_id)
        return pb.ListPasskeysResponse(passkeys=[self._passkey(program_id, one) for one in held])

    async def remove_passkey(self, request: pb.RemovePasskeyRequest, call: Call) -> pb.RemovePasskeyResponse:
        member_id = visible_member(call.caller, request.member_id)
        await self._gateway.pool.run(
            self._gateway.passkeys.remove, call.caller.program_id, member_id, request.passkey_id
        )
        return pb.RemovePasskeyResponse()

    async def erase_me(self, request: pb.EraseMeRequest, call: Call) -> pb.EraseMeResponse:
        answer = await self._gateway.pool.run(
            self._gateway.sign_in.erase,
            call.caller.program_id,
            visible_member(call.caller, request.member_id),
            session_id=request.session_id,
            code=request.code,
        )
        if isinstance(answer, NotSignedIn):
            return pb.EraseMeResponse(refused=not_signed_in_to_pb(answer))
        return pb.EraseMeResponse(member=member_to_pb(answer))

    def _passkey(self, program_id: ProgramId, passkey: Passkey) -> pb.Passkey:
        return passkey_to_pb(passkey, label=self._gateway.passkeys.label_of(program_id, passkey))
