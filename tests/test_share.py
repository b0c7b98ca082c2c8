"""What was shared comes back as it was, and what pretends to be something is found out."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import pickle
import struct
import subprocess
import sys
import time
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as rules
from hypothesis import strategies as st

from chatkit import share
from chatkit.archiver import Archiver
from chatkit.errors import InputError
from chatkit.message import ATTACHMENT_LIMIT, Attachment, check
from chatkit.room import ChatRoom
from chatkit.share import (
    DECODED_LIMIT,
    FIGURE_TYPE,
    FRAME_TYPE,
    PREVIEW_LIMIT,
    Shared,
    Source,
    from_file,
    preview,
    to_attachment,
)
from tests.waiting import wait_until


def attached(data: bytes, mime: str, name: str = "thing") -> Attachment:
    return Attachment(name=name, type=mime, data=data)


def round_trip(thing: Any) -> Shared:
    attachment = to_attachment(thing)
    return Shared(attachment, sha256=attachment.summary().sha256)


def assert_same(actual: pd.DataFrame, expected: pd.DataFrame) -> None:
    # A frequency is no part of a table: Arrow, like CSV, keeps the times.
    pd.testing.assert_frame_equal(actual, expected, check_freq=False)


def stream(table: Any, compression: str | None = "zstd") -> bytes:
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def test_all_that_share_has_is_said() -> None:
    assert share.__all__ == sorted(share.__all__)


# Tables.

COLUMNS: dict[str, Any] = {
    "int64": st.integers(-(2**63), 2**63 - 1),
    "uint8": st.integers(0, 255),
    "float64": st.floats(),
    "float32": st.floats(width=32),
    "bool": st.booleans(),
    "str": st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.none(),
    "Int64": st.integers(-(2**63), 2**63 - 1) | st.none(),
    "boolean": st.booleans() | st.none(),
    "datetime64[ns]": st.integers(-(2**62), 2**62),
    "datetime64[us, Europe/Berlin]": st.integers(-(2**50), 2**50),
    "timedelta64[ms]": st.integers(-(2**50), 2**50),
    "category": st.sampled_from(["low", "middle", "high"]) | st.none(),
}


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    rows = draw(st.integers(0, 12))
    names = draw(
        st.lists(
            st.text(st.characters(exclude_categories=["Cs"])), unique=True, min_size=1, max_size=5
        )
    )

    def column(dtypes: list[str]) -> pd.Series:
        dtype = draw(st.sampled_from(dtypes))
        values = draw(st.lists(COLUMNS[dtype], min_size=rows, max_size=rows))
        return pd.Series(pd.array(values, dtype=dtype))

    frame = pd.DataFrame({name: column(sorted(COLUMNS)) for name in names}, index=range(rows))
    if draw(st.booleans()):
        dtypes = sorted(COLUMNS.keys() - {"Int64", "boolean"})  # which Arrow has for columns only
        frame.index = pd.Index(column(dtypes), name=draw(st.none() | st.just("when")))
    return frame


@given(frames())
@rules(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_table_comes_back_as_it_was(frame: pd.DataFrame) -> None:
    assert_same(round_trip(frame).to_frame(), frame)


@pytest.mark.parametrize("name", ["savefig", "to_plotly_json", "getbands", "_repr_svg_"])
def test_a_table_may_have_columns_that_are_called_like_methods(name: str) -> None:
    frame = pd.DataFrame({name: [1, 2]})
    assert_same(round_trip(frame).to_frame(), frame)


@given(frames())
@rules(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_preview_of_any_table_is_small_and_tells_its_shape(frame: pd.DataFrame) -> None:
    shown = preview(to_attachment(frame))
    assert shown["kind"] == "table"
    assert shown["shape"] == list(frame.shape)
    assert len(shown["rows"]) == min(8, len(frame))
    assert {len(row) for row in shown["rows"]} <= {len(shown["columns"])}
    assert len(shown["dtypes"]) == len(shown["columns"])
    assert len(msgspec.json.encode(shown)) <= PREVIEW_LIMIT


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"a": pd.Categorical([], ["y", "x"], ordered=True)}),
        pd.DataFrame({"a": pd.Categorical(["x", None], ["y", "x"], ordered=True)}),
        pd.DataFrame({("a", 1): [1], ("b", 2): [2]}),
        pd.DataFrame({"a": [1, 2]}, index=pd.MultiIndex.from_tuples([("x", 1), ("y", 2)])),
        pd.DataFrame({1: [1.5], 2: [None]}).rename_axis(columns="number", index="row"),
        pd.DataFrame({"a": pd.period_range("2026-01", periods=2, freq="M")}),
        pd.DataFrame({"a": pd.interval_range(0, 2)}),
        pd.DataFrame({"a": [1]}, index=pd.period_range("2026", periods=1, freq="D")),
        pd.DataFrame([[1, 2]], columns=pd.date_range("2026-01-01", periods=2)),
        pd.DataFrame({"a": [b"\0", None]}),
        pd.DataFrame({"a": [{"x": 1}, {"x": 2}]}),
        pd.DataFrame({"a": pd.array([1, None], dtype="int64[pyarrow]")}),
        pd.DataFrame({"a": [None, None]}),
        pd.DataFrame({"a": []}),
    ],
    ids=range(14),
)
def test_unusual_tables_come_back_as_they_were(frame: pd.DataFrame) -> None:
    assert_same(round_trip(frame).to_frame(), frame)


def test_a_preview_shows_the_index_first_and_cuts_long_texts() -> None:
    frame = pd.DataFrame(
        {
            "a": ["x" * 1000, "b\nc"],
            "b": pd.array([-(9 * 10**18), 0], dtype="datetime64[us, Europe/Berlin]"),
        },
        index=pd.MultiIndex.from_tuples([("k", 1), ("k", 2)], names=["a", None]),
    )
    shown = preview(to_attachment(frame))
    assert shown["columns"] == ["a", "index 1", "a", "b"]
    assert shown["shape"] == [2, 2]
    assert shown["rows"][0][2] == "x" * 79 + "…"
    assert shown["rows"][1] == ["k", "2", "b c", "1970-01-01 01:00:00+01:00"]
    assert shown["rows"][0][3] == "?"  # Python has no such date, but the table has


def test_a_series_comes_back_as_a_table_of_one_column() -> None:
    series = pd.Series([1, 2], index=["x", "y"], name="count")
    assert_same(round_trip(series).to_frame(), series.to_frame())


def test_a_reader_that_has_read_no_table_before_gets_all_types(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"a": pd.interval_range(0, 2), "b": pd.period_range("2026-01", periods=2, freq="M")},
        index=pd.period_range("2026", periods=2, freq="D"),
    )
    path = Shared(to_attachment(frame)).save(tmp_path)
    code = (
        "import sys, pathlib; from chatkit.message import Attachment; "
        "from chatkit.share import Shared, FRAME_TYPE; "
        "data = pathlib.Path(sys.argv[1]).read_bytes(); "
        "frame = Shared(Attachment(name='x', type=FRAME_TYPE, data=data)).to_frame(); "
        "print(frame.index.dtype, *frame.dtypes)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "period[D] interval[int64, right] period[M]"


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([object(), object()], "object"),
        (["text", 1], "bytes"),
        ([1j, 2j], "numpy type"),
        ([2**70, 1], "too large"),
        (pd.Series(["\ud800", "x"], dtype=object), "surrogates"),
        (pd.arrays.SparseArray([0, 1]), "Sparse"),
        (pd.cut([1, 2], 2), "index"),
    ],
    ids=["object", "mixed", "complex", "huge", "surrogate", "sparse", "cut"],
)
def test_what_arrow_can_not_hold_is_told_with_its_column(values: Any, reason: str) -> None:
    frame = pd.DataFrame({"fine": [1, 2], "odd": values})
    with pytest.raises(InputError, match=rf"(?s)Column 'odd'.*{reason}.*astype\(str\)"):
        to_attachment(frame)


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "Two columns are named 'a'"),
        (pd.DataFrame([[1, 2]], columns=["a", 1]), "labels"),
        (pd.DataFrame([[1, 2]], columns=pd.CategoricalIndex(["a", "b"])), "labels"),
        (pd.DataFrame({"a": [1, 2]}, index=pd.Index(["a", 2])), "labels"),
        (pd.DataFrame({"a": [1]}, index=pd.Index([1], dtype="Int64")), "labels"),
        (pd.DataFrame(np.zeros((1, 10_001))), "10,001 columns"),
        (pd.DataFrame(index=[3, 4]), "no columns"),
        (pd.DataFrame(), "no columns"),
    ],
    ids=["twice", "mixed", "categories", "mixed rows", "masked", "wide", "bare", "empty"],
)
def test_labels_that_would_not_come_back_are_told(frame: pd.DataFrame, text: str) -> None:
    with pytest.raises(InputError, match=text):
        to_attachment(frame)


def random_frame(rows: int) -> pd.DataFrame:
    values = np.random.default_rng(1).random((rows, 5))
    return pd.DataFrame(values, columns=list("abcde"))


def test_a_hundred_thousand_rows_are_shared_quickly() -> None:
    frame = random_frame(100_000)
    to_attachment(frame.head(10))  # loads pandas and Arrow
    start = time.perf_counter()
    attachment = to_attachment(frame)
    assert time.perf_counter() - start < 1
    assert_same(Shared(attachment).to_frame(), frame)


def test_too_large_a_table_is_told_quickly_with_how_much_would_fit() -> None:
    frame = random_frame(1_000_000)
    to_attachment(frame.head(10))
    arrow, start = pa.total_allocated_bytes(), time.perf_counter()
    tracemalloc.start()
    with pytest.raises(InputError, match=r"1,000,000 rows and 5 columns.*4,194,304.*head") as told:
        to_attachment(frame)
    assert time.perf_counter() - start < 1
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()
    assert pa.total_allocated_bytes() - arrow < 20_000_000
    rows = int(str(told.value).split("df.head(")[1].split(")")[0])
    assert len(to_attachment(frame.head(rows)).data) > ATTACHMENT_LIMIT * 0.8


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"a": np.zeros(40_000_000, dtype="int8")}),
        pd.DataFrame({"a": ["x"]}).iloc[np.zeros(3_000_000, dtype=int)].reset_index(drop=True),
    ],
    ids=["numbers", "texts"],
)
def test_what_packs_well_may_not_be_huge_once_unpacked(frame: pd.DataFrame) -> None:
    with pytest.raises(InputError, match=r"256 MiB once unpacked.*head") as told:
        to_attachment(frame)
    rows = int(str(told.value).split("df.head(")[1].split(")")[0])
    assert len(Shared(to_attachment(frame.head(rows))).to_frame()) == rows


# Tables from strangers.


def refused(attachment: Attachment, read: Callable[[Shared], Any]) -> str:
    """Return why an attachment is refused; its preview must not fail."""
    shown = preview(attachment)
    assert len(msgspec.json.encode(shown)) <= PREVIEW_LIMIT
    with pytest.raises(InputError) as told:
        read(Shared(attachment))
    return str(told.value)


def bad_frame(data: bytes) -> str:
    return refused(attached(data, FRAME_TYPE), Shared.to_frame)


def test_a_small_stream_that_would_unpack_to_gigabytes_is_refused_without_unpacking() -> None:
    table = pa.table({"a": pa.array(np.zeros(100_000_000))})
    data = stream(table)
    assert len(data) < 200_000
    before = pa.default_memory_pool().max_memory()
    assert "763 MiB" in bad_frame(data)
    assert pa.default_memory_pool().max_memory() == before
    assert preview(attached(data, FRAME_TYPE))["kind"] == "broken"


@pytest.mark.parametrize("claimed", [2**40, 2**62, -2, -(2**63)])
def test_a_stream_that_lies_about_the_size_of_its_buffers_is_refused(claimed: int) -> None:
    data = stream(pa.table({"a": pa.array(np.zeros(10_000))}))
    true = struct.pack("<q", 80_000)
    assert data.count(true) > 0
    bad_frame(data.replace(true, struct.pack("<q", claimed)))


def test_columns_of_nothing_can_not_be_any_number_of_rows() -> None:
    assert "MiB" in bad_frame(stream(pa.table({"a": pa.nulls(200_000_000)})))


@pytest.mark.parametrize(
    "column",
    [
        pa.RunEndEncodedArray.from_arrays(pa.array([2**31 - 1], pa.int32()), pa.array([1])),
        pa.array(["x" * 1000], pa.string_view()),
        pa.array([[1]], pa.list_view(pa.int64())),
        pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())),
        pa.array([[1, 2]], pa.list_(pa.int64(), 2)),
        pa.UnionArray.from_dense(
            pa.array([0], pa.int8()), pa.array([0], pa.int32()), [pa.array([1])]
        ),
        pa.ExtensionArray.from_storage(pa.json_(), pa.array(["{}"])),
        pa.array([{"a": "x"}], pa.struct([("a", pa.dictionary(pa.int8(), pa.string()))])),
    ],
    ids=lambda column: str(column.type),
)
def test_types_that_pandas_does_not_write_are_refused(column: Any) -> None:
    # Ten rows would do to fill any memory with some of them.
    assert (
        "not taken from others" in (text := bad_frame(stream(pa.table({"a": column}), None)))
        or "foreign type" in text
    )


def test_a_stream_without_a_single_batch_is_an_empty_table() -> None:
    attachment = attached(stream(pa.schema([("a", pa.int64())]).empty_table()), FRAME_TYPE)
    assert preview(attachment)["shape"] == [0, 1]
    assert_same(Shared(attachment).to_frame(), pd.DataFrame({"a": pd.Series(dtype="int64")}))


class Trap:
    """What makes a folder if it is ever unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("name", ["arrow.py_extension_type", "pandas.unheard_of", "pandas.period"])
