"""The door to PostgreSQL: the only package that knows psycopg and SQL.

`pool` lends connections to worker threads, `reads` those of replicas; `prices`, `candles`, `rates`, `rollup` and
`retention` say what is stored, `commits` in which transaction; `migrate` keeps the schema, `errors` tells whose fault a
failure is. The rule: what PostgreSQL or the way to it does to us becomes DatabaseUnavailable here; what we do wrong
stays what it is.
"""
