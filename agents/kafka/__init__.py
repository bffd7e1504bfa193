"""The Kafka client of commands and workers: one reader, one administrator, one sender.

All of it stands on aiokafka. The embedded broker differs from Apache Kafka in ways that
docs/decisions/0002-the-embedded-broker-and-its-limits.md lists. Where each is accounted for:

* Its answer to ListOffsets(latest) is too low: `read.Cursor` takes ends from fetches.
* It creates a topic when a client names it: `admin.partition_counts` asks before a reader names it.
* It has no idempotent producer: `send.send_record` does not ask for one, and
  `agents.worker.publish.Publisher` falls back to a plain producer.
* It does not report the state of a group: `agents.commands.health` refuses to answer.
* It does not report the topics of a member: `group.check_group` finds nothing to refuse.
"""
