"""A wish of a person or a program that is not carried out, as rooms behind the API say it."""

from collections.abc import Mapping
from typing import Any


class Refused(Exception):
    """A request that is not carried out. code: of the problem; params: for its text."""

    def __init__(self, status: int, code: str, params: Mapping[str, Any] | None = None) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.params = dict(params or {})
