"""The words of the domain: pair, exchange, trade, price, rate. Standard library only; imported by everything."""
