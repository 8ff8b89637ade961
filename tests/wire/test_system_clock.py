"""The machine's clock: what the kernel says of it is believed."""

import ctypes
from pathlib import Path
from unittest import mock

import pytest

from wire import system_clock
from wire.clock import NS_PER_S, ClockState
from wire.system_clock import ERROR_UNKNOWN_MS, SystemClock, kernel_clock, read_boot_id

TIME_ERROR, STA_UNSYNC = 5, 0x0040


def kernel(returns: int, status: int = 0, maxerror_us: int = 2_500) -> mock._patch:
    """A C library whose adjtimex answers this."""

    def adjtimex(pointer: object) -> int:
        timex = pointer._obj
        timex.status, timex.maxerror = status, maxerror_us
        return returns

    library = mock.Mock()
    library.adjtimex = adjtimex
    return mock.patch.object(ctypes, "CDLL", return_value=library)


@pytest.mark.parametrize(
    ("returns", "status", "synced"),
    [(0, 0, True), (1, 0, True), (TIME_ERROR, 0, False), (0, STA_UNSYNC, False), (TIME_ERROR, STA_UNSYNC, False)],
)
def test_the_kernel_decides_whether_the_wall_clock_is_disciplined(returns: int, status: int, synced: bool) -> None:
    with kernel(returns, status):
        assert kernel_clock() == (synced, 2)


def test_a_kernel_that_cannot_be_asked_is_not_believed() -> None:
    with kernel(-1):
        assert kernel_clock() == (False, ERROR_UNKNOWN_MS)
    with mock.patch.object(ctypes, "CDLL", side_effect=OSError):
        assert kernel_clock() == (False, ERROR_UNKNOWN_MS)


def test_the_structure_given_to_the_kernel_has_room_for_all_it_writes() -> None:
    """struct timex of linux/timex.h is 208 bytes on 64-bit machines."""
    assert ctypes.sizeof(system_clock._Timex) >= 208
    synced, error_ms = kernel_clock()
    assert isinstance(synced, bool)
    assert error_ms >= 0


def test_a_boot_id_is_thirty_two_hex_digits(tmp_path: Path) -> None:
    path = tmp_path / "boot_id"
    path.write_text("0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0\n")
    assert read_boot_id(path) == "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
    with pytest.raises(OSError, match="nowhere"):
        read_boot_id(tmp_path / "nowhere")


class Machine:
    """A system clock on a machine whose time and kernel the test sets."""

    def __init__(self, *, assume_synced: bool = False) -> None:
        self.mono_ns = 100 * NS_PER_S
        self.says = (False, 400)
        self.asked = 0
        self.clock = SystemClock(assume_synced=assume_synced, boot_id="b0" * 16)

    def stamp(self):
        def ask() -> tuple[bool, int]:
            self.asked += 1
            return self.says

        with (
            mock.patch("time.monotonic_ns", return_value=self.mono_ns),
            mock.patch.object(system_clock, "kernel_clock", ask),
        ):
            return self.clock.stamp()

    def later(self, seconds: float):
        self.mono_ns += int(seconds * NS_PER_S)
        return self.stamp()


def test_a_clock_never_disciplined_in_this_boot_is_unsynced_and_one_that_was_is_in_holdover() -> None:
    machine = Machine()
    assert (machine.stamp().clock, machine.stamp().error_ms) == (ClockState.UNSYNCED, 400)
    machine.says = (True, 3)
    assert machine.later(1).clock is ClockState.SYNCED
    machine.says = (False, 900)
    stamp = machine.later(1)
    assert (stamp.clock, stamp.error_ms) == (ClockState.HOLDOVER, 900)


def test_the_kernel_is_asked_once_a_second_however_many_records_come() -> None:
    machine = Machine()
    for _ in range(500):
        machine.later(0.01)
    assert 4 <= machine.asked <= 6


def test_a_container_may_be_told_to_believe_its_clock() -> None:
    stamp = Machine(assume_synced=True).stamp()
    assert (stamp.clock, stamp.error_ms) == (ClockState.SYNCED, 0)


def test_a_stamp_carries_both_clocks_and_the_boot() -> None:
    machine = Machine()
    with mock.patch("time.time_ns", return_value=1_788_220_800 * NS_PER_S):
        stamp = machine.stamp()
    assert (stamp.wall_ns, stamp.mono_ns, stamp.boot_id) == (1_788_220_800 * NS_PER_S, 100 * NS_PER_S, "b0" * 16)


def test_who_believes_the_clock_anyway_does_not_ask_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden() -> tuple[bool, int]:
        raise AssertionError

    monkeypatch.setattr("wire.system_clock.kernel_clock", forbidden)
    stamp = SystemClock(assume_synced=True).stamp()
    assert (stamp.clock, stamp.error_ms) == (ClockState.SYNCED, 0)
