"""
What the doors know of people: their agents and builders, the nonces they have used, and who is banned.

With a state folder all of it survives the process, however it ends. `doors.jsonl` holds one change a line, handed to
the operating system before the request it belongs to is answered; when it has grown long it is written anew with only
what still counts.
"""

from __future__ import annotations

import json
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from .journal import UnusableState

FILE = "doors.jsonl"
LINES = 100_000
NONCES_KEPT = 100
NEVER = 2**53


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """A wallet that may sign for an account, and what it may do there."""

    owner: str
    address: str
    name: str = ""
    ip_whitelist: str = ""
    """Addresses it may come from, comma-separated; any when empty."""
    expires: int = NEVER
    """In milliseconds."""
    can_spot: bool = True
    can_perp: bool = True
    can_withdraw: bool = False

    def may_come_from(self, address: str) -> bool:
        allowed = {each.strip() for each in self.ip_whitelist.split(",")} - {""}
        return not allowed or address in allowed


@dataclass(frozen=True, slots=True, kw_only=True)
class Builder:
    """Someone whose orders an account pays for, up to a rate it has agreed to."""

    owner: str
    address: str
    name: str
    max_fee_rate: str


@dataclass(frozen=True, slots=True)
class Ban:
    """An address that is shut out until a market time in milliseconds; *level* counts the bans before."""

    until: int
    level: int


class Register:
    """The doors' memory, in a folder or for as long as the process lives."""

    def __init__(self, folder: Path | None) -> None:
        """Open or begin a register. Raises UnusableState."""
        self._agents: dict[str, dict[str, Agent]] = defaultdict(dict)
        self._builders: dict[str, dict[str, Builder]] = defaultdict(dict)
        self._nonces: dict[str, list[int]] = defaultdict(list)
        self._bans: dict[str, Ban] = {}
        self._path = None if folder is None else folder / FILE
        self._file: BinaryIO | None = None
        self._lines = 0
        if self._path is not None:
            self._restore(self._path)

    def agent(self, address: str, owner: str) -> Agent | None:
        """Return the agent at an address, of one account or, without an *owner*, of whoever approved it last."""
        found = self._agents.get(address)
        if not found:
            return None
        return found.get(owner) if owner else next(reversed(found.values()))

    def agents_of(self, owner: str) -> list[Agent]:
        return [agents[owner] for agents in self._agents.values() if owner in agents]

    def approve(self, agent: Agent) -> None:
        """Let a wallet sign for an account, or change on which terms it may."""
        self._take("agent", asdict(agent))
        self._note("agent", asdict(agent))

    def dismiss(self, agent: Agent) -> None:
        self._take("dismissed", [agent.owner, agent.address])
        self._note("dismissed", [agent.owner, agent.address])

    def builder(self, owner: str, address: str) -> Builder | None:
        return self._builders[owner].get(address.lower())

    def builders_of(self, owner: str) -> list[Builder]:
        return list(self._builders[owner].values())

    def agree(self, builder: Builder) -> None:
        """Let a builder charge an account, or change up to which rate."""
        self._take("builder", asdict(builder))
        self._note("builder", asdict(builder))

    def part_with(self, builder: Builder) -> None:
        self._take("parted", [builder.owner, builder.address])
        self._note("parted", [builder.owner, builder.address])

    def use_nonce(self, signer: str, nonce: int) -> str | None:
        """
        Use a signer's nonce. "duplicate" or "expired" is why that cannot be; nothing is remembered then.

        The last hundred nonces of a signer are remembered, and one smaller than all of these has expired.
        """
        kept = self._nonces[signer]
        place = bisect_left(kept, nonce)
        if place < len(kept) and kept[place] == nonce:
            return "duplicate"
        if len(kept) == NONCES_KEPT and place == 0:
            return "expired"
        self._take("nonce", [signer, nonce])
        self._note("nonce", [signer, nonce])
        return None

    def ban_of(self, address: str) -> Ban | None:
        return self._bans.get(address)

    def ban(self, address: str, ban: Ban) -> None:
        self._take("ban", [address, ban.until, ban.level])
        self._note("ban", [address, ban.until, ban.level])

    def bans(self) -> dict[str, Ban]:
        """Return the last ban of every address that ever had one."""
        return dict(self._bans)

    def pardon(self) -> None:
        """Forget all bans."""
        for address in self._bans:
            self.ban(address, Ban(0, 0))

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _take(self, kind: str, row: Any) -> None:
        """Let something be as a line says."""
        match kind:
            case "nonce":
                kept = self._nonces[row[0]]
                if len(kept) == NONCES_KEPT:
                    del kept[0]
                insort(kept, row[1])
            case "agent":
                agent = Agent(**row)
                # Approved again it becomes the last one approved.
                self._agents[agent.address].pop(agent.owner, None)
                self._agents[agent.address][agent.owner] = agent
            case "dismissed":
                self._agents[row[1]].pop(row[0], None)
            case "builder":
                builder = Builder(**row)
                self._builders[builder.owner][builder.address.lower()] = builder
            case "parted":
                self._builders[row[0]].pop(row[1].lower(), None)
            case "ban":
                self._bans[row[0]] = Ban(row[1], row[2])
            case _:
                raise ValueError(f"unknown kind {kind!r}")

    def _note(self, kind: str, row: Any) -> None:
        if self._file is None or self._path is None:
            return
        self._file.write(_line(kind, row))
        self._lines += 1
        if self._lines >= LINES:
            self._rewrite(self._path)

    def _restore(self, path: Path) -> None:
        try:
            content = path.read_bytes() if path.exists() else b""
            # A last line cut short never happened.
            for number, line in enumerate(content[: content.rfind(b"\n") + 1].splitlines(), start=1):
                try:
                    self._take(*json.loads(line))
                except (ValueError, TypeError, LookupError) as exc:
                    raise UnusableState(f"{path}, line {number}: damaged: {exc}") from exc
            self._rewrite(path)
        except OSError as exc:
            raise UnusableState(f"{path}: cannot keep state here: {exc.strerror}") from exc

    def _rewrite(self, path: Path) -> None:
        """Write only what still counts, in a file that takes the old one's place at once."""
        fresh = path.with_suffix(".new")
        lines = list(self._everything())
        with fresh.open("wb") as file:
            file.writelines(lines)
        fresh.replace(path)
        self.close()
        self._file = path.open("ab", buffering=0)
        self._lines = len(lines)

    def _everything(self) -> Iterator[bytes]:
        for agents in self._agents.values():
            yield from (_line("agent", asdict(agent)) for agent in agents.values())
        for builders in self._builders.values():
            yield from (_line("builder", asdict(builder)) for builder in builders.values())
        for signer, nonces in self._nonces.items():
            yield from (_line("nonce", [signer, nonce]) for nonce in nonces)
        yield from (_line("ban", [address, ban.until, ban.level]) for address, ban in self._bans.items())


def _line(kind: str, row: Any) -> bytes:
    return json.dumps([kind, row], separators=(",", ":")).encode() + b"\n"
