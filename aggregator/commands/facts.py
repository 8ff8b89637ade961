"""The records of a command, as the campus makes and reads them. Pure.

    Command/Requested   @campus   the campus wrote down what is asked, before anything is sent
    Command/Taken       the box   it has it on its disk and may act
    outcome             the box   how it ended
    Command/Settled     @campus   surely never carried out: the box cannot take it any more and has not

Their ids follow from the command's, so each of them exists once, whatever is repeated.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from wire.clock import Stamp
from wire.commands import LeaseUse
from wire.identity import derived_id
from wire.records import Event, Scalar
from wire.topics import CAMPUS_NODE

REQUESTED: Final = "Command/Requested"
TAKEN: Final = "Command/Taken"
SETTLED: Final = "Command/Settled"
_ARGUMENT: Final = "argument_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A command as it was asked for. lease, session, epoch: under which it was to be sent; absent when it was not."""

    command_id: str
    group_id: str
    device: str
    name: str
    operator: str
    reason: str
    arguments: Mapping[str, Scalar] = field(default_factory=dict)
    lease: LeaseUse | None = None
    session: str = ""
    epoch: str = ""

    @property
    def edge(self) -> str:
        """The box that has the device."""
        return self.device.partition("/")[0]


def requested_id(command_id: str) -> str:
    """Of Command/Requested."""
    return derived_id("requested", command_id)


def taken_id(command_id: str) -> str:
    """Of Command/Taken, as the box makes it."""
    return derived_id("taken", command_id)


def outcome_id(command_id: str) -> str:
    """Of the outcome, as the box makes it."""
    return derived_id("outcome", command_id)


def settled_id(command_id: str) -> str:
    """Of Command/Settled."""
    return derived_id("settled", command_id)


def requested(asked: Asked, stamp: Stamp) -> Event:
    """The fact that something is asked for."""
    values: dict[str, Scalar] = {
        "command_id": asked.command_id,
        "group_id": asked.group_id,
        "device": asked.device,
        "name": asked.name,
        "operator": asked.operator,
    }
    if asked.reason:
        values["reason"] = asked.reason
    if asked.lease is not None:
        values |= {"lease": asked.lease.lease, "use": asked.lease.use}
        values |= {"session": asked.session, "epoch": asked.epoch}
    values |= {f"{_ARGUMENT}{name}": value for name, value in asked.arguments.items()}
    return Event(id=requested_id(asked.command_id), device=CAMPUS_NODE, stamp=stamp, topic=REQUESTED, values=values)


def settled(asked: Asked, result: str, reason: str, stamp: Stamp) -> Event:
    """The fact that it was never carried out. result: `unreachable`, or `unknown` when the box lost its memory."""
    values: dict[str, Scalar] = {
        "command_id": asked.command_id,
        "group_id": asked.group_id,
        "device": asked.device,
        "result": result,
    }
    return Event(
        id=settled_id(asked.command_id), device=CAMPUS_NODE, stamp=stamp, topic=SETTLED, reason=reason, values=values
    )


def arguments_of(values: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """The arguments of a Command/Requested."""
    return {name.removeprefix(_ARGUMENT): value for name, value in values.items() if name.startswith(_ARGUMENT)}