def test_a_type_is_never_unpickled(name: str, tmp_path: Path) -> None:
    path = tmp_path / "trapped"
    metadata = {
        "ARROW:extension:name": name,
        "ARROW:extension:metadata": pickle.dumps(Trap(path)),
    }
    schema = pa.schema([pa.field("a", pa.int64(), metadata=metadata)])
    bad_frame(stream(pa.table({"a": [1]}, schema=schema)))
    assert not path.exists()
    pickle.loads(pickle.dumps(Trap(path)))
    assert path.exists()  # the trap works


def with_metadata(**more: Any) -> bytes:
    table = pa.Table.from_pandas(pd.DataFrame({"a": [1]}, index=pd.Index([2], name="i")))
    about = json.loads(table.schema.metadata[b"pandas"])
    return stream(table.replace_schema_metadata({"pandas": json.dumps({**about, **more})}))


@pytest.mark.parametrize(
    "dtype",
    ["V1000000000", "U1000000000", "(1000000000,)f8", "i4,i4", "Sparse[int]", "", "S", "🙂"],
)
def test_a_dtype_that_asks_for_any_size_is_refused(dtype: str) -> None:
    column = {"name": None, "field_name": None, "pandas_type": "unicode", "metadata": None}
    assert "dtype" in bad_frame(with_metadata(column_indexes=[{**column, "numpy_type": dtype}]))


