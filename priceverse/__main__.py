"""`python -m priceverse` is the `priceverse` command."""

from priceverse.cli import main

main()
