"""The six exchanges and the Bank of Russia on one loopback port: a market to run and test against, with its truth.

A feed (`walk` or `replay`) makes matches; `venues` puts them into each venue's words; `hub` hands them to whoever
subscribed, keeps them for REST and writes the truth; `server` and `connection` are the sockets. Nothing here imports
`priceverse.exchanges`: the simulator is the check on those parsers and must not share their mistakes.
"""
