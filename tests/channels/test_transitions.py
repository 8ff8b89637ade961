"""What is said every second is reported when it begins and when it ends."""

from edge_agent.channels.transitions import AGAIN_S, OVER_S, STATES_MAX, Transitions
from edge_agent.codecs.kinds.standing import Standing
from edge_agent.message import Message

S = 1_000_000_000


def said(key: str, *, active: bool) -> Message:
    return Message(kind="alert", fields={"event_type": key, "event_state": "active" if active else "inactive"})


class Told:
    """What is reported, by the second."""

    def __init__(self) -> None:
        self.memory = Transitions()

    def say(self, key: str, at_s: float, *, active: bool = True, ends: bool = False) -> tuple[bool, bool] | None:
        """Active and initialized of what is reported."""
        over = said(key, active=False) if ends else None
        report = self.memory.heard(said(key, active=active), Standing(key, active, over), int(at_s * S))
        return report and (report.fields["event_state"] == "active", report.initialized)

    def over(self, at_s: float) -> list[str]:
        return [key for key, _ in self.memory.over(int(at_s * S))]


def test_a_state_is_reported_when_it_begins_and_when_it_ends() -> None:
    told = Told()
    assert told.say("vmd", 0) == (True, False)
    assert [told.say("vmd", at) for at in range(1, 100)] == [None] * 99
    assert told.say("vmd", 100, active=False) == (False, False)
    assert told.say("vmd", 101, active=False) is None
    assert told.say("vmd", 102) == (True, False)


def test_the_first_word_that_all_is_well_is_said_again_and_rings_nowhere() -> None:
    told = Told()
    assert told.say("videoloss", 0, active=False) == (False, True)
    assert [told.say("videoloss", at * 10, active=False) for at in range(1, 50)] == [None] * 49


def test_states_do_not_mix() -> None:
    told = Told()
    assert told.say("vmd/1", 0) == (True, False)
    assert told.say("vmd/2", 0) == (True, False)
    assert told.say("vmd/1", 1, active=False) == (False, False)
    assert told.say("vmd/2", 1) is None


def test_what_never_ends_of_itself_is_over_when_it_is_said_no_more() -> None:
    told = Told()
    told.say("vmd", 0, ends=True)
    told.say("vmd", 5, ends=True)
    assert told.over(5 + OVER_S - 1) == []
    assert told.over(5 + OVER_S) == ["vmd"]
    assert told.over(5 + 2 * OVER_S) == []
    assert told.say("vmd", 60, active=False, ends=True) is None
    assert told.say("vmd", 61, ends=True) == (True, False)


def test_what_lasts_is_not_over_because_nobody_says_it() -> None:
    told = Told()
    told.say("diskfull", 0)
    assert told.over(10 * AGAIN_S) == []


def test_what_is_said_again_after_long_is_another_one() -> None:
    told = Told()
    assert told.say("diskfull", 0) == (True, False)
    assert told.say("diskfull", AGAIN_S - 1) is None
    assert told.say("diskfull", 2 * AGAIN_S - 1) == (True, False)


def test_what_was_not_taken_is_reported_when_it_is_said_again() -> None:
    told = Told()
    told.say("diskfull", 0)
    told.memory.forget("diskfull")
    assert told.say("diskfull", 1) == (True, False)
    told.memory.forget("diskfull")
    told.memory.forget("never said")
    assert told.say("diskfull", 2, active=False) == (False, True)


def test_the_memory_is_bounded() -> None:
    told = Told()
    for number in range(STATES_MAX + 1):
        told.say(f"kind{number}", number)
    assert told.say("kind1", STATES_MAX) is None
    assert told.say("kind0", STATES_MAX) == (True, False)
