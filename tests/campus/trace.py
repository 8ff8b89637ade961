"""What happened, line by line, and one hash over all of it: two runs of one seed must agree to the last byte."""

import asyncio
import hashlib
import sys


class Trace:
    """Collects lines. tail: how many are kept for a failure's report; echo: print each as it comes."""

    def __init__(self, *, echo: bool = False, tail: int = 60) -> None:
        self._echo = echo
        self._tail_max = tail
        self._hash = hashlib.sha256()
        self._tail: list[str] = []
        self.lines = 0

    def say(self, who: str, what: str, *facts: object) -> None:
        now_s = asyncio.get_running_loop().time()
        line = f"{now_s:12.6f} {who:<12} {what} " + " ".join(map(str, facts))
        self._hash.update(line.encode())
        self.lines += 1
        self._tail.append(line)
        if len(self._tail) > 2 * self._tail_max:
            del self._tail[: -self._tail_max]
        if self._echo:
            sys.stdout.write(line + "\n")

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()

    @property
    def tail(self) -> str:
        return "\n".join(self._tail[-self._tail_max :])