@pytest.mark.parametrize(
    "more",
    [
        {"columns": 3},
        {"columns": [3]},
        {"columns": [{}]},
        {"columns": None},
        {"column_indexes": [{"numpy_type": 3}]},
        {"index_columns": [["a"]]},
        {"index_columns": [{"kind": "range", "start": "a", "stop": 1, "step": 1}]},
        {"index_columns": [{"kind": "zork"}]},
    ],
    ids=str,
)
def test_metadata_that_are_none_are_refused(more: dict[str, Any]) -> None:
    bad_frame(with_metadata(**more))


TABLE = stream(
    pa.Table.from_pandas(
        pd.DataFrame(
            {
                "n": range(50),
                "text": [f"text {n}" for n in range(50)],
                "kind": pd.Categorical(["a", "b"] * 25),
                "when": pd.date_range("2026-01-01", periods=50),
            }
        )
    )
)


@given(st.integers(0, len(TABLE) - 1))
@rules(deadline=None)
def test_a_table_that_is_cut_off_is_refused(length: int) -> None:
    bad_frame(TABLE[:length])
    assert preview(attached(TABLE[:length], FRAME_TYPE))["kind"] == "broken"


@given(st.data())
@rules(deadline=None, max_examples=500)
def test_a_table_with_changed_bytes_is_refused_or_read_and_nothing_else(
    data: st.DataObject,
) -> None:
    changed = bytearray(TABLE)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(TABLE) - 1))
        changed[at] = data.draw(st.integers(0, 255))
    attachment = attached(bytes(changed), FRAME_TYPE)
    shown = preview(attachment)
    assert len(msgspec.json.encode(shown)) <= PREVIEW_LIMIT
    try:
        frame = Shared(attachment).to_frame()
    except InputError:
        return
    assert frame.memory_usage().sum() < 10_000_000


