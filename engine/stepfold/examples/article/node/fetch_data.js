// "Fetch All My Data": the first step puts the data, and whether there is any, into the event it hands on.

const TREES = ['ash', 'birch', 'cedar', 'elm', 'fir', 'oak', 'yew'];

exports.handler = (event, context, callback) => {
  event.dataId = event.dataId || 'trees';
  event.dataToProcess = TREES.slice();
  event.hasMoreRecords = event.dataToProcess.length > 0;

  console.log(`fetched ${event.dataToProcess.length} records of "${event.dataId}"`);
  callback(null, event);
};
