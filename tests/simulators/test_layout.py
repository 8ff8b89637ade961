"""What the demo writes is what boxes, aggregator and broker accept."""

import contextlib
from pathlib import Path

import pytest
import yaml

from aggregator.settings import read_settings as read_aggregator
from edge_agent.settings import read_settings as read_edge
from edge_agent.transports.mqtt import MqttTransport
from simulators.broker import BrokerMissingError, Flavour
from simulators.campus.layout import Layout, Ports, device_facts, plan_campus, read_devices, write_box, write_broker
from simulators.campus.office import prepare_office, write_aggregator
from simulators.compare import DeviceFacts


def planned(folder: Path, flavour: Flavour = Flavour.IOTCORE, terminals: int = 6) -> Layout:
    folder.mkdir()
    return plan_campus(folder, flavour, Ports(devices=41883, uplink=41884, api=48000), terminals=terminals)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return planned(tmp_path / "campus")


def test_terminals_are_shared_evenly_and_every_account_has_a_password_of_its_own(layout: Layout) -> None:
    assert [len(box.slots) for box in layout.boxes] == [3, 3]
    serials = [slot.serial for slot in layout.slots()]
    assert len(set(serials)) == 6
    accounts = ["aggregator", "gate-1", "gate-2", *serials]
    passwords = {layout.passwords[account] for account in accounts}
    assert len(passwords) == len(accounts)
    assert not any(password in repr(layout) for password in passwords)


def test_an_odd_terminal_is_left_away(tmp_path: Path) -> None:
    assert len(list(planned(tmp_path / "campus", terminals=5).slots())) == 4


def test_boxes_accept_their_settings_without_a_finding(layout: Layout) -> None:
    for box in layout.boxes:
        write_box(layout, box, uplink_port=45000)
        loaded = read_edge(box.config_file)
        assert loaded.findings == []
        assert loaded.settings is not None
        assert loaded.settings.uplink.port == 45000
        transport = loaded.settings.channels[0].transport
        assert isinstance(transport, MqttTransport)
        ports = layout.ports
        # iotcore garbles what it hands on from MQTT 5 to 3.1.1.
        expected = (ports.devices, 4) if layout.flavour is Flavour.IOTCORE else (ports.uplink, 5)
        assert (transport.port, transport.version) == expected


def test_the_campus_knows_each_terminal_by_the_name_its_box_gave_it(layout: Layout) -> None:
    for box in layout.boxes:
        write_box(layout, box, uplink_port=45000)
    facts = device_facts(layout, read_devices(layout))
    assert facts["1026701"] == DeviceFacts(
        device_id="gate-1/face-01",
        device_class="biometric",
        systems=("access", "attendance", "biometrics"),
        spaces={"rec": 0, "snap": 1},
    )
    assert {one.device_id for one in facts.values()} == {f"{slot.edge}/{slot.name}" for slot in layout.slots()}


def test_settings_that_a_box_refuses_are_named(layout: Layout) -> None:
    for box in layout.boxes:
        write_box(layout, box, uplink_port=45000)
    box = layout.boxes[1]
    settings = yaml.safe_load(box.config_file.read_text())
    settings["channels"][0]["devices"][0]["profile"] = "face-sluice"
    box.config_file.write_text(yaml.safe_dump(settings))
    with pytest.raises(ValueError, match=r"gate-2/edge\.yaml: unknown_profile"):
        read_devices(layout)


@pytest.mark.parametrize("flavour", list(Flavour))
async def test_the_aggregator_accepts_its_settings_and_gets_an_administrator_and_tokens(
    tmp_path: Path, flavour: Flavour
) -> None:
    layout = planned(tmp_path / "campus", flavour)
    write_aggregator(layout)
    assert read_aggregator(layout.aggregator_config).findings == []
    secrets = await prepare_office(layout)
    assert set(secrets.enrolment_tokens) == {"gate-1", "gate-2"}
    shown = repr(secrets)
    assert not any(secret in shown for secret in (secrets.admin_password, secrets.api_token))


def test_mosquitto_gets_the_shipped_configuration_with_an_account_for_each_terminal(tmp_path: Path) -> None:
    layout = planned(tmp_path / "campus", Flavour.MOSQUITTO)
    # Without mosquitto only its program is missing; the files are there.
    with contextlib.suppress(BrokerMissingError):
        write_broker(layout)
    folder = layout.folder / "broker"
    configuration = (folder / "mosquitto.conf").read_text()
    assert f"listener {layout.ports.devices} 127.0.0.1" in configuration
    assert "max_inflight_messages 1000" in configuration
    assert "allow_anonymous false" in configuration
    access = (folder / "everybody.acl").read_text()
    assert "user 1026701\ntopic write school/gate-1/face/basic" in access
    assert "user gate-1" not in access
    text = "".join(path.read_text() for path in folder.iterdir() if path.is_file())
    assert not any(layout.passwords[slot.serial] in text for slot in layout.slots())
