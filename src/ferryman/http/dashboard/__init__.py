"""The dashboard: pages for operators, beside the API.

Nothing of it is made in the browser but the charts: pages are templates that refresh themselves
with htmx, and every write is a form. Its third-party files are kept in `static/vendor` with their
lock and licences.
"""

from ferryman.http.dashboard.routes import router, static_files
from ferryman.http.dashboard.sight import not_found

__all__ = ["not_found", "router", "static_files"]
