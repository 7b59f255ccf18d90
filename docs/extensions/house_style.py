"""Figures of the gallery are drawn in the house style."""

import matplotlib.pyplot as plt

from fwsim.study.figures import STYLE


def use(gallery_conf, fname):
    """Set the style before an example runs; sphinx-gallery has set matplotlib's defaults."""
    plt.style.use(STYLE)
