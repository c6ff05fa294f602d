"""The device's side of Xundian 巡店: records visits, shelves and stock offline, and syncs them.

`Client` is the one object that an app holds. The forms, such as `StockCount`, are the business objects.
"""

from .xundian_client import *  # noqa: F403
from .xundian_client import library_version

__version__ = "0.1.0"

# The generated part has checked already that every call fits.
if library_version() != __version__:
    raise ImportError(f"xundian_client {__version__} has a library of version {library_version()}: install it again")
