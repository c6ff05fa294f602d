"""The device's side of Xundian 巡店: records visits, shelves and stock offline, and syncs them.

`Client` is the one object that an app holds. The forms, such as `StockCount`, are the business objects.
"""

import sys as _sys

__version__ = "0.1.0"

# Library and binding must belong together, and every way in which they may not is found here; docs/INTEGRATE.md, "Library
# and binding", says which check finds what. UniFFI writes the check of the calls' checksums and does not call it.
try:
    from .xundian_client import *  # noqa: F403
    from .xundian_client import library_version

    # In a wheel the generated module lies a package deeper than where it is built by hand; its calls know where.
    _generated = _sys.modules[library_version.__module__]
    _generated._uniffi_check_api_checksums(_generated._UniffiLib)
except Exception as error:
    raise ImportError(f"xundian_client {__version__} does not fit its library ({error}): install it again") from error
if library_version() != __version__:
    raise ImportError(f"xundian_client {__version__} has a library of version {library_version()}: install it again")
