"""Former place of `fwsim.models`; goes in version 0.3."""

import warnings
from typing import Any

from fwsim import models


def __getattr__(name: str) -> Any:
    value = getattr(models, name)
    warnings.warn(
        f"fwsim.actor_critic is deprecated since 0.1 and goes in 0.3; use fwsim.models.{name}",
        DeprecationWarning,
        stacklevel=2,
    )
    return value
