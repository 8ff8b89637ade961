"""The campus broker: who may enter mosquitto and what each may say and hear.

A broker is a wire between boxes, terminals and the campus. This package makes the files it runs on, the same ones for
the service, the demo and the tests:

    users.json        the truth: name, role, password hash, grants            0640
    mosquitto.conf    from the settings; limits and listeners                 0644
    <audience>.passwd name:$7$… for each listener's audience                  0640
    <audience>.acl    one block per user, nothing else is allowed             0640

Every user has a list of grants of their own. There are no patterns with `%u` or `%c`: a client id is whatever a client
says, and a pattern for boxes would hold for every other user, too.

An audience is who a listener lets in: boxes (and the aggregator), terminals, or everybody. A listener without TLS must
be on the loopback interface unless it is for terminals alone, many of which cannot do TLS; a box's password is then
worth nothing on the line that can be overheard.

Written with the users first and the files made from them after, each replaced atomically, under a lock, so that a
command and the service may both add users. `reload` tells a running mosquitto; it then also cuts the sessions of users
who are gone or have another password.

Is not: a broker, or an account system for people.
"""

from aggregator.broker.configuration import (
    LOOPBACK,
    Audience,
    BrokerSettings,
    Listener,
    ServerTls,
    render_configuration,
)
from aggregator.broker.folder import BrokerFolder
from aggregator.broker.users import (
    BrokerUser,
    Grant,
    Role,
    aggregator_user,
    edge_user,
    new_password,
    password_hash,
    password_matches,
    terminal_user,
)

__all__ = [
    "LOOPBACK",
    "Audience",
    "BrokerFolder",
    "BrokerSettings",
    "BrokerUser",
    "Grant",
    "Listener",
    "Role",
    "ServerTls",
    "aggregator_user",
    "edge_user",
    "new_password",
    "password_hash",
    "password_matches",
    "render_configuration",
    "terminal_user",
]
