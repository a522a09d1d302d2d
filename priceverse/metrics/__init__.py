"""Metrics of the whole instance: declared once, counted in every process, merged in the root, served as one page.

    catalogue ─ tally (each child) ─ beat ─▶ merge (the root) ─▶ exposition | summary ─▶ listener ─▶ Prometheus, the API

What a process counted before it was killed stays counted: a counter never goes back.
"""
