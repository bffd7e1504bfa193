"""Check at start that the cluster has the topics of a deployment."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from agents.errors import BrokerUnreachableError, OperatorError
from agents.settings import Settings

_log = logging.getLogger(__name__)

_CONNECT_TRIES = 6
_CONNECT_PAUSE_S = 2.0


async def check_cluster(settings: Settings, topics: Iterable[str]) -> None:
    """Return when Kafka answers and all these topics exist.

    Raises
    ------
    BrokerUnreachableError, OperatorError
        With the sentence for the operator.
    """
    existing = await _existing_topics(settings)
    if missing := sorted(set(topics) - existing):
        raise OperatorError(
            f"{', '.join(missing)}: no such topic at {settings.broker}, or none this user may see; "
            "run `./tidegauge topics create`"
        )


async def _existing_topics(settings: Settings) -> set[str]:
    connection = settings.connection()
    reason = ""
    for attempt in range(_CONNECT_TRIES):
        if attempt:
            await asyncio.sleep(_CONNECT_PAUSE_S)
        admin = AIOKafkaAdminClient(**connection)
        try:
            await admin.start()
            return set(await admin.list_topics())
        except (KafkaError, OSError) as error:
            reason = str(error) or repr(error)
            if not attempt:
                _log.warning("Kafka at %s does not answer yet: %s", settings.broker, reason)
        finally:
            await admin.close()
    raise BrokerUnreachableError(
        f"Kafka at {settings.broker} does not answer ({reason}): start it, or set "
        "TIDEGAUGE_BROKER; `./tidegauge broker` starts one for a first look"
    )
