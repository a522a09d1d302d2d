"""A Redis Cluster behind the commands of one server: each goes to the node that has its key.

redis-py's client knows who has which slot, and asks again after a failure. Its pipelines are not used: they send what
failed once more, one by one, and let a node's commands overtake another's. The rule: as with one server, nothing but a
ping is sent twice behind the caller's back.
"""

from collections.abc import Sequence
from typing import Any

from redis import RedisCluster
from redis import exceptions as fault
from redis.backoff import NoBackoff
from redis.client import Pipeline
from redis.cluster import ClusterNode
from redis.retry import Retry

from priceverse.bus import pages

Command = tuple[tuple[Any, ...], dict[str, Any]]


class Cluster(RedisCluster):
    """A client that connects at once to one of `places`, hosts and ports, and learns the other nodes from it."""

    def __init__(self, places: Sequence[tuple[str, int]], **how: Any) -> None:  # noqa: ANN401 - as redis-py has it
        nodes = [ClusterNode(host, port) for host, port in places]  # type: ignore[no-untyped-call] # redis-py's gap
        super().__init__(startup_nodes=nodes, retry=Retry(NoBackoff(), 0), **how)
        self.command_flags |= dict.fromkeys(("PING", "INFO"), self.PRIMARIES)

    def pipeline(self, transaction: object = None, shard_hint: str | None = None) -> Any:  # noqa: ANN401, ARG002 - redis-py's signature
        """Return a pipeline to the node that has the key `shard_hint`, or to those that have each command's own."""
        return _Pipeline(self, shard_hint)

    def ping(self, **options: Any) -> Any:  # noqa: ANN401 - redis-py's signature
        """Ask every master, and those of now when one has gone since the last command."""
        try:
            return super().ping(**options)
        except fault.ConnectionError:
            return super().ping(**options)

    def mget(self, keys: Any, *args: Any) -> Any:  # noqa: ANN401 - redis-py's signature
        """Return the values of `keys`, which may be anywhere."""
        return self.mget_nonatomic(keys, *args)


class _Pipeline(Pipeline):
    """Commands that travel together: node by node, in the order in which each node is first mentioned."""

    def __init__(self, cluster: Cluster, key: str | None) -> None:
        first = cluster.get_redis_connection(cluster.get_default_node())  # type: ignore[no-untyped-call] # redis-py's gap
        super().__init__(first.connection_pool, {}, transaction=False, shard_hint=key)
        self._cluster = cluster

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Send what was added; return the replies in its order."""
        commands: list[Command] = self.command_stack
        self.reset()
        nodes: dict[ClusterNode, list[int]] = {}
        for number, (command, _) in enumerate(commands):
            nodes.setdefault(self._node(self.shard_hint or command[1]), []).append(number)
        replies: dict[int, Any] = {}
        for node, numbers in nodes.items():
            found = self._sent(node, [commands[number] for number in numbers])
            errors = [reply for reply in found if isinstance(reply, Exception)]
            if errors and raise_on_error:
                raise errors[0]
            replies |= zip(numbers, found, strict=True)
        return [replies[number] for number in range(len(commands))]

    def _node(self, key: str) -> ClusterNode:
        node: ClusterNode = self._cluster.get_node_from_key(key)  # type: ignore[no-untyped-call] # redis-py's gap
        return node

    def _sent(self, node: ClusterNode, commands: Sequence[Command]) -> list[Any]:
        """Send commands to one node; ask who has which slot when it is away, or has one no more."""
        nodes = self._cluster.nodes_manager
        with self._cluster.get_redis_connection(node).pipeline(transaction=False) as pipe:
            for read, decoded in pages.READS.items():
                pipe.set_response_callback(read, decoded)
            pipe.command_stack = list(commands)
            try:
                replies: list[Any] = pipe.execute(raise_on_error=False)
            except (fault.ConnectionError, fault.TimeoutError):
                nodes.initialize(last_failed_node_name=node.name)
                raise
        if any(isinstance(reply, fault.AskError) for reply in replies):
            nodes.initialize()
        return replies
