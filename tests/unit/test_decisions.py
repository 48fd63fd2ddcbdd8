"""What a run decides by measuring the machine is decided once."""

import json

import pytest

from collapse_core import Decision, decided
from collapse_core.runtime import decisions
from collapse_core.runtime.decisions import recorded_in

QUESTION = "which of two is faster"


@pytest.fixture(autouse=True)
def nothing_measured_yet(monkeypatch):
    monkeypatch.setattr(decisions, "_measured", {})


def measures(value: str, counted: list[str]):
    def measure() -> Decision:
        counted.append(value)
        return Decision(value, {"one ms": 1.5, "two ms": 2.0})

    return measure


def forget_what_was_measured(monkeypatch):
    """As in another process, on another machine or on a busier day."""
    monkeypatch.setattr(decisions, "_measured", {})


def test_a_decision_is_recorded_with_its_figures_and_leaves_the_rest_of_the_record(tmp_path):
    record = tmp_path / "environment.json"
    record.write_text('{"python": "3.11"}')
    with recorded_in(record, writable=True):
        assert decided(QUESTION, measures("one", [])) == "one"
    assert json.loads(record.read_text()) == {
        "python": "3.11",
        "decisions": {QUESTION: {"value": "one", "measured": {"one ms": 1.5, "two ms": 2.0}}},
    }


def test_what_is_recorded_is_not_measured_again_though_it_would_come_out_otherwise(tmp_path, monkeypatch):
    record, counted = tmp_path / "environment.json", []
    with recorded_in(record, writable=True):
        decided(QUESTION, measures("one", counted))
    forget_what_was_measured(monkeypatch)
    with recorded_in(record, writable=True):
        assert decided(QUESTION, measures("two", counted)) == "one"
    assert counted == ["one"]


def test_two_runs_of_one_process_measure_once_and_both_record_it(tmp_path):
    counted: list[str] = []
    for name in ("a.json", "b.json"):
        with recorded_in(tmp_path / name, writable=True):
            decided(QUESTION, measures("one", counted))
        assert json.loads((tmp_path / name).read_text())["decisions"][QUESTION]["value"] == "one"
    assert counted == ["one"]


def test_what_is_measured_after_a_run_follows_its_record_and_adds_nothing_to_it(tmp_path, monkeypatch):
    record = tmp_path / "environment.json"
    with recorded_in(record, writable=True):
        decided(QUESTION, measures("one", []))
    written = record.read_bytes()
    forget_what_was_measured(monkeypatch)
    with recorded_in(record, writable=False):
        assert decided(QUESTION, measures("two", [])) == "one"
        assert decided("another", measures("two", [])) == "two"
    assert record.read_bytes() == written
    assert decided(QUESTION, measures("two", [])) == "two", "outside of the run it decides nothing"
