"""`python -m rljax_viz` is `rljax-viz`."""

from .cli import main

main()
