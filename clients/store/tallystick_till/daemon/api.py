"""The local JSON API: routes, and what each error of the engine looks like on the wire."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from functools import partial
from typing import Final, TypeVar

import anyio.to_thread
from anyio import CapacityLimiter
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from tallystick_till.daemon import asks
from tallystick_till.daemon.desk import RECENT_MAX, Desk
from tallystick_till.daemon.errors import (
    CONFLICT,
    FORBIDDEN,
    INTERNAL,
    NO_ROOM,
    NOT_FOUND,
    UNAVAILABLE,
    ApiError,
    FieldWrong,
)
from tallystick_till.daemon.events import Broadcast
from tallystick_till.daemon.fields import Fields, object_of
from tallystick_till.daemon.messages import sentence
from tallystick_till.daemon.screen import Screen
from tallystick_till.daemon.shelf import WAIT_S_MAX
from tallystick_till.daemon.wording import JsonResponse
from tallystick_till.errors import DISK_FULL, CannotSell, SignInRefused, TillError
from tallystick_till.types import Identified, NotIdentified, ReceiptScan, VoucherScan

THREADS_MAX: Final = 8
QUEUE_SHOWN_MAX: Final = 200
RECENT_DEFAULT: Final = 20
WAIT_S_DEFAULT: Final = 20
API: Final = "/api/v1"

_NOT_FOUND: Final = "There is nothing here for this method; docs/reference/local-api.md lists what there is."
_log = logging.getLogger("tallystick_till.daemon")

Answer = TypeVar("Answer")
Handler = Callable[[Request], Awaitable[Response]]


class LocalApi:
    """The routes over one desk. ``broadcast`` tells the screens what has changed."""

    def __init__(self, desk: Desk, broadcast: Broadcast, limiter: CapacityLimiter) -> None:
        self._desk = desk
        self._broadcast = broadcast
        self._limiter = limiter

    def routes(self) -> list[Route]:
        """All routes below ``API``."""
        table: list[tuple[str, str, Handler]] = [
            ("GET", "/state", self.state),
            ("GET", "/events", self.events),
            ("POST", "/identify", self.identify),
            ("POST", "/member", self.member),
            ("POST", "/quote", self.quote),
            ("POST", "/sale", self.sale),
            ("POST", "/undo", self.undo),
            ("GET", "/sales", self.sales),
            ("GET", "/sales/{sale_id}", self.one_sale),
            ("POST", "/return/preview", self.preview_return),
            ("POST", "/return", self.give_back),
            ("POST", "/enrol", self.enrol),
            ("GET", "/queue", self.queue),
            ("POST", "/queue/{advice_id}/seen", self.seen),
            ("GET", "/cashiers", self.cashiers),
            ("POST", "/cashier", self.sign_in),
            ("DELETE", "/cashier", self.sign_out),
            ("POST", "/training", self.training),
            ("PUT", "/basket", self.offer),
            ("DELETE", "/basket", self.withdraw),
            ("GET", "/basket/result", self.result),
        ]
        return [Route(API + path, handler, methods=[method]) for method, path, handler in table]

    async def state(self, _request: Request) -> Response:
        return JsonResponse(await self._run(self._desk.state))

    async def events(self, _request: Request) -> Response:
        self._broadcast.check_room()
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(self._broadcast.stream(), media_type="text/event-stream", headers=headers)

    async def identify(self, request: Request) -> Response:
        ask = asks.scan_ask(await _fields(request))
        look = partial(
            self._desk.till.identify, ask.scan, aim_id=ask.aim_id, source=ask.source, region=ask.region
        )
        match await self._run(look):
            case Identified() as found:
                return JsonResponse({"kind": "member", **asdict(found)})
            case VoucherScan() as found:
                return JsonResponse({"kind": "voucher", **asdict(found)})
            case ReceiptScan() as found:
                return JsonResponse({"kind": "receipt", **asdict(found)})
            case NotIdentified() as nobody:
                return JsonResponse({"kind": "none", **asdict(nobody)})

    async def member(self, request: Request) -> Response:
        member_ref, voucher = asks.member_ask(await _fields(request))
        view = await self._run(partial(self._desk.till.member, member_ref, voucher=voucher))
        return JsonResponse({"member": asdict(view)})

    async def quote(self, request: Request) -> Response:
        ask = asks.sale_ask(await _fields(request))
        return JsonResponse(asdict(await self._run(partial(self._desk.till.quote, ask))))

    async def sale(self, request: Request) -> Response:
        ask = asks.sale_ask(await _fields(request))
        answer = await self._run(partial(self._desk.sell, ask))
        if ask.basket_id:
            await self._desk.shelf.sold(ask.basket_id, answer)
        self._broadcast.sold({"basket_id": ask.basket_id, **answer})
        self._broadcast.changed()
        return JsonResponse(answer)

    async def undo(self, request: Request) -> Response:
        fields = await _fields(request)
        sale_id, undo_id = fields.identifier("sale_id"), fields.identifier("undo_id", default="")
        fields.done()
        return JsonResponse(asdict(await self._run(partial(self._desk.till.undo, sale_id, undo_id=undo_id))))

    async def sales(self, request: Request) -> Response:
        limit = _number(request, "limit", low=1, high=RECENT_MAX, default=RECENT_DEFAULT)
        found = await self._run(partial(self._desk.till.recent, limit))
        return JsonResponse({"sales": [asdict(view) for view in found]})

    async def one_sale(self, request: Request) -> Response:
        return JsonResponse(await self._run(partial(self._desk.sale, request.path_params["sale_id"])))

    async def preview_return(self, request: Request) -> Response:
        ask = asks.return_ask(await _fields(request))
        return JsonResponse(asdict(await self._run(partial(self._desk.till.preview_return, ask))))

    async def give_back(self, request: Request) -> Response:
        ask = asks.return_ask(await _fields(request))
        return JsonResponse(asdict(await self._run(partial(self._desk.till.give_back, ask))))

    async def enrol(self, request: Request) -> Response:
        ask = asks.enrol_ask(await _fields(request))
        join = partial(self._desk.till.enrol, ask.text, region=ask.region, member_id=ask.member_id)
        return JsonResponse(asdict(await self._run(join)))

    async def queue(self, _request: Request) -> Response:
        return JsonResponse(await self._run(partial(self._desk.queue, QUEUE_SHOWN_MAX)))

    async def seen(self, request: Request) -> Response:
        await self._run(partial(self._desk.till.mark_seen, request.path_params["advice_id"]))
        self._broadcast.changed()
        return JsonResponse({})

    async def cashiers(self, _request: Request) -> Response:
        found = await self._run(self._desk.till.cashiers)
        return JsonResponse({"cashiers": [asdict(one) for one in found]})

    async def sign_in(self, request: Request) -> Response:
        fields = await _fields(request)
        cashier_id = fields.text("cashier_id", longest=asks.PIN_CHARS_MAX)
        pin = fields.text("pin", longest=asks.PIN_CHARS_MAX)
        fields.done()
        return JsonResponse(asdict(await self._run(partial(self._desk.till.sign_in, cashier_id, pin))))

    async def sign_out(self, _request: Request) -> Response:
        await self._run(self._desk.till.sign_out)
        return JsonResponse({})

    async def training(self, request: Request) -> Response:
        fields = await _fields(request)
        on = fields.flag("on")
        fields.done()
        await self._run(partial(self._desk.train, on=on))
        return await self.state(request)

    async def offer(self, request: Request) -> Response:
        await self._run(partial(self._desk.offer, asks.offered(await _fields(request))))
        return JsonResponse({})

    async def withdraw(self, _request: Request) -> Response:
        self._desk.withdraw()
        return JsonResponse({})

    async def result(self, request: Request) -> Response:
        basket_id = request.query_params.get("basket_id", "")
        if not 0 < len(basket_id) <= asks.NAME_CHARS_MAX:
            raise FieldWrong("basket_id", f"must be a text of 1 to {asks.NAME_CHARS_MAX} characters")
        wait_s = _number(request, "wait_s", low=0, high=WAIT_S_MAX, default=WAIT_S_DEFAULT)
        known = await self._run(partial(self._desk.result, basket_id))
        known = known or await self._desk.shelf.result(basket_id, wait_s)
        return Response(status_code=204) if known is None else JsonResponse(known)

    async def _run(self, work: Callable[[], Answer]) -> Answer:
        return await anyio.to_thread.run_sync(work, limiter=self._limiter)


def application(api: LocalApi, screen: Screen) -> Starlette:
    """The whole surface: the API below ``API``, the screen's files at the root."""
    return Starlette(
        routes=[
            *api.routes(),
            Route(API + "/{path:path}", _unknown, methods=["GET", "POST", "PUT", "DELETE"]),
            Route("/", screen.serve),
            Route("/{path:path}", screen.serve),
        ],
        exception_handlers={
            ApiError: _api_error,
            TillError: _till_error,
            HTTPException: _http_error,
            Exception: _fault,
        },
    )


