"""Queues as template.yaml has them: hidden while handled, again when not done, to the dead letters after five times."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from bindery.adapters.queues.messages import body_of, check_delay
from bindery.domain.messages import Message
from tests.simulation.ports import World

Handle = Callable[[str, str, Callable[[], None]], None]
"""queue, body, done: the message is done only when done was called."""


@dataclass(frozen=True)
class Settings:
    """visible: seconds until a message that is not done comes again. most: how often, before it goes to `dead`."""

    visible: float
    most: int
    dead: str | None


DEAD = "dead letters"
SETTINGS = {
    "resolve": Settings(90, 5, DEAD),
    "builds": Settings(30, 5, DEAD),
    "sessions": Settings(90, 5, DEAD),
    "stops": Settings(60, 5, DEAD),
    "events": Settings(60, 3, None),
    "logs": Settings(60, 3, None),
    DEAD: Settings(60, 20, None),
}
BEST_EFFORT = ("events", "logs")


@dataclass
class Letter:
    """One message. number: for the trace."""

    queue: str
    body: str
    number: int
    received: int = 0
    done: bool = False


class SimQueues:
    """The queue port. unheard: messages that nobody handled to the end, for good."""

    def __init__(self, world: World, random: Random, handle: Handle) -> None:
        self._world, self._random, self._handle = world, random, handle
        self.under_way: dict[int, Letter] = {}
        self.unheard: list[Letter] = []
        self.sends = 0

    def send(self, message: Message, delay: float = 0) -> None:
        check_delay(delay)
        told = f"send {message.queue} {message.model_dump_json(exclude={'version', 'lines'})}"
        self._world.before(told, table=True)
        self.accept(message, delay)
        self._world.after(told)

    def accept(self, message: Message, delay: float = 0) -> None:
        """Takes it without any hook, as from the build service, whose events are best effort."""
        kind = "event" if message.queue in BEST_EFFORT else "message"
        if kind == "event" and self._world.happens("event_lost"):
            return
        body = body_of(message)
        for _ in range(2 if self._world.happens(f"{kind}_doubled") else 1):
            self.sends += 1
            letter = Letter(message.queue, body, self.sends)
            late = self._random.random() * 300 if self._world.happens(f"{kind}_late") else 0
            self.under_way[letter.number] = letter
            self._arrive(letter, delay + late + self._random.random() * 0.05)

    def _arrive(self, letter: Letter, seconds: float) -> None:
        self._world.later(seconds, lambda: self._deliver(letter))

    def _deliver(self, letter: Letter) -> None:
        if letter.done:
            return
        settings = SETTINGS[letter.queue]
        if letter.received >= settings.most:
            self._bury(letter, settings)
            return
        letter.received += 1
        self._arrive(letter, settings.visible)
        if not self._world.happens("message_lost"):  # until it comes again
            self._handle(letter.queue, letter.body, lambda: self._done(letter))

    def _bury(self, letter: Letter, settings: Settings) -> None:
        self._done(letter)
        if settings.dead is None:
            self.unheard.append(letter)
            return
        self.sends += 1
        dead = Letter(settings.dead, letter.body, self.sends)
        self.under_way[dead.number] = dead
        self._arrive(dead, 0)

    def _done(self, letter: Letter) -> None:
        letter.done = True
        self.under_way.pop(letter.number, None)


@dataclass
class Events:
    """The queue that the build service sends to: best effort, and nobody's function."""

    queues: SimQueues

    def send(self, message: Message, delay: float = 0) -> None:
        self.queues.accept(message, delay)
