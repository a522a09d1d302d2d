"""An API handler: one process of the pool that answers clients on the listening socket that all of them share.

listener   accepts, counts connections, drains           access   what of it is logged
connection one client's bytes, within its deadlines      guard    what never reaches the application
app        paths → endpoint, streams, page               stream   live prices as server-sent events
live       prices heard on the bus, and who follows them sources  Redis and PostgreSQL as the methods' ports
"""
