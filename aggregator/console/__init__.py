"""The console: what the people of a campus look at all day, in the browser.

    page -> entrance (who may see it) -> shell (what it is given) -> template
    static/js -> linking (one script for each page) -> assets (named by content, kept by the browser for ever)

Pages are written by the server and come alive by hand-written modules: no third-party script, no build step, nothing
from outside. Everything they show comes from `/api/v1`, which decides who may see it; a page hides what its reader may
not do, and relies on that for nothing.
"""

from aggregator.console.assets import build_id
from aggregator.console.pages import add_console

__all__ = ["add_console", "build_id"]
