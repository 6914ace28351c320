// "Save My Data": the last step; what it hands on is the output of the execution.
// A real one would write to a table here, under event.dataId.

exports.handler = (event, context, callback) => {
  event.saved = event.processed.length;
  delete event.dataToProcess;
  delete event.hasMoreRecords;

  console.log(`saved ${event.saved} records of "${event.dataId}"`);
  callback(null, event);
};
