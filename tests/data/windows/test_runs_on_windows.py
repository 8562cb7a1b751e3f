"""Runs on windows: the same codes from every form of a recording, with the time of each, and answers in its shape."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import isthmus as it
from isthmus.data.samplers.streams import Stream
from isthmus.errors import BadData
from isthmus.runs.data import inputs_for
from isthmus.runs.run import Run
from isthmus.runs.writing import encode, write_scores

TIMES = pd.date_range("2024-05-01", periods=240, freq="min")
SIGNAL = np.stack([np.sin(np.arange(240) / 5), 100 * np.cos(np.arange(240) / 7), np.arange(240) % 9], axis=1)
FRAME = pd.DataFrame(SIGNAL, columns=["a", "b", "c"]).assign(time=TIMES)[["time", "a", "b", "c"]]
GAUSSIAN = {"likelihood.kind": "gaussian", "data.scale": "standard", "training.batch_size": 8}
OPTIONS = GAUSSIAN | {"data.window": 16, "data.stride": 8}


@pytest.fixture(scope="module")
def run() -> Run:
    return it.fit("ae", SIGNAL, epochs=2, options=OPTIONS)


def test_windows_of_every_form_of_a_recording_have_the_same_codes(run: Run, tmp_path: Path) -> None:
    assert run.contract.shape == (3, 16)
    wanted = run.encode(SIGNAL)
    assert len(wanted) == 29
    np.save(tmp_path / "r.npy", SIGNAL)
    FRAME.to_csv(tmp_path / "r.csv", index=False)
    FRAME.to_parquet(tmp_path / "r.parquet", index=False)
    for own in (tmp_path / "r.npy", torch.from_numpy(SIGNAL)):
        np.testing.assert_array_equal(np.asarray(run.encode(own)), wanted)
    table = it.fit("ae", FRAME, epochs=2, options=OPTIONS)
    own = table.encode(FRAME)
    np.testing.assert_array_equal(np.asarray(own), wanted)
    for path in (tmp_path / "r.csv", tmp_path / "r.parquet"):
        np.testing.assert_array_equal(table.encode(path), wanted)
    assert list(own.index) == list(TIMES[::8][:29])


def test_a_file_of_codes_has_the_time_of_each_window(tmp_path: Path) -> None:
    run = it.fit("ae", FRAME, epochs=1, options=OPTIONS)
    FRAME.to_csv(tmp_path / "r.csv", index=False)
    encode(run, tmp_path / "r.csv", tmp_path / "z.csv")
    written = pd.read_csv(tmp_path / "z.csv")
    assert pd.to_datetime(written["time"]).tolist() == TIMES[::8][:29].tolist()
    scored = run.score(tmp_path / "r.csv")
    assert scored.shape == (29,)


def test_reconstructions_have_the_shape_of_windows(run: Run) -> None:
    assert run.reconstruct(SIGNAL[:50]).shape == (5, 16, 3)


def test_windows_without_a_time_are_called_by_their_first_row(run: Run) -> None:
    inputs = inputs_for(run, SIGNAL[:40])
    assert inputs.names.tolist() == [0, 8, 16, 24]
    assert inputs.row_title == "start"


def test_the_windows_of_a_model_of_recordings(tmp_path: Path) -> None:
    x = SIGNAL.reshape(6, 40, 3)
    run = it.fit("ae", x, epochs=1, options=OPTIONS | {"data.layout": "NTC"})
    assert len(run.encode(x)) == 24
    assert len(run.encode(SIGNAL[:40])) == 4
    np.testing.assert_array_equal(run.encode(x[:1]), run.encode(SIGNAL[:40]))


def test_a_stream_is_no_recording() -> None:
    with pytest.raises(BadData, match="a stream does not say where they start"):
        it.fit("ae", Stream([SIGNAL], population=200), options=OPTIONS)


def test_single_numbers_are_a_recording() -> None:
    run = it.fit("deep", SIGNAL[:, 0], epochs=1, options=OPTIONS)
    assert run.contract.shape == (1, 16)
    assert len(run.encode(SIGNAL[:20, 0])) == 1


def test_a_run_reads_its_own_recording_again(tmp_path: Path) -> None:
    FRAME.to_csv(tmp_path / "r.csv", index=False)
    made = it.fit("ae", tmp_path / "r.csv", epochs=1, options=OPTIONS, out=tmp_path / "run")
    again = it.load(tmp_path / "run")
    assert again.evaluate() == made.evaluate()
    np.testing.assert_array_equal(again.encode(tmp_path / "r.csv"), made.encode(tmp_path / "r.csv"))


def test_scores_are_written_with_times(run: Run, tmp_path: Path) -> None:
    from isthmus.runs.inference import score

    written, shape = write_scores(score(run, SIGNAL), tmp_path / "s.csv")
    assert shape == (29,)
    assert pd.read_csv(written)["start"].tolist() == list(range(0, 232, 8))[:29]
