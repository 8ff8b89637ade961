"""How InfluxDB is reached."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class InfluxAddress:
    """Where it is. database: of version 1, or the bucket. secret: a token (2, 3) or a password (1), never printed."""

    url: str
    version: Literal[1, 2]
    database: str
    org: str = ""
    username: str = ""
    secret: str = field(default="", repr=False)
