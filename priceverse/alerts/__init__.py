"""What somebody must be told: rules over the instance's metrics, and the ways to tell.

metrics of the root ─▶ rules (what is wrong now) ─▶ watch (what has been wrong for long enough) ─▶ log, webhooks
"""
