// Starts an execution by the ordinary SDK. Where Step Functions is, the SDK reads from its environment.
// The SDK is yours to install: npm install @aws-sdk/client-sfn

const { SFNClient, StartExecutionCommand } = require('@aws-sdk/client-sfn');

const client = new SFNClient({});

exports.handler = async (event) => {
  const started = await client.send(new StartExecutionCommand({
    stateMachineArn: process.env.stateMachineArn,
    input: JSON.stringify({ dataId: event.dataId, startedBy: 'node' }),
  }));
  return { executionArn: started.executionArn };
};
