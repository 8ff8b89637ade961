"""Units for a Modbus line: a relay board that holds a door, a climate sensor, an energy meter.

Written from their makers' tables. Times are monotonic seconds of an injected clock.
"""

import random
import struct
from collections.abc import Callable, Sequence
from typing import Final

from simulators.modbus_wire import ILLEGAL_ADDRESS, ILLEGAL_FUNCTION, ILLEGAL_VALUE, Fault

_RELAYS: Final = 8
_FLASH_ON: Final = 0x0200
_VALUES: Final = {0xFF00: True, 0x0000: False}
_TOGGLE: Final = 0x5500


class DoorBoard:
    """Waveshare's relay board with eight inputs, and a door on it.

    Relay 1 holds the lock; `strikes` counts how often it was told to let go. The door can be opened while the lock is
    released, or by force. Input 1: contact, closed circuit while the door is closed; 2: exit button; 3: tamper switch.
    `looked` counts how often somebody asked for the inputs.
    """

    def __init__(self, mono_s: Callable[[], float], struck: Callable[[], None] = lambda: None) -> None:
        """struck: called whenever the lock lets go, before the answer is on the wire."""
        self._mono_s = mono_s
        self._struck = struck
        self._relays = [False] * _RELAYS
        self._held_until_s = [0.0] * _RELAYS
        self.strikes = 0
        self.looked = 0
        self.open = False
        self.pressed = False
        self.tampered = False

    @property
    def released(self) -> bool:
        """Whether the lock lets the door be opened."""
        return self._relay(0)

    def read(self, table: str, address: int, count: int) -> Sequence[int]:
        """See Unit."""
        match table:
            case "coils":
                values = [int(self._relay(index)) for index in range(_RELAYS)]
            case "discrete_inputs":
                self.looked += 1
                values = [int(not self.open), int(self.pressed), int(self.tampered), *[0] * (_RELAYS - 3)]
            case "holding_registers" if (address, count) == (0x4000, 1):
                return [1]
            case _:
                raise Fault(ILLEGAL_ADDRESS)
        if address + count > len(values):
            raise Fault(ILLEGAL_ADDRESS)
        return values[address : address + count]

    def write(self, table: str, address: int, words: Sequence[int]) -> None:
        """See Unit."""
        if table != "coils":
            raise Fault(ILLEGAL_FUNCTION)
        (word,) = words
        if _FLASH_ON <= address < _FLASH_ON + _RELAYS:
            if not 1 <= word <= 0x7FFF:
                raise Fault(ILLEGAL_VALUE)
            index = address - _FLASH_ON
            self._held_until_s[index] = self._mono_s() + word / 10
        elif address < _RELAYS:
            index = address
            if word != _TOGGLE and word not in _VALUES:
                raise Fault(ILLEGAL_VALUE)
            self._relays[index] = not self._relays[index] if word == _TOGGLE else _VALUES[word]
        else:
            raise Fault(ILLEGAL_ADDRESS)
        if index == 0 and self._relay(0):
            self.strikes += 1
            self._struck()

    def _relay(self, index: int) -> bool:
        return self._relays[index] or self._mono_s() < self._held_until_s[index]


class ClimateSensor:
    """XY-MD02: input register 1 temperature, 2 humidity, in tenths."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.temperature = 22.0
        self.humidity = 50.0

    def read(self, table: str, address: int, count: int) -> Sequence[int]:
        """See Unit."""
        if table != "input_registers" or address < 1 or address + count > 3:
            raise Fault(ILLEGAL_ADDRESS)
        self.temperature = min(45.0, max(-20.0, self.temperature + self._chance.uniform(-0.2, 0.2)))
        self.humidity = min(95.0, max(5.0, self.humidity + self._chance.uniform(-0.5, 0.5)))
        words = [round(self.temperature * 10) & 0xFFFF, round(self.humidity * 10)]
        return words[address - 1 : address - 1 + count]

    def write(self, table: str, address: int, words: Sequence[int]) -> None:
        """See Unit."""
        del table, address, words
        raise Fault(ILLEGAL_ADDRESS)


class EnergyMeter:
    """Eastron SDM120: floats in pairs of input registers."""

    _BLOCKS: Final = (range(0x0020), range(0x0046, 0x0056), range(0x0156, 0x0158))

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.energy_kwh = 71.33

    def read(self, table: str, address: int, count: int) -> Sequence[int]:
        """See Unit."""
        if table != "input_registers":
            raise Fault(ILLEGAL_FUNCTION)
        if not any(address in block and address + count <= block.stop for block in self._BLOCKS):
            raise Fault(ILLEGAL_ADDRESS)
        self.energy_kwh += 0.001
        values = {
            0x0000: 230.0 + self._chance.uniform(-2, 2),
            0x0006: 1.2,
            0x000C: 276.0 + self._chance.uniform(-9, 9),
            0x001E: 0.97,
            0x0046: 50.0,
            0x0048: self.energy_kwh,
            0x004A: 0.0,
            0x0156: self.energy_kwh,
        }
        words = {}
        for place, value in values.items():
            words[place], words[place + 1] = struct.unpack(">HH", struct.pack(">f", value))
        return [words.get(place, 0) for place in range(address, address + count)]

    def write(self, table: str, address: int, words: Sequence[int]) -> None:
        """See Unit."""
        del table, address, words
        raise Fault(ILLEGAL_FUNCTION)
