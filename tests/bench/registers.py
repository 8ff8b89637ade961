"""Helper: Modbus TCP gateways with units whose registers all change with every answer.

`python -m tests.bench.registers GATEWAYS REGISTERS`; it answers with the ports. Then on stdin, `{}` gives the number of
requests answered so far, `{"dead": [units]}` lets units fall silent, on every gateway.
"""

import asyncio
import struct
import sys
from typing import Any, Final

from tests.bench.processes import answer, commands

HEAD: Final = struct.Struct(">HHHBBHH")


class Gateways:
    """What all gateways share."""

    def __init__(self, registers: int) -> None:
        self.answered = 0
        self.dead: frozenset[int] = frozenset()
        # Sixteen sets of values in turn, so that none is what it was before.
        self.values = [
            struct.pack(f">{registers}H", *((turn * 97 + n) % 4096 for n in range(registers))) for turn in range(16)
        ]


class Connection(asyncio.Protocol):
    """One connection with a gateway."""

    def __init__(self, gateways: Gateways) -> None:
        self._gateways = gateways
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        gateways, buffer, at, out = self._gateways, self._rest + data, 0, []
        while len(buffer) - at >= HEAD.size:
            number, _, _, unit, function, _, count = HEAD.unpack_from(buffer, at)
            at += HEAD.size
            if unit in gateways.dead:
                continue
            gateways.answered += 1
            words = gateways.values[gateways.answered % 16][: 2 * count]
            out.append(struct.pack(">HHHBBB", number, 0, 3 + len(words), unit, function, len(words)) + words)
        self._rest = buffer[at:]
        if out:
            assert isinstance(self._transport, asyncio.WriteTransport)
            self._transport.write(b"".join(out))


async def main() -> None:
    gateways = Gateways(int(sys.argv[2]))
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(lambda: Connection(gateways), "127.0.0.1", 0) for _ in range(int(sys.argv[1]))]
    answer({"ports": [server.sockets[0].getsockname()[1] for server in servers]})
    told = commands()
    while (command := await loop.run_in_executor(None, next, told, None)) is not None:
        answer(_obey(gateways, command))


def _obey(gateways: Gateways, command: dict[str, Any]) -> dict[str, Any]:
    if "dead" in command:
        gateways.dead = frozenset(command["dead"])
    return {"answered": gateways.answered}


if __name__ == "__main__":
    asyncio.run(main())
