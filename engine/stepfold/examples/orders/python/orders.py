"""The five steps of an order. Nothing is left to chance: the same order always takes the same way."""

STOCK = {"teapot": 2, "cup": 12, "tea": 40}


class OutOfStock(Exception):
    """Caught by the workflow: the order is called off."""


class PaymentServiceBusy(Exception):
    """Retried by the workflow, after a wait that grows."""


class CardDeclined(Exception):
    """Caught by the workflow: the order is called off."""


def check(event, context):
    event["total"] = sum(item["quantity"] * item["price"] for item in event["items"])
    print(f"order {event['orderId']} of {event['customer']}: {len(event['items'])} items, {event['total']} in all")
    return event


def reserve(event, context):
    if event["quantity"] > STOCK.get(event["sku"], 0):
        raise OutOfStock(f"{event['sku']}: {event['quantity']} wanted, {STOCK.get(event['sku'], 0)} there")
    print(f"reserved {event['quantity']} x {event['sku']}")
    return {"sku": event["sku"], "quantity": event["quantity"]}


def charge(event, context):
    if event["retries"] == 0:  # the payment service is always busy at first
        raise PaymentServiceBusy("try again in a moment")
    if event["total"] > 100_000:
        raise CardDeclined(f"{event['total']} is more than the card will bear")
    print(f"charged {event['total']} for order {event['orderId']}, retries: {event['retries']}")
    return {"charged": event["total"], "retries": event["retries"]}


def ship(event, context):
    print(f"order {event['orderId']} is on its way to {event['customer']}")
    return {"orderId": event["orderId"], "status": "shipped", **event["prepared"]}


def cancel(event, context):
    problem = event["problem"]["Error"]
    print(f"order {event['orderId']} is called off: {problem}")
    return {"orderId": event["orderId"], "status": "cancelled", "because": problem}
