"""The functions of the conformance scenarios, for the Python peer. Ours are in tests/src/bin/conformance_endpoint.rs."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
from gen_worker import Done, Error, IncrementalTokenDelta, RequestContext, ValidationError, endpoint


class Text(msgspec.Struct):
    text: str


class Echo(msgspec.Struct):
    response: str


@endpoint
def echo(ctx: RequestContext, payload: Text) -> Echo:
    return Echo(response=payload.text)


@endpoint
def refuse(ctx: RequestContext, payload: Text) -> Echo:
    raise ValidationError(f"refused {payload.text}")


class Count(msgspec.Struct):
    count: int = 3
    after: str = ""


class Item(msgspec.Struct):
    index: int


@endpoint
async def count_up(ctx: RequestContext, payload: Count) -> AsyncIterator[Item]:
    """Counts once its file is there, and writes down that it did."""
    while payload.after and not Path(payload.after).exists():
        await asyncio.sleep(0.01)
    for index in range(payload.count):
        yield Item(index=index)
    Path("counted").touch()


@endpoint
async def speak(ctx: RequestContext, payload: Text) -> AsyncIterator[IncrementalTokenDelta]:
    """A token for each letter, then the end; without letters, a failure."""
    if not payload.text:
        yield Error(message="nothing to say")
    for letter in payload.text:
        yield IncrementalTokenDelta(text=letter)
    yield Done()
    yield IncrementalTokenDelta(text="never read")


class Hold(msgspec.Struct):
    name: str
    stubborn: bool = False


class Held(msgspec.Struct):
    name: str


@endpoint
async def hold(ctx: RequestContext, payload: Hold) -> Held:
    """Writes down that it started, then waits for a file."""
    with Path("started").open("a") as started:
        started.write(f"{payload.name}\n")
    while not Path(f"release-{payload.name}").exists():
        if not payload.stubborn:
            ctx.raise_if_cancelled()
        await asyncio.sleep(0.01)
    Path("ended").touch()
    return Held(name=payload.name)
