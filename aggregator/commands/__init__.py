"""Commands to devices: asked for at the desk, carried out by a box under its own lease, each with exactly one end.

    POST -> role, device, profile, reach -> Command/Requested in the ledger -> signed frame under one use of a lease
         -> Command/Taken and an outcome from the box, or Command/Settled by the campus -> `view` -> screens

`shelf` holds the leases that boxes have given (pure), `desk` asks, sends, and ends what was surely never carried out,
`view` is the reader that says how every command stands.
"""

from aggregator.commands.desk import CommandDesk, Request
from aggregator.commands.shelf import LeaseShelf
from aggregator.commands.view import CommandView
from aggregator.refused import Refused

__all__ = ["CommandDesk", "CommandView", "LeaseShelf", "Refused", "Request"]
