"""The way down: commands that run at most once and never late, each with exactly one outcome.

    frame -> signature -> lease -> Command/Taken on disk -> lease again -> channel -> outcome on disk

`leases` holds the permissions that this box has given (pure), `desk` takes commands and has them carried out. The
journal of commands is the outbox itself: `Command/Taken` and the outcome have ids that follow from the command's, so a
command is taken once and ends once whatever is repeated or killed; after a restart, what was taken and has no outcome
ends as `unknown` and is never tried again.
"""

from edge_agent.downlink.desk import CommandDesk, Target
from edge_agent.downlink.leases import LeaseBook, Refusal

__all__ = ["CommandDesk", "LeaseBook", "Refusal", "Target"]
