"""Reads events from stdin with the CloudEvents SDK, which checks them, and prints what they say.

Lines are events, or lists of them (batched).
"""

import json
import sys

from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent


def read(event):
    """An event, through the SDK and back again: nothing of it may be lost on the way."""
    parsed = JSONFormat().read(CloudEvent, json.dumps(event))
    again = json.loads(JSONFormat().write(parsed))
    assert again["data"] == event["data"], event
    assert again.keys() == event.keys(), (again.keys(), event.keys())
    return parsed


def main():
    for line in sys.stdin:
        document = json.loads(line)
        batch = document if isinstance(document, list) else [document]
        events = [read(event) for event in batch]
        for event in events:
            attributes = event.get_attributes()
            print(
                json.dumps(
                    {
                        "id": event.get_id(),
                        "source": event.get_source(),
                        "type": event.get_type(),
                        "subject": event.get_subject(),
                        "time": event.get_time() and event.get_time().timestamp(),
                        "schema": event.get_dataschema(),
                        "sequence": int(attributes["sequence"]),
                        "lastinbatch": attributes.get("lastinbatch"),
                        "cursor": attributes.get("cursor"),
                        "kind": attributes.get("recordkind"),
                        "of": len(batch),
                    }
                )
            )


if __name__ == "__main__":
    main()
