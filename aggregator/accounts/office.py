"""People, sessions, tokens and the book, in `office.sqlite`."""

import asyncio
import hashlib
import logging
import re
import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from aggregator.accounts.roles import IDLE_S, Principal, Role, Scope, scope_of
from aggregator.storage import Database, Statements
from aggregator.unfit import Unfit
from wire.clock import NS_PER_S, Clock
from wire.identity import derived_id
from wire.records import Event, Record
from wire.topics import CAMPUS_NODE

log = logging.getLogger(__name__)

SQL: Final = Statements.load("aggregator.accounts")

SECRET_BYTES: Final = 24
TOKEN_PREFIX: Final = "cmp_"  # noqa: S105  a label, so that a leaked token is recognised as one
TRIES: Final = 5
BACK_OFF_S: Final = 60.0
TOUCH_EVERY_S: Final = 60
PASSWORD_LENGTH_MIN: Final = 10
VALID_DAYS_MAX: Final = 3650
# Stands in the book for a name that nobody has: it may be a password typed into the wrong field.
UNKNOWN_NAME: Final = "@unknown"
WATCHED_MAX: Final = 4096
# Refusals that anybody can cause are written at most so often; the next one written says how many were not.
REFUSALS_PER_MINUTE: Final = 30
# One rule for whoever makes an account: `@` names the campus' own actors in the book.
USER_NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$"


class SignInRefused(Exception):
    """Name or password is wrong, or there were too many tries. wait_s: when to try again; 0 when at once."""

    def __init__(self, wait_s: float = 0.0) -> None:
        super().__init__("sign-in refused")
        self.wait_s = wait_s


class UnknownAccount(LookupError):
    """There is no such person or token, or the name is taken."""


def digest(secret: str) -> bytes:
    """What a random secret is stored as. SHA-256 is enough: there is nothing to guess in 192 random bits."""
    return hashlib.sha256(secret.encode()).digest()


class _Tries:
    """Sign-ins by (address, name): five, then a wait that doubles. A stranger cannot lock the duty desk out.

    A try counts from its beginning, so that many at once are no more than one after the other. Full: the one that
    was tried longest ago is forgotten.
    """

    def __init__(self) -> None:
        self._begun: dict[tuple[str, str], tuple[int, int]] = {}

    def wait_s(self, who: tuple[str, str], now_ns: int) -> float:
        count, until_ns = self._begun.get(who, (0, 0))
        return max(0.0, (until_ns - now_ns) / NS_PER_S) if count >= TRIES else 0.0

    def begin(self, who: tuple[str, str], now_ns: int) -> None:
        count = self._begun.pop(who, (0, 0))[0] + 1
        if len(self._begun) >= WATCHED_MAX:
            del self._begun[next(iter(self._begun))]
        wait_s = BACK_OFF_S * 2 ** min(max(count - TRIES, 0), 6)
        self._begun[who] = (count, now_ns + int(wait_s * NS_PER_S))

    def succeeded(self, who: tuple[str, str]) -> None:
        self._begun.pop(who, None)


class _Refusals:
    """How many refusals may still be written in this minute. A stranger must not be able to fill the disk."""

    def __init__(self) -> None:
        self._minute = -1
        self._written = 0
        self._unwritten = 0

    def take(self, now_ns: int) -> int | None:
        """How many went unwritten before this one, or None when this one is not written either."""
        minute = now_ns // (60 * NS_PER_S)
        if minute != self._minute:
            self._minute, self._written = minute, 0
        if self._written >= REFUSALS_PER_MINUTE:
            self._unwritten += 1
            return None
        self._written += 1
        before, self._unwritten = self._unwritten, 0
        return before


