'use strict';

// The steps about nodes: who they are, who is asked, who dies.

const fs = require('fs');
const { Client, types } = require('cassandra-driver');
const { check, control, dataCenter, nodes, until } = require('./world');

const prepared = { prepare: true };
const port = ':9042';

/** The driver knows all three, from one. */
async function allNodes(client) {
  const found = client.hosts.values().map((host) => host.address).sort();
  check(found.join() === nodes.map((node) => node + port).sort().join(), `the driver knows ${found}`);
  for (const host of client.hosts.values()) {
    check(host.isUp() && host.datacenter === dataCenter, `${host.address} is in ${host.datacenter}, up: ${host.isUp()}`);
  }
}

/** The owner of each token, as the nodes' own tables have it, in the order of tokens. */
async function ring(client) {
  const asked = new Map();
  for (let time = 0; asked.size < 3; time++) {
    check(time < 1000, `a thousand questions reached only ${[...asked.keys()]}`);
    const row = (await client.execute('SELECT rpc_address, tokens FROM system.local')).first();
    asked.set(row.rpc_address.toString(), row.tokens);
  }
  const tokens = [...asked].flatMap(([node, its]) => Array.from(its, (token) => ({ token: BigInt(token), node })));
  return tokens.sort((a, b) => (a.token < b.token ? -1 : 1));
}

/** With one copy of each row, every request goes straight to the node that has it. */
async function routing(client) {
  await client.execute('DROP KEYSPACE IF EXISTS d_node_one');
  await client.execute("CREATE KEYSPACE d_node_one WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}");
  await client.execute('CREATE TABLE d_node_one.routed (a text, b int, v int, PRIMARY KEY ((a, b)))');
  const tokens = await ring(client);
  const coordinators = new Set();
  for (let number = 0; number < 60; number++) {
    const key = [`key ${number}`, number];
    // The driver routes by the keyspace of the client, unless it is told another.
    const options = { ...prepared, keyspace: undefined };
    const written = await client.execute('INSERT INTO d_node_one.routed (a, b, v) VALUES (?, ?, ?)', [...key, number], options);
    const read = await client.execute(
      'SELECT v, token(a, b) AS owned_by FROM d_node_one.routed WHERE a = ? AND b = ?', key, options);
    const row = read.first();
    const token = BigInt(row.owned_by.toString());
    const owner = (tokens.find((range) => range.token >= token) || tokens[0]).node + port;
    const asked = [written.info.queriedHost, read.info.queriedHost];
    check(row.v === number, `row ${number} holds ${row.v}`);
    check(asked.every((node) => node === owner), `token ${token} is ${owner}'s, but ${asked} were asked`);
    asked.forEach((node) => coordinators.add(node));
  }
  check(coordinators.size === 3, `60 keys went to ${[...coordinators]} alone`);
}

/** A traced request has a session and events that can be read. */
async function tracing(client) {
  const result = await client.execute('SELECT * FROM d_node.batched WHERE p = 1', [], { traceQuery: true });
  check(result.info.traceId, 'the answer has no tracing id');
  const trace = await client.metadata.getTrace(result.info.traceId);
  check(nodes.includes(trace.coordinator.toString()), `the trace's coordinator is ${trace.coordinator}`);
  check(trace.duration !== null, 'the trace has no duration');
  check(trace.events.length >= 2, `the trace has ${trace.events.length} events`);
  check(trace.events.every((event) => event.activity && event.source), 'an event without text or source');
}

/** The driver hears of a node that dies and comes back, goes on without it, and uses it again. */
async function downAndUp(client) {
  const victim = nodes[2] + port;
  const heard = [];
  client.on('hostDown', (host) => heard.push(`DOWN ${host.address}`));
  client.on('hostUp', (host) => heard.push(`UP ${host.address}`));
  await control('kill', 3);
  await until('DOWN is heard', 60, () => heard.includes(`DOWN ${victim}`));
  for (let number = 0; number < 50; number++) {
    await client.execute("INSERT INTO d_node.batched (p, c, v) VALUES (9, ?, 'while one is down')", [number], prepared);
  }
  await control('start', 3);
  await until('UP is heard', 120, () => heard.includes(`UP ${victim}`));
  await until('the node is asked again', 60, async () => {
    const result = await client.execute('SELECT rpc_address FROM system.local');
    return result.info.queriedHost === victim;
  });
}

/** With the right authority the driver connects by TLS, with another it does not. */
async function tls() {
  await byTls('ca.pem');
  let refused = null;
  await byTls('other-ca.pem').catch((error) => (refused = error));
  check(refused, 'a certificate of another authority was accepted');
}

async function byTls(authority) {
  const ca = [fs.readFileSync(`${process.env.DRIVERS_CERTIFICATES}/${authority}`)];
  const client = new Client({
    contactPoints: [process.env.DRIVERS_TLS_NODE],
    localDataCenter: dataCenter,
    sslOptions: { ca, rejectUnauthorized: true },
  });
  try {
    await client.connect();
    const row = (await client.execute('SELECT cluster_name FROM system.local')).first();
    check(row.cluster_name instanceof String || typeof row.cluster_name === 'string', 'no name');
  } finally {
    await client.shutdown();
  }
}

module.exports = { allNodes, routing, tracing, downAndUp, tls };
