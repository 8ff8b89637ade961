"""Units on a Modbus line: every value of the profile is read, round after round. Nothing is written."""

import asyncio
from collections import deque
from typing import Any, Final

from edge_agent.channels.base import BoundDevice
from edge_agent.channels.modbus_link import Link, NoAnswer, Refused, dialler
from edge_agent.codecs import codec
from edge_agent.codecs.kinds.modbus import ModbusCodec, inverted_of
from edge_agent.codecs.poll_plan import Request, plan, split
from edge_agent.probe import Limits, Report, Target
from edge_agent.probe.line import look_for_holder
from edge_agent.transports.modbus_rtu import ModbusRtuTransport
from edge_agent.transports.modbus_tcp import ModbusTcpTransport
from wire.clock import Clock
from wire.records import Value

ROUND_S: Final = 1.0


async def probe(target: Target, report: Report, limits: Limits, clock: Clock) -> None:
    """See edge_agent.probe. Rounds end early when for_s is over."""
    transport = target.transport
    if not isinstance(transport, ModbusTcpTransport | ModbusRtuTransport):
        raise TypeError(transport.kind)
    if isinstance(transport, ModbusRtuTransport):
        look_for_holder(transport.port)
    spec = codec(target.protocol, ModbusCodec)
    plans = [(device, _requests(spec, device, transport.gap_max)) for device in target.devices]
    link = await dialler(transport)()
    try:
        async with asyncio.timeout(limits.for_s):
            for number in range(limits.count):
                if number:
                    await asyncio.sleep(ROUND_S)
                for device, requests in plans:
                    await _ask(link, device, requests, report, clock)
    except TimeoutError:
        # Long enough: what was heard by then is the answer.
        return
    finally:
        link.close()


def _requests(spec: ModbusCodec, device: BoundDevice, gap_max: int) -> list[Request]:
    points = spec.points(device.profile, inverted_of(device.given)).values()
    return plan(points, gap_max=gap_max, layout=spec.layout(device.profile))


async def _ask(link: Link, device: BoundDevice, requests: list[Request], report: Report, clock: Clock) -> None:
    """All of one unit. What it refuses as a whole is asked in pieces, from then on."""
    waiting = deque(requests)
    while waiting:
        request = waiting.popleft()
        asked = f"{request.table} {request.address}+{request.count}"
        began_ns = clock.mono_ns()
        try:
            words = await link.read(int(device.address), request.table, request.address, request.count)
        except Refused as refused:
            report.missed(device, asked, str(refused))
            pieces = split(request)
            at = requests.index(request)
            requests[at : at + 1] = pieces
            waiting.extendleft(reversed(pieces))
        except NoAnswer as error:
            report.missed(device, asked, str(error))
            await link.quiet()
            return
        else:
            values = [_shown(value) for value in request.values(words)]
            report.values(device, asked, values, clock.mono_ns() - began_ns)


def _shown(value: Value) -> dict[str, Any]:
    shown: dict[str, Any] = {"resource": value.resource, "value": value.value}
    if value.unit:
        shown["unit"] = value.unit
    if value.quality != "good":
        shown["quality"] = value.quality
    return shown
