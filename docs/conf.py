"""How Sphinx builds the documentation: `make docs` writes it to `site/`.

The pages are Markdown that reads well on a code host too; nothing is loaded from elsewhere, so that
the site works from a folder without a network.
"""

from crossmod import __version__

project = "crossmod"
author = "The crossmod developers"
project_copyright = author
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_static"]
nitpicky = False

# Links to headings of other pages, as code hosts make them.
myst_heading_anchors = 3

# The docstrings are NumPy's and mark code with single backticks.
default_role = "code"
napoleon_google_docstring = False
napoleon_use_ivar = True
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_preserve_defaults = True

html_theme = "furo"
html_title = f"crossmod {__version__}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}
