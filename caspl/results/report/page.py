"""The page as HTML, in one file that asks nobody for anything. page.html says how it is laid out, page.css how it looks."""

from __future__ import annotations

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
    return environment.get_template("page.html").render(page=page)


def _shown(value: Any) -> Any:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
