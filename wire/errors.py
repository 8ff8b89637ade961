"""The two ways in which foreign bytes can fail us."""


class Malformed(ValueError):
    """Bytes made no sense: wrong version, wrong shape, over a limit. Never fatal; count and drop or quarantine."""


class UnknownTopic(ValueError):
    """An event topic that the table in `wire.topics` does not hold."""