@given(st.binary(max_size=200))
@rules(deadline=None)
def test_any_bytes_are_no_table(data: bytes) -> None:
    bad_frame(data)
    bad_frame(data + share.END)


# Figures.


def figure() -> go.Figure:
    made = go.Figure(layout={"title": {"text": "Sales &amp; <b>costs</b>"}})
    made.add_scatter(x=np.arange(1000), y=np.sin(np.arange(1000)), name="sine", mode="lines")
    made.add_bar(x=["a", "b"], y=[1, 2], name="bars")
    made.add_heatmap(z=np.arange(6).reshape(2, 3))
    made.add_scatter(x=pd.date_range("2026-01-01", periods=3), y=[1, None, 3])
    return made


def assert_same_figure(actual: go.Figure, expected: go.Figure) -> None:
    assert json.loads(actual.to_json()) == json.loads(expected.to_json())


def test_a_figure_comes_back_with_its_numbers() -> None:
    back = round_trip(figure()).to_figure()
    np.testing.assert_array_equal(back.data[0].y, np.sin(np.arange(1000)))
    np.testing.assert_array_equal(back.data[2].z, np.arange(6).reshape(2, 3))
    assert_same_figure(back, figure())


@pytest.mark.parametrize("template", [None, "none", "plotly_dark"])
def test_a_figure_keeps_the_template_of_who_drew_it(template: str | None) -> None:
    made = go.Figure(data=[{"type": "scatter", "y": [1]}], layout={"template": template})
    assert_same_figure(round_trip(made).to_figure(), made)


def test_a_figure_with_frames_and_buttons_comes_back() -> None:
    made = go.Figure(
        data=[{"type": "scatter", "y": [1, 2]}],
        frames=[{"name": "one", "data": [{"y": [2, 1]}]}],
        layout={
            "updatemenus": [{"buttons": [{"method": "animate", "args": [["one"]]}]}],
            "images": [{"source": "data:image/png;base64,AAAA"}],
            "annotations": [{"text": "<span style='color: rgb(1, 2, 3)'>red</span>"}],
        },
    )
    assert round_trip(made).to_figure() == made


def test_a_preview_of_a_figure_is_small_and_keeps_the_extremes() -> None:
    values = np.sin(np.arange(20_000) / 1000)
    values[12_345], values[4_321] = 9.5, -9.5
    made = go.Figure(layout={"title": "A &amp; <b>B</b>"})
    for number in range(10):
        made.add_scatter(y=values * (number + 1), name=f"<i>n</i>{number}", mode="lines")
    shown = preview(to_attachment(made.update_layout(template="none")))
    assert shown["title"] == "A &  B"
    assert len(shown["traces"]) == 6
    first = shown["traces"][0]
    assert (first["name"], first["type"], first["mode"]) == ("n 0", "scatter", "lines")
    assert len(first["x"]) == len(first["y"]) <= 200
    assert (min(first["y"]), max(first["y"])) == (-9.5, 9.5)
    assert first["x"][first["y"].index(9.5)] == 12_345
    assert first["x"] == sorted(first["x"])
    assert len(msgspec.json.encode(shown)) <= PREVIEW_LIMIT


def test_a_preview_of_millions_of_points_is_quick() -> None:
    values = np.zeros(3_000_000, dtype="int8")
    values[1_234_567] = 9
    attachment = to_attachment(go.Figure(go.Scatter(y=values)))
    start = time.perf_counter()
    (trace,) = preview(attachment)["traces"]
    assert time.perf_counter() - start < 1
    assert trace["y"][trace["x"].index(1_234_567)] == 9


