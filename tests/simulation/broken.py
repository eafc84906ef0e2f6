"""The error that ends a seed: a rule does not hold."""


class Broken(BaseException):
    """The error that a rule does not hold. No code under test may catch it.

    about: the launch or the environment that it happened to.
    """

    def __init__(self, rule: str, about: str) -> None:
        super().__init__(rule)
        self.rule, self.about = rule, about
