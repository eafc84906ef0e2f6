"""What ends a seed: a rule does not hold."""


class Broken(BaseException):
    """A rule does not hold; no code under test may catch it. about: the launch or the environment that it happened to."""

    def __init__(self, rule: str, about: str) -> None:
        super().__init__(rule)
        self.rule, self.about = rule, about