def test_a_preview_of_a_histogram_keeps_how_many_are_how_large() -> None:
    values = np.random.default_rng(1).normal(size=20_000)
    (trace,) = preview(to_attachment(go.Figure(go.Histogram(x=values))))["traces"]
    assert (trace["type"], trace["y"], len(trace["x"])) == ("histogram", [], 200)
    assert 0.8 < np.std(trace["x"]) < 1.2


def test_a_preview_shows_categories_as_texts_and_gaps_as_none() -> None:
    _, bars, heat, dates = preview(to_attachment(figure()))["traces"]
    assert (bars["x"], bars["y"]) == (["a", "b"], [1, 2])
    assert (heat["x"], heat["y"]) == ([], [])
    assert [text[:10] for text in dates["x"]] == ["2026-01-01", "2026-01-02", "2026-01-03"]
    assert dates["y"] == [1, None, 3]


def test_too_many_points_are_told_before_they_are_written() -> None:
    many = go.Figure(go.Scatter(y=np.zeros(8_000_000)))
    start = time.perf_counter()
    with pytest.raises(InputError, match=r"64,000,000 bytes.*fewer points"):
        to_attachment(many)
    assert time.perf_counter() - start < 1
    with pytest.raises(InputError, match=r"4,194,304.*fewer points"):
        to_attachment(go.Figure(go.Scatter(y=np.random.default_rng(1).random(600_000))))


def bad_figure(document: Any) -> str:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    return refused(attached(data, FIGURE_TYPE), Shared.to_figure)


SCATTER = {"type": "scatter", "y": [1]}


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[" * 4_000_000,
        b'{"data":' * 500_000,
        b'{"data":' + b"[" * 100 + b"]" * 100 + b"}",
        3,
        None,
        [],
        {},
        {"data": {}},
        {"data": [3]},
        {"data": [{"type": "zork"}]},
        {"data": [{"type": ["scatter"]}]},
        {"data": [{**SCATTER, "zork": 1}]},
        {"data": [SCATTER], "zork": 1},
        {"data": [SCATTER], "layout": {"zork": 1}},
        {"data": [SCATTER], "layout": 3},
        {"data": [SCATTER], "layout": {"template": "zork"}},
        {"data": [{"y": {"dtype": "O", "bdata": ""}}]},
        {"data": [{"y": {"dtype": "f8", "bdata": "!!!!"}}]},
        {"data": [{"y": {"dtype": "f8", "bdata": "AAAA"}}]},
        {"data": [{"y": {"dtype": "f8", "bdata": 3}}]},
        {"data": [{"z": {"dtype": "i1", "bdata": "AAAA", "shape": "1000000, 1000000"}}]},
        {"data": [{"z": {"dtype": "i1", "bdata": "AAAA", "shape": [1, 3]}}]},
        {"data": [{}] * 30_000},
        {"data": [], "layout": {"shapes": [{}] * 1_000_000}},
        {"data": [{"type": "scatter", "marker": {"color": ["red"] * 600_000}}]},
    ],
    ids=lambda document: repr(document)[:40],
)
def test_what_is_no_figure_is_refused_quickly(document: Any) -> None:
    start = time.perf_counter()
    assert len(bad_figure(document)) < 500
    assert time.perf_counter() - start < 5


IMAGE = {"source": "https://example.org/a.png"}


@pytest.mark.parametrize(
    "document",
    [
        {"data": [{"type": "scattergeo", "lat": [1], "lon": [1]}]},
        {"data": [{"type": "choropleth", "geojson": "https://example.org/a.json"}]},
        {"data": [{"type": "scattermap", "lat": [1], "lon": [1]}]},
        {"data": [{"type": "image", **IMAGE}]},
        {"data": [{"type": "image", "source": "/relative.png"}]},
        {"data": [], "layout": {"images": [IMAGE]}},
        {"data": [], "layout": {"template": {"layout": {"images": [IMAGE]}}}},
        {"data": [], "frames": [{"layout": {"images": [IMAGE]}}]},
        {"data": [], "frames": [{"data": [{"type": "densitymap"}]}]},
        *(
            {"data": [], "layout": {"updatemenus": [{"buttons": [{"args": args}]}]}}
            for args in (
                [{"images": [IMAGE]}],
                [{"images[0].source": "//example.org/a.png"}],
                ["images[0].source", "//example.org/a.png"],
                [{"type": ["choropleth"]}],
                ["type", "choropleth"],
            )
        ),
        {"data": [], "layout": {"sliders": [{"steps": [{"args2": [{"images": [IMAGE]}]}]}]}},
        *(
            {"data": [], "layout": {"title": {"text": f"<span {style}>x</span>"}}}
            for style in (
                "style='cursor:url(https://example.org/a)'",
                'STYLE = "fill: image-set(x)"',
                "style='cursor:u\\72l&#40;x&#41;'",
            )
        ),
        {"data": [{"type": "scatter", "text": ["<b style='mask:url(//x)'>"]}]},
    ],
    ids=lambda document: json.dumps(document)[:80],
)
def test_a_figure_that_would_fetch_something_is_refused_unless_it_is_trusted(document: Any) -> None:
    assert "network=True" in bad_figure(document)


