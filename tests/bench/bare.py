"""Helper: the least that would have to be done, with none of our code: nothing is meant by it and nothing is kept.

    mqtt PORT USER PASSWORD_FILE    paho in a loop of its own: take a record, read its JSON, answer with PushAck
    modbus INTERVAL_S UNITS REGISTERS PORT…    asyncio and sockets: ask every unit in turn, unpack its registers

On stdin `{}` gives how many messages or answers there were so far.
"""

import asyncio
import json
import struct
import sys
import threading
from pathlib import Path
from typing import Any, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tests.bench.processes import serve_commands
from tests.bench.terminals import HOST, PREFIX

REQUEST: Final = struct.Struct(">HHHBBHH")


class Count:
    """How much was done."""

    done = 0


def mqtt(count: Count, port: int, user: str, password: str) -> None:
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="bench-bare", protocol=MQTTProtocolVersion.MQTTv5)
    client.username_pw_set(user, password)

    def heard(_client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        count.done += 1
        info = json.loads(message.payload)["info"]
        said = {"operator": "PushAck", "info": {"PushAckType": 2, "SnapOrRecordID": int(info["RecordID"])}}
        client.publish(message.topic.rpartition("/")[0], json.dumps(said), qos=1)

    ready = threading.Event()
    client.on_message = heard
    client.on_subscribe = lambda *_: ready.set()
    client.on_connect = lambda *_: client.subscribe(f"{PREFIX}/+/+", qos=1)
    client.connect(HOST, port)
    client.loop_start()
    if not ready.wait(10):
        raise SystemExit("the broker does not let the bare loop in")


class Line(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self._rest = b""
        self._number = 0
        self._answer: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._rest += data
        if len(self._rest) >= 6:
            size = 6 + int.from_bytes(self._rest[4:6], "big")
            if len(self._rest) >= size and self._answer is not None:
                frame, self._rest = self._rest[:size], self._rest[size:]
                self._answer.set_result(frame)

    async def read(self, unit: int, registers: int) -> tuple[int, ...]:
        self._number = self._number + 1 & 0xFFFF
        self._answer = asyncio.get_running_loop().create_future()
        assert isinstance(self._transport, asyncio.WriteTransport)
        self._transport.write(REQUEST.pack(self._number, 0, 6, unit, 3, 0, registers))
        return struct.unpack_from(f">{registers}H", await self._answer, 9)


async def modbus(count: Count, port: int, interval_s: float, units: int, registers: int) -> None:
    loop = asyncio.get_running_loop()
    _, line = await loop.create_connection(Line, HOST, port)
    due_s = loop.time()
    while True:
        for unit in range(1, units + 1):
            await line.read(unit, registers)
            count.done += 1
        due_s = max(due_s + interval_s, loop.time() - interval_s)
        await asyncio.sleep(max(0.0, due_s - loop.time()))


async def lines(count: Count, ports: list[int], interval_s: float, units: int, registers: int) -> None:
    await asyncio.gather(*(modbus(count, port, interval_s, units, registers) for port in ports))


def main() -> None:
    kind, *rest = sys.argv[1:]
    count = Count()

    def told(_command: dict[str, Any]) -> dict[str, Any]:
        return {"done": count.done}

    if kind == "mqtt":
        mqtt(count, int(rest[0]), rest[1], Path(rest[2]).read_text(encoding="utf-8").strip())
        serve_commands(told)
    else:
        interval_s, units, registers, *ports = rest
        polling = lines(count, [int(port) for port in ports], float(interval_s), int(units), int(registers))
        threading.Thread(target=asyncio.run, args=(polling,), daemon=True).start()
        serve_commands(told)


if __name__ == "__main__":
    main()
