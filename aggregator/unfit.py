"""What a person gave and what cannot be taken, so that it can be told in that person's language."""


class Unfit(ValueError):
    """code: the text is `agg.unfit.<code>`; params: for it."""

    def __init__(self, code: str, **params: str | int) -> None:
        super().__init__(f"{code}: {', '.join(f'{name} {value}' for name, value in params.items())}")
        self.code = code
        self.params = params
