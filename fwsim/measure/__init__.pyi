from .composite import Composite as Composite
from .equilibria import fixed_points as fixed_points
from .exponents import lyapunov_exponents as lyapunov_exponents
