"""Callbacks of users: called after every step and every epoch with the named losses; they may stop the run."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isthmus.errors import BadOption
from isthmus.models.autoencoder import Autoencoder
from isthmus.training.engine import Engine
from isthmus.training.history import Epoch


@dataclass
class TrainingState:
    """The state of training that a callback sees.

    Attributes:
        epoch: number of the current epoch, from 1.
        epochs: planned number of epochs.
        step: number of finished steps.
        steps: planned number of steps.
        history: the finished epochs, each with its losses on the training and the validation set.
        model: the model, with its current weights.
    """

    _engine: Engine
    _finished: bool

    @property
    def epoch(self) -> int:
        """Number of the current epoch, from 1."""
        return self._engine.at.epoch + 1

    @property
    def epochs(self) -> int:
        """Planned number of epochs."""
        return self._engine.epochs

    @property
    def step(self) -> int:
        """Number of finished steps."""
        return self._engine.step

    @property
    def steps(self) -> int:
        """Planned number of steps."""
        return self._engine.total

    @property
    def history(self) -> Sequence[Epoch]:
        """The finished epochs."""
        return tuple(self._engine.history)

    @property
    def losses(self) -> dict[str, float]:
        """The training loss and its terms in nats per example: means over the examples of this epoch so far.

        Reading them waits for the device, so on a GPU a callback should not read them after every step.
        """
        return dict(self._engine.history[-1].train) if self._finished else self._engine.losses_so_far()

    @property
    def valid_losses(self) -> dict[str, float] | None:
        """The same of the validation set, after the last finished epoch; ``None`` without one."""
        rows = self._engine.history
        return dict(rows[-1].valid) if rows and rows[-1].valid else None

    @property
    def model(self) -> Autoencoder:
        """The model with its current weights, to encode, decode or sample with; training goes on with the same ones."""
        return self._engine.objective.model

    def stop(self) -> None:
        """End the run: after this step, or with several processes after this epoch. Its best weights are kept."""
        self._engine.ended = "a callback stopped it"


class Callback:
    """Base class of callbacks: override what is needed. A plain function of the state is called after every epoch.

    >>> class StopAt(Callback):
    ...     def on_epoch_end(self, state):
    ...         if state.losses["reconstruction"] < 50:
    ...             state.stop()
    """

    def on_step_end(self, state: TrainingState) -> None:
        """Called after every step."""

    def on_epoch_end(self, state: TrainingState) -> None:
        """Called after every epoch and its validation."""


AnyCallback = Callback | Callable[[TrainingState], Any]


class LivePlot(Callback):
    """Training curves that are drawn again after every epoch: in a notebook, below the cell; else into a file.

    Args:
        path: PNG file to write; not needed in a notebook.
    """

    def __init__(self, path: Path | str | None = None) -> None:
        self.path = None if path is None else Path(path)
        self._handle: Any = None

    def on_epoch_end(self, state: TrainingState) -> None:
        """Draw the curves of all finished epochs."""
        # matplotlib is imported only where it draws
        from isthmus import plots

        title = f"Training, epoch {state.epoch} of {state.epochs}"
        figure = plots.curves([epoch.to_dict() for epoch in state.history], title=title)
        if self.path is not None:
            plots.save(figure, self.path)
            return
        try:
            from IPython.display import display
        except ImportError as error:
            raise BadOption("LivePlot needs a notebook, or a file to write. Pass path='curves.png'.") from error
        if self._handle is None:
            self._handle = display(figure, display_id=True)
        else:
            self._handle.update(figure)


def checked(callbacks: Sequence[AnyCallback]) -> list[Callback]:
    """Callbacks as objects; a function is called after every epoch.

    Raises:
        BadOption: something that cannot be called.
    """
    made = []
    for callback in callbacks:
        if isinstance(callback, type) or not (isinstance(callback, Callback) or callable(callback)):
            raise BadOption(
                f"A callback must be a function or an isthmus.Callback object, but is {callback!r:.60}. Pass one."
            )
        made.append(callback if isinstance(callback, Callback) else _AfterEpoch(callback))
    return made


class _AfterEpoch(Callback):
    def __init__(self, function: Callable[[TrainingState], Any]) -> None:
        self.function = function

    def on_epoch_end(self, state: TrainingState) -> None:
        self.function(state)


@contextmanager
def calling(engine: Engine, callbacks: Sequence[Callback]) -> Iterator[None]:
    """Call ``callbacks`` during the training of ``engine`` in the block, after its other listeners."""
    inner = engine.callback
    of_steps = [c for c in callbacks if type(c).on_step_end is not Callback.on_step_end]

    def call(kind: str, what: Epoch | int | str) -> None:
        inner(kind, what)
        if kind == "epoch":
            for callback in callbacks:
                callback.on_epoch_end(TrainingState(engine, True))
        elif kind == "step":
            for callback in of_steps:
                callback.on_step_end(TrainingState(engine, False))

    if callbacks:
        engine.callback = call
    try:
        yield
    finally:
        engine.callback = inner
