"""The campus office before it opens: settings and keys of the aggregator, the first administrator, a token for the
demo's own screen, a one-time token for each box. Made with the aggregator's own functions, before it runs.
"""

import os
from dataclasses import dataclass, field
from typing import Final

import yaml

from aggregator.accounts import EVERYWHERE, Role
from aggregator.broker import new_password
from aggregator.campus_keys import make_campus_key, make_signing_key
from aggregator.parts import open_parts
from aggregator.settings import read_settings
from simulators.broker import HOST, Flavour
from simulators.campus.layout import CAMPUS, ZONE, Layout
from simulators.campus.naming import in_both_languages
from wire.files import create_file

ADMIN: Final = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class OfficeSecrets:
    """Shown once, to whoever started the demo. Prints as nothing."""

    admin_password: str = field(repr=False)
    api_token: str = field(repr=False)
    enrolment_tokens: dict[str, str] = field(repr=False)


def write_aggregator(layout: Layout) -> None:
    """Write the aggregator's settings and keys."""
    folder = layout.aggregator_folder
    folder.mkdir(mode=0o700)
    make_campus_key(folder / "campus.key", os.urandom)
    make_signing_key(folder / "signing.key")
    create_file(folder / "broker.password", layout.passwords["aggregator"] + "\n")
    broker: dict[str, object] = {
        "host": HOST,
        "port": layout.ports.uplink,
        "username": "aggregator",
        "password_file": "broker.password",
    }
    if layout.flavour is Flavour.MOSQUITTO:
        broker |= {"folder": "../broker", "terminal_prefixes": layout.topic_prefixes()}
    name, name_en = in_both_languages("sim.demo.school")
    settings = {
        "schema": 1,
        "campus": CAMPUS,
        "name": name,
        "name_en": name_en,
        "zone": ZONE,
        "data_dir": "data",
        "campus_key_file": "campus.key",
        "signing_key_file": "signing.key",
        "http": {"host": HOST, "port": layout.ports.api},
        "broker": broker,
    }
    text = yaml.safe_dump(settings, allow_unicode=True, sort_keys=False)
    layout.aggregator_config.write_text(text, encoding="utf-8")


async def prepare_office(layout: Layout) -> OfficeSecrets:
    """Make the accounts. Raises ValueError when the aggregator would not accept its settings."""
    loaded = read_settings(layout.aggregator_config)
    if loaded.settings is None:
        raise ValueError("\n".join(f"{layout.aggregator_config}: {finding.code}" for finding in loaded.findings))
    password = new_password(os.urandom)
    async with open_parts(loaded.settings) as parts:
        await parts.office.add_user(ADMIN, password, (Role.ADMIN,), EVERYWHERE)
        token = await parts.office.create_token("demo", (Role.ADMIN,), EVERYWHERE, valid_days=1)
        tokens = {box.edge: await parts.enrolment.issue(box.edge, valid_h=1) for box in layout.boxes}
    return OfficeSecrets(admin_password=password, api_token=token, enrolment_tokens=tokens)
