"""The comparison of kernels says which number or gradient is wrong."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from fwsim.engine.kernels import reference
from tests.engine.comparison import assert_like_reference, network


@pytest.mark.parametrize("name", ["W", "gain", "bias"])
def test_the_gradient_that_differs_is_named(name):
    def run(cell, *args, **options):
        return reference.run(replace(cell, **{name: getattr(cell, name).detach()}), *args, **options)

    torch.manual_seed(0)
    with pytest.raises(AssertionError, match=rf"^gradient of {name} differs by [^,]*$"):
        assert_like_reference(SimpleNamespace(run=run), network(5, 2, 2), batch=3, time=4, chunk=None)


def test_the_output_that_differs_is_named():
    def run(*args, **options):
        result = reference.run(*args, **options)
        return result._replace(inner=2 * result.inner)

    torch.manual_seed(0)
    with pytest.raises(AssertionError, match=r"^inner states differs by"):
        assert_like_reference(SimpleNamespace(run=run), network(5, 2, 2), batch=3, time=4, chunk=None)
