"""Three requests of Kafka's protocol in versions that aiokafka 0.14 does not have.

Metadata 10 adds the topic id, which distinguishes a topic from a deleted one of the same name
(KIP-516). ListGroups 4 adds the state of each group (KIP-518). DescribeGroups 3 adds the rights on
a group (KIP-430), of which aiokafka drops the answer. Apache Kafka answers all from 2.8 on. Field
names and types are those of Kafka's message definitions, MetadataRequest.json for example.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

from aiokafka.protocol.admin import DescribeGroupsResponse_v3
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    AbstractType,
    Array,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    String,
    TaggedFields,
)

_UUID_BYTES = 16
"""Size of Kafka's type UUID."""
_TEXT = CompactString("utf-8")
_TAGS = ("tags", TaggedFields)


class _Uuid(AbstractType):  # type: ignore[misc]  # aiokafka is untyped
    @classmethod
    def encode(cls, value: bytes) -> bytes:
        return value

    @classmethod
    def decode(cls, data: BytesIO) -> bytes:
        return data.read(_UUID_BYTES)


class MetadataResponse(Response):  # type: ignore[misc]
    """Version 10 of the answer."""

    API_KEY = 3
    API_VERSION = 10
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32), ("host", _TEXT), ("port", Int32), ("rack", _TEXT), _TAGS
            ),
        ),
        ("cluster_id", _TEXT),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", _TEXT),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition_index", Int32),
                        ("leader_id", Int32),
                        ("leader_epoch", Int32),
                        ("replica_nodes", CompactArray(Int32)),
                        ("isr_nodes", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        _TAGS,
                    ),
                ),
                ("topic_authorized_operations", Int32),
                _TAGS,
            ),
        ),
        ("cluster_authorized_operations", Int32),
        _TAGS,
    )


class MetadataRequestV10(RequestStruct):  # type: ignore[misc]
    """Version 10 of the request, as it travels."""

    API_KEY = 3
    API_VERSION = 10
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = MetadataResponse
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", _Uuid), ("name", _TEXT), _TAGS)),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
        _TAGS,
    )


class MetadataRequest(Request[MetadataRequestV10]):  # type: ignore[misc]
    """Asks for topics by name, with the user's rights on them, and creates none of them.

    Parameters
    ----------
    names
        The topics.
    """

    API_KEY = 3

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def build(self, request_struct_class: type[MetadataRequestV10]) -> Any:
        """Return the request as it travels."""
        no_tags: dict[int, bytes] = {}
        topics = [(bytes(_UUID_BYTES), name, no_tags) for name in self._names]
        return request_struct_class(topics, False, False, True, no_tags)


class ListGroupsResponse(Response):  # type: ignore[misc]
    """Version 4 of the answer."""

    API_KEY = 16
    API_VERSION = 4
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        (
            "groups",
            CompactArray(
                ("group_id", _TEXT), ("protocol_type", _TEXT), ("group_state", _TEXT), _TAGS
            ),
        ),
        _TAGS,
    )


class ListGroupsRequestV4(RequestStruct):  # type: ignore[misc]
    """Version 4 of the request, as it travels."""

    API_KEY = 16
    API_VERSION = 4
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = ListGroupsResponse
    SCHEMA = Schema(("states_filter", CompactArray(_TEXT)), _TAGS)


class ListGroupsRequest(Request[ListGroupsRequestV4]):  # type: ignore[misc]
    """Asks one broker for the groups that it coordinates, in every state."""

    API_KEY = 16

    def build(self, request_struct_class: type[ListGroupsRequestV4]) -> Any:
        """Return the request as it travels."""
        return request_struct_class([], {})


class DescribeGroupsRequestV3(RequestStruct):  # type: ignore[misc]
    """Version 3 of the request, as it travels."""

    API_KEY = 15
    API_VERSION = 3
    RESPONSE_TYPE = DescribeGroupsResponse_v3
    SCHEMA = Schema(("groups", Array(String("utf-8"))), ("include_authorized_operations", Boolean))


class DescribeGroupRequest(Request[DescribeGroupsRequestV3]):  # type: ignore[misc]
    """Asks the coordinator of a group for its members, and for the user's rights on it."""

    API_KEY = 15

    def __init__(self, group: str) -> None:
        self._group = group

    def build(self, request_struct_class: type[DescribeGroupsRequestV3]) -> Any:
        """Return the request as it travels."""
        return request_struct_class([self._group], True)
