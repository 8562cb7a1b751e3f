"""Seeds of their own: threads draw in turn, other code keeps its random numbers, and a forked process is free."""

import os
import threading
import time

import pytest
import torch

from isthmus.models.seeding import DRAWING, RandomState, Turns, seeded


def test_a_state_continues_its_numbers_and_leaves_those_outside_alone() -> None:
    with seeded(3):
        expected = torch.rand(6)
    torch.manual_seed(1)
    outside = torch.rand(4)
    torch.manual_seed(1)
    state, found, between = RandomState(3), [], []
    for _ in range(2):
        between.append(torch.rand(2))
        with state:
            found.append(torch.rand(3))
    assert torch.equal(torch.cat(found), expected)
    assert torch.equal(torch.cat(between), outside)


def test_a_state_survives_an_error_in_its_block() -> None:
    state = RandomState(3)
    before = torch.get_rng_state()
    with pytest.raises(ZeroDivisionError), state:
        torch.rand(1 // 0)
    assert torch.equal(before, torch.get_rng_state())
    assert DRAWING._owner == 0


@pytest.mark.parametrize("other", [0, None])
def test_no_other_thread_draws_with_a_seed_or_through_the_library_in_a_block(other: int | None) -> None:
    inside, finished = threading.Event(), threading.Event()

    def draw() -> None:
        inside.wait()
        with seeded(other):
            torch.rand(1)
            finished.set()

    thread = threading.Thread(target=draw)
    thread.start()
    with seeded(7):
        first = torch.rand(2)
        inside.set()
        assert not finished.wait(0.2)
        second = torch.rand(2)
    thread.join()
    with seeded(7):
        assert torch.equal(torch.cat([first, second]), torch.rand(4))


def test_a_thread_that_asks_again_at_once_lets_those_that_wait_go_first() -> None:
    for _ in range(20):
        turns, order = Turns(), []

        def ask(turns: Turns = turns, order: list[str] = order) -> None:
            with turns, turns:
                order.append("waited")

        thread = threading.Thread(target=ask)
        with turns:
            thread.start()
            while not turns._waiting:
                time.sleep(1e-4)
        with turns, turns:
            order.append("asked again")
        thread.join()
        assert order == ["waited", "asked again"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_process_forked_while_another_thread_draws_can_draw() -> None:
    inside, over = threading.Event(), threading.Event()

    def hold() -> None:
        with seeded(0):
            inside.set()
            over.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    inside.wait()
    child = os.fork()
    if child == 0:
        with seeded(1):
            torch.rand(1)
        os._exit(0)
    deadline = time.monotonic() + 20
    while (done := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < deadline:
        time.sleep(0.01)
    if done == (0, 0):
        os.kill(child, 9)
        os.waitpid(child, 0)
    over.set()
    thread.join()
    assert done == (child, 0)
