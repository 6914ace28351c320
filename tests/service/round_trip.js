// One execution by way of @aws-sdk/client-sfn: created, started, described, read, stopped, redriven; told as JSON.

const sfn = require('@aws-sdk/client-sfn');

async function main([definition, roleArn]) {
  const client = new sfn.SFNClient({});
  const ask = (name, input) => client.send(new sfn[`${name}Command`](input));
  const { stateMachineArn } = await ask('CreateStateMachine', { name: 'by-node', definition, roleArn });
  const { executionArn } = await ask('StartExecution', { stateMachineArn, name: 'one', input: '{"n": 1}' });
  const described = await ask('DescribeExecution', { executionArn });
  await ask('StopExecution', { executionArn, error: 'Enough', cause: 'said so' });
  const stopped = await ask('DescribeExecution', { executionArn });
  const { events } = await ask('GetExecutionHistory', { executionArn });
  const { redriveDate } = await ask('RedriveExecution', { executionArn });
  const redriven = await ask('DescribeExecution', { executionArn });
  const missing = await ask('DescribeExecution', { executionArn: `${executionArn}s` }).catch((error) => error);
  console.log(JSON.stringify({
    input: described.input,
    statuses: [described, stopped, redriven].map((one) => one.status),
    dates: [described.startDate, redriveDate].every((date) => date instanceof Date),
    error: stopped.error,
    events: events.map((event) => event.type),
    redrives: redriven.redriveCount,
    missing: missing instanceof sfn.ExecutionDoesNotExist,
  }));
}

main(process.argv.slice(2));
