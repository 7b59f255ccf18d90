"""Tables of responses: what is accepted, what is refused, and the sums over sweeps."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import fwsim as fw
from fwsim.fitting import gather, read_table, synthetic_table

RULE = fw.TsodyksMarkram(U=0.2, tau_rec=0.1, tau_facil=0.5)
TABLE = synthetic_table(RULE, sweeps=4, missing=0.2)


def changed(column, value, row=7):
    table = TABLE.astype({column: object})
    table.loc[row, column] = value
    return table


BAD = {
    "text": (changed("amplitude", "big"), r"row 7: amplitude='big' is not a number"),
    "text in time": (changed("time_s", "10 ms"), r"row 7: time_s='10 ms' is not a number"),
    "negative time": (changed("time_s", -0.1), r"row 7: time_s=-0.1 .* at least 0"),
    "no time": (changed("time_s", None), r"row 7: time_s=nan .* time in seconds"),
    "no sweep": (changed("sweep", None), r"row 7: sweep=.* number the sweeps"),
    "no protocol": (changed("protocol", None), r"row 7: protocol=.* name of its protocol"),
    "half a pulse": (changed("pulse", 0.5), r"row 7: pulse=0.5 .* 0, 1, 2"),
    "infinite": (changed("amplitude", np.inf), r"row 7: amplitude=inf .* empty"),
    "jitter": (changed("time_s", 0.111), r"different times in different sweeps"),
    "no unit": (TABLE.rename(columns={"time_s": "time"}), r"time has no unit; call it time_s"),
    "no column": (TABLE.drop(columns="pulse"), r"no column pulse; it must have protocol, sweep"),
    "own names": (
        TABLE.rename(columns={"pulse": "n", "sweep": "trial"}),
        r"no column sweep, pulse; it must have .* rename its other columns, which are 'trial, n'",
    ),
    "no rows": (TABLE[:0], r"no rows"),
    "twice": (pd.concat([TABLE, TABLE]), r"sweep 0, pulse . twice"),
    "one sweep": (synthetic_table(RULE, sweeps=1), r"no protocol has two sweeps"),
    "two times": (TABLE.assign(time_ms=1000.0 * TABLE.time_s), r"time_s and time_ms; leave one"),
    "a pulse without time": (TABLE[TABLE.pulse != 3], r"no time for pulse 3"),
    "a huge pulse": (changed("pulse", 1e19), r"no time for pulse \d+ \(pulses count from 0\); add"),
    "unsorted": (
        TABLE.assign(time_s=TABLE.time_s.where(TABLE.pulse != 2, 0.001)),
        r"pulse 2 does not come after pulse 1",
    ),
    "complex": (TABLE.assign(amplitude=TABLE.amplitude * 1j), r"amplitude holds complex128; give real"),
    "truth values": (TABLE.assign(amplitude=True), r"amplitude holds bool; give real"),
    "two columns": (pd.concat([TABLE, TABLE[["amplitude"]]], axis=1), r"two columns 'amplitude'"),
    "a path": ("t.csv", r"responses are a str; .* pandas.read_csv reads one"),
    "a list": ([1, 2], r"responses are a list; give a DataFrame or Dataset"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_tables_get_one_clear_line(name):
    table, message = BAD[name]
    with pytest.raises(fw.ConfigError, match=message) as caught:
        fw.fit(RULE, table)
    assert "\n" not in str(caught.value)


def test_moments_are_those_of_the_table():
    moments = gather(TABLE).moments()
    names = gather(TABLE).protocols
    grouped = TABLE.groupby(["protocol", "pulse"]).amplitude
    for (protocol, pulse), mean in grouped.mean().items():
        k = names.index(protocol), int(pulse)
        np.testing.assert_allclose(moments.mean[k], mean, rtol=1e-12)
        np.testing.assert_allclose(moments.count[k], grouped.count()[protocol, pulse])
        np.testing.assert_allclose(moments.variance[k], grouped.var()[protocol, pulse], rtol=1e-9)
    assert moments.count.sum() == len(TABLE)


@settings(max_examples=20, deadline=None)
@given(st.randoms(use_true_random=False))
def test_order_of_rows_does_not_matter(random):
    rows = list(range(len(TABLE)))
    random.shuffle(rows)
    one, other = gather(TABLE), gather(TABLE.iloc[rows])
    order = [other.protocols.index(name) for name in one.protocols]
    torch.testing.assert_close(one.moments().total, other.moments().total[order], rtol=1e-12, atol=1e-12)


def test_milliseconds_and_datasets_are_the_same_responses():
    in_ms = TABLE.assign(time_ms=TABLE.time_s * 1e3).drop(columns="time_s")
    tidy = xr.Dataset.from_dataframe(TABLE)
    cube = TABLE.set_index(["protocol", "sweep", "pulse"]).to_xarray().rename(time_s="time")
    times = cube.time.max("sweep").assign_attrs(units="s")
    cube = cube.assign(time=times).sel(pulse=slice(None, 5), protocol=["100Hz_then_20Hz", "200Hz"])
    expected = gather(TABLE)
    for other in (in_ms, tidy):
        got = gather(other)
        torch.testing.assert_close(got.times, expected.times, equal_nan=True)
        torch.testing.assert_close(got.moments().total, expected.moments().total)
    part = expected.only(["100Hz_then_20Hz", "200Hz"])
    torch.testing.assert_close(gather(cube).moments().total, part.moments().total[:, :6])
    with pytest.raises(fw.ConfigError, match="time has no unit"):
        gather(cube.assign(time=times.assign_attrs(units=None).drop_attrs()))


def test_milliseconds_called_seconds_are_noticed_and_slow_trains_pass():
    wrong = TABLE.assign(time_s=TABLE.time_s * 1e3)
    with pytest.warns(
        UserWarning, match=r"shortest interval between pulses is 5 s; .* call their column time_ms"
    ) as caught:
        slow = gather(wrong)
    assert caught[0].filename == __file__  # the user's line, not one of fwsim
    torch.testing.assert_close(slow.times, 1e3 * gather(TABLE).times, equal_nan=True)
    said = wrong.assign(time_ms=wrong.time_s * 1e3).drop(columns="time_s")  # says what it means: slow trains
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gather(TABLE)
        gather(said)


def test_sweeps_of_the_same_cells_count_for_fewer():
    data = gather(synthetic_table(RULE, sweeps=50)).clustered(0.02)
    plain = gather(synthetic_table(RULE, sweeps=50))
    known = ~data.times.isnan()
    torch.testing.assert_close(
        data.moments().count[known], 50 / (1 + 49 * 0.02) * torch.ones(int(known.sum())).double()
    )
    torch.testing.assert_close(data.moments().mean, plain.moments().mean, equal_nan=True)
    assert (data.resampled(3, torch.Generator().manual_seed(0)).count[:, known] == 25).all()
    torch.testing.assert_close(data.without("20Hz").weight, data.weight[data.protocol != 0])
    for wrong in (-0.1, 1.0):
        with pytest.raises(fw.ConfigError, match=r"intraclass_correlation=.* a number in \[0, 1\)"):
            plain.clustered(wrong)


def test_a_row_without_amplitude_gives_the_time_of_its_pulse():
    never = TABLE.assign(amplitude=TABLE.amplitude.where(TABLE.pulse != 3))
    got = gather(never)
    torch.testing.assert_close(got.times, gather(TABLE).times, equal_nan=True)
    assert (got.moments().count[:, 3] == 0).all()
    assert np.isfinite(fw.fit(RULE, never, starts=2, replicates=2).log_likelihood)


def test_protocols_can_be_chosen_and_left_out():
    data = gather(TABLE)
    assert data.without("20Hz", "200Hz").protocols == ("100Hz", "20Hz_then_100Hz", "100Hz_then_20Hz")
    kept = data.without("20Hz")
    assert "20Hz" not in kept.protocols
    torch.testing.assert_close(kept.moments().total, data.moments().total[1:])
    with pytest.raises(fw.ConfigError, match=r"'50Hz' is not among the responses; use '20Hz'"):
        data.only(["50Hz"])
    with pytest.raises(fw.ConfigError, match=r"without '20Hz', .* no protocol remains; leave out fewer"):
        data.without(*data.protocols)


def test_resampling_keeps_the_sweeps_of_each_protocol():
    whole = gather(synthetic_table(RULE, sweeps=5))
    moments = whole.resampled(30, torch.Generator().manual_seed(0))
    known = ~whole.times.isnan()
    assert (moments.count[:, known] == 5).all()
    assert moments.total[:, 0, 0].std() > 0


def test_files_without_a_protocol_are_named_after_it(tmp_path):
    for name, rows in TABLE.groupby("protocol"):
        rows.drop(columns="protocol").to_csv(tmp_path / f"{name}.csv", index=False)
    got = gather(read_table(tmp_path))
    assert set(got.protocols) == set(TABLE.protocol)
    assert got.moments().count.sum() == len(TABLE)
    one = gather(read_table(tmp_path / "20Hz.csv"))
    assert one.protocols == ("20Hz",)


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "folder").mkdir()
    for path, message in (
        ("absent.csv", r"there is no file .*absent\.csv"),
        ("empty.csv", "cannot be read"),
        ("folder", "no CSV file"),
    ):
        with pytest.raises(fw.ConfigError, match=message):
            read_table(tmp_path / path)


@pytest.mark.parametrize("path", [None, 3, [], [3]])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(fw.ConfigError, match=r"path=.* give a CSV file, several, or a folder"):
        read_table(path)


def test_one_protocol_may_be_named_without_a_list():
    assert gather(TABLE).only("20Hz").protocols == ("20Hz",)


def test_fits_keep_numbers_of_their_own():
    """What the caller does to responses, trains or results later changes no fit."""
    rule = fw.TsodyksMarkram()
    data = gather(fw.fitting.synthetic_table(rule, sweeps=5, seed=1))
    fit = fw.fit(rule, data, starts=2, replicates=2)
    before = fit.residuals()
    for tensor in (data.times, data.amplitude, data.weight):
        tensor.mul_(2)
    train = np.array([0.1, 0.2])
    bands = fit.bands(train)
    train *= 2
    assert bands.time.values.tolist() == [0.1, 0.2]
    changed = fit.residuals()
    changed.time.values *= 2
    assert fit.residuals().identical(before)


@pytest.mark.parametrize("train", [[-0.1, 0.1], [0.1, np.nan], [0.2, 0.1], [[0.1]], 0.1, "x", [1j], None])
def test_trains_of_made_up_responses_that_are_none(train):
    with pytest.raises((fw.ConfigError, fw.ShapeError)):
        fw.fitting.synthetic_table(fw.TsodyksMarkram(), {"a": train}, sweeps=2)


@pytest.mark.parametrize("compared", [None, {}, "x"])
def test_a_choice_among_nothing(compared):
    with pytest.raises(fw.ConfigError, match="compared has no inner_error"):
        fw.fitting.choose(compared)


def test_a_file_is_not_said_to_have_a_column_that_was_added(tmp_path):
    (tmp_path / "other.csv").write_text("a,b\n0,0\n")
    with pytest.raises(fw.ConfigError, match=r"rename its other columns, which are 'a, b'$"):
        gather(read_table(tmp_path / "other.csv"))
    (tmp_path / "short.csv").write_text("sweep,pulse,time_s\n0,0,0\n")
    with pytest.raises(fw.ConfigError, match=r"no column amplitude; .* add what is missing"):
        gather(read_table(tmp_path / "short.csv"))


def test_a_row_of_several_files_is_named_by_what_it_holds(tmp_path):
    good = "sweep,pulse,time_s,amplitude\n0,0,0,1\n0,1,0.02,1.2\n1,0,0,1\n1,1,0.02,1.2\n"
    (tmp_path / "10Hz.csv").write_text(good)
    (tmp_path / "50Hz.csv").write_text(good.replace("1,1,0.02,1.2", "1,1,0.02,big"))
    with pytest.raises(
        fw.ConfigError, match=r"'big' is not a number \(protocol '50Hz', sweep 1, pulse 1.0\)"
    ):
        gather(read_table(tmp_path))


def test_protocols_that_are_no_names_and_columns_in_the_index():
    with pytest.raises(fw.ConfigError, match="protocols=3 is not allowed"):
        gather(TABLE).only(3)
    with pytest.raises(
        fw.ConfigError, match=r"columns protocol, sweep are the table's index; give .*reset_index"
    ):
        gather(TABLE.set_index(["protocol", "sweep"]))
    with pytest.raises(fw.ConfigError, match="population is an int"):
        fw.fitting.class_table(3)
