// A small charge point on npm `ocpp-rpc` (strictMode: every message in and out is checked against the official schemas).
// node charge_point.cjs URL ID PASSWORD. It boots, starts a transaction on connector 1, draws what its profiles allow,
// and prints one JSON line per event: {"event": "profile" | "limit" | "strict" | ...}. A line "reject" on standard
// input makes it reject profiles from then on.
const { RPCClient } = require('ocpp-rpc');

const [url, identity, password] = process.argv.slice(2);
const MAX_A = 32;
const say = (event, more = {}) => console.log(JSON.stringify({ event, ...more }));
const now = () => new Date().toISOString();

const client = new RPCClient({
  endpoint: url, identity, password, protocols: ['ocpp1.6'], strictMode: true, reconnect: false, callTimeoutMs: 5000,
});
const profiles = new Map(); // "connector/purpose/level" -> profile
let transaction = null;
let rejecting = false;
let shown = null;

function limitOf(profile, at) {
  const schedule = profile.chargingSchedule;
  const elapsed = (at - Date.parse(schedule.startSchedule)) / 1000;
  if (elapsed < 0 || (schedule.duration !== undefined && elapsed >= schedule.duration)) return null;
  const begun = schedule.chargingSchedulePeriod.filter((period) => period.startPeriod <= elapsed).at(-1);
  if (!begun) return null;
  const phases = begun.numberPhases ?? 3;
  return schedule.chargingRateUnit === 'W' ? begun.limit / (230 * phases) : begun.limit;
}

function limitNow() {
  for (const purpose of ['TxProfile', 'TxDefaultProfile']) {
    const valid = [...profiles.entries()]
      .filter(([key, profile]) => key.startsWith('1/') && profile.chargingProfilePurpose === purpose)
      .map(([, profile]) => [profile.stackLevel, limitOf(profile, Date.now())])
      .filter(([, limit]) => limit !== null)
      .sort(([a], [b]) => b - a);
    if (valid.length) return valid[0][1];
  }
  return MAX_A;
}

client.handle('SetChargingProfile', ({ params }) => {
  const profile = params.csChargingProfiles;
  const wrong = profile.chargingProfilePurpose === 'TxProfile' && profile.transactionId !== transaction;
  const status = rejecting || wrong ? 'Rejected' : 'Accepted';
  if (status === 'Accepted') {
    profiles.set(`${params.connectorId}/${profile.chargingProfilePurpose}/${profile.stackLevel}`, profile);
  }
  say('profile', { status, connector: params.connectorId, profile });
  return { status };
});
client.handle('ClearChargingProfile', ({ params }) => {
  const found = [...profiles.entries()].filter(([, profile]) => profile.chargingProfileId === params.id);
  found.forEach(([key]) => profiles.delete(key));
  return { status: found.length ? 'Accepted' : 'Unknown' };
});
client.handle('GetConfiguration', ({ params }) => ({
  configurationKey: [{ key: 'ChargingScheduleAllowedChargingRateUnit', readonly: true, value: 'Current' }],
  unknownKey: (params.key ?? []).filter((key) => key !== 'ChargingScheduleAllowedChargingRateUnit'),
}));
client.handle('TriggerMessage', ({ params }) => {
  if (params.requestedMessage === 'MeterValues') setTimeout(report, 10);
  return { status: 'Accepted' };
});
client.on('strictValidationFailure', (failure) => say('strict', { failure: String(failure.error?.message ?? failure) }));
client.on('close', ({ code }) => { say('closed', { code }); process.exit(0); });
process.stdin.on('data', () => { rejecting = true; say('rejecting', {}); });
process.stdin.on('end', () => process.exit(0));

async function report() {
  const amperes = limitNow() >= 6 ? limitNow() : 0;
  const sampledValue = ['L1', 'L2', 'L3'].map((phase) => (
    { value: amperes.toFixed(1), measurand: 'Current.Import', unit: 'A', phase, context: 'Sample.Periodic' }
  ));
  await client.call('MeterValues', { connectorId: 1, transactionId: transaction, meterValue: [{ timestamp: now(), sampledValue }] });
}

async function main() {
  await client.connect();
  await client.call('BootNotification', { chargePointVendor: 'Foreign', chargePointModel: 'ocpp-rpc' });
  await client.call('Heartbeat', {});
  await client.call('Authorize', { idTag: 'FOREIGN' });
  await client.call('StatusNotification', { connectorId: 1, errorCode: 'NoError', status: 'Preparing', timestamp: now() });
  const start = { connectorId: 1, idTag: 'FOREIGN', meterStart: 0, timestamp: now() };
  transaction = (await client.call('StartTransaction', start)).transactionId;
  await client.call('StatusNotification', { connectorId: 1, errorCode: 'NoError', status: 'Charging', timestamp: now() });
  say('charging', { transaction });
  setInterval(() => {
    if (limitNow() !== shown) { shown = limitNow(); say('limit', { limit: shown }); }
  }, 50);
  setInterval(report, 400);
}

main().catch((problem) => { say('failed', { problem: String(problem) }); process.exit(1); });
