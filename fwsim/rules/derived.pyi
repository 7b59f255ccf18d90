from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar, overload

from numpy.typing import ArrayLike
from torch import Tensor

from fwsim.rules.derive.brian2_code import Brian2Code
from fwsim.rules.derive.equations import Equations
from fwsim.rules.derive.rates import RateDynamics
from fwsim.rules.derive.sites import SiteChances
from fwsim.rules.derive.steady_state import SteadyState
from fwsim.rules.memory_rule import MemoryRule
from fwsim.rules.rule import AssociativeRule, PresynapticRule, Values

Function = TypeVar("Function", bound=Callable[..., Any])

def derives(*kinds: type, name: str | None = None) -> Callable[[Function], Function]: ...

class Derived:
    underived: ClassVar[str]

    def propagate(self, state: Values, interval: Any) -> Values: ...
    def rate_dynamics(self) -> RateDynamics: ...
    def reduced(self) -> MemoryRule: ...
    def equations(self) -> Equations: ...
    def latex(self) -> str: ...
    def brian2(self, *, prefix: str = "") -> Brian2Code: ...
    def nestml(self, *, name: str | None = None) -> str: ...
    def places(self) -> dict[str, str]: ...
    def site_chances(self: PresynapticRule, times: ArrayLike | Tensor) -> SiteChances: ...  # type: ignore[misc]
    def _repr_html_(self) -> str: ...
    @overload
    def respond(  # type: ignore[misc]
        self: PresynapticRule, times: ArrayLike | Tensor, *, state: Mapping[str, Any] | None = None
    ) -> Tensor: ...
    @overload
    def respond(  # type: ignore[misc]
        self: AssociativeRule,
        pre: ArrayLike | Tensor,
        post: ArrayLike | Tensor,
        *,
        state: Mapping[str, Any] | None = None,
    ) -> Tensor: ...
    @overload
    def steady_state(  # type: ignore[misc]
        self: PresynapticRule, rate: Any, train: str = "regular", *, seed: int = 0
    ) -> SteadyState: ...
    @overload
    def steady_state(  # type: ignore[misc]
        self: AssociativeRule, pre: Any, post: Any, train: str = "regular", *, lag: Any = 0.0, seed: int = 0
    ) -> SteadyState: ...
