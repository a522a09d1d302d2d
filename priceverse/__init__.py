"""Priceverse: six exchanges in, one trustworthy price per pair out."""

__version__ = "2.0.0"