class Office:
    """See the package. Secrets go out once, from the call that makes them."""

    def __init__(
        self,
        db: Database,
        *,
        clock: Clock,
        random: Callable[[int], bytes],
        append: Callable[[Sequence[Record]], Awaitable[object]],
        hasher: PasswordHasher | None = None,
    ) -> None:
        """append: puts records of @campus into the ledger."""
        self._db = db
        self._clock = clock
        self._random = random
        self._append = append
        self._hasher = hasher or PasswordHasher()
        self._tries = _Tries()
        self._refusals = _Refusals()
        # Verified when a name is unknown, so that the answer takes as long as for one that is known.
        self._nobody = self._hasher.hash(random(16).hex())

    # --- set-up ---------------------------------------------------------------------------------------

    async def setup_code(self) -> str | None:
        """A new set-up code, making an older one worthless; None once there is an administrator."""
        secret, now = self._secret(), self._clock.wall_ns()

        def write(connection: sqlite3.Connection) -> bool:
            if connection.execute(SQL["count_users"]).fetchone()[0]:
                return False
            connection.execute(SQL["drop_setup_codes"])
            connection.execute(SQL["add_setup_code"], {"secret_hash": digest(secret), "now": now})
            return True

        return secret if await self._db.write(write) else None

    async def complete_setup(self, code: str, name: str, password: str, address: str) -> None:
        """Make the first administrator. Raises SignInRefused for a wrong code, Unfit for a short password."""
        if not await self._fetch("setup_code", {"secret_hash": digest(code)}):
            # Before the password is hashed: that costs a tenth of a second, and anybody may ask.
            await self.refused("@setup", "setup", name, "refused", address)
            raise SignInRefused
        password_hash = await self._hash(password)
        row = self._user_row(name, password_hash, (Role.ADMIN,), "*")

        def write(connection: sqlite3.Connection) -> bool:
            known = connection.execute(SQL["setup_code"], {"secret_hash": digest(code)}).fetchone()
            if known is None or connection.execute(SQL["count_users"]).fetchone()[0]:
                return False
            connection.execute(SQL["drop_setup_codes"])
            connection.execute(SQL["add_user"], row)
            return True

        done = await self._db.write(write)
        await self.record("@setup", "setup", name, "done" if done else "refused", address)
        if not done:
            raise SignInRefused

    # --- people ---------------------------------------------------------------------------------------

    async def add_user(self, name: str, password: str, roles: Iterable[Role], scope: Scope) -> None:
        """Raises UnknownAccount when the name is taken, Unfit for a short password."""
        row = self._user_row(name, await self._hash(password), roles, scope.text())
        try:
            await self._db.write(lambda connection: connection.execute(SQL["add_user"], row))
        except sqlite3.IntegrityError:
            raise UnknownAccount(name) from None

    async def set_password(self, name: str, password: str) -> None:
        """Also ends every session of that person. Raises UnknownAccount, Unfit for a short password."""
        params = {"name": name, "password_hash": await self._hash(password)}

        def write(connection: sqlite3.Connection) -> int:
            connection.execute(SQL["end_sessions_of"], params)
            return connection.execute(SQL["set_password"], params).rowcount

        if not await self._db.write(write):
            raise UnknownAccount(name)

    async def users(self) -> list[dict[str, Any]]:
        """Everybody: name, roles, scope, created_ns, disabled."""
        return await self._fetch("users", {})

    # --- sessions -------------------------------------------------------------------------------------

    async def sign_in(self, name: str, password: str, address: str) -> str:
        """A new session's secret. Raises SignInRefused; the book holds both ends."""
        who, now = (address, name), self._clock.mono_ns()
        wait_s = self._tries.wait_s(who, now)
        if wait_s > 0:
            raise SignInRefused(wait_s)
        self._tries.begin(who, now)
        rows = await self._fetch("user", {"name": name})
        stored = rows[0]["password_hash"] if rows and not rows[0]["disabled"] else self._nobody
        good = await asyncio.to_thread(self._verify, stored, password) and stored is not self._nobody
        if not good:
            shown = name if rows else UNKNOWN_NAME
            await self.refused(shown, "sign_in", shown, "refused", address)
            raise SignInRefused(self._tries.wait_s(who, now))
        self._tries.succeeded(who)
        secret = self._secret()
        params = {
            "secret_hash": digest(secret),
            "id": self._random(8).hex(),
            "name": name,
            "now": self._clock.wall_ns(),
        }
        await self._db.write(lambda connection: connection.execute(SQL["add_session"], params))
        await self.record(name, "sign_in", name, "done", address)
        return secret

    async def session(self, secret: str, *, use: bool = True) -> Principal | None:
        """Who a session is of; None when unknown, ended or idle for too long. use: whether asking keeps it alive."""
        key = {"secret_hash": digest(secret)}
        rows = await self._fetch("session", key)
        if not rows or rows[0]["disabled"]:
            return None
        row, now = rows[0], self._clock.wall_ns()
        roles = roles_of(row["roles"])
        idle_s = min((IDLE_S[role] for role in roles), default=0)
        # A wall clock that steps back must not end sessions, hence no lower bound.
        unused_s = (now - row["used_ns"]) / NS_PER_S
        if unused_s > idle_s:
            await self._db.write(lambda connection: connection.execute(SQL["end_session"], key))
            return None
        if use and unused_s > TOUCH_EVERY_S:
            await self._db.write(lambda connection: connection.execute(SQL["touch_session"], {**key, "now": now}))
        return Principal("user", row["name"], roles, scope_of(row["scope"]), row["id"])

    async def sign_out(self, secret: str) -> None:
        """End a session; an unknown one is already ended."""
        key = {"secret_hash": digest(secret)}
        await self._db.write(lambda connection: connection.execute(SQL["end_session"], key))

    # --- tokens ---------------------------------------------------------------------------------------

    async def create_token(self, name: str, roles: Iterable[Role], scope: Scope, *, valid_days: int) -> str:
        """A token for programs, shown only here. valid_days: 1 to VALID_DAYS_MAX. Raises Unfit."""
        _check_name(name)
        if not 1 <= valid_days <= VALID_DAYS_MAX:
            raise Unfit("token_days", most=VALID_DAYS_MAX)
        secret = TOKEN_PREFIX + self._secret()
        now = self._clock.wall_ns()
        params = {
            "secret_hash": digest(secret),
            "id": self._random(8).hex(),
            "name": name,
            "prefix": secret[: len(TOKEN_PREFIX) + 4],
            "roles": ",".join(sorted(roles)),
            "scope": scope.text(),
            "now": now,
            "expires_ns": now + valid_days * 86_400 * NS_PER_S,
        }
        await self._db.write(lambda connection: connection.execute(SQL["add_token"], params))
        return secret

    async def token(self, secret: str) -> Principal | None:
        """Who a token stands for; None when it is unknown, expired or revoked."""
        rows = await self._fetch("token", {"secret_hash": digest(secret)})
        if not rows or rows[0]["revoked_ns"] is not None or rows[0]["expires_ns"] <= self._clock.wall_ns():
            return None
        row = rows[0]
        return Principal("token", row["name"], roles_of(row["roles"]), scope_of(row["scope"]), row["id"])

    async def tokens(self) -> list[dict[str, Any]]:
        """All tokens: id, name, prefix, roles, scope, created_ns, expires_ns, revoked_ns."""
        return await self._fetch("tokens", {})

    async def revoke_token(self, token_id: str) -> None:
        """Raises UnknownAccount."""
        params = {"id": token_id, "now": self._clock.wall_ns()}
        if not await self._db.write(lambda connection: connection.execute(SQL["revoke_token"], params).rowcount):
            raise UnknownAccount(token_id)

    # --- the book -------------------------------------------------------------------------------------

    async def record(self, actor: str, action: str, target: str, result: str, address: str) -> None:
        """Write into the book and, as a fact of the campus, into the ledger."""
        stamp = self._clock.stamp()
        entry_id = derived_id("audit", stamp.wall_ns, stamp.mono_ns, self._random(8).hex())
        params = {
            "id": entry_id,
            "at_ns": stamp.wall_ns,
            "actor": actor[:64],
            "action": action[:64],
            "target": target[:128],
            "result": result[:64],
            "address": address[:64],
        }
        await self._db.write(lambda connection: connection.execute(SQL["add_audit"], params))
        values = {name: str(params[name]) for name in ("actor", "action", "target", "result")}
        event = Event(id=entry_id, device=CAMPUS_NODE, stamp=stamp, topic="Audit/Entry", values=dict(values))
        await self._append([event])

    async def refused(self, actor: str, action: str, target: str, result: str, address: str) -> None:
        """As `record`, for what anybody on the network can cause: bounded, with a count of what was left out."""
        unwritten = self._refusals.take(self._clock.mono_ns())
        if unwritten is not None:
            more = f" (+{unwritten})" if unwritten else ""
            await self.record(actor, action, target, f"{result}{more}", address)

    async def audit(self, before_ns: int, limit: int, *, before_id: str = "") -> list[dict[str, Any]]:
        """The book, newest first, older than before_ns, or of that moment and with a smaller id than before_id."""
        return await self._fetch("audit", {"before_ns": before_ns, "before_id": before_id, "limit": limit})

    # --- inside ---------------------------------------------------------------------------------------

    def _secret(self) -> str:
        return self._random(SECRET_BYTES).hex()

    def _user_row(self, name: str, password_hash: str, roles: Iterable[Role], scope: str) -> dict[str, object]:
        _check_name(name)
        return {
            "name": name,
            "password_hash": password_hash,
            "roles": ",".join(sorted(roles)),
            "scope": scope,
            "now": self._clock.wall_ns(),
        }

    async def _hash(self, password: str) -> str:
        if len(password) < PASSWORD_LENGTH_MIN:
            raise Unfit("short_password", least=PASSWORD_LENGTH_MIN)
        return await asyncio.to_thread(self._hasher.hash, password)

    def _verify(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _fetch(self, name: str, params: Mapping[str, object]) -> list[dict[str, Any]]:
        async with self._db.read() as connection, connection.execute(SQL[name], params) as cursor:
            return [dict(row) for row in await cursor.fetchall()]


def _check_name(name: str) -> None:
    if re.fullmatch(USER_NAME, name) is None:
        raise Unfit("account_name", name=name[:40])


def roles_of(text: str) -> frozenset[Role]:
    """Roles as they are stored: names with commas."""
    return frozenset(Role(name) for name in text.split(",") if name)
