"""Text tables as people write them: one table, and one that comes from it in another form, have the same codes."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import isthmus as it
from isthmus.errors import BadData

TABLE = {"data.scale": "standard", "likelihood.kind": "gaussian"}
Write = Callable[[pd.DataFrame, Path], None]


def lines(before: str = "", after: str = "", swap: tuple[str, str] = ("", "")) -> Write:
    """Writes a plain table with some text before, after, and some text replaced."""

    def write(table: pd.DataFrame, path: Path) -> None:
        text = table.to_csv(index=False)
        path.write_text(before + (text.replace(*swap) if swap[0] else text) + after)

    return write


def units(table: pd.DataFrame, path: Path) -> None:
    head, body = table.to_csv(index=False).split("\n", 1)
    path.write_text("\n".join([head, ",".join(["s", *["mV"] * 5, "EUR", "-"]), body]))


def european(table: pd.DataFrame, path: Path) -> None:
    amounts = [f"{v:,.2f}".replace(",", " ").replace(".", ",").replace(" ", ".") for v in table.Amount]
    table.assign(Amount=amounts).to_csv(path, index=False, sep=";", decimal=",")


WRITERS: dict[str, Write] = {
    "semicolon": lambda t, p: t.to_csv(p, index=False, sep=";"),
    "semicolon and decimal comma": lambda t, p: t.to_csv(p, index=False, sep=";", decimal=","),
    "tab": lambda t, p: t.to_csv(p, index=False, sep="\t"),
    "bar": lambda t, p: t.to_csv(p, index=False, sep="|"),
    "space": lambda t, p: t.to_csv(p, index=False, sep=" "),
    "quotes": lambda t, p: t.to_csv(p, index=False, quoting=1),
    "comment": lines("# exported by logger 3\n"),
    "title": lines("Payments in May\n\n"),
    "blank lines": lines("", "\n\n"),
    "separator line": lambda t, p: p.write_text("sep=;\n" + t.to_csv(index=False, sep=";")),
    "byte-order mark": lambda t, p: p.write_bytes(b"\xef\xbb\xbf" + t.to_csv(index=False).encode()),
    "utf-16": lambda t, p: p.write_bytes(t.to_csv(index=False).encode("utf-16")),
    "carriage returns": lambda t, p: p.write_bytes(t.to_csv(index=False).replace("\n", "\r\n").encode()),
    "trailing comma": lines("", "", ("\n", ",\n")),
    "units": units,
    "index": lambda t, p: t.to_csv(p),
    "dates": lambda t, p: t.assign(date=pd.date_range("2024-01-01", periods=len(t), freq="h")).to_csv(p, index=False),
    "thousands": lambda t, p: t.assign(Amount=[f"{v:,.2f}" for v in t.Amount]).to_csv(p, index=False),
    "european": european,
}


@pytest.fixture(scope="module")
def payments(table: pd.DataFrame) -> pd.DataFrame:
    """Payments of which some are above 1,000, with labels."""
    return table.assign(Amount=(table.Amount * 100).round(2), Class=np.arange(100) % 2)


@pytest.fixture(scope="module")
def plain(payments: pd.DataFrame) -> it.Run:
    """A run on the payments in memory."""
    return it.fit("simple", payments, labels="Class", epochs=1, options=TABLE)


@pytest.mark.parametrize("form", WRITERS)
def test_a_text_table_is_read_as_it_was_meant(form: str, payments: pd.DataFrame, plain: it.Run, tmp_path: Path) -> None:
    WRITERS[form](payments, tmp_path / "t.csv")
    expected = plain.encode(payments).to_numpy()
    run = it.fit("simple", tmp_path / "t.csv", labels="Class", epochs=1, options=TABLE)
    assert run.contract.schema.features == plain.contract.schema.features
    np.testing.assert_allclose(run.encode(payments), expected, atol=1e-5)
    np.testing.assert_allclose(run.encode(tmp_path / "t.csv"), expected, atol=1e-5)
    np.testing.assert_array_equal(run.data.train.labels, plain.data.train.labels)


@pytest.mark.parametrize("form", ["semicolon and decimal comma", "tab", "comment", "units", "european", "utf-16"])
def test_a_run_on_a_plain_table_reads_other_forms(
    form: str, payments: pd.DataFrame, plain: it.Run, tmp_path: Path
) -> None:
    WRITERS[form](payments, tmp_path / "t.csv")
    np.testing.assert_allclose(plain.encode(tmp_path / "t.csv"), plain.encode(payments), atol=1e-5)


def test_a_compressed_table_is_read(payments: pd.DataFrame, plain: it.Run, tmp_path: Path) -> None:
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(payments.to_csv(index=False).encode()))
    np.testing.assert_allclose(plain.encode(tmp_path / "t.csv.gz"), plain.encode(payments), atol=1e-6)


@pytest.mark.parametrize("mark", ["?", "NA", "n/a", "-", "--", "NULL", "none", ".", "#N/A", "missing", ""])
def test_marks_of_missing_values_are_missing(mark: str, payments: pd.DataFrame, plain: it.Run, tmp_path: Path) -> None:
    frame = payments.astype({"V3": object})
    frame.loc[5, "V3"] = mark
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.loc[5, "V3"] = np.nan
    np.testing.assert_allclose(plain.encode(tmp_path / "t.csv"), plain.encode(frame), atol=1e-6)
    run = it.fit("simple", tmp_path / "t.csv", labels="Class", epochs=1, options=TABLE)
    assert run.metadata.missing.startswith("1 missing values in 1 of 100")


@pytest.mark.parametrize("word", ["BAD", "€5.11", "12%", "(3.02)"])
def test_a_word_that_is_not_a_number_is_named_with_its_place(
    word: str, payments: pd.DataFrame, plain: it.Run, tmp_path: Path
) -> None:
    frame = payments.astype({"V3": object})
    frame.loc[5, "V3"] = word
    frame.to_csv(tmp_path / "t.csv", index=False)
    for use in (plain.encode, lambda path: it.fit("simple", path, labels="Class", epochs=1, options=TABLE)):
        with pytest.raises(BadData, match="V3") as caught:
            use(tmp_path / "t.csv")
        assert word in str(caught.value)
        assert "row 5" in str(caught.value)
