"""The page as HTML, in one file that asks nobody for anything.

page.html says how it is laid out, page.macros.html of what it is made, page.css how it looks; page.js sorts its tables and
copies its commands, and is the only thing on it that runs.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ...ground.texts import visible
from .contents import Page


def html(page: Page) -> str:
    """Every text on the page is escaped, for HTML and for the eye; the template can ask for nothing that is not there."""
    environment = Environment(
        loader=PackageLoader(__package__, ""),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    style, script = (_source(environment, name) for name in ("page.css", "page.js"))
    style += "".join(
        f"#{picture.anchor} img {{ min-width: {picture.width * 6 // 10}px; }}\n" for picture in page.pictures
    )
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        f"base-uri 'none'; form-action 'none'"
    )
    return environment.get_template("page.html").render(
        page=page, style=Markup(style), script=Markup(script), policy=Markup(policy)
    )


def _source(environment: Environment, name: str) -> str:
    """A file of this package as it is: nothing from outside is in it."""
    return environment.loader.get_source(environment, name)[0]


def _hash(text: str) -> str:
    """By which a browser knows what may act on the page: this text, and nothing else."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}"


def _shown(value: Any) -> Any:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
