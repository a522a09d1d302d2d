"""Supervise executed processes on trio: restart what dies, replace what hangs, scale what is loaded.

Decisions are pure (`machine`, `order`, `placement`, `pool`, `autoscale`); `tree` and `runtime` carry them out.
A program describes its tree with `spec`, runs it with `runtime.run`, and its children use `worker.run`.
"""
