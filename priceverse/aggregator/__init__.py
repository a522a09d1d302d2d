"""The aggregator role: owns pairs, reads their streams, publishes live prices and stores history. Wiring and loops.

stream ─ reading ─▶ pricing.Desk ─┬▶ live    ─▶ price:<pair>          (Redis; never waits for PostgreSQL)
                                  └▶ history ─▶ price_history, XACK   (PostgreSQL; never holds up Redis)
"""
