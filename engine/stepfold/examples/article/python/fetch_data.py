"""`Fetch All My Data`: the first step puts the data, and whether there is any, into the event it hands on."""

TREES = ["ash", "birch", "cedar", "elm", "fir", "oak", "yew"]


def handler(event, context):
    event["dataId"] = event.get("dataId") or "trees"
    event["dataToProcess"] = list(TREES)
    event["hasMoreRecords"] = len(event["dataToProcess"]) > 0

    print(f'fetched {len(event["dataToProcess"])} records of "{event["dataId"]}"')
    return event
