"""`Save My Data`: the last step; what it hands on is the output of the execution.

A real one would write to a table here, under `event["dataId"]`.
"""


def handler(event, context):
    event["saved"] = len(event["processed"])
    del event["dataToProcess"]
    del event["hasMoreRecords"]

    print(f'saved {event["saved"]} records of "{event["dataId"]}"')
    return event
