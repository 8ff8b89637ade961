"""Roles and scopes. A person may hold several roles; a role says what may be seen and done, a scope where."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal


class Role(StrEnum):
    """The eight roles of the console."""

    WALL = "wall"  # a screen on a wall: counters, no names, no actions
    GUARD = "guard"  # 值班员
    LEAD = "lead"  # 安保负责人
    TEACHER = "teacher"  # 班主任
    ATTENDANCE = "attendance"  # 考勤管理
    OPS = "ops"  # 校园运维: devices, no names
    DISTRICT = "district"  # 片区运维: devices of all campuses, never a student
    ADMIN = "admin"


# Who is shown pseudonyms of people and credentials; the others see that something happened, not to whom.
SEES_PEOPLE: Final = frozenset({Role.GUARD, Role.LEAD, Role.TEACHER, Role.ATTENDANCE, Role.ADMIN})

# Who is shown the book: what was done, by whom.
SEES_BOOK: Final = frozenset({Role.LEAD, Role.ADMIN})

# How long a session lives without being used, in seconds; the shortest of a person's roles counts.
IDLE_S: Final = dict.fromkeys(Role, 12 * 3600) | {Role.ADMIN: 30 * 60}


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a role holds. campuses: names, or `*` for all this server knows."""

    campuses: frozenset[str]

    def covers(self, campus: str) -> bool:
        """Whether the scope reaches a campus."""
        return "*" in self.campuses or campus in self.campuses

    def text(self) -> str:
        """As it is stored: names with commas, sorted."""
        return ",".join(sorted(self.campuses))


EVERYWHERE: Final = Scope(frozenset({"*"}))


def scope_of(text: str) -> Scope:
    """The reverse of Scope.text."""
    return Scope(frozenset(name for name in text.split(",") if name))


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is asking. id: of the session, token or enrolment, for the book; never the secret itself."""

    kind: Literal["user", "token", "enrolment", "setup"]
    name: str
    roles: frozenset[Role]
    scope: Scope
    id: str = ""

    def has(self, roles: Iterable[Role]) -> bool:
        """Whether one of the roles is held."""
        return not self.roles.isdisjoint(roles)

    @property
    def sees_people(self) -> bool:
        """Whether pseudonyms of people may be shown."""
        return self.has(SEES_PEOPLE)

    @property
    def sees_book(self) -> bool:
        """Whether entries of the book may be shown."""
        return self.has(SEES_BOOK)
