"""How Sphinx builds the site (`make docs`)."""

import sys
import zlib
from pathlib import Path

import trionng

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

project = "trionng"
author = "The trionng authors"
copyright = author
version = release = trionng.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.intersphinx",
    "docstrings",  # ours, as the next
    "picture",
]
exclude_patterns = ["_build", "inventories/README.md"]
nitpicky = True
default_role = "py:obj"
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = f"trionng {release}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_domain_indices = False  # the general index has every name
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}
pygments_style = "friendly"
pygments_dark_style = "github-dark"

myst_heading_anchors = 3
myst_enable_extensions = ["attrs_block", "colon_fence", "deflist"]

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "inherited-members": "object"}
python_maximum_signature_line_length = 88
python_display_short_literal_types = True
napoleon_use_ivar = True  # an attribute that a class documents and annotates stands there once
napoleon_use_rtype = False


def inventory(name: str) -> str:
    """Pack the names that pages link to as Sphinx wants them; see inventories/README.md."""
    text = (HERE / "inventories" / f"{name}.txt").read_bytes()
    head = f"# Sphinx inventory version 2\n# Project: {name}\n# Version: \n# zlib\n"
    packed = HERE.parent / "build" / f"{name}.inv"
    packed.parent.mkdir(exist_ok=True)
    packed.write_bytes(head.encode() + zlib.compress(text))
    return str(packed)


intersphinx_mapping = {
    "python": ("https://docs.python.org/3", inventory("python")),
    "trio": ("https://trio.readthedocs.io/en/stable", inventory("trio")),
}
