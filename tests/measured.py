"""Records of benchmarks, as tests need them."""

from dataclasses import replace

from bench.frame.figures import Figure
from bench.frame.results import Record


def record(command="python -m bench some", **changes) -> Record:
    figures = (Figure(name="faster", value=2.5, unit="x", n=3, low=2.4, high=2.75, least=2.0),)
    whole = Record(
        benchmark="some",
        command=command,
        figures=figures,
        threads=2,
        device="cpu",
        processor="a processor",
        torch="2.6.0",
        commit="abc",
        date="2026-01-31",
        seconds=12.5,
        load=0.1,
    )
    return replace(whole, **changes)
