import asyncio

from simulators.campus.chaos import Chaos
from simulators.faults import Fault, Harm
from simulators.relay import Wire
from tests.support.waiting import until


class Recorder:
    """Stands for children, a device and a line: remembers what was done to it."""

    def __init__(self) -> None:
        self.done: list[object] = []
        self.state = Wire.PASS

    def kill(self, name: str) -> bool:
        self.done.append(("kill", name))
        return name != "dead"

    def cut(self, for_s: float | None = None, *, power: bool = False) -> None:
        self.done.append(("cut", for_s, power))
        self.state = Wire.CUT

    def freeze(self) -> None:
        self.done.append("freeze")
        self.state = Wire.FROZEN

    def mend(self) -> None:
        self.state = Wire.PASS


def stage(*faults: Fault) -> tuple[Chaos, Recorder, Recorder, Recorder]:
    children, device, line = Recorder(), Recorder(), Recorder()
    return Chaos(faults, children, {"face-1": device}, {"gate-1": line}), children, device, line


async def test_every_harm_reaches_its_target_and_is_counted() -> None:
    chaos, children, device, line = stage(
        Fault(0.0, Harm.KILL, "broker"),
        Fault(0.0, Harm.KILL, "dead"),
        Fault(0.01, Harm.POWER_CUT, "face-1", 2.0),
        Fault(0.01, Harm.NETWORK_CUT, "face-1", 1.0),
        Fault(0.02, Harm.LINE_FREEZE, "gate-1", 9.0),
        Fault(0.03, Harm.LINE_CUT, "gate-1", 9.0),
    )
    await chaos.run()
    assert children.done == [("kill", "broker"), ("kill", "dead")]
    assert device.done == [("cut", 2.0, True), ("cut", 1.0, False)]
    assert line.done == ["freeze", ("cut", None, False)]
    # What was not running cannot be killed and is not boasted about.
    assert chaos.done == {Harm.KILL: 1, Harm.POWER_CUT: 1, Harm.NETWORK_CUT: 1, Harm.LINE_FREEZE: 1, Harm.LINE_CUT: 1}


async def test_a_line_mends_by_itself_and_all_lines_are_whole_at_the_end() -> None:
    chaos, _, _, line = stage(Fault(0.0, Harm.LINE_CUT, "gate-1", 0.02), Fault(30.0, Harm.KILL, "broker"))
    running = asyncio.create_task(chaos.run())
    await until(lambda: line.done != [])
    await until(lambda: line.state is Wire.PASS)
    line.cut()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert line.state is Wire.PASS
