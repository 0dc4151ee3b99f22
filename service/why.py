"""The command that says why an alert was raised: as text, JSON, a page, or its figures."""

from __future__ import annotations

import argparse
import json

from ..interpret.explanation import Explanation
from .client import Client
from .credentials import credentials_of
from .listing import similar_lines


def explain(options: argparse.Namespace) -> int:
    """Ask the service, and show it in the form that was asked for."""
    with Client(options.to, credentials=credentials_of(options)) as client:
        answer = client.explain(options.alert, checks=not options.no_checks)
    explanation = Explanation.from_json(json.loads(answer.json))
    if options.html:
        from ..interpret.alert_page import alert_page

        options.html.write_text(alert_page(explanation), encoding="utf-8")
        print(f"page written to {options.html}")
    elif options.figures:
        from ..interpret.alert_figures import alert_figures
        from ..interpret.figure_files import write_figures

        print(write_figures(options.figures, alert_figures(explanation)))
    else:
        print(answer.json if options.json else answer.text)
        if not options.json and explanation.similar:
            print("\n".join(["", *similar_lines(explanation.similar)]))
    return 0
