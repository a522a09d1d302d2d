"""The exchanges' languages: frame → trades, pure. No socket, no clock, no Redis in here."""
