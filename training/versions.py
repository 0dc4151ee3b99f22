"""The commands on versions of a model: edit one, and compare two."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ..interpret.diff import diff
from ..interpret.diff_page import diff_page
from ..interpret.diff_text import diff_text
from ..interpret.edit import Wish
from ..interpret.edit_text import edit_text
from ..interpret.naming import shortened
from ..model.errors import InputError
from ..model.folder import Model, load_model, make_room, save_model
from .compare import compare, logged_streams
from .edited import edited
from .shift_page import shift_section
from .shift_text import shift_text


def edit(options: argparse.Namespace) -> int:
    """Write a new version of a model with one path damped, and say what that does."""
    kind = next(kind for kind in ("head", "bigram", "rule") if getattr(options, kind) is not None)
    wish = Wish(kind, getattr(options, kind), options.by)
    _is_free(options.out, options.model)
    before = load_model(options.model)
    normal = []
    if options.calibrate:  # on what it has not learned from
        normal = logged_streams(before, options.calibrate, split=lambda split: split != "train")
    after, done = edited(before, wish, normal)
    shift = compare(before, after, options.streams)
    after = save_model(after, options.out)  # though nobody reads on
    print(f"Model {before.sha256[:12]}: {edit_text(done, shortened(before.vocabulary.names))}\n")
    print(shift_text(shift, _streams(before, options.streams)))
    set_on = f"set anew on {len(normal):,} streams" if normal else "those of the model before"
    print(f"\nmodel {after.sha256[:12]} written to {options.out}; thresholds are {set_on}")
    return 0


def difference(options: argparse.Namespace) -> int:
    """Say what one model has learned that another has not, and what that does to alerts."""
    if options.figures or options.tables:
        raise InputError(
            "two models are compared as text, with --json or --html; leave --figures and --tables "
            "out"
        )
    before, after = load_model(options.model), load_model(options.diff)
    found, shift = diff(before, after), compare(before, after, options.streams)
    judged = _streams(before, options.streams)
    if options.html:
        options.html.write_text(diff_page(found, shift_section(shift, judged)), encoding="utf-8")
        print(f"page written to {options.html}")
    elif options.json:
        streams = shift.to_json() if shift else None
        print(json.dumps({**found.to_json(), "streams": streams}, ensure_ascii=False))
    else:
        print(f"{diff_text(found)}\n\n{shift_text(shift, judged)}")
    return 0


def _streams(model: Model, logs: list[Path]) -> str:
    if not logs:
        return "held-out windows of the first model"
    return "blocks" if model.config.streams.endless else "streams"


def _is_free(out: Path, model: Path) -> None:
    """A version never takes the place of another: what serves may be read from there again."""
    if model.resolve() in out.resolve().parents:  # which is no model with a folder in it
        raise InputError(f"{out} lies in the model {model}; choose an --out outside of it")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} exists already; choose another --out for the new version")
    make_room(out)
