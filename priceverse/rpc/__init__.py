"""Calls: what a request may say, which method it means, how the reply is written. No socket and no web server here."""
