"""A channel for terminals that push over HTTP, on a port of its own, and requests to it byte for byte."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import NamedTuple

from device_profiles.catalogue import load_catalogue
from edge_agent.channels.base import BoundDevice, ChannelParts
from edge_agent.channels.http_push import HttpPushChannel, HttpPushSettings
from edge_agent.codecs import codec
from edge_agent.codecs.kinds.http_push import HttpPushCodec
from edge_agent.health import new_counters
from edge_agent.orders import Order, plan
from edge_agent.translate import DeviceInfo
from tests.channels.rig import MemoryIntake
from tests.support.clock import VirtualClock
from wire.clock import NS_PER_S
from wire.identity import Pseudonymiser

HOST = "127.0.0.1"
SERIAL = "ACJ1234560001"
POS = "5158181900025"
BOUND_S = 10.0


class Heard(NamedTuple):
    status: int
    body: str


class Rig:
    """One channel on a port of its own."""

    def __init__(self, protocol: str, serials: Sequence[str], **settings: object) -> None:
        self.clock = VirtualClock()
        self.intake = MemoryIntake()
        self.quarantine: list[tuple[str, str, bytes]] = []
        self.counters = new_counters()
        self.profile = load_catalogue(()).profiles[protocol]
        parts = ChannelParts(
            edge="gate-1",
            intake=self.intake,
            quarantine=self._quarantine,
            pseudonymiser=Pseudonymiser(bytes(32)),
            clock=self.clock,
            counters=self.counters,
        )
        devices = [
            BoundDevice(serial, DeviceInfo(f"gate-1/zk-{number}", "Asia/Shanghai"), self.profile)
            for number, serial in enumerate(serials, start=1)
        ]
        made = HttpPushSettings(name="push", host=HOST, port=0, connections_max=64)
        self.channel = HttpPushChannel(replace(made, **settings), codec(protocol, HttpPushCodec), devices, parts)

    async def _quarantine(self, device: str, reason: str, raw: bytes, harmless: frozenset[str]) -> None:
        await asyncio.sleep(0)
        self.quarantine.append((device, reason, raw))

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Rig"]:
        up = asyncio.Event()
        run = asyncio.create_task(self.channel.run(up.set))
        try:
            async with asyncio.timeout(BOUND_S):
                await asyncio.wait([run, asyncio.create_task(up.wait())], return_when=asyncio.FIRST_COMPLETED)
            if run.done():
                run.result()
            yield self
        finally:
            run.cancel()
            await asyncio.wait([run], timeout=BOUND_S)
            assert run.done()

    async def ask(self, method: str, target: str, body: bytes = b"") -> Heard:
        """One request on a connection of its own."""
        head = f"{method} {target} HTTP/1.1\r\nHost: box\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        return parse(await self.raw(head.encode() + body))

    async def raw(self, data: bytes) -> bytes:
        """These bytes, and everything that comes back until the other side ends."""
        async with asyncio.timeout(BOUND_S):
            reader, writer = await asyncio.open_connection(HOST, self.channel.port)
            try:
                writer.write(data)
                return await reader.read()
            except ConnectionError:
                return b""
            finally:
                writer.close()

    async def push(self, *rows: str, table: str = "ATTLOG", serial: str = SERIAL) -> Heard:
        return await self.ask("POST", f"/iclock/cdata?SN={serial}&table={table}&Stamp=9999", "\n".join(rows).encode())

    async def poll(self, serial: str = SERIAL) -> Heard:
        return await self.ask("GET", f"/iclock/getrequest?SN={serial}")

    async def sell(self, *numbers: int, serial: str = POS) -> Heard:
        rows = [sale(number) for number in numbers]
        return await self.ask("POST", f"/iclock/cpos?SN={serial}&table=BUYLOG", "\n".join(rows).encode())

    async def pos_poll(self, highest: int, serial: str = POS) -> Heard:
        return await self.ask("GET", f"/iclock/posrequest?SN={serial}&type=pos&devno={highest}")

    def holes(self) -> list[tuple[object, ...]]:
        return [
            (event.values["state"], event.values["from_no"], event.values["to_no"])
            for event in self.intake.records
            if event.values.get("notice") == "record_hole"
        ]

    def order(self, name: str, within_s: float = 5.0, reply_within_s: float = 5.0, **arguments: object) -> Order:
        address = SERIAL if self.profile.name == "zk-adms-att" else POS
        return Order(
            request_id="0123456789abcdef" * 2,
            address=address,
            name=name,
            operations=plan(self.profile, name, arguments),
            deadline_ns=self.clock.mono_ns() + int(within_s * NS_PER_S),
            reply_within_s=reply_within_s,
        )


def parse(answer: bytes) -> Heard:
    head, _, body = answer.partition(b"\r\n\r\n")
    return Heard(int(head.split()[1]), body.decode())


def punch(second: int, pin: str = "20260001") -> str:
    return f"{pin}\t2026-09-01 07:55:{second:02d}\t0\t15\t0\t0\t0"


def sale(number: int, amount: int = 1250) -> str:
    return f"9\t0010732817\t2026-09-01 12:03:15\t{amount}\t8750\t118\t0\t2\t2026-09-01\t{number}\t1"


@asynccontextmanager
async def attendance(**settings: object) -> AsyncIterator[Rig]:
    async with Rig("zk-adms-att", [SERIAL, "OTHER1"], **settings).running() as rig:
        yield rig


@asynccontextmanager
async def canteen() -> AsyncIterator[Rig]:
    async with Rig("zk-cm-pos", [POS]).running() as rig:
        yield rig
