"""Private PostgreSQL and Redis servers for an instance that has none of its own (`priceverse up`, the tests).

`state` locks a directory, `find` locates the binaries, `postgres` and `redis` run one server each inside that
directory, `keeper` restarts a server that died. The rule: nothing is written, listened on or left running outside the
state directory, and every server dies with the process that started it.
"""