def test_a_trusted_figure_may_fetch_something() -> None:
    made = go.Figure(go.Scattergeo(lat=[1], lon=[2]))
    assert round_trip(made).to_figure(network=True) == made


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(
                    ["data", "layout", "x", "y", "type", "name", "title", "bdata", "dtype"]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=20,
    )
)
@rules(deadline=None)
def test_any_json_is_a_figure_or_refused(value: Any) -> None:
    for document in (value, {"data": [value]}, {"data": [], "layout": value}):
        attachment = attached(json.dumps(document).encode(), FIGURE_TYPE)
        assert len(msgspec.json.encode(preview(attachment))) <= PREVIEW_LIMIT
        try:
            Shared(attachment).to_figure()
        except InputError:
            continue


# Pictures.


def png(width: int = 3, height: int = 2, *, claimed: tuple[int, int] | None = None) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        check_sum = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", check_sum)

    header = struct.pack(">IIBBBBB", *(claimed or (width, height)), 8, 2, 0, 0, 0)
    pixels = zlib.compress((b"\0" + b"\xff\0\0" * width) * height)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    return start + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def gif(screen: tuple[int, int] = (3, 2), frame: tuple[int, int] = (3, 2)) -> bytes:
    start = b"GIF89a" + struct.pack("<HHBBB", *screen, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    control = b"\x21\xf9\x04\0\0\0\0\0"
    return start + control + b"\x2c" + struct.pack("<HHHHB", 0, 0, *frame, 0) + b"\2\2\x4c\1\0\x3b"


def jpeg(width: int = 3, height: int = 2) -> bytes:
    start = b"\xff\xd8\xff\xe0" + struct.pack(">H", 16) + b"JFIF\0\1\1\0\0\1\0\1\0\0"
    frame = b"\xff\xff\xc0" + struct.pack(">HBHHB", 11, 8, height, width, 1) + b"\1\x11\0"
    return start + frame + b"\xff\xda\0\x02\xff\xd9"


def webp(kind: bytes, content: bytes) -> bytes:
    body = b"WEBP" + kind + struct.pack("<I", len(content)) + content
    return b"RIFF" + struct.pack("<I", len(body)) + body


def vp8x(width: int = 3, height: int = 2) -> bytes:
    return webp(
        b"VP8X",
        b"\0\0\0\0" + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little"),
    )


PICTURES = {
    "png": ("image/png", png()),
    "gif": ("image/gif", gif()),
    "jpeg": ("image/jpeg", jpeg()),
    "webp": ("image/webp", vp8x()),
    "webp, lossless": (
        "image/webp",
        webp(b"VP8L", b"\x2f" + struct.pack("<I", 2 | 1 << 14) + bytes(8)),
    ),
    "webp, lossy": (
        "image/webp",
        webp(b"VP8 ", b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 3, 2) + bytes(8)),
    ),
}
each_picture = pytest.mark.parametrize(("mime", "data"), PICTURES.values(), ids=PICTURES)


