"""What a token's bounds mean for a request: one program, one store, one till, one member."""

from __future__ import annotations

from tallystick.core.basket import Origin
from tallystick.core.ids import MemberId, Ms
from tallystick.rpc.call import Principal
from tallystick.rpc.convert.commands import member_id_from_pb
from tallystick.service.balances import member_not_found
from tallystick.service.errors import PermissionDenied
from tallystick.v1 import options_pb2 as options


def visible_member(caller: Principal, member_id: str) -> MemberId:
    """Return the member's id. Raises ``NotFound`` when one who sees a single member asks for another."""
    wanted = member_id_from_pb(member_id)
    if caller.role in (options.ROLE_APP, options.ROLE_WIDGET) and wanted != caller.member_id:
        raise member_not_found(wanted)
    return wanted


def filled_origin(origin: Origin, caller: Principal, now_ms: Ms) -> Origin:
    """Return the origin with the token's store and till and the server's time where the caller left them out.

    Raises ``PermissionDenied`` when it names another store or till than the token is bound to. An importer speaks for
    the tills of the past and may name any.
    """
    store_id, till_id = origin.store_id or caller.store_id, origin.till_id or caller.device_id
    if caller.store_id and store_id != caller.store_id:
        raise origin_mismatch("origin.store_id")
    if till_id != caller.device_id and caller.role != options.ROLE_IMPORTER:
        raise origin_mismatch("origin.till_id")
    return Origin(origin.occurred_ms or now_ms, origin.channel, store_id, till_id, origin.reference)


def origin_mismatch(field: str) -> PermissionDenied:
    """Return the error for a request that names another store or till than its token."""
    return PermissionDenied(
        "The request names another store or till than the token.",
        mend="Leave it out, or use the token of that store or till.",
        reason="ORIGIN_MISMATCH",
        field=field,
    )
