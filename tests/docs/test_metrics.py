"""The page of metrics has what `/metrics` shows."""

from __future__ import annotations

from pathlib import Path

from prometheus_client.metrics import MetricWrapperBase

from offscript.service.metrics import Metrics

PAGE = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"


def test_the_page_has_every_metric_with_its_labels_in_the_words_of_the_service() -> None:
    rows = []
    for metric in Metrics().registry._collector_to_names:
        assert isinstance(metric, MetricWrapperBase)
        (family,) = metric.describe()
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = " ".join(f"`{label}`" for label in metric._labelnames) or "–"
        rows.append(f"| `{name}` | {family.type} | {labels} | {family.documentation} |")

    _, _, table = PAGE.read_text(encoding="utf-8").partition("|---|---|---|---|\n")

    assert table.splitlines() == rows
