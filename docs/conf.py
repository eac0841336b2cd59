"""How Sphinx builds the site (`make docs`)."""

import trionng

project = "trionng"
author = "The trionng authors"
copyright = author
release = trionng.__version__ if hasattr(trionng, "__version__") else ""

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = "trionng"
exclude_patterns = ["_build"]
myst_heading_anchors = 3

# The sections of our docstrings that napoleon does not know by itself.
napoleon_custom_sections = ["Cancellation", "Concurrency", "Transports"]
autodoc_typehints = "description"
autodoc_member_order = "bysource"
napoleon_use_ivar = True  # an attribute that a class documents and annotates stands there once
suppress_warnings = ["ref.python"]  # `bytes` is a type, and an attribute of a message

# The types of a socket's arguments are those of its signature. autodoc would take them from the
# attributes of the same names, which are descriptors.
trionng.Socket.__no_type_check__ = True