class FromIPython:
    """As much of IPython.display.Image as a picture needs."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def _repr_mimebundle_(self) -> dict[str, str]:
        return {}


@each_picture
def test_a_picture_comes_back_and_a_notebook_shows_it(mime: str, data: bytes) -> None:
    attachment = to_attachment(data)
    assert (attachment.type, attachment.data) == (mime, data)
    assert attachment.name.startswith("picture.")
    assert preview(attachment) == {"kind": "image", "width": 3, "height": 2}
    shown = Shared(attachment).to_image()
    assert shown.to_bytes() == data
    bundle = shown._repr_mimebundle_()
    assert base64.b64decode(bundle[mime]) == data
    assert "picture" in bundle["text/plain"]
    assert to_attachment(FromIPython(data)) == attachment


@each_picture
def test_a_picture_of_a_file_keeps_its_name_and_gets_its_true_type(
    mime: str, data: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "mine.png"
    path.write_bytes(data)
    assert to_attachment(path) == attached(data, mime, "mine.png")


@each_picture
def test_a_picture_that_is_cut_off_or_of_another_type_is_refused(mime: str, data: bytes) -> None:
    for length in range(len(data) - 1 if mime != "image/jpeg" else len(data) - 10):
        refused(attached(data[:length], mime), Shared.to_image)
    for other in {"image/png", "image/gif"} - {mime}:
        assert "says that it is" in refused(attached(data, other), Shared.to_image)
        assert list(Shared(attached(data, other))._repr_mimebundle_()) == ["text/plain"]


@pytest.mark.parametrize(
    ("mime", "data"),
    [
        ("image/png", png(claimed=(2**31 - 1, 2**31 - 1))),
        ("image/png", png(claimed=(0, 5))),
        ("image/gif", gif(screen=(65_535, 65_535))),
        ("image/gif", gif(frame=(65_535, 65_535))),
        ("image/jpeg", jpeg(65_535, 65_535)),
        ("image/jpeg", jpeg(5, 0)),
        ("image/webp", vp8x(2**24, 2**24)),
    ],
)
def test_a_picture_of_too_many_pixels_or_none_is_refused(mime: str, data: bytes) -> None:
    assert "pixels" in refused(attached(data, mime), Shared.to_image)
    with pytest.raises(InputError, match="smaller"):
        to_attachment(data)


@given(st.sampled_from(sorted(PICTURES)), st.data())
@rules(deadline=None)
def test_a_picture_with_changed_bytes_is_refused_or_measured(
    name: str, data: st.DataObject
) -> None:
    mime, picture = PICTURES[name]
    changed = bytearray(picture + data.draw(st.binary(max_size=30)))
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    shown = preview(attached(bytes(changed), mime))
    assert shown["kind"] == "broken" or 0 < shown["width"] * shown["height"] * 4 <= DECODED_LIMIT


SVG = b"\xef\xbb\xbf\n<?xml version='1.0'?>\n<!-- <x> -->\n<!DOCTYPE svg>\n<SVG xmlns='http://www.w3.org/2000/svg'/>"


def test_svg_is_refused_with_the_reason(tmp_path: Path) -> None:
    path, hidden = tmp_path / "a.svg", tmp_path / "a.png"
    path.write_bytes(b"anything")
    hidden.write_bytes(SVG)
    for thing in (SVG, path, hidden, type("SVG", (), {"_repr_svg_": str, "data": "<svg/>"})()):
        with pytest.raises(InputError, match=r"scripts.*PNG"):
            to_attachment(thing)


def test_a_page_with_a_drawing_in_it_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_bytes(b"<!DOCTYPE html><svg></svg>")
    assert preview(to_attachment(path)) == {"kind": "file"}


class Drawing:
    """Draws itself as figures of matplotlib and pictures of PIL do."""

    def savefig(self, file: io.BytesIO, *, format: str) -> None:  # noqa: A002
        assert format == "png"
        file.write(png())


class Painting:
    """As much of a picture of PIL as is asked for."""

    def __init__(self, mode: str = "RGB") -> None:
        self.mode = mode

    def getbands(self) -> tuple[str, ...]:
        return tuple(self.mode)

    def save(self, file: io.BytesIO, *, format: str) -> None:  # noqa: A002
        if self.mode == "CMYK":
            raise OSError(f"cannot write mode CMYK as {format}")
        file.write(png())


def test_what_draws_itself_is_shared_as_png() -> None:
    assert to_attachment(Drawing()) == attached(png(), "image/png", "figure.png")
    assert to_attachment(Painting()) == attached(png(), "image/png", "picture.png")
    with pytest.raises(InputError, match=r"CMYK.*convert\('RGB'\)"):
        to_attachment(Painting("CMYK"))


# Source and files.


def test_source_comes_back_and_is_shown() -> None:
    code = "for n in range(3):\n\tprint('<b>é</b>')\n"
    shared = round_trip(Source(code))
    assert (shared.type, shared.name, shared.to_source()) == ("text/x-python", "cell.py", code)
    assert preview(shared.attachment) == {"kind": "source", "language": "python", "text": code}
    assert to_attachment(Source("SELECT 1", "sql")).type == "text/x-sql"


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.integers(1, 5000))
@rules(deadline=None)
def test_a_preview_of_any_source_is_small_and_plain(text: str, times: int) -> None:
    shown = preview(attached((text * times).encode(), "text/x-python"))
    assert len(msgspec.json.encode(shown)) <= PREVIEW_LIMIT
    assert all(char.isprintable() or char in "\n\t" for char in shown["text"])


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (Source(""), "no code"),
        (Source(" \n"), "no code"),
        (Source("x = '\ud800'"), "Unicode"),
        (Source("1", "a b"), "language"),
        (Source("1" * (ATTACHMENT_LIMIT + 1)), "4,194,304"),
    ],
    ids=["empty", "blank", "surrogate", "language", "large"],
)
def test_source_that_can_not_be_shared_is_told(source: Source, text: str) -> None:
    with pytest.raises(InputError, match=text):
        to_attachment(source)


def test_bytes_that_are_no_text_are_no_source() -> None:
    assert "UTF-8" in refused(attached(b"\xff", "text/x-python"), Shared.to_source)


def test_a_file_is_shared_under_its_name_and_saved_again(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(b"a,b\n1,2\n")
    attachment = to_attachment(path)
    assert attachment == attached(b"a,b\n1,2\n", "text/csv", "data.csv")
    assert preview(attachment) == {"kind": "file"}
    shared = Shared(attachment)
    with pytest.raises(InputError, match="exists"):
        shared.save(path)
    with pytest.raises(InputError, match="exists"):
        shared.save(tmp_path)
    copy = shared.save(str(tmp_path / "copy.csv"))
    assert copy.read_bytes() == path.read_bytes()
    with pytest.raises(InputError, match="can't be written"):
        shared.save(tmp_path / "no" / "folder")


def test_the_bytes_of_a_file_are_shared_as_the_file_would_be(tmp_path: Path) -> None:
    for name, data in (("a.csv", b"1"), ("a.png", png()), ("a.png", gif()), ("b.py", b"1 + 1")):
        path = tmp_path / name
        path.write_bytes(data)
        assert from_file(f"some/folder/{name}", data) == to_attachment(path)
    assert from_file("a.png", b"no picture").type == "application/octet-stream"
    with pytest.raises(InputError, match="scripts"):
        from_file("a.txt", SVG)


def test_an_empty_file_can_be_shared(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.touch()
    assert round_trip(path).to_bytes() == b""


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "C:\\a\\passwd", "a/..\u202epasswd", "..passwd"]
)
def test_the_name_of_a_file_from_others_leads_nowhere(name: str, tmp_path: Path) -> None:
    shared = Shared(attached(b"x", "text/csv", name))
    assert shared.name == "passwd"
    assert shared.save(tmp_path) == tmp_path / "passwd"


def test_files_that_can_not_be_shared_are_told(tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(bytes(ATTACHMENT_LIMIT + 1))
    for path, text in (
        (tmp_path, "folder"),
        (tmp_path / "none", "does not exist"),
        (tmp_path / "a\0b", "null|exist"),
        (large, "4,194,305 bytes; the limit is 4,194,304"),
        (Path("/dev/zero"), "no ordinary file"),
    ):
        with pytest.raises(InputError, match=text):
            to_attachment(path)


@pytest.mark.parametrize(
    ("thing", "text"),
    [
        ("a text", r"room\.send.*pathlib\.Path"),
        (b"bytes", r"PNG.*pathlib\.Path"),
        (3, "type int"),
        (None, "NoneType"),
        ([1, 2], "list.*DataFrame"),
    ],
)
def test_what_can_not_be_shared_is_told_with_what_can(thing: Any, text: str) -> None:
    with pytest.raises(InputError, match=text):
        to_attachment(thing)


def test_a_name_can_be_given() -> None:
    assert to_attachment(png(), name="mine.png").name == "mine.png"
    for name in ("", "a/b", "a\nb", ".hidden", "a" * 256):
        with pytest.raises(InputError, match="name"):
            to_attachment(png(), name=name)


# What everything has in common.


def test_what_was_shared_can_be_shared_again() -> None:
    attachment = to_attachment(png(), name="mine.png")
    assert to_attachment(Shared(attachment)) == attachment


@pytest.mark.parametrize("sha256", ["0" * 64, hashlib.sha256(b"").hexdigest(), "x"])
def test_bytes_of_another_hash_are_refused(sha256: str) -> None:
    with pytest.raises(InputError, match="SHA-256"):
        Shared(to_attachment(png()), sha256=sha256)
    Shared(to_attachment(png()), sha256=hashlib.sha256(png()).hexdigest().upper())


def test_without_its_bytes_or_with_too_many_nothing_is_read() -> None:
    summary = to_attachment(png()).summary()
    for attachment, text in (
        (summary, "not here"),
        (attached(bytes(ATTACHMENT_LIMIT + 1), "image/png"), "4,194,304"),
    ):
        with pytest.raises(InputError, match=text):
            Shared(attachment)
        assert preview(attachment)["kind"] == "broken"


@pytest.mark.parametrize(
    "read", [Shared.to_frame, Shared.to_figure, Shared.to_image, Shared.to_source]
)
def test_another_kind_is_told_with_how_to_read_it(read: Callable[[Shared], Any]) -> None:
    things = {
        Shared.to_frame: pd.DataFrame({"a": [1]}),
        Shared.to_figure: go.Figure(),
        Shared.to_image: png(),
        Shared.to_source: Source("1"),
    }
    for right, thing in things.items():
        shared = round_trip(thing)
        if right is read:
            assert read(shared) is not None
        else:
            with pytest.raises(InputError, match=f"{right.__name__}\\(\\)"):
                read(shared)
    with pytest.raises(InputError, match=r"save\(path\)"):
        read(Shared(attached(b"", "application/zip")))


def test_shared_does_not_show_its_bytes_and_can_not_be_changed() -> None:
    shared = round_trip(png())
    assert repr(shared) == f"Shared(name='picture.png', type='image/png', size={len(png())})"
    with pytest.raises(AttributeError):
        shared.sha256 = None  # type: ignore[misc]


def test_sharing_loads_no_library_that_it_does_not_need() -> None:
    code = (
        "import sys; from chatkit.share import Source, preview, to_attachment; "
        "preview(to_attachment(Source('1'))); print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert not {"pandas", "numpy", "pyarrow", "plotly", "IPython"} & set(done.stdout.split())


def test_a_table_a_figure_and_a_picture_reach_another_room_by_kafka_and_by_mongodb(
    room_factory: Callable[..., ChatRoom], archiver_factory: Callable[..., Archiver]
) -> None:
    ana, ben = room_factory("ana"), room_factory("ben")
    for room in (ana, ben):
        room.join("general").result(30)
    frame = pd.DataFrame({"a": [1.5, None]}, index=pd.Index(["x", "y"], name="key"))
    sent = [ana.share(thing) for thing in (frame, figure(), png(), Source("1 + 1"))]
    for message in sent:
        check(message)

    def read(room: ChatRoom) -> None:
        found = [room.message(message.id) for message in sent]
        assert_same(found[0].to_frame(), frame)
        assert_same_figure(found[1].to_figure(), figure())
        assert found[2].to_image().to_bytes() == png()
        assert found[3].to_source() == "1 + 1"

    last = sent[-1].id
    wait_until(lambda: last in {row.id for row in ben.rows("general")}, 30)
    read(ben)
    archiver_factory()
    late = room_factory("cleo")
    wait_until(lambda: late._store.get("general", last) is not None, 60)
    read(late)
