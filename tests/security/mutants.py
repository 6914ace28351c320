"""Defences taken away, one at a time: each must turn a test red. As a plugin of pytest it breaks what a run tests.

    STEPFOLD_MUTANT=any_host python -m pytest -p tests.security.mutants tests/service/test_app.py
"""

import os
from datetime import timedelta
from types import SimpleNamespace

import structlog

from stepfold.language.reading import notation
from stepfold.query import values
from stepfold.runtime import callbacks
from stepfold.service import asgi, door, serving
from stepfold.service.wire import keys, protocol, signature
from stepfold.work.services import hosts

TABLE = {}


def caught_by(test):
    def named(mutant):
        TABLE[mutant.__name__] = (mutant, test)
        return mutant

    return named


@caught_by("tests/security/test_tokens.py::test_no_changed_bit_and_no_part_of_a_token_answers")
def any_token():
    callbacks.hmac = SimpleNamespace(compare_digest=lambda *_: True)


@caught_by("tests/service/test_signature.py::test_every_character_of_the_signature_counts")
def any_signature():
    signature.hmac = SimpleNamespace(new=signature.hmac.new, compare_digest=lambda *_: True)


@caught_by("tests/service/test_signature.py::test_every_byte_of_the_body_counts")
def a_body_that_nobody_signed():
    canonical = signature._canonical
    signature._canonical = lambda call, signed: canonical(call._replace(body=b'{"stateMachineArn":"x"}'), signed)


@caught_by("tests/service/test_signature.py::test_a_date_within_five_minutes_of_now")
def an_old_signature():
    signature.SKEW = timedelta(days=1)


@caught_by("tests/service/test_signature.py::test_a_policy_allows_what_it_names_and_nothing_else")
def any_policy():
    keys.Allow.covers = lambda *_: True


@caught_by("tests/service/test_app.py::test_hosts_that_are_refused")
def any_host():
    asgi._Hosts._listed = lambda *_: True


@caught_by("tests/service/test_app.py::test_all_bodies_together_have_a_bound")
def any_number_of_bodies():
    asgi._Api._hold = lambda *_: None


@caught_by("tests/service/test_app.py::test_slow_clients_are_dropped")
def any_patience():
    serving.PatientProtocol._watch = lambda _: None


@caught_by("tests/service/test_app.py::test_more_connections_than_it_takes")
def any_number_of_connections():
    made = serving.H11Protocol.connection_made
    serving.PatientProtocol.connection_made = made


@caught_by("tests/security/test_requests.py::test_nothing_is_unpacked")
def what_is_packed_is_unpacked():
    import gzip

    read = protocol.read
    protocol.read = lambda name, body: read(name, gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body)


@caught_by("tests/query/test_values.py")
def any_depth():
    values._deeper = lambda *_: False


@caught_by("tests/security/test_requests.py::test_secrets_and_payloads_stay_out_of_the_log")
def payloads_in_the_log():
    answer = door.Door.answer

    async def telling(asked, call, gone=None):
        structlog.get_logger().info("request", text=call.body)
        return await answer(asked, call, gone)

    door.Door.answer = telling


@caught_by("tests/security/test_templates.py::test_a_long_text_that_is_filled_in_often_is_refused")
def any_length_of_a_text():
    notation.MAX_CHARACTERS = 1 << 40


@caught_by("tests/work/test_http_tasks.py::test_addresses")
def any_address_is_called():
    hosts.Allowed.reaches = lambda *_: True


def pytest_collection_finish():
    TABLE[os.environ["STEPFOLD_MUTANT"]][0]()
