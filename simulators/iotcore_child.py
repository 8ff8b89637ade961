"""The embedded broker as a process of its own: `python -m simulators.iotcore_child CONFIG.toml`.

The broker inside iotcore cannot be stopped once it runs, so it gets a process that can be killed.
"""

import logging
import sys

from iotcore import IotCoreBroker


def main() -> None:
    """Run until killed."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # The broker wraps the routing of every message in an error span and would log each one as an error.
    logging.getLogger("rumqttd").setLevel(logging.CRITICAL)
    IotCoreBroker(config_path=sys.argv[1]).run_forever()


if __name__ == "__main__":
    main()
