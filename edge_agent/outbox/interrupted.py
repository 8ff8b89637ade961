"""The outbox as the journal of commands: which were taken by an earlier run and have no end.

`Command/Taken` and the outcome of a command have ids that follow from the command's id, and stand in lane A, of which
nothing is ever evicted unacknowledged. A look through the lane at the start is all the journal that is needed.
"""

from typing import Final

from edge_agent.outbox.book import key_of
from edge_agent.outbox.core import Core
from wire.identity import derived_id
from wire.records import Event, decode_record
from wire.topics import Lane

TAKEN_TOPIC: Final = "Command/Taken"
_TAKEN: Final = "SELECT body FROM record WHERE key > ? AND key <= ? AND gap IS NULL AND instr(body, ?) ORDER BY key"
_IS_THERE: Final = "SELECT 1 FROM record WHERE event_id = ?"


def taken_id(command_id: str) -> str:
    """The id of the record that a command was taken."""
    return derived_id("taken", command_id)


def outcome_id(command_id: str) -> str:
    """The id of the record of a command's end."""
    return derived_id("outcome", command_id)


def interrupted(core: Core) -> list[Event]:
    """The kept Command/Taken records without an outcome, in order."""
    book = core.book.lanes[Lane.A]
    span = (key_of(Lane.A, book.base), key_of(Lane.A, book.last))
    bodies = core.connection.execute(_TAKEN, (*span, TAKEN_TOPIC.encode())).fetchall()
    events = [decode_record(body) for (body,) in bodies]
    return [
        event
        for event in events
        if isinstance(event, Event) and event.topic == TAKEN_TOPIC and not _is_there(core, event.values["command_id"])
    ]


def _is_there(core: Core, command_id: object) -> bool:
    wanted = bytes.fromhex(outcome_id(str(command_id)))
    return core.connection.execute(_IS_THERE, (wanted,)).fetchone() is not None
