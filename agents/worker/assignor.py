"""Which member of the group reads which partitions.

Rule 1. One member reads all partitions of all input topics: only who sees the next record of each
        can put them into one order. The others stand by. See docs/decisions/0037.
Rule 2. It is a member that reads nothing else, if there is one; among equals the first by its id,
        so that a member keeps the inputs while nobody before it joins. It reads all of them: a
        member of another deployment may share some, and aiokafka's task for the group ends at a
        topic that its own member does not read.
Rule 3. Where inputs are partitioned by model (docs/decisions/0087), the partitions of one number
        have one member, and the numbers are shared out among those that Rule 2 prefers. Inputs
        with unlike numbers of partitions are no such inputs: Rule 1 holds.
Rule 4. Partitions of ``events`` are shared by load, where the inputs count as ``INPUT_LOAD`` of all
        partitions of ``events``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.protocol import ConsumerProtocolMemberMetadata
from faust.assignor.client_assignment import ClientAssignment
from faust.assignor.partition_assignor import MemberAssignmentMapping, PartitionAssignor

from agents.settings import Settings

INPUT_LOAD = 0.25
"""CPU time of ingest as a share of the monitors': 13 us a pair beside 50, see docs/scaling.md."""
Shares = dict[str, dict[str, list[int]]]
"""For each member, its partitions by topic."""


def share_out(
    subscriptions: Mapping[str, Collection[str]],
    partitions: Mapping[str, int],
    inputs: Collection[str],
    *,
    by_model: bool = False,
) -> Shares:
    """Return the partitions of each member.

    Parameters
    ----------
    subscriptions
        For each member, the topics that it reads.
    partitions
        For each topic, its number of partitions; a topic that does not exist yet is left out.
    inputs
        The input topics.
    by_model
        Whether these are partitioned by model.

    Examples
    --------
    The second member has three of the five partitions, since the first one reads the inputs:

    >>> shares = share_out({"a": ["in", "log"], "b": ["in", "log"]}, {"in": 2, "log": 5}, ["in"])
    >>> shares["a"], shares["b"]
    ({'in': [0, 1], 'log': [2, 4]}, {'log': [0, 1, 3]})
    """
    shares: Shares = {member: {} for member in sorted(subscriptions)}
    load = dict.fromkeys(shares, 0.0)
    readers = _readers(subscriptions, inputs)
    others = {topic: count for topic, count in sorted(partitions.items()) if topic not in inputs}
    counts = {partitions[topic] for topic in inputs if topic in partitions}
    readers = readers[: max(counts, default=0) if by_model and len(counts) == 1 else 1]
    for place, reader in enumerate(readers):
        shares[reader] = {
            topic: list(range(place, partitions[topic], len(readers)))
            for topic in inputs
            if topic in partitions
        }
        load[reader] = INPUT_LOAD * sum(others.values()) / len(readers)
    for topic, count in others.items():
        members = [member for member in shares if topic in subscriptions[member]]
        for partition in range(count if members else 0):
            least = min(members, key=load.__getitem__)
            shares[least].setdefault(topic, []).append(partition)
            load[least] += 1
    return shares


def _readers(subscriptions: Mapping[str, Collection[str]], inputs: Collection[str]) -> list[str]:
    """Return the members that may read the inputs: those that read least beside them."""
    sizes = {
        member: len(set(topics))
        for member, topics in sorted(subscriptions.items())
        if set(inputs) <= set(topics)
    }
    return [member for member, size in sizes.items() if size == min(sizes.values())]


def assignor_of(settings: Settings) -> type[PartitionAssignor]:
    """Return the assignor of a deployment's workers, for Faust."""
    inputs = frozenset(settings.topics.read_by_ingest())

    class Assignor(PartitionAssignor):
        """Gives all inputs to one member.

        Its name differs from Faust's, so that Kafka refuses a group of both.
        """

        @property
        def name(self) -> str:
            return "tidegauge"

        def _perform_assignment(
            self,
            cluster: ClusterMetadata,
            member_metadata: Mapping[str, ConsumerProtocolMemberMetadata],
        ) -> MemberAssignmentMapping:
            subscriptions = {
                member: metadata.subscription for member, metadata in member_metadata.items()
            }
            topics = {topic for read in subscriptions.values() for topic in read}
            partitions = {
                topic: len(found)
                for topic in sorted(topics)
                if (found := cluster.partitions_for_topic(topic))
            }
            self._update_member_urls(
                {
                    member: self._get_client_metadata(metadata)
                    for member, metadata in member_metadata.items()
                }
            )
            shares = share_out(subscriptions, partitions, inputs, by_model=settings.inputs_by_model)
            return self._protocol_assignments(
                {
                    member: ClientAssignment(actives=share, standbys={})
                    for member, share in shares.items()
                },
                {},
                {},
                {},
            )

    return Assignor
