"""How others reach the engine: the AWS API of Step Functions over HTTP."""
