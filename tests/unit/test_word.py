"""Streams hear of what is written in their process, and look once more rather than again and again."""

import asyncio
import threading
from pathlib import Path

import pytest

from bindery.adapters.tables.sqlite import SqliteTable
from bindery.domain.errors import Stale
from bindery.ports.table import Delete, Item
from bindery.web import word as module
from bindery.web.word import Looks, Word


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses that a test would notice."""
    monkeypatch.setattr(module, "SELDOM", 60.0)
    monkeypatch.setattr(module, "LATEST", 60.0)


def test_a_pause_ends_with_the_word_from_any_thread() -> None:
    async def waits() -> None:
        word = Word()
        with word.of("launch#a") as heard:
            looks = Looks(heard)
            looks.begin()
            threading.Timer(0.05, word.written, ["launch#a"]).start()
            await asyncio.wait_for(looks.pause(word_comes=True), 20)

    asyncio.run(waits())


def test_what_is_written_during_the_look_ends_the_pause_after_it() -> None:
    async def waits() -> None:
        word = Word()
        with word.of("launch#a") as heard:
            looks = Looks(heard)
            looks.begin()
            word.written("launch#a")
            await asyncio.wait_for(looks.pause(word_comes=True), 20)

    asyncio.run(waits())


def test_other_launches_words_and_old_ones_end_no_pause() -> None:
    async def waits() -> None:
        word = Word()
        with word.of("launch#a") as heard, word.of("launch#b"):
            looks = Looks(heard)
            word.written("launch#a")
            await asyncio.sleep(0.01)
            looks.begin()
            word.written("launch#b")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(looks.pause(word_comes=True), 0.1)

    asyncio.run(waits())


@pytest.mark.parametrize(("heard", "word_comes"), [(False, True), (True, False)])
def test_without_word_there_is_a_look_soon(heard: bool, word_comes: bool) -> None:
    async def waits() -> None:
        looks = Looks(asyncio.Event() if heard else None)
        await asyncio.wait_for(looks.pause(word_comes=word_comes), 20)

    asyncio.run(waits())


def test_word_for_a_stream_that_is_over_harms_nobody() -> None:
    word = Word()

    async def leaves_it() -> None:
        word.of("launch#a").__enter__()  # as a loop that ends in the midst of it

    asyncio.run(leaves_it())
    word.written("launch#a")


def test_the_table_tells_what_was_written_and_only_that(tmp_path: Path) -> None:
    told: list[str] = []
    table = SqliteTable(tmp_path / "table.sqlite", written=told.append)
    put = table.put(Item("a", "x", {}))
    table.transact([Item("b", "x", {}), Delete(put)])
    assert told == ["a", "b", "a"]
    with pytest.raises(Stale):
        table.put(Item("b", "x", {}))
    with pytest.raises(Stale):
        table.transact([Item("c", "x", {}), Item("b", "x", {})])
    assert told == ["a", "b", "a"]
    table.close()
