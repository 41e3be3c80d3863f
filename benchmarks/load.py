"""Load: a client that costs little, so that what is measured is the service.

serve.py runs it in a process of its own. It reads a scene from stdin and prints what it measured, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import uvloop


@dataclass
class Scene:
    """What is asked, by how many, for how long.

    Parameters
    ----------
    address : str
        ``http://host:port``.
    path : str
        Of each request.
    bodies : list of str
        JSON bodies, asked in a seeded random order; none makes it a GET.
    clients : int
        Connections. Each asks again as soon as it was answered, unless there is a rate.
    seconds : float
        How long.
    rate : float
        Requests a second over all connections, whether or not they are answered in time; 0 for none.
    warm : int
        Requests of each connection that are not counted.
    """

    address: str
    path: str
    bodies: list[str]
    clients: int
    seconds: float
    rate: float = 0.0
    warm: int = 3
    taken: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))


class Connection(asyncio.Protocol):
    """One request at a time over one connection; reads answers that have a Content-Length."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[int] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport  # type: ignore[assignment]

    def ask(self, request: bytes) -> asyncio.Future[int]:
        """Send a request; the future gives the status of its answer."""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)  # type: ignore[union-attr]
        return self._answer

    def data_received(self, data: bytes) -> None:
        """Resolve the future once the whole answer is there."""
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._buffer[:end]).lower()
        length = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        if len(self._buffer) >= end + 4 + length:
            self._buffer.clear()
            if self._answer is not None and not self._answer.done():
                self._answer.set_result(int(head[9:12]))

    def connection_lost(self, _: Exception | None) -> None:
        """Count a lost connection as status 0."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(0)


async def play(scene: Scene) -> dict[str, Any]:
    """Run a scene; return seconds that it took, and milliseconds by status in the order of the answers."""
    address = urlsplit(scene.address)
    loop = asyncio.get_running_loop()
    requests = [written(scene, address.netloc, body) for body in scene.bodies or [""]]
    connections = [
        (await loop.create_connection(Connection, address.hostname, address.port))[1]
        for _ in range(scene.clients)
    ]
    begun = time.perf_counter()
    play_one = paced if scene.rate else closed
    await asyncio.gather(
        *(
            play_one(scene, one, requests, random.Random(place), place)
            for place, one in enumerate(connections)
        )
    )
    return {"seconds": time.perf_counter() - begun, "taken": scene.taken}


async def closed(
    scene: Scene, connection: Connection, requests: list[bytes], choice: random.Random, _: int
) -> None:
    """Ask again as soon as the answer is there."""
    for _ in range(scene.warm):
        await connection.ask(choice.choice(requests))
    until = time.perf_counter() + scene.seconds
    while (begun := time.perf_counter()) < until:
        status = await connection.ask(choice.choice(requests))
        scene.taken[status].append(1000 * (time.perf_counter() - begun))
        if not status:
            return


async def paced(
    scene: Scene, connection: Connection, requests: list[bytes], choice: random.Random, place: int
) -> None:
    """Ask at this connection's share of the rate; where it is behind, at once."""
    period = scene.clients / scene.rate
    begun = time.perf_counter()
    due = begun + period * place / scene.clients
    while due < begun + scene.seconds:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        asked = time.perf_counter()
        status = await connection.ask(choice.choice(requests))
        scene.taken[status].append(1000 * (time.perf_counter() - asked))
        if not status:
            return
        due += period


def written(scene: Scene, host: str, body: str) -> bytes:
    """Return a request as its bytes."""
    method = "POST" if body else "GET"
    headers = f"Host: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body.encode())}"
    return f"{method} {scene.path} HTTP/1.1\r\n{headers}\r\n\r\n{body}".encode()


if __name__ == "__main__":
    found = uvloop.run(play(Scene(**json.loads(sys.stdin.read()))))
    # Not by print: where Python is told to buffer nothing, that loses what a full pipe does not take at once.
    with open(sys.stdout.fileno(), "w", encoding="utf-8", closefd=False) as answer:
        json.dump(found, answer)
