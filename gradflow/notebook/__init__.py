"""gradflow in IPython and Jupyter."""
