"""`fwsim fit` on files."""

import pytest

import fwsim as fw
from fwsim import cli
from fwsim.fitting import synthetic_table


@pytest.fixture
def call(tmp_path, capsys, monkeypatch):
    rule = fw.TsodyksMarkram(U=0.2, tau_rec=0.1, tau_facil=0.5)
    path = tmp_path / "trains.csv"
    synthetic_table(rule, sweeps=20, gain=5.0).to_csv(path, index=False)
    monkeypatch.setenv("COLUMNS", "150")

    def run(*tokens):
        with pytest.raises(SystemExit) as caught:
            cli.main(["fit", str(path), *tokens])
        return caught.value.code, *capsys.readouterr()

    return run


def test_fit_predicts_what_is_held_out(call):
    code, out, err = call(
        "--rule", "tsodyks_markram", "--holdout", "200Hz", "--replicates", "10", "--with", "U=0.3"
    )
    assert (code, err) == (0, "")
    fitted, left_out = out.split("Protocols that were left out")
    assert "tau_facil" in fitted
    assert "200Hz" not in fitted
    assert left_out.count("200Hz") == 1 + 6  # its error, its pulses


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (["--rule", "hebbian"], "rule='hebbian' is unknown; use one of 'tsodyks_markram'"),
        (["--rule", "varela", "--with", "d"], "'d' is no setting of varela; write NAME=VALUE with f, tau_F"),
        (["--rule", "varela", "--with", "q=1"], "'q=1' is no setting of varela"),
        (
            ["--rule", "varela", "--with", "f=1", "--with", "f=2"],
            "f is given twice, the second time as 'f=2'",
        ),
        (["--rule", "varela", "--with", "f=-1"], "f=-1.0 is not allowed"),
        (["--rule", "linear_nonlinear", "--with", "readout=x"], "readout='x' is unknown"),
        (["--rule", "varela", "--holdout", "7Hz"], "'7Hz' is not among the responses"),
    ],
)
def test_wrong_use_gets_one_line(call, tokens, message):
    code, out, err = call(*tokens)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_components_are_lists(call):
    code, out, _ = call(
        "--rule",
        "linear_nonlinear",
        "--with",
        "a=0.4,0.3",
        "--with",
        "tau_trace=0.05,0.5",
        "--replicates",
        "5",
    )
    assert code == 0
    assert "tau_trace_2" in out


def test_parameters_keep_their_value_and_cells_widen_intervals(call):
    options = ["--rule", "tsodyks_markram", "--fixed", "U", "--fixed", "tau_rec", "--replicates", "20"]
    code, out, _ = call(*options)
    assert code == 0
    assert "tau_facil" in out
    assert "tau_rec" not in out
    assert call(*options, "--intraclass-correlation", "0.1")[1] != out
    assert "a number in [0, 1)" in call(*options, "--intraclass-correlation", "1")[2]