async def _fields(request: Request) -> Fields:
    return object_of(await request.body())


def _number(request: Request, name: str, *, low: int, high: int, default: int) -> int:
    text = request.query_params.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 6 and low <= int(text) <= high):
        raise FieldWrong(name, f"must be a whole number from {low} to {high}")
    return int(text)


async def _api_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError), "registered for this kind"
    return error.response()


async def _till_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, TillError), "registered for this kind"
    message = sentence(error.reason, str(error), error.details)
    return ApiError(_status_of(error), error.reason, message, error.details).response()


def _status_of(error: TillError) -> int:
    match error:
        case CannotSell():
            return NO_ROOM if error.reason == DISK_FULL else UNAVAILABLE
        case SignInRefused():
            return FORBIDDEN
        case _:
            return CONFLICT


async def _http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException), "registered for this kind"
    return ApiError(error.status_code, "NOT_FOUND", _NOT_FOUND).response()


async def _unknown(_request: Request) -> Response:
    return ApiError(NOT_FOUND, "NOT_FOUND", _NOT_FOUND).response()


async def _fault(_request: Request, error: Exception) -> Response:
    _log.error("a fault of the program", exc_info=error)
    message = "The till program has a fault, which is in its log. What was confirmed before is safe."
    return ApiError(INTERNAL, "INTERNAL", message).response()
