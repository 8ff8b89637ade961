"""The listeners that may leave the machine, tried on Debian's mosquitto."""

import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from aggregator.broker import Audience, BrokerSettings, Listener, ServerTls
from simulators.children import free_ports
from tests.support.certificates import Authority, Certificate
from tests.support.mosquitto import CAMPUS, HOST, Mosquitto
from wire.mqtt_link import BrokerAddress, LinkError, LinkRefused, MqttLink
from wire.topics import Up, up_topic

pytestmark = pytest.mark.peer


@dataclass(frozen=True, slots=True)
class Secured:
    broker: Mosquitto
    authority: Authority


def start(
    folder: Path,
    authority: Authority,
    server: Certificate,
    *,
    client_ca: Path | None = None,
    revoked: Path | None = None,
) -> Mosquitto:
    tls = ServerTls(certificate=server.certificate, key=server.key, client_ca=client_ca, revoked=revoked)
    listener = Listener(port=free_ports(1)[0], audience=Audience.BOXES, tls=tls)
    return Mosquitto(folder / "broker", BrokerSettings(campus=CAMPUS, listeners=(listener,)))


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[Secured]:
    """One TLS listener for boxes that enter with passwords."""
    authority = Authority(tmp_path / "pki")
    with start(tmp_path, authority, authority.issue("server", address=HOST)).running() as broker:
        assert isinstance(broker, Mosquitto)
        yield Secured(broker, authority)


async def speaks(address: BrokerAddress, edge: str = "gate-1") -> None:
    """Connects and says something; raises what went wrong."""
    link = await MqttLink.connect(address, lambda _message: None, client_id=edge)
    try:
        await link.publish(up_topic(CAMPUS, edge, Up.HEARTBEAT), b"x")
    finally:
        await link.close()


async def test_a_box_that_knows_the_authority_gets_in(secured: Secured) -> None:
    await speaks(replace(secured.broker.edge("gate-1"), tls_ca=secured.authority.certificate))


async def test_a_box_does_not_speak_to_a_broker_of_another_authority(secured: Secured, tmp_path: Path) -> None:
    stranger = Authority(tmp_path / "other", "stranger")
    with pytest.raises(LinkError, match="certificate verify failed"):
        await speaks(replace(secured.broker.edge("gate-1"), tls_ca=stranger.certificate))


async def test_a_box_does_not_speak_to_a_broker_of_another_name(secured: Secured) -> None:
    address = replace(secured.broker.edge("gate-1"), host="localhost", tls_ca=secured.authority.certificate)
    with pytest.raises(LinkError, match="certificate verify failed"):
        await speaks(address)


async def test_a_box_does_not_speak_to_a_broker_whose_certificate_has_run_out(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "pki")
    server = authority.issue("server", address=HOST, days=-1)
    with start(tmp_path, authority, server).running() as broker:
        assert isinstance(broker, Mosquitto)
        with pytest.raises(LinkError, match="expired"):
            await speaks(replace(broker.edge("gate-1"), tls_ca=authority.certificate))


async def test_plain_text_on_the_secured_port_is_refused(secured: Secured) -> None:
    with pytest.raises(LinkError):
        await speaks(secured.broker.edge("gate-1"))


def test_tls_below_1_2_is_refused(secured: Secured) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(secured.authority.certificate)
    # The client would itself refuse to speak so old a version at Debian's level of security.
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection((HOST, secured.broker.port), timeout=5) as sock,
        pytest.raises(ssl.SSLError, match=r"(?i)protocol.version|alert"),
    ):
        context.wrap_socket(sock, server_hostname=HOST)


async def test_with_certificates_the_name_in_it_is_the_user_and_no_password_opens_the_door(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "pki")
    server = authority.issue("server", address=HOST)
    with start(tmp_path, authority, server, client_ca=authority.certificate).running() as broker:
        assert isinstance(broker, Mosquitto)
        trusting = replace(broker.edge("gate-1"), tls_ca=authority.certificate)
        own = authority.issue("gate-1")
        await speaks(replace(trusting, password="", tls_certificate=own.certificate, tls_key=own.key))
        with pytest.raises(LinkError):
            await speaks(trusting)
        other = authority.issue("gate-2")
        # The certificate of gate-2 with the user name and password of gate-1: the certificate counts.
        with pytest.raises(LinkRefused, match="refused a message"):
            await speaks(replace(trusting, tls_certificate=other.certificate, tls_key=other.key))
        forged = Authority(tmp_path / "other", "stranger").issue("gate-1")
        with pytest.raises(LinkError):
            await speaks(replace(trusting, tls_certificate=forged.certificate, tls_key=forged.key))


async def test_a_revoked_certificate_does_not_get_in(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "pki")
    server, good, bad = authority.issue("server", address=HOST), authority.issue("gate-1"), authority.issue("gate-2")
    revoked = authority.revoke(bad.serial)
    with start(tmp_path, authority, server, client_ca=authority.certificate, revoked=revoked).running() as broker:
        assert isinstance(broker, Mosquitto)
        address = replace(broker.edge("gate-1"), tls_ca=authority.certificate)
        await speaks(replace(address, tls_certificate=good.certificate, tls_key=good.key))
        broker.edge("gate-2")
        with pytest.raises(LinkError):
            await speaks(replace(address, tls_certificate=bad.certificate, tls_key=bad.key), "gate-2")
