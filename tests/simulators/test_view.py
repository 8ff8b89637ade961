import io

import pytest
from rich.console import Console
from rich.text import Text

from simulators.campus.alarms import KINDS
from simulators.campus.tracking import Row
from simulators.campus.view import LiveView, PlainView, ProcessLine, Snapshot, make_view
from simulators.compare import SYSTEMS
from simulators.faults import Harm
from wire.i18n import LANGUAGES, Texts

CLASSES = ["access_control", "attendance", "biometric", "broadcast", "one_card", "payment", "video"]


def snapshot() -> Snapshot:
    names = [f"system.{name}" for name in SYSTEMS] + [f"class.{name}" for name in CLASSES]
    return Snapshot(
        phase="running",
        elapsed_s=12.3,
        left_s=17.7,
        total=Row("", produced=1234, acked=1200, stored=1190, said=321),
        rows=[Row(name, produced=7, said=5) for name in names],
        processes=[ProcessLine("broker", up=True, kills=2), ProcessLine("gate-1", up=False, kills=0)],
        online=19,
        terminals=20,
        p50_ms=41.4,
        p99_ms=None,
        harms=dict.fromkeys(Harm, 1),
        alarms=dict.fromkeys(KINDS, 3),
        issued=12,
        refused=2,
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_table_names_every_group_and_harm_in_both_languages(language: str) -> None:
    out = io.StringIO()
    view = make_view(Console(file=out, force_terminal=True, width=160, color_system=None), Texts(language))
    assert isinstance(view, LiveView)
    view.show(snapshot())
    view.close()
    shown = out.getvalue()
    for part in ("1234", "1190", "44", "● broker (†2)", "○ gate-1", "41 ms", "19/20"):
        assert part in shown


@pytest.mark.parametrize("language", LANGUAGES)
def test_off_a_terminal_there_is_one_plain_line_without_control_characters(language: str) -> None:
    out = io.StringIO()
    view = make_view(Console(file=out, width=40), Texts(language))
    assert isinstance(view, PlainView)
    view.show(snapshot())
    view.close()
    assert out.getvalue().count("\n") == 1
    assert "\x1b" not in out.getvalue()
    assert "1234" in out.getvalue()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("height", "classes"), [(24, False), (40, True)])
def test_a_small_window_has_room_for_the_seven_systems_and_a_high_one_for_the_device_classes(
    language: str, height: int, classes: bool
) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80, height=height, color_system=None)
    view = make_view(console, Texts(language))
    view.show(snapshot())
    shown = out.getvalue()
    view.close()
    texts = Texts(language)
    for system in SYSTEMS:
        assert texts(f"sim.demo.group.system.{system}") in shown
    for name in CLASSES:
        assert (texts(f"sim.demo.group.class.{name}") in shown) is classes
    assert texts("sim.demo.total") in shown
    # Nothing is cut off, and no line goes over the edge.
    lines = [Text.from_ansi(line) for line in shown.splitlines()]
    assert len(lines) < height
    assert max(line.cell_len for line in lines) <= 80
    assert not any("…" in line.plain or "..." in line.plain for line in lines)
