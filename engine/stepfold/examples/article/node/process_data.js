// "Process My Data": takes the next few records off dataToProcess, and says whether some are left.
// The Choice after it comes back here as long as hasMoreRecords is true.

const BATCH_SIZE = Number(process.env.BATCH_SIZE || 3);

exports.handler = (event, context, callback) => {
  const batch = event.dataToProcess.slice(0, BATCH_SIZE);
  event.dataToProcess = event.dataToProcess.slice(BATCH_SIZE);
  event.hasMoreRecords = event.dataToProcess.length > 0;
  event.processed = (event.processed || []).concat(batch.map((record) => record.toUpperCase()));

  console.log(`processed ${batch.join(', ')}; ${event.dataToProcess.length} left`);
  callback(null, event);
};
