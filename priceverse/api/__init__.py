"""An API handler: one process of the pool that answers clients on the listening socket that all of them share.

listener   accepts, counts connections, drains           access   what of it is logged
connection one client's bytes, within its deadlines      guard    what never reaches the application
lane       calls recognised in them, answered at once    wire     a reply as it goes over the wire
poller     all lanes' sockets waited for by one task     heads    what a request's head says, in either lane
app        paths → endpoint, streams, page               stream   live prices as server-sent events
live       prices heard on the bus, rendered             sources  Redis and PostgreSQL as the methods' ports
broadcast  the same bytes to all who follow them         replies  answers that take long to make, kept for all
"""
