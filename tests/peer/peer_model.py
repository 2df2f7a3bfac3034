"""A function with a model, for the Python peer. Ours is in tests/src/bin/model_endpoint.rs."""

import asyncio
from pathlib import Path

import msgspec
from gen_worker import Hub, RequestContext, endpoint


class Ask(msgspec.Struct):
    name: str = ""


class Told(msgspec.Struct):
    text: str


@endpoint(model=Hub("acme/weights"))
class Reader:
    def setup(self, model: str) -> None:
        if Path("broken").exists():
            raise RuntimeError(Path("broken").read_text())
        self.text = (Path(model) / "text").read_text()

    async def read(self, ctx: RequestContext, payload: Ask) -> Told:
        """Tells what is in the model; with a name, once it is released."""
        if payload.name:
            with Path("started").open("a") as started:
                started.write(f"{payload.name}\n")
            while not Path(f"release-{payload.name}").exists():
                ctx.raise_if_cancelled()
                await asyncio.sleep(0.01)
        return Told(text=self.text)
