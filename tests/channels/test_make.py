import pytest

from edge_agent.channels import make_channel
from edge_agent.channels.mqtt import MqttChannel
from edge_agent.codecs import codec
from edge_agent.codecs.kinds.mqtt import MqttCodec
from edge_agent.settings import ChannelSettings, Device, DeviceSettings, Secrets
from tests.channels.rig import Rig, eventually
from tests.translate.profiles import facesluice_profile

SECRETS = Secrets(
    campus_key=bytes(32), campus_public_key="", uplink_password="", channel_passwords={"terminals": "of the broker"}
)


def settings(**transport: object) -> ChannelSettings:
    return ChannelSettings.model_validate(
        {
            "name": "terminals",
            "protocol": "facesluice",
            "transport": {"kind": "mqtt", "host": "broker.example", "username": "gate-1", **transport},
            "devices": [{"name": "face-1", "profile": "facesluice-mqtt", "address": {"device_id": "1026701"}}],
        }
    )


def devices(channel: ChannelSettings) -> list[Device]:
    return [
        Device(settings=one, profile=facesluice_profile(), address_key="1026701", zone="Asia/Shanghai")
        for one in channel.devices
        if isinstance(one, DeviceSettings)
    ]


@pytest.mark.parametrize(
    ("transport", "prefix", "client_id", "version"),
    [
        ({}, "mqtt/face", "campus-edge-gate-1-terminals", 5),
        ({"topic_prefix": "school/face", "client_id": "box", "version": 4}, "school/face", "box", 4),
    ],
)
async def test_a_channel_is_made_of_settings_and_dials_with_a_session_that_lasts(
    transport: dict, prefix: str, client_id: str, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    dialled: list[tuple[object, dict]] = []
    rig = Rig()

    async def connect(address, on_message, **how):
        dialled.append((address, how))
        return await rig.connect(on_message)

    monkeypatch.setattr("edge_agent.channels.mqtt.MqttLink.connect", connect)
    channel_settings = settings(**transport)
    channel = make_channel(channel_settings, devices(channel_settings), rig.parts, SECRETS)
    assert isinstance(channel, MqttChannel)
    assert channel.name == "terminals"
    async with rig.running(channel) as link:
        topic, payload = f"{prefix}/1026701/Rec", {"operator": "RecPush", "info": {"RecordID": 1, "VerifyStatus": 1}}
        link.deliver(topic, payload)
        await eventually(lambda: bool(link.sent))
        assert link.sent[0][0] == f"{prefix}/1026701"
    ((address, how),) = dialled
    assert (address.host, address.username, address.password) == ("broker.example", "gate-1", "of the broker")
    assert (how["client_id"], how["version"], how["clean"], how["manual_ack"]) == (client_id, version, False, True)
    assert [event.device for event in rig.intake.events()] == ["gate-1/face-1"]


@pytest.mark.parametrize("protocol", ["no-such", "loose", "__init__", "", "../facesluice"])
def test_a_protocol_without_an_mqtt_codec_is_refused(protocol: str) -> None:
    with pytest.raises(LookupError):
        codec(protocol, MqttCodec)
