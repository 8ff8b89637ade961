"""Documents from the campus: securing state, which never expires, newest version wins.

    signed chunks -> whole -> hash -> parsed -> file (fsync, rename) -> in force -> Document/Applied up

`assembly` puts chunks together (pure), `cabinet` keeps what is in force, in memory and on disk. A kind of document is a
name, a parser and somebody to hand it to; `tuning` is the first. The box tells its versions in hello and heartbeat, and
the campus sends what is missing until it hears the version it wants.
"""

from edge_agent.documents.cabinet import Cabinet, DocumentKind, DocumentRefused
from edge_agent.documents.tuning import tuning_kind

__all__ = ["Cabinet", "DocumentKind", "DocumentRefused", "tuning_kind"]
