"""Queues as template.yaml has them: hidden while handled, again when not done, in the end to the dead letters."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bindery.adapters.queue_limits import body_of, check_delay
from bindery.domain.errors import Throttled
from bindery.domain.messages import Message
from bindery_local.memory_queue import Delivery
from bindery_local.template import Queue
from tests.simulation.around import Around
from tests.simulation.functions import TEMPLATE
from tests.simulation.versions import newer

Handle = Callable[[Delivery, Callable[[], None]], None]
"""delivery, done: the message is done only when done was called."""


SETTINGS = {
    **{queue.name: queue for queue in TEMPLATE.queues},
    # AWS's rule for an event that an asynchronous function did not take: twice more, then never.
    **{name: Queue(name, 60, 3, None) for name in ("events", "logs")},
}
UNHANDLED = "Unburied"
BEST_EFFORT = ("events", "logs")
FOR_ALL = (*BEST_EFFORT, "builds")
"""The messages that belong to no single launch: only a timer notices their loss."""


@dataclass
class Letter:
    """A message in a queue.

    number: for the trace. doomed: no function ever handles it.
    """

    queue: str
    body: str
    number: int
    doomed: bool = False
    received: int = 0
    done: bool = False


class SimQueues:
    """The queue port.

    on_send: called with each message before it is sent. on_dead_letter: called with each that becomes a dead letter.
    settings: by queue. patient: a message of the queues FOR_ALL comes again until it is handled. sends: counted, by
    queue.
    """

    def __init__(
        self, around: Around, handle: Handle, on_send: Callable[[Message], None], on_dead_letter: Callable[[str], None]
    ) -> None:
        self._around, self._handle, self._on_send, self._on_dead_letter = around, handle, on_send, on_dead_letter
        self.under_way: dict[int, Letter] = {}
        self.unheard: list[Letter] = []
        self.sends: Counter[str] = Counter()
        self.patient = False
        self._numbers = 0

    def send(self, message: Message, delay: float = 0) -> None:
        check_delay(delay)
        self._around.before(f"send {message.queue} {message.model_dump_json(exclude={'version', 'lines'})}")
        self._around.trouble("throttled", Throttled())
        self._on_send(message)
        self.accept(message, delay)
        self._around.after(f"send {message.queue}")
        self._around.trouble("unanswered", Throttled())

    def send_all(self, messages: Sequence[Message], delay: float = 0) -> None:
        """Send the messages. Trouble may come between any two of them: those before arrive, those after do not."""
        for message in messages:
            self.send(message, delay)

    def accept(self, message: Message, delay: float = 0) -> None:
        """Accept a message without any hook, as from the build service with its events of best effort."""
        around, task = self._around, self._around.scheduler.task
        kind = "event" if message.queue in BEST_EFFORT else "message"
        if kind == "event" and around.happens("event_lost"):
            return
        body = newer(body_of(message)) if task and task.version > 1 else body_of(message)
        doomed = kind == "message" and around.happens("message_doomed")
        at_once = around.random.random() * 0.05
        times = [at_once, at_once] if around.happens("message_twins") else [at_once]
        if around.happens(f"{kind}_doubled"):
            times.append(around.random.random() * 5)
        for seconds in times:
            self.sends[message.queue] += 1
            late = around.random.random() * 300 if around.happens(f"{kind}_late") else 0
            self._add(Letter(message.queue, body, self._number(), doomed), delay + late + seconds)

    def ask_for(self, environment: str, attempt: int) -> bool:
        """Return True if a message about that attempt is under way. A dead letter counts, too."""
        bodies = [json.loads(letter.body) for letter in self.under_way.values()]
        return any((payload.get("environment"), payload.get("attempt")) == (environment, attempt) for payload in bodies)

    def _add(self, letter: Letter, seconds: float) -> None:
        self.under_way[letter.number] = letter
        self._arrive(letter, seconds)

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    def _arrive(self, letter: Letter, seconds: float) -> None:
        self._around.later(seconds, lambda: self._deliver(letter))

    def _deliver(self, letter: Letter) -> None:
        if letter.done:
            return
        settings = SETTINGS[letter.queue]
        patient = self.patient and letter.queue in FOR_ALL
        if letter.received >= settings.max_receive_count and not patient:
            self._bury(letter, settings)
            return
        letter.received += 1
        self._arrive(letter, settings.visibility_seconds)
        if letter.doomed or self._around.happens("message_lost"):  # until it comes again
            return
        delivery = Delivery(str(letter.number), letter.queue, letter.body, letter.received, self._around.now, 1)
        self._handle(delivery, lambda: self._done(letter))

    def _bury(self, letter: Letter, settings: Queue) -> None:
        self._done(letter)
        if settings.dead_letter is None or settings.dead_letter == UNHANDLED:
            self.unheard.append(letter)
            return
        self._on_dead_letter(letter.body)
        self._add(Letter(settings.dead_letter, letter.body, self._number()), 0)

    def _done(self, letter: Letter) -> None:
        letter.done = True
        self.under_way.pop(letter.number, None)


@dataclass
class Events:
    """The queue that the build service sends to. It is best effort, and no function's own."""

    queues: SimQueues

    def send(self, message: Message, delay: float = 0) -> None:
        self.queues.accept(message, delay)

    def send_all(self, messages: Sequence[Message], delay: float = 0) -> None:
        for message in messages:
            self.send(message, delay)
