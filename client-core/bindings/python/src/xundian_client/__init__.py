"""The device side of Xundian 巡店: records visits, shelves and stock offline, and syncs them.

`Client` is the one object that an app holds. The entities, such as `StockCount`, are the business objects.
"""

import sys as _sys

__version__ = "0.1.0"

# Library and binding must come from one build. Every mismatch is detected here; docs/INTEGRATE.md, "Library and
# binding", lists the checks. UniFFI generates the check of the calls' checksums but does not call it.
try:
    from .xundian_client import *  # noqa: F403
    from .xundian_client import library_version

    # In a wheel the generated module is one package deeper than in a build by hand, so it is found by its function.
    _generated = _sys.modules[library_version.__module__]
    _generated._uniffi_check_api_checksums(_generated._UniffiLib)
except Exception as error:
    raise ImportError(f"xundian_client {__version__} does not fit its library ({error}): install it again") from error
if library_version() != __version__:
    raise ImportError(f"xundian_client {__version__} has a library of version {library_version()}: install it again")
