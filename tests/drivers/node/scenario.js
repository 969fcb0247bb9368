'use strict';

// The scenario of tests/drivers/README.md through the Node.js driver.

const { Client, types } = require('cassandra-driver');
const cluster = require('./cluster');
const data = require('./data');
const { check, dataCenter, nodes, skip } = require('./world');

const steps = [
  ['nodes', cluster.allNodes],
  ['schema', data.schema],
  ['types', data.everyType],
  ['prepared', data.preparedStatements],
  ['batches', data.batches],
  ['paging', data.paging],
  ['routing', cluster.routing],
  ['errors', data.errors],
  ['tracing', cluster.tracing],
  ['down and up', cluster.downAndUp],
  ['tls', cluster.tls],
];

async function connect() {
  const client = new Client({
    contactPoints: [nodes[0]],
    localDataCenter: dataCenter,
    queryOptions: { consistency: types.consistencies.quorum },
    encoding: { map: Map, set: Set },
    socketOptions: { readTimeout: 30000 },
  });
  await client.connect();
  const row = (await client.execute('SELECT release_version FROM system.local')).first();
  check(/^\d/.test(row.release_version), `release_version is '${row.release_version}'`);
  return client;
}

async function main() {
  let name = 'connect';
  let client = null;
  try {
    client = await connect();
    console.log(`node: connect ok`);
    for (const [next, work] of steps) {
      name = next;
      if (skip.includes(name)) {
        console.log(`node: ${name} skipped`);
      } else {
        await work(client);
        console.log(`node: ${name} ok`);
      }
    }
  } catch (error) {
    console.error(`node: ${name}:`, error);
    process.exitCode = 1;
  } finally {
    if (client) {
      await client.shutdown();
    }
  }
}

main();
