"""`Process My Data`: takes the next few records off `dataToProcess`, and says whether some are left.

The Choice after it comes back here as long as `hasMoreRecords` is true.
"""

import os

BATCH_SIZE = int(os.environ.get("BATCH_SIZE", "3"))


def handler(event, context):
    batch = event["dataToProcess"][:BATCH_SIZE]
    event["dataToProcess"] = event["dataToProcess"][BATCH_SIZE:]
    event["hasMoreRecords"] = len(event["dataToProcess"]) > 0
    event["processed"] = event.get("processed", []) + [record.upper() for record in batch]

    print(f"processed {', '.join(batch)}; {len(event['dataToProcess'])} left")
    return event
