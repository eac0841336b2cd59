"""A FastAPI application with a portal, for tests: `uvicorn tests.support.web_app:app`."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio
from fastapi import FastAPI, HTTPException
from fastapi.responses import PlainTextResponse

import trionng
from tests.support.web import left_behind
from trionng.guest import Portal, open_portal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

portal: Portal
req: trionng.Req0


async def answer(request: bytes) -> bytes:
    await trio.sleep(0.01)
    return request.upper()


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    global portal, req
    before = left_behind()
    async with open_portal() as portal:
        rep = trionng.Rep0(listen="inproc://web")
        req = trionng.Req0(dial="inproc://web")
        service = asyncio.create_task(portal.run(trionng.run_rep, answer, socket=rep, workers=100))
        print("up", flush=True)
        yield
        service.cancel()
        await asyncio.wait([service])
        await portal.run(req.aclose)
        await portal.run(rep.aclose)
    after = left_behind()
    print("left behind:", {name: n for name, n in after.items() if n != before[name]}, flush=True)


app = FastAPI(lifespan=lifespan)


@app.get("/ask/{word}", response_class=PlainTextResponse)
async def ask(word: str) -> bytes:
    return await portal.run(req.request, word.encode())


@app.get("/late")
async def late() -> None:
    try:
        await asyncio.wait_for(portal.run(trio.sleep_forever), 0.05)
    except asyncio.TimeoutError:
        raise HTTPException(504) from None


@app.get("/fail")
async def fail() -> None:
    try:
        await portal.run(req.request, "no bytes")  # type: ignore[arg-type]
    except TypeError as error:
        raise HTTPException(400, str(error)) from None


@app.get("/hold")
async def hold() -> str:
    print("holding", flush=True)
    await portal.run(trio.sleep, 0.3)
    return "held"


@app.get("/portal")
async def show() -> str:
    return repr(portal)
