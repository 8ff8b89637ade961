"""Who may do what: people, their sessions, API tokens, and the book of what was done.

Nothing has a default password. The first administrator is made with a set-up code that is shown once. Passwords are
kept as Argon2id, sessions and tokens as SHA-256 of at least 128 random bits; what is shown to a person is shown once.
"""

from aggregator.accounts.office import USER_NAME, Office, SignInRefused, UnknownAccount
from aggregator.accounts.roles import EVERYWHERE, SEES_BOOK, Principal, Role, Scope

__all__ = [
    "EVERYWHERE",
    "SEES_BOOK",
    "USER_NAME",
    "Office",
    "Principal",
    "Role",
    "Scope",
    "SignInRefused",
    "UnknownAccount",
]
