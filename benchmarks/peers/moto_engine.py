"""moto's engine, in this process and in memory, on a definition of the States Language. Prints seconds."""

import states_api
from moto import mock_aws

if __name__ == "__main__":
    with mock_aws(config={"stepfunctions": {"execute_state_machine": True}}):
        print(states_api.taken())
