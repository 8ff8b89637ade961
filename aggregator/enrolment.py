"""How a box joins: a one-time token from a person, the box's own public key, and what it needs to speak.

The token is at least 128 random bits, used once, valid for at most 24 hours, stored as its hash. The private key is
made on the box and never leaves it. The answer carries the broker's credentials and the campus key exactly once.
"""

import logging
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from aggregator.accounts.office import SQL, digest
from aggregator.admission import EnrolledEdge
from aggregator.broker import BrokerFolder, Role, edge_user, new_password, password_hash
from aggregator.storage import Database
from aggregator.unfit import Unfit
from wire.clock import NS_PER_S, Clock
from wire.topics import is_name

log = logging.getLogger(__name__)

VALID_H_MAX: Final = 24
TOKEN_PREFIX: Final = "enrol_"  # noqa: S105  a label, so that a leaked token is recognised as one
_TOKEN_BYTES: Final = 24


class EnrolmentRefused(Exception):
    """The box may not join. code: token_unknown, token_used, token_expired, wrong_edge or bad_key."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerAccess:
    """What a box is told of the broker. folder: mosquitto's files, if they are ours to keep."""

    host: str
    port: int
    folder: BrokerFolder | None = None
    terminal_prefixes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a box gets for its token. broker_password is empty when the broker's accounts are kept elsewhere."""

    campus: str
    broker: BrokerAccess
    username: str
    broker_password: str = field(repr=False)
    campus_key: bytes = field(repr=False)
    public_key: str


async def _at_once(_user: str, _password: str) -> None:
    pass


class Enrolment:
    """See the module. Tables live in the office's database."""

    def __init__(
        self,
        db: Database,
        *,
        campus: str,
        campus_key: bytes,
        public_key: str,
        broker: BrokerAccess,
        clock: Clock,
        random: Callable[[int], bytes],
        entered: Callable[[str, str], Awaitable[None]] = _at_once,
    ) -> None:
        """public_key: the campus' signing key, hex, by which boxes know a welcome. entered: returns once the broker
        lets a user in with a password, or when it is no use to wait.
        """
        self._db = db
        self._campus = campus
        self._campus_key = campus_key
        self._public_key = public_key
        self._broker = broker
        self._clock = clock
        self._random = random
        self._entered = entered

    async def issue(self, edge: str, *, valid_h: int = VALID_H_MAX) -> str:
        """A one-time token for box `edge`, shown only here. Raises Unfit for a bad name or duration."""
        if not is_name(edge):
            raise Unfit("edge_name", name=edge[:80])
        if not 1 <= valid_h <= VALID_H_MAX:
            raise Unfit("token_hours", most=VALID_H_MAX)
        if self._is_another_user(edge):
            raise Unfit("no_box", name=edge)
        secret = TOKEN_PREFIX + self._random(_TOKEN_BYTES).hex()
        now = self._clock.wall_ns()
        row = {
            "secret_hash": digest(secret),
            "edge": edge,
            "now": now,
            "expires_ns": now + valid_h * 3600 * NS_PER_S,
        }
        await self._db.write(lambda connection: connection.execute(SQL["add_enrolment"], row))
        return secret

    async def redeem(self, edge: str, token: str, public_key: str, software: str) -> Answer:
        """Let a box in. Raises EnrolmentRefused."""
        key = _public_key(public_key)
        another = self._is_another_user(edge)
        params = {
            "secret_hash": digest(token),
            "edge": edge,
            "public_key": key,
            "software": software[:64],
            "now": self._clock.wall_ns(),
        }

        def write(connection: sqlite3.Connection) -> str:
            row = connection.execute(SQL["enrolment"], params).fetchone()
            if row is None:
                return "token_unknown"
            if row["used_ns"] is not None:
                return "token_used"
            if row["expires_ns"] <= params["now"]:
                return "token_expired"
            if row["edge"] != edge or another:
                return "wrong_edge"
            connection.execute(SQL["use_enrolment"], params)
            connection.execute(SQL["put_edge"], params)
            return ""

        refusal = await self._db.write(write)
        if refusal:
            raise EnrolmentRefused(refusal)
        return Answer(
            campus=self._campus,
            broker=self._broker,
            username=edge,
            broker_password=await self._let_into_broker(edge),
            campus_key=self._campus_key,
            public_key=self._public_key,
        )

    async def enrolled(self, edge: str) -> EnrolledEdge | None:
        """The box as admission needs it; None when it is unknown or revoked."""
        rows = await self._fetch("edge", {"edge": edge})
        if not rows or rows[0]["revoked_ns"] is not None:
            return None
        return EnrolledEdge(edge, rows[0]["public_key"])

    async def edges(self) -> list[dict[str, Any]]:
        """All boxes that ever joined: edge, enrolled_ns, software, revoked_ns."""
        return await self._fetch("edges", {})

    async def joined(self) -> list[str]:
        """The boxes that may deliver."""
        return [row["edge"] for row in await self.edges() if row["revoked_ns"] is None]

    async def revoke(self, edge: str) -> bool:
        """Refuse a box from now on, at the broker too; says whether there was one to refuse."""
        params = {"edge": edge, "now": self._clock.wall_ns()}
        done = await self._db.write(lambda connection: connection.execute(SQL["revoke_edge"], params).rowcount)
        folder = self._broker.folder
        if folder is not None and not self._is_another_user(edge) and folder.remove(edge):
            folder.reload()
        return bool(done)

    def _is_another_user(self, name: str) -> bool:
        """Whether the broker knows the name as something else than a box: a terminal, or the aggregator itself."""
        folder = self._broker.folder
        return folder is not None and any(user.name == name and user.role is not Role.EDGE for user in folder.users())

    async def _let_into_broker(self, edge: str) -> str:
        folder = self._broker.folder
        if folder is None:
            return ""
        password = new_password(self._random)
        hashed = password_hash(password, self._random)
        folder.put(edge_user(self._campus, edge, hashed, terminal_prefixes=self._broker.terminal_prefixes))
        if folder.reload():
            # The broker reads its files when it next wakes; a box that came first would be refused, and wait a minute.
            await self._entered(edge, password)
        else:
            log.warning("broker not told of a new box; reload it", extra={"edge": edge, "folder": str(folder.folder)})
        return password

    async def _fetch(self, name: str, params: dict[str, str]) -> list[dict[str, Any]]:
        async with self._db.read() as connection, connection.execute(SQL[name], params) as cursor:
            return [dict(row) for row in await cursor.fetchall()]


def _public_key(text: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        raise EnrolmentRefused("bad_key") from None
    if len(key) != 32:
        raise EnrolmentRefused("bad_key")
    return key
