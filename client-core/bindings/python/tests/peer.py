"""A client driven by another program, for tests with two languages. Each call and each answer is one line of JSON.

    {"call": "settle", "arguments": ["01890a5d-ac96-774b-bcce-b302099a8057", "KEPT"]}
    {"answer": null}

A failure ends the program, with the reason on standard error.
"""

import asyncio
import faulthandler
import inspect
import json
import sys
from enum import Enum
from typing import Any

from xundian_client import Channel, Client, Decision, RecordContent, Home, Kind, Outlet

STUCK_AFTER_S = 120


class Peer:
    """The calls."""

    client: Client

    async def enrol(self, folder: str, invitation: str) -> None:
        self.client = Client.open(folder)
        await self.client.enrol(invitation, "Python's phone")
        await self.client.sync()

    async def sync(self) -> None:
        await self.client.sync()

    def edit(self, outlet: str, fields: dict[str, Any]) -> None:
        form = Outlet()
        for name, value in fields.items():
            setattr(form, name, Channel[value] if name == "channel" else value)
        self.client.edit(outlet, RecordContent.OUTLET(form))

    def offset(self) -> int:
        return self.client.status().server_offset_ms or 0

    def outlet(self, outlet: str) -> object:
        return plain(self.client.find(Kind.OUTLET, outlet))

    def conflicts(self, outlet: str) -> object:
        return plain(self.client.conflicts(Home.OUTLET(outlet)))

    def settle(self, conflict: str, decision: str) -> None:
        self.client.settle_conflict(conflict, Decision[decision])


def plain(value: object) -> object:
    """Converts a value of the library to JSON. An enum becomes its name; an enum with data, its name and its values."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    kind, held = type(value), vars(value)
    if "." not in kind.__qualname__:
        return {name: plain(item) for name, item in held.items()}
    return {kind.__qualname__.rpartition(".")[2]: plain(held.get("_values", list(held.values())))}


async def main() -> None:
    peer = Peer()
    for line in sys.stdin:
        faulthandler.dump_traceback_later(STUCK_AFTER_S, exit=True)
        asked = json.loads(line)
        answer = getattr(peer, asked["call"])(*asked["arguments"])
        if inspect.isawaitable(answer):
            answer = await answer
        print(json.dumps({"answer": answer}), flush=True)
        faulthandler.cancel_dump_traceback_later()


if __name__ == "__main__":
    asyncio.run(main())
