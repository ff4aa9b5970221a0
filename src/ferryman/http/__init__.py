"""Ferryman over HTTP: a service that runs alone, or mounted into another application.

    host = FastAPI()
    host.mount("/jobs", ferryman.http.create_app(app))

Needs `pip install 'ferryman[http]'`.
"""

from ferryman.http.application import create_app
from ferryman.http.auth import needs
from ferryman.http.options import HttpOptions
from ferryman.http.principal import Principal, Scope
from ferryman.http.service import Service, service_of

__all__ = ["HttpOptions", "Principal", "Scope", "Service", "create_app", "needs", "service_of"]
