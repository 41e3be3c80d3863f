"""What a service is told: where it listens, who may ask, and how much."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import asdict, dataclass
from typing import Any

from embstore.errors import InvalidInput
from embstore.records import check_sequence

_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True)
class ServeOptions:
    """How a store is served; what contradicts itself is refused when this is made.

    Parameters
    ----------
    host : str
        Address to listen on. One that other machines reach needs ``api_key_file``.
    port : int
        0 takes any free one.
    workers : int
        Processes; each has an encoder and an index of its own.
    api_key_file : str, optional
        File of keys, one a line; without it everybody who reaches the address may ask.
    allow_hosts : tuple of str
        Names, beside the address itself, that a request may name as its host.
    queue : int
        Searches, classifications, embeddings and records that are admitted and not yet answered; more are
        refused with 429. Each that waits makes the last one's answer later: in a storm a quarter as many are
        admitted.
    deadline : float
        Seconds until a request is given up with 504.
    drain : float
        Seconds that requests in progress have when the service is told to stop.
    max_body : int
        Bytes of a request's body.
    max_texts : int
        Texts of a request.
    max_characters : int
        Characters of a text.
    max_k : int
        Neighbors of an answer.
    wait : float
        Milliseconds that a text waits, at most, for others to be encoded with; none do when nobody else asks.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    api_key_file: str | None = None
    allow_hosts: tuple[str, ...] = ()
    queue: int = 10
    deadline: float = 10.0
    drain: float = 30.0
    max_body: int = 2_000_000
    max_texts: int = 32
    max_characters: int = 32_768
    max_k: int = 1_000
    wait: float = 3.0

    def __post_init__(self) -> None:
        check_sequence("allow_hosts", self.allow_hosts)
        for name in (
            "workers",
            "queue",
            "deadline",
            "drain",
            "max_body",
            "max_texts",
            "max_characters",
            "max_k",
        ):
            value = getattr(self, name)
            if not value > 0:
                raise _refused(name, value, "It is more than 0.")
        if not 0 <= self.port <= 65_535:
            raise _refused("port", self.port, "A port is 0 to 65,535.")
        if not 0 <= self.wait <= 100:
            raise _refused("wait", self.wait, "It is 0 to 100 milliseconds.")
        if self.api_key_file == "":
            raise InvalidInput(
                "--api-key-file names no file: it is empty.",
                why="Perhaps it is a variable of the shell that is not set; nobody would need a key.",
                fix="--api-key-file FILE, or leave it out",
            )
        self._check_together()

    def _check_together(self) -> None:
        if self.wait / 1000 >= self.deadline:
            raise _refused("wait", self.wait, f"The deadline of {self.deadline:g} s would pass meanwhile.")
        if self.max_characters > self.max_body:
            why = f"A body has at most {self.max_body:,} bytes, so no text can be so long."
            raise _refused("max_characters", self.max_characters, why)
        if not self.loopback and self.api_key_file is None:
            raise InvalidInput(
                f"The service does not listen on {self.host} without a key.",
                why="Other machines reach that address, and could read the whole store.",
                fix="--host 127.0.0.1, or --api-key-file FILE",
            )
        if self.host in ("0.0.0.0", "::", "") and not self.allow_hosts:  # noqa: S104 (refused here)
            raise InvalidInput(
                f"With {self.host or 'an empty host'} the service cannot know its own name.",
                why="A request that names a host which is not on the list is refused.",
                fix="--allow-host embstore.example.org",
            )

    @property
    def loopback(self) -> bool:
        """Whether this machine alone reaches the address."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def hosts(self) -> list[str]:
        """Names that a request may give as its host, without a port."""
        own = f"[{self.host}]" if ":" in self.host else self.host
        return list(dict.fromkeys([*_LOOPBACK_NAMES, own, *self.allow_hosts]))

    def to_json(self) -> str:
        """Return the options as JSON, for another process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> ServeOptions:
        """Return the options that `to_json` wrote."""
        values: dict[str, Any] = json.loads(text)
        return cls(**{**values, "allow_hosts": tuple(values["allow_hosts"])})


def _refused(name: str, value: Any, why: str) -> InvalidInput:
    option = f"--{name.replace('_', '-')}"
    default = getattr(ServeOptions, name)
    return InvalidInput(f"{option} {value} cannot be.", why=why, fix=f"{option} {default}")
