"""States that devices say again and again as long as they last.

`Standing` is what a message says of a state; the channel remembers which states stand and reports only that one begins
or ends (`edge_agent.channels.transitions`).
"""

from dataclasses import dataclass

from edge_agent.message import Message


@dataclass(frozen=True, slots=True)
class Standing:
    """key: the state's own name on its device. over: what is to be reported when an active state is said no more and
    nothing said that it ended; None for states that last until the device says otherwise.
    """

    key: str
    active: bool
    over: Message | None = None
