"""The certificates of docs/install.md, made by the very commands that stand there, between box, broker and server."""

import re
import ssl
import subprocess
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from aggregator.broker import Audience, BrokerSettings, Listener, ServerTls
from aggregator.service import Service, ServiceUnreachable, trusting
from simulators.children import free_ports
from tests.support.mosquitto import CAMPUS, HOST, Mosquitto
from wire import checks
from wire.mqtt_link import LinkError, MqttLink
from wire.topics import Up, up_topic

pytestmark = pytest.mark.peer

PAGE = (Path(__file__).parents[2] / "docs" / "install.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ca.crt, campus.crt and campus.key, for the address of the test."""
    made = tmp_path_factory.mktemp("certificates")
    lines = re.findall(r'^((?:openssl|printf "subjectAltName).*)$', PAGE, re.MULTILINE)
    assert len(lines) == 4
    script = "\n".join(lines).replace("192.0.2.10", HOST)
    subprocess.run(["bash", "-euc", script], cwd=made, check=True, capture_output=True, timeout=60)
    return made


async def test_a_box_speaks_to_the_broker_and_to_no_other(folder: Path, tmp_path: Path) -> None:
    tls = ServerTls(certificate=folder / "campus.crt", key=folder / "campus.key")
    listener = Listener(port=free_ports(1)[0], audience=Audience.BOXES, tls=tls)
    broker = Mosquitto(tmp_path / "broker", BrokerSettings(campus=CAMPUS, listeners=(listener,)))
    with broker.running():
        box = replace(broker.edge("gate-1"), tls_ca=folder / "ca.crt")
        link = await MqttLink.connect(box, lambda _message: None, client_id="gate-1")
        await link.publish(up_topic(CAMPUS, "gate-1", Up.HEARTBEAT), b"x")
        await link.close()
        with pytest.raises(LinkError, match="certificate verify failed"):
            await MqttLink.connect(replace(box, host="localhost"), lambda _message: None, client_id="gate-1")


def test_programs_trust_the_server_by_the_authority_alone(folder: Path) -> None:
    class Health(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"status": "ok"}')

        def log_message(self, format: str, *args: object) -> None:
            """Silent."""

    server = ThreadingHTTPServer((HOST, 0), Health)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "campus.crt", folder / "campus.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        base = f"https://{HOST}:{server.server_address[1]}"
        trusted = trusting(folder / "ca.crt")
        # As later Pythons do by default.
        trusted.verify_flags |= ssl.VERIFY_X509_STRICT
        assert Service(base, tls=trusted).get("health") == {"status": "ok"}
        with pytest.raises(ServiceUnreachable, match="certificate verify failed"):
            Service(base).get("health")
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


def test_they_hold_as_long_as_the_page_says(folder: Path) -> None:
    for name, days in (("ca.crt", 3650), ("campus.crt", 825)):
        verdict = checks.certificate_file(folder / name)
        assert verdict.code == "certificate_ok"
        assert abs(int(str(verdict.params["days"])) - days) <= 1
    # openssl makes keys for their owner alone.
    assert (folder / "ca.key").stat().st_mode & 0o077 == 0
